"""Compare means of numbers that two methods have on the same questions: lengths, repetition, a judge's scores."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import bootstrap, norm
from scipy.stats import t as student_t

from sert.seeds import derive_seed
from sert.stats.shares import CONFIDENCE

# Numbers that are drawn and held at once, however many questions there are.
_BLOCK = 1_000_000

# Sums that differ by less than this share of what was summed are equal but for their rounding.
_ROUNDING = 1e-11


class PairedMeans(NamedTuple):
    """The mean of a minus b over the `n` questions that have both, a 95 % interval and a two-sided p-value.

    Of `left_out` questions a or b is missing. Without questions there is no difference, with one no interval (None).
    """

    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    left_out: int


def averages_over_seeds(
    seeds: Iterable[tuple[Sequence[float | None], Sequence[float | None]]],
) -> tuple[list[float | None], list[float | None]]:
    """Average a and b over seeds, question by question, each over the seeds where the question has both numbers.

    Each seed gives the numbers of a and of b, of the same questions in the same order.

    Raises:
        ValueError: If there is not the same number of questions everywhere.
    """
    by_seed = [list(zip(a, b, strict=True)) for a, b in seeds]
    by_question = ([each for each in pairs if None not in each] for pairs in zip(*by_seed, strict=True))
    averages = [tuple(map(fmean, zip(*pairs, strict=True))) or (None, None) for pairs in by_question]
    return [a for a, _ in averages], [b for _, b in averages]


def paired_bootstrap(
    a: Sequence[float | None], b: Sequence[float | None], *, seed: int, resamples: int = 9999
) -> PairedMeans:
    """Compare the means of a and b on the same questions; positive when a is higher.

    Questions where either is None or not finite are left out and counted.

    The interval is the bootstrap's percentile interval over questions, its percentiles moved outwards so that it is as
    wide as Student's (T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69,
    2015). Of the bootstrap intervals that were tried (percentile, BCa, studentized, this) it is the one that covers the
    mean in 94 to 96 % of all cases from 20 questions on and does not run away where most differences are 0. Where few
    questions make up most of the mean, and for fewer than ten questions, it is too narrow; equal differences leave no
    width. The p-value is a sign-flip test: exact when all flips of the differences that are not 0 are at most
    `resamples`, else drawn and never below 1 / (resamples + 1).

    Both have one number a question, of the same questions in the same order. The result is a function of the numbers
    and the seed; `resamples` are bootstrap samples, and sign flips.

    Raises:
        ValueError: If the lengths differ.
    """
    pairs = np.array(list(zip(a, b, strict=True)), dtype=float).reshape(-1, 2)  # None becomes NaN
    differences = np.subtract(*pairs[np.isfinite(pairs).all(axis=1)].T)
    n = len(differences)
    if n == 0:
        return PairedMeans(None, None, None, None, 0, len(a))
    low, high = _interval(differences, seed, resamples) if n > 1 else (None, None)
    return PairedMeans(
        float(differences.mean()), low, high, _sign_flip_p(differences, seed, resamples), n, left_out=len(a) - n
    )


def _interval(differences: Any, seed: int, resamples: int) -> tuple[float, float]:
    n = len(differences)
    wider = math.sqrt(n / (n - 1)) * student_t.ppf((1 + CONFIDENCE) / 2, n - 1)
    low, high = bootstrap(
        (differences,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _BLOCK // n),
        confidence_level=float(2 * norm.cdf(wider) - 1),
        method="percentile",
        rng=np.random.default_rng(derive_seed(seed, "paired_bootstrap", "interval")),
    ).confidence_interval
    return float(low), float(high)


def _sign_flip_p(differences: Any, seed: int, resamples: int) -> float:
    generator = np.random.default_rng(derive_seed(seed, "paired_bootstrap", "p_value"))
    changing = differences[differences != 0]
    every_flip = 2 ** len(changing)
    exact = every_flip <= resamples
    trials = every_flip if exact else resamples
    block = max(1, _BLOCK // max(1, len(changing)))
    as_far = abs(changing.sum()) - _ROUNDING * np.abs(changing).sum()
    found = 0
    for start in range(0, trials, block):
        rows = min(block, trials - start)
        if exact:
            flips = np.arange(start, start + rows)[:, None] >> np.arange(len(changing)) & 1
        else:
            flips = generator.integers(0, 2, (rows, len(changing)), dtype=np.int8)
        found += int((np.abs((1 - 2 * flips) @ changing) >= as_far).sum())
    return found / trials if exact else (found + 1) / (trials + 1)
