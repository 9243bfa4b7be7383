"""What several seeds say: their spread, and how two methods compare over them."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from sert.stats.shares import Interval, agresti_min, mean_interval


class OverSeeds(NamedTuple):
    """One number of each of `n` seeds: mean, sample standard deviation, range, and the mean's 95 % interval.

    `sd` and `interval` are None for one seed.
    """

    mean: float
    sd: float | None
    lowest: float
    highest: float
    n: int
    interval: Interval | None


class SeededDifference(NamedTuple):
    """How much more often a is right than b on the same `n` questions, on average over seeds.

    `by_seed` is the difference of each seed.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    by_seed: OverSeeds


class PairedDifference(NamedTuple):
    """How much more often a is right than b where both count, which is so of `n` questions with at least one seed.

    `share` is that of all pairs of a seed and a question that count.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    share: float


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """Sum up one number over seeds.

    The interval is Student's: for the mean over all seeds on these very questions. It says nothing about other
    questions, and it is not cut at 0 or 1.

    Raises:
        ValueError: If there are no values.
    """
    if not values:
        raise ValueError("a mean over seeds needs at least one seed")
    sd, interval = (stdev(values), mean_interval(values)) if len(values) > 1 else (None, None)
    return OverSeeds(fmean(values), sd, min(values), max(values), len(values), interval)


def paired_over_seeds(a: Sequence[Sequence[bool]], b: Sequence[Sequence[bool]]) -> SeededDifference:
    """Compare a with b over the same seeds and questions; positive when a is better.

    The unit is the question: its difference is the mean over seeds of a right minus b right. Answers of several seeds
    to one question are not independent, and seeds times questions would be too many. The p-value is the exact sign-flip
    test that these differences are as often in favour of b as of a. For one seed it is McNemar's: the binomial test on
    the questions that exactly one of them gets right. The difference is the observed one, its interval that of
    `agresti_min`, which is centred a little nearer to 0, so that the two may disagree at the margin.

    Interval and p-value hold for these trained students on other questions of the kind. What another draw of seeds
    would change is not in them: see how far `by_seed` spreads, and whether its interval leaves out 0 as well.

    Both say for each seed whether each question was answered rightly, the same seeds and questions in the same order.

    Raises:
        ValueError: If the seeds or questions of a and b differ in number, or there are none.
    """
    by_answer = _differences(a, b)
    found = _paired(by_answer, np.ones_like(by_answer))
    by_seed = over_seeds(by_answer.mean(axis=1).tolist())
    return SeededDifference(found.difference, found.low, found.high, found.p_value, found.n, by_seed)


def paired_where(
    a: Sequence[Sequence[bool]], b: Sequence[Sequence[bool]], *, counted: Sequence[Sequence[bool]]
) -> PairedDifference | None:
    """Compare a with b as `paired_over_seeds` does, only on the questions that count with each seed.

    The difference is that over all pairs of a seed and a question that count; the unit is the question, which weighs
    as much as it has such seeds. None where no question counts.

    Raises:
        ValueError: If the seeds or questions differ in number, or there are none.
    """
    by_answer, counts = _differences(a, b), np.array(counted, dtype=int)
    if counts.shape != by_answer.shape:
        raise ValueError(f"{counts.shape} seeds and questions are said to count or not, of {by_answer.shape}")
    return _paired(by_answer, counts) if counts.any() else None


def _differences(a: Sequence[Sequence[bool]], b: Sequence[Sequence[bool]]) -> Any:
    """Subtract b from a: 1, 0 or -1 of each seed and question."""
    a_correct, b_correct = np.array(a, dtype=bool), np.array(b, dtype=bool)
    if a_correct.shape != b_correct.shape or a_correct.ndim != 2 or not a_correct.size:
        raise ValueError(f"a is {a_correct.shape} seeds and questions, b {b_correct.shape}; both need the same of each")
    return a_correct.astype(int) - b_correct.astype(int)


def _paired(by_answer: Any, counted: Any) -> PairedDifference:
    """Compare by the differences that count; `counted` is 1 or 0 of each seed and question."""
    asked = counted.any(axis=0)
    by_answer, counted = (by_answer * counted)[:, asked], counted[:, asked]
    n, seeds = int(asked.sum()), float(counted.sum()) / int(asked.sum())
    by_question = by_answer.sum(axis=0)
    squares = float((by_question**2).sum()) / seeds**2
    discordant = float(np.abs(by_answer).sum()) / seeds
    low, high = agresti_min(
        float(by_question.sum()) / seeds, squares, n=n, agreement=squares / discordant if squares else 1.0
    )
    return PairedDifference(
        difference=float(by_question.sum()) / seeds / n,
        low=low,
        high=high,
        p_value=_sign_flip_p(by_question),
        n=n,
        share=float(counted.sum()) / (len(counted) * len(asked)),
    )


def _sign_flip_p(differences: Any) -> float:
    """Find the chance of a sum as far from 0 when each whole number keeps or changes its sign by a fair coin."""
    chances = np.ones(1)
    for size, questions in enumerate(np.bincount(np.abs(differences))[1:], start=1):
        of_size = np.zeros(size * questions + 1)
        of_size[::size] = binom.pmf(np.arange(questions + 1), questions, 0.5)
        chances = np.convolve(chances, of_size)
    sums = 2 * np.arange(len(chances)) - (len(chances) - 1)
    return min(1.0, float(chances[np.abs(sums) >= abs(differences.sum())].sum()))
