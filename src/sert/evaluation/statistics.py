"""Intervals and tests for shares, thin over scipy."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scipy.stats import binomtest, norm

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


class PairedDifference(NamedTuple):
    """How much more often a is right than b on the same `n` questions, with a 95 % interval and a p-value."""

    difference: float
    low: float
    high: float
    p_value: float
    n: int


class Majority(NamedTuple):
    """The most frequent answer and its share."""

    answer: str
    share: float


def wilson_interval(correct: int, n: int) -> Interval:
    """Wilson's score interval (without continuity correction) of a share; `n` is at least 1."""
    low, high = binomtest(correct, n).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))


def mcnemar_exact(a_correct: Sequence[bool], b_correct: Sequence[bool]) -> float:
    """Two-sided exact McNemar test that a and b, on the same questions, are right equally often.

    It is the binomial test on the questions that exactly one of them gets right; 1 when there are none.
    """
    only_a, only_b = _discordant(a_correct, b_correct)
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_b, only_a + only_b, 0.5).pvalue)


def paired_difference(a: Sequence[bool], b: Sequence[bool]) -> PairedDifference:
    """Compare a with b on the same questions; positive when a is better.

    The difference is the observed one. Its interval is Wald's after half a question is added to each of the four cells
    (both right, only a, only b, neither): A. Agresti and Y. Min, "Simple improved confidence intervals for comparing
    matched proportions", Statistics in Medicine 24 (2005). It is centred a little nearer to 0 than the difference. The
    p-value is that of `mcnemar_exact`, so that the two may disagree at the margin.

    Raises:
        ValueError: If the lengths differ or there are no questions.
    """
    if not a:
        raise ValueError("a difference needs at least one question")
    only_a, only_b = _discordant(a, b)
    n = len(a)
    padded = n + 2
    centre = (only_a - only_b) / padded
    spread = math.sqrt((only_a + only_b + 1) / padded - centre**2) / math.sqrt(padded)
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * spread
    return PairedDifference(
        difference=(only_a - only_b) / n,
        low=max(centre - half, -1.0),
        high=min(centre + half, 1.0),
        p_value=mcnemar_exact(a, b),
        n=n,
    )


def majority(answers: Iterable[str]) -> Majority:
    """Find the most frequent answer; of equally frequent ones the alphabetically first.

    Raises:
        ValueError: If there are no answers.
    """
    counts = Counter(answers)
    answer = min(counts, key=lambda each: (-counts[each], each))
    return Majority(answer, counts[answer] / counts.total())


def _discordant(a: Sequence[bool], b: Sequence[bool]) -> tuple[int, int]:
    pairs = Counter((bool(left), bool(right)) for left, right in zip(a, b, strict=True))
    return pairs[True, False], pairs[False, True]
