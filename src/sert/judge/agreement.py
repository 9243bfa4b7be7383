"""How far a judge agrees with itself, and the mean of its scores.

A failed reply is None and never a 0: it is left out and counted. A value that is not finite counts as failed too.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

from sert.judge.prompt import CRITERIA
from sert.judge.reply import Scores
from sert.stats.shares import Interval, mean_interval

# Scores have few decimals; rounding takes away what binary fractions add, so that 7.3 and 6.3 differ by exactly 1.
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
