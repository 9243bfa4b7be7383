"""What a report shows of single paths and outputs, and what it warns of."""

from sert.analysis.run_numbers import TaskResults
from sert.report.examples import ShownPath, ShownPrediction
from sert.tasks.splits import NEARLY
from sert.terminal.text import shorten

SHOWN_PAIRS = 3
"""Nearly equal questions that a warning names."""
SHOWN_PATHS = 3
"""Paths of each end that a report shows."""
SHOWN_PREDICTIONS = 3
"""Right outputs of each method that a report shows, and as many wrong ones."""


def warnings_of(result: TaskResults) -> list[str]:
    """Say what a reader of the numbers should know."""
    warnings = [f"{result.task}: {slip}" for slip in result.slips]
    warnings += [
        f"{result.task}: {count} left out, {reason}{_pairs(result, reason)}"
        for reason, count in result.left_out.items()
        if count
    ]
    _, verdicts = result.trained_on
    without = len(result.train) - sum(verdict.selected for verdict in verdicts)
    if verdicts and without:
        warnings.append(f"{result.task}: {without} train questions have no surviving path and train nothing")
    stopped = sum(path.stopped_early for path in result.paths)
    if stopped:
        warnings.append(
            f"{result.task}: {stopped} of {len(result.paths)} paths were stopped early, so the filter's counts are not "
            "those of all paths; mine with keep_all for these"
        )
    if result.rationales is not None and result.rationales < len(result.train):
        missing = len(result.train) - result.rationales
        warnings.append(f"{result.task}: {missing} of {len(result.train)} train questions have no rationale")
    if result.judged_paths is not None:
        asked, scored = (sum(map(len, each.values())) for each in (result.scored, result.judged_paths))
        if scored < asked:
            warnings.append(f"{result.task}: the judge gave no readable scores to {asked - scored} of {asked} paths")
    for method, counts in result.training.items():
        if counts["too_long"]:
            warnings.append(f"{result.task}: {counts['too_long']} examples of {method} exceed max_length, left out")
    return [*warnings, *untrained(result)]


def untrained(result: TaskResults) -> list[str]:
    """Name the methods that had no examples; their numbers are those of the student before."""
    return [
        f"{result.task}: {method} was not trained, there were no examples; it is the student it started from"
        for method in result.training
        if result.is_untrained(method)
    ]


def _pairs(result: TaskResults, reason: str) -> str:
    """Name the first questions that are nearly the same, where that is the reason."""
    pairs = [pair for pair in result.near_duplicates if NEARLY[pair.split] == reason]
    if not pairs:
        return ""
    named = [f"{shorten(pair.question_id)} as {shorten(pair.other_id)}" for pair in pairs[:SHOWN_PAIRS]]
    return f": {'; '.join(named)}{'; ...' if len(pairs) > SHOWN_PAIRS else ''}"


def shown_paths(result: TaskResults, *, each: int = SHOWN_PATHS) -> list[ShownPath]:
    """A few paths for each reason and a few selected ones: the first of each, so that nobody picks them.

    Of several rounds they are the last one's. Of a path that was stopped early nobody knows whether it is true.
    """
    questions = {question.question_id: question for question in result.train}
    shown: list[ShownPath] = []
    counts: dict[str, int] = {}
    for path, verdict in zip(*result.trained_on, strict=True):
        group = "selected" if verdict.selected else verdict.reason or "kept"
        counts[group] = counts.get(group, 0) + 1
        if counts[group] > each:
            continue
        question = questions[path.question_id]
        shown.append(
            ShownPath(
                task=result.task,
                question_id=path.question_id,
                question=question.question,
                branch=path.branch,
                sample=path.sample,
                text=path.text,
                reason=verdict.reason,
                selected=verdict.selected,
                true=result.verifier(question, path.text) if result.verifier and not path.stopped_early else None,
                num_tokens=verdict.num_tokens,
                rep_2=verdict.rep_2,
                perplexity=verdict.perplexity,
            )
        )
    return shown


def shown_predictions(result: TaskResults, *, each: int = SHOWN_PREDICTIONS) -> list[ShownPrediction]:
    """A few right and as many wrong outputs of each method: the first ones, so that nobody picks them."""
    questions = {question.question_id: question for question in result.test}
    shown = []
    for method, predictions in result.predictions.items():
        for correct in (True, False):
            graded = [prediction for prediction in predictions if prediction.correct_loose is correct]
            for prediction in graded[:each]:
                question = questions[prediction.question_id]
                shown.append(
                    ShownPrediction(
                        task=result.task,
                        method=method,
                        question_id=prediction.question_id,
                        question=question.question,
                        completion=prediction.completion,
                        gold=question.answer,
                        answer=prediction.answer_loose,
                        correct=prediction.correct_loose,
                        format_ok=prediction.format_ok,
                    )
                )
    return shown
