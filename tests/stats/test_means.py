import math
import tracemalloc

import numpy as np
import pytest
from scipy.stats import binom, permutation_test

from sert.stats.means import paired_bootstrap


def numbers(n, *, number, mean=0.0):
    return np.random.default_rng(number).normal(mean, 1.0, n).tolist()


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        ([1, 2, 3], 2 / 8),  # all as one or all flipped
        ([3, -1, 1], 3 / 4),  # |3 +- 1 +- 1| is 5, 3, 3 or 1
        ([3, 0, -1, 0, 1], 3 / 4),  # zeros have no sign
        ([0.1, 0.2, -0.3], 1.0),  # sums to 0, but for rounding
        ([0.3, 0.1, 0.2, -0.6], 1.0),
        ([5], 1.0),
        ([0, 0], 1.0),
    ],
)
def test_p_value_by_hand(differences, p_value):
    result = paired_bootstrap(differences, [0.0] * len(differences), seed=1)
    assert result.p_value == pytest.approx(p_value, abs=1e-12)
    assert result.difference == pytest.approx(sum(differences) / len(differences), abs=1e-12)


def test_interval_by_hand():
    # 30 of 100 differences are 1: 100 bootstrap means are binomial. Student's t of 99 degrees of freedom at 97.5 %,
    # 1.984217, times sqrt(100 / 99), is 1.994215, which a normal variable passes in 2.3064 %.
    a = [1.0] * 30 + [0.0] * 70
    result = paired_bootstrap(a, [0.0] * 100, seed=1, resamples=99_999)
    assert result.low * 100 == pytest.approx(binom.ppf(0.023064, 100, 0.3), abs=1e-9)
    assert result.high * 100 == pytest.approx(binom.ppf(1 - 0.023064, 100, 0.3), abs=1e-9)


def test_p_value_as_scipy_has_it():
    a, b = numbers(12, number=1, mean=0.6), numbers(12, number=2)
    differences = np.array(a) - np.array(b)
    expected = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=2**12).pvalue
    assert paired_bootstrap(a, b, seed=1).p_value == pytest.approx(expected, abs=1e-12)
    drawn = paired_bootstrap(a, b, seed=1, resamples=4095).p_value
    assert drawn != expected
    assert drawn == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4095))


def test_a_drawn_p_value_is_never_0():
    result = paired_bootstrap([1.0] * 50, [0.0] * 50, seed=1, resamples=999)
    assert result.p_value == 1 / 1000


def test_interval_is_students_where_nothing_is_skewed():
    a, b = numbers(400, number=3, mean=0.2), numbers(400, number=4)
    differences = np.array(a) - np.array(b)
    half = 1.9659273 * differences.std(ddof=1) / 20  # t of 399 degrees of freedom
    result = paired_bootstrap(a, b, seed=1)
    assert result.low == pytest.approx(differences.mean() - half, abs=0.05 * half)
    assert result.high == pytest.approx(differences.mean() + half, abs=0.05 * half)


def test_missing_values_are_left_out_on_both_sides_and_counted():
    a = [1.0, None, 3.0, math.nan, 5.0, 9.0]
    b = [0.0, 7.0, None, 7.0, 2.0, math.inf]
    result = paired_bootstrap(a, b, seed=1)
    assert result == paired_bootstrap([1.0, 5.0], [0.0, 2.0], seed=1)._replace(left_out=4)
    assert (result.difference, result.n) == (2.0, 2)


def test_too_few_questions_have_no_interval():
    assert paired_bootstrap([1.0, None], [3.0, 4.0], seed=1) == (-2.0, None, None, 1.0, 1, 1)
    assert paired_bootstrap([None, 1.0], [1.0, None], seed=1) == (None, None, None, None, 0, 2)
    assert paired_bootstrap([], [], seed=1) == (None, None, None, None, 0, 0)


def test_equal_differences_leave_no_width():
    assert paired_bootstrap([2.0] * 20, [1.0] * 20, seed=1)[:3] == (1.0, 1.0, 1.0)


def test_interval_stays_within_the_differences():
    result = paired_bootstrap([4.0, 1.0], [1.0, 0.0], seed=1)
    assert (result.low, result.high) == (1.0, 3.0)


def test_the_difference_changes_sign_with_its_arguments():
    a, b = numbers(60, number=5, mean=0.3), numbers(60, number=6)
    forth, back = paired_bootstrap(a, b, seed=1), paired_bootstrap(b, a, seed=1)
    assert back.difference == -forth.difference
    assert (back.low, back.high) == (pytest.approx(-forth.high), pytest.approx(-forth.low))
    assert back.p_value == forth.p_value


def test_the_result_is_a_function_of_the_numbers_and_the_seed():
    a, b = numbers(40, number=7), numbers(40, number=8)
    first = paired_bootstrap(a, b, seed=1)
    np.random.default_rng(0).normal(size=5)
    assert paired_bootstrap(a, b, seed=1) == first
    other = paired_bootstrap(a, b, seed=2)
    assert other != first
    assert other.low == pytest.approx(first.low, abs=0.05)
    assert other.p_value == pytest.approx(first.p_value, abs=0.03)


def test_memory_does_not_grow_with_the_questions():
    a, b = numbers(10_000, number=9), numbers(10_000, number=10)
    tracemalloc.start()
    try:
        paired_bootstrap(a, b, seed=1, resamples=1999)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000  # all at once would be 160 MB


def test_questions_must_be_the_same():
    with pytest.raises(ValueError, match="shorter"):
        paired_bootstrap([1.0, 2.0], [1.0], seed=1)
