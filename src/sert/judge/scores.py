"""What the replies of a judge come to: means of its scores, its planted texts, and how far it agrees with itself.

A failed reply is None and never a 0: it is left out and counted. A value that is not finite counts as failed too.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any, NamedTuple

from sert.judge.planted import Kind
from sert.judge.prompt import CRITERIA
from sert.judge.reply import Scores
from sert.records import Judgement, PathKey
from sert.stats.shares import Interval, mean_interval

PLANTED: tuple[Kind, ...] = ("good", "bad")
"""The sources of planted texts."""

MIN_GAP = 2.0

RULE = (
    f"A judge is reliable here if, on each of the {len(CRITERIA)} criteria, its mean score of the good reasonings is "
    f"at least {MIN_GAP:g} points above its mean score of the bad ones. Replies that cannot be read are left out; "
    "a judge with no readable reply for one of the kinds is unreliable."
)

# Scores have few decimals; rounding takes away what binary fractions add, so that 7.3 and 6.3 differ by exactly 1,
# and means of 7.1 and 5.1 by exactly 2.
_DECIMALS = 9


class Agreement(NamedTuple):
    """How two readings of the same item differ, over `num_pairs` pairs; None when there is no pair."""

    mean_difference: float | None
    equal_share: float | None
    within_one_share: float | None
    num_pairs: int


class CriterionSummary(NamedTuple):
    """The mean over scored items and its 95 % interval; None where too few were scored."""

    num_scored: int
    num_failed: int
    mean: float | None
    interval: Interval | None


class Gap(NamedTuple):
    """One criterion: the two means, their difference in points, and what they rest on; None without a score."""

    gap: float | None
    good_mean: float | None
    bad_mean: float | None
    good_scored: int
    good_failed: int
    bad_scored: int
    bad_failed: int


def summarize_judgements(rows: Sequence[Judgement], *, judge: str, output: str) -> dict[str, Any]:
    """Say what replies come to: scores by whose text it is, planted texts, agreement, and why replies failed."""
    sources = dict.fromkeys(row.source for row in rows)
    by_item = _by_item(rows)
    gaps = calibration_gap((item.source, scores) for item, repeats in by_item.items() for scores in repeats)
    return {
        "judge": judge,
        "output": output,
        "replies": len(rows),
        "failures": dict(Counter(row.failure for row in rows if row.failure is not None)),
        "rows": [_source_row(source, by_item) for source in sources],
        "calibration": {"separates": separates(gaps), **{name: gap._asdict() for name, gap in gaps.items()}},
        "agreement": {name: each._asdict() for name, each in agreement(list(by_item.values())).items()},
    }


class _Item(NamedTuple):
    """A text that was judged, once or several times."""

    source: str
    question_id: str
    branch: int | None
    sample: int | None


def _by_item(rows: Iterable[Judgement]) -> dict[_Item, list[Scores | None]]:
    by_item: dict[_Item, list[Scores | None]] = {}
    for row in rows:
        item = _Item(row.source, row.question_id, row.branch, row.sample)
        scores = None if row.failure is not None else Scores(*(getattr(row, name) for name in CRITERIA))
        by_item.setdefault(item, []).append(scores)
    return by_item


def path_scores(rows: Iterable[Judgement]) -> dict[str, dict[PathKey, Scores]]:
    """Average the readable replies of each judged path: source -> path -> scores. A path without one is left out."""
    found: dict[str, dict[PathKey, Scores]] = {}
    for item, repeats in _by_item(rows).items():
        readable = [scores for scores in repeats if scores is not None]
        if item.branch is not None and item.sample is not None and readable:
            means = Scores(*(fmean(values) for values in zip(*readable, strict=True)))
            found.setdefault(item.source, {})[PathKey(item.question_id, item.branch, item.sample)] = means
    return found


def _source_row(source: str, by_item: Mapping[_Item, list[Scores | None]]) -> dict[str, Any]:
    """Summarize one source: a text counts with the mean of its readable replies, and as failed without one."""
    items = [repeats for item, repeats in by_item.items() if item.source == source]
    row: dict[str, Any] = {"source": source, "n": len(items)}
    for name in CRITERIA:
        means = []
        for repeats in items:
            values = [getattr(scores, name) for scores in repeats if scores is not None]
            means.append(sum(values) / len(values) if values else None)
        row[name] = criterion_summary(means)._asdict()
    return row


def agreement(repeats: Iterable[Sequence[Scores | None]]) -> dict[str, Agreement]:
    """Compare the repeated scores of each item with one another, criterion by criterion.

    Every pair of repeats of one item counts once, so that items with more scored repeats weigh more. Differences are
    absolute, in points; `within_one_share` includes a difference of exactly 1. Repeats without scores are None.
    """
    scored = [[scores for scores in item if scores is not None] for item in repeats]
    return {
        criterion: _agreement(
            [
                round(abs(first - second), _DECIMALS)
                for item in scored
                for first, second in combinations(_finite(scores[index] for scores in item), 2)
            ]
        )
        for index, criterion in enumerate(CRITERIA)
    }


def criterion_summary(values: Iterable[float | None]) -> CriterionSummary:
    """Sum up one criterion over items.

    The interval is Student's t over items and not cut off at the ends of the scale; it needs two scored items.
    The values are one score an item (of repeats, their mean), None where it failed.
    """
    every = list(values)
    scored = _finite(every)
    mean, interval = fmean(scored) if scored else None, mean_interval(scored) if len(scored) > 1 else None
    return CriterionSummary(len(scored), len(every) - len(scored), mean, interval)


def calibration_gap(replies: Iterable[tuple[str, Scores | None]]) -> dict[str, Gap]:
    """Compare the scores of good and bad items, criterion by criterion, among the replies to texts of any source.

    A reply that could not be read is None.
    """
    every = list(replies)

    def summary(of: Kind, index: int) -> CriterionSummary:
        return criterion_summary(None if scores is None else scores[index] for kind, scores in every if kind == of)

    return {name: _gap(summary("good", index), summary("bad", index)) for index, name in enumerate(CRITERIA)}


def separates(gaps: dict[str, Gap]) -> bool:
    """Tell whether the judge is reliable by `RULE`, from what `calibration_gap` returned."""
    return all(gap.gap is not None and round(gap.gap, _DECIMALS) >= MIN_GAP for gap in gaps.values())


def _gap(good: CriterionSummary, bad: CriterionSummary) -> Gap:
    gap = None if good.mean is None or bad.mean is None else good.mean - bad.mean
    return Gap(gap, good.mean, bad.mean, good.num_scored, good.num_failed, bad.num_scored, bad.num_failed)


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _agreement(differences: Sequence[float]) -> Agreement:
    if not differences:
        return Agreement(None, None, None, 0)
    return Agreement(
        mean_difference=fmean(differences),
        equal_share=fmean(difference == 0 for difference in differences),
        within_one_share=fmean(difference <= 1 for difference in differences),
        num_pairs=len(differences),
    )
