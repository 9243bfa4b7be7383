"""How good the paths are that were sampled to be scored: figure 1, and figure 4 where a judge scored them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import fmean

from sert.analysis.path_counts import BANDS, Counts, band_of, counted_score, end_of, filtering_rows
from sert.analysis.task_results import TaskResults
from sert.judge.prompt import CRITERIA
from sert.paths.limits import with_limits
from sert.paths.rules import apply_rules
from sert.paths.selection import select
from sert.records import Path
from sert.stats.counts import Row

BRANCHING = "branching"
"""The decoding of the paths that were sampled as mining does it."""


def band_rows(result: TaskResults) -> Iterator[Row]:
    """Count the questions with at least one path in each band: by branch, by all branches, and raw (figure 1)."""
    for scorer in ["verifier"] * (result.verifier is not None) + ["judge"] * bool(result.judged_paths):
        for decoding, paths in result.scored.items():
            yield from _bands_of(result, scorer, decoding, paths)


def _bands_of(result: TaskResults, scorer: str, decoding: str, paths: Iterable[Path]) -> Iterator[Row]:
    """Count questions; one of which no path has a score is left out, since nobody knows of it."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    asked, num_paths = set[str](), Counts()
    for path in paths:
        asked.add(path.question_id)
        score = _score(result, scorer, decoding, path)
        for name in [f"branch {path.branch}", "all branches"] if decoding == BRANCHING else [decoding]:
            num_paths[name] += 1
            if score is not None:
                found[name][band_of(score)].add(path.question_id)
    for name, questions in sorted(found.items(), key=lambda each: (each[0] == "all branches", each[0])):
        for band in BANDS:
            yield {
                "scorer": scorer,
                "source": name,
                "band": band,
                "hits": len(questions.get(band, ())),
                "questions": len(set.union(*questions.values())),
                "samples": num_paths[name] // len(asked),
            }


def _score(result: TaskResults, scorer: str, decoding: str, path: Path) -> float | None:
    if scorer == "verifier" and result.verifier is not None:
        return result.verifier(result.test[path.question_id], path.text)[1]
    scores = (result.judged_paths or {}).get(decoding, {}).get(path.key)
    return None if scores is None else fmean(scores)


def judged_filtering_rows(result: TaskResults) -> Iterator[Row]:
    """Count the paths in each band of a judge's scores that are left after each rule (figure 4).

    A judge scores those paths of the first test questions that it was shown, which the rules are asked about here.
    Limits that are percentiles are those of the mined paths. Where the selection goes by gains, which nobody has of
    these paths, there is no last step.
    """
    if not result.judged_paths:
        return
    config = result.config
    paths = list(result.scored[BRANCHING])
    asked = config.selection.rules
    rules = with_limits(config.rules, result.rounds[0].limits)
    verdicts = [apply_rules(each, result.test[each.question_id], rules, asked=asked) for each in paths]
    can_select = config.selection.order != "gain"
    judged = select(verdicts, config.selection, seed=config.seed) if can_select else verdicts
    by_criterion: list[dict[str, Counts]] = [defaultdict(Counts) for _ in CRITERIA]
    for path, verdict in zip(paths, judged, strict=True):
        of_path = result.judged_paths.get(BRANCHING, {}).get(path.key)
        for ends, score in zip(by_criterion, of_path or (), strict=of_path is not None):
            ends[end_of(verdict)].update(counted_score(score))
    for criterion, ends in zip(CRITERIA, by_criterion, strict=True):
        rows = filtering_rows(ends, "judge", criterion, rules=rules.names)
        yield from (row for row in rows if can_select or row["after"] != "selected")
