"""What a reader of the numbers should know."""

from collections.abc import Iterator

from sert.analysis.four_numbers import cut_warning
from sert.analysis.task_results import TaskResults
from sert.paths.filtering import TOLERATED_UNFINISHED, trims
from sert.paths.gains import LOOKS_AT_GOLD
from sert.records import TOO_LONG
from sert.tasks.splits import NEARLY
from sert.tasks.standing import standing_of_prediction, standing_shares
from sert.terminal.text import shorten

SERVED = (
    "the first student's paths were sampled by a server (mining.engine), which cannot be repeated: the same settings "
    "give other paths; the manifests of these stages say which server it was"
)
"""What is told of paths that are not ours."""
SHOWN_PAIRS = 3
"""Nearly equal questions that a warning names."""


def warnings_of(result: TaskResults) -> Iterator[str]:
    """Say of what was measured on one task what a reader of the numbers should know."""
    served = [SERVED] if result.rounds and result.config.mining.engine != "student" else []
    yield from (f"{result.task}: {said}" for said in (*_of_data(result), *served, *_of_stages(result)))
    yield from untrained(result)


def _of_data(result: TaskResults) -> Iterator[str]:
    yield from result.data.slips
    for reason, count in result.data.left_out.items():
        if count:
            yield f"{count} left out, {reason}{_pairs(result, reason)}"


def _pairs(result: TaskResults, reason: str) -> str:
    """Name the first questions that are nearly the same, where that is the reason."""
    pairs = [pair for pair in result.data.near_duplicates if NEARLY[pair.split] == reason]
    if not pairs:
        return ""
    named = [f"{shorten(pair.question_id)} as {shorten(pair.other_id)}" for pair in pairs[:SHOWN_PAIRS]]
    return f": {'; '.join(named)}{'; ...' if len(pairs) > SHOWN_PAIRS else ''}"


def _of_stages(result: TaskResults) -> Iterator[str]:
    if result.mined and (too_long := sum(not counts["paths"] for counts in result.mined.by_question.values())):
        yield f"{too_long} train questions are too long for the student and have no paths"
    for method, measured in result.methods.items():
        if too_long := sum(each.finish == TOO_LONG for each in measured.primary):
            yield (
                f"{too_long} of {len(measured.primary)} test questions are too long for the student and count as not "
                f"answered by {method}"
            )
    narrowed = result.config.selection.only_sometimes_right
    if result.trained_on and (without := len(result.train) - result.trained_on.questions_with_selected):
        yield f"{without} train questions have no {'selected' if narrowed else 'surviving'} path and train nothing"
    yield from _of_cut(result)
    yield from _of_unfinished(result)
    if result.rounds and result.config.selection.order == "gain":
        yield LOOKS_AT_GOLD
    if result.mined and (stopped := result.mined.all["stopped"]):
        yield (
            f"{stopped} of {result.mined.all['paths']} paths were stopped early, so the filter's counts are not those "
            "of all paths; mine with keep_all for these"
        )
    if result.rationales is not None and result.rationales < len(result.train):
        yield f"{len(result.train) - result.rationales} of {len(result.train)} train questions have no rationale"
    if result.judged_paths is not None:
        asked, scored = (sum(map(len, each.values())) for each in (result.scored, result.judged_paths))
        if scored < asked:
            yield f"the judge gave no readable scores to {asked - scored} of {asked} paths"
    for method, counts in result.training.items():
        if counts["too_long"]:
            yield f"{counts['too_long']} examples of {method} exceed max_length, left out"


def _of_cut(result: TaskResults) -> Iterator[str]:
    """Warn if many outputs, or many of the mined paths that were decoded to their end, were cut before they answer."""
    if mined := result.mined:
        ended = mined.all["paths"] - mined.all["stopped"]
        cut: dict[str, float | None] = {"the mined paths": mined.all["cut"] / ended if ended else None}
        tokens = result.config.mining.max_new_tokens
        if told := cut_warning(cut, tokens=tokens, setting="mining.max_new_tokens"):
            yield told
    shares: dict[str, float | None] = {
        method: standing_shares(map(standing_of_prediction, measured.primary))["cut"]
        for method, measured in result.methods.items()
    }
    tokens = result.config.evaluation.max_new_tokens
    if told := cut_warning(shares, tokens=tokens, setting="evaluation.max_new_tokens"):
        yield told


def _of_unfinished(result: TaskResults) -> Iterator[str]:
    """Warn if many selected paths have their conclusion behind half a sentence."""
    counts = result.trained_on.all if result.trained_on else {}
    unfinished, selected = counts.get("selected_unfinished", 0), counts.get("selected", 0)
    if unfinished > TOLERATED_UNFINISHED * selected and not trims(result.config.rules, result.config.selection):
        yield (
            f"{unfinished} of {selected} selected paths break off within a sentence at mining.max_new_tokens and are "
            'trained on so; rules.unfinished = "trim" cuts them back to their last whole one'
        )


def untrained(result: TaskResults) -> Iterator[str]:
    """Name the methods that had no examples; their numbers are those of the student before."""
    for method, counts in result.training.items():
        if counts["steps"] == 0:
            yield f"{result.task}: {method} was not trained, there were no examples; it is the student it started from"
