"""The numbers of one task of one run, as rows that are counted up over seeds: of its questions, outputs and samples."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sert.analysis.chance import chance_among
from sert.analysis.comparisons import Outcome
from sert.analysis.four_numbers import Standings
from sert.analysis.path_counts import Counts, texts_and_questions
from sert.analysis.task_results import TaskResults
from sert.config.grid import Arm
from sert.config.tree import DISTILLED, Method
from sert.evaluation.grading import summarize
from sert.paths.rules import is_reasoned
from sert.records import TOO_LONG, Path, Prediction
from sert.stats.counts import Row, share_of
from sert.tasks.standing import Standing, standing_of_path, standing_of_prediction, standing_shares


def task_row(result: TaskResults) -> Row:
    """Describe the questions of a task, and what needs no student."""
    test = list(result.test.values())
    chance = chance_among(test, counted=test)
    return {
        "task": result.task,
        "num_train": len(result.train),
        "num_dev": len(result.data.split("dev")),
        "num_test": len(test),
        "majority_answer": chance.answer,
        "majority_accuracy": chance.share,
        "chance_accuracy": chance.guessing,
        "chance_best": chance.best,
        "left_out": dict(result.data.left_out),
        "near_duplicates": [pair._asdict() for pair in result.data.near_duplicates],
    }


def result_rows(result: TaskResults) -> Iterator[Row]:
    """Sum up the outputs of each method, of every snapshot that is reported."""
    for method, measured in result.methods.items():
        training, by_step = measured.training, dict[int, Row]()
        for chosen in measured.choices:
            if chosen.step not in by_step:
                by_step[chosen.step] = _measures(result, chosen.predictions)
            yield {
                "method": method,
                "split": "test",
                "epoch_choice": chosen.choice if training else None,
                "primary": chosen.choice == measured.epoch_choice or not training,
                "harness": result.config.evaluation.harness,
                "votes": result.config.evaluation.votes,
                "step": chosen.step if training else None,
                "train_examples": training.get("examples"),
                "train_steps": training.get("steps"),
                **by_step[chosen.step],
            }


def _measures(result: TaskResults, predictions: Sequence[Prediction]) -> Row:
    verifier, test = result.verifier, result.test
    true = [verifier(test[each.question_id], each.completion)[0] for each in predictions] if verifier else []
    return {**summarize(predictions, list(test.values())), "true_paths": share_of(sum(true), len(true))}


def outcomes(arm: Arm, result: TaskResults) -> Iterator[Outcome]:
    """Keep of each prediction what comparisons need: of the primary snapshot, and of the last one."""
    for method, measured in result.methods.items():
        by_id = {each.question_id: each for each in measured.primary}
        last = {each.question_id: each for each in measured.choices[0].predictions}
        yield Outcome(
            student=arm.student,
            task=result.task,
            variant=arm.variant,
            method=method,
            seed=arm.seed,
            trained=not measured.untrained,
            correct=[by_id[name].correct_loose for name in result.test],
            correct_last=[last[name].correct_loose for name in result.test],
            standings=[standing_of_prediction(by_id[name]) for name in result.test],
            standings_last=[standing_of_prediction(last[name]) for name in result.test],
            lengths=[_length(by_id[name]) for name in result.test],
            repetitions=[by_id[name].rep_1 if by_id[name].reasoning_tokens else None for name in result.test],
        )


def _length(prediction: Prediction) -> float | None:
    return None if prediction.finish == TOO_LONG else float(prediction.reasoning_tokens)


class Decoded(NamedTuple):
    """What decodings come to: a row each of how many outputs reason and are true, and how all of them stand."""

    rows: list[Row]
    standings: Standings


class _Output(NamedTuple):
    """An output on a test question: whose it is, its text, whether it reasons, how it stands."""

    question_id: str
    text: str
    reasoned: bool
    standing: Standing


def look_at_decodings(result: TaskResults) -> Decoded:
    """Count who reasons how often: one output, raw samples and branches a question, and the SERT student."""
    votes = result.config.evaluation.votes
    one = "greedy" if votes == 1 else f"{votes} votes"
    written = {
        one: _outputs(result, "zero_shot"),
        **{decoding: _samples(result, paths) for decoding, paths in result.probes.items()},
        f"SERT {one}": _outputs(result, "sert"),
    }
    found = Decoded([], Standings())
    for decoding, outputs in written.items():
        by_question = {name: Counts() for name in result.test}  # also those that were too long for any
        for each in outputs:
            true = result.verifier is not None and result.verifier(result.test[each.question_id], each.text)[0]
            by_question[each.question_id].update({"outputs": 1, "reasoned": each.reasoned, "true": true})
            found.standings.add("decoding", decoding, each.question_id, each.standing)
        if number := sum(counts["outputs"] for counts in by_question.values()):
            row = {"decoding": decoding, "questions": len(by_question), "outputs": number}
            unknown = [] if result.verifier else ["true"]
            counts = texts_and_questions(by_question.values(), "reasoned", "true", unknown=unknown)
            samples = max(each["outputs"] for each in by_question.values())
            found.rows.append({**row, "samples": samples, **counts})
    return found


def _outputs(result: TaskResults, method: Method) -> Iterator[_Output]:
    """Take the outputs of a method, but for questions that were too long."""
    asked = result.methods[method].primary if method in result.methods else ()
    for each in (each for each in asked if each.finish != TOO_LONG):
        yield _Output(each.question_id, each.completion, each.reasoned, standing_of_prediction(each))


def _samples(result: TaskResults, paths: Iterable[Path]) -> Iterator[_Output]:
    for path in paths:
        question = result.test[path.question_id]
        reasoned = is_reasoned(path.text, path.num_tokens, question, result.config.rules)
        yield _Output(path.question_id, path.text, reasoned, standing_of_path(path, question))


def limit_rows(result: TaskResults) -> Iterator[Row]:
    """Say what the limits came to that are percentiles of the first round's paths."""
    for setting, percentage in result.config.rules.percentiles.items() if result.rounds else ():
        yield {"setting": setting, "percentage": percentage, "value": result.rounds[0].limits[setting]}


def step_rows(result: TaskResults) -> Iterator[Row]:
    """Say how right each snapshot of each method is, on dev and on test questions."""
    for method, measured in result.methods.items():
        for snapshot in measured.snapshots if len(measured.snapshots) > 1 else ():
            for split, predictions in (("dev", snapshot.dev), ("test", snapshot.test)):
                if predictions:
                    yield {"method": method, "step": snapshot.step, "split": split, **_right(predictions)}


def amount_rows(result: TaskResults) -> Iterator[Row]:
    """Say how right the distilled students are that were trained on this many rationales, at their last epoch."""
    for method, measured in result.methods.items():
        if method in DISTILLED:
            right = _right(measured.choices[0].predictions)
            yield {"method": method, "rationales": measured.training["examples"], **right}


def _right(predictions: Sequence[Prediction]) -> Row:
    """Share the right outputs, and all among the four numbers."""
    accuracy = sum(each.correct_loose for each in predictions) / len(predictions)
    return {"accuracy": accuracy, **standing_shares(map(standing_of_prediction, predictions))}
