import pytest
from scipy.stats import binom

from sert.evaluation.statistics import majority, mcnemar_exact, paired_difference, wilson_interval


def cells(*, both=0, only_a=0, only_b=0, neither=0):
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def test_wilson_interval_by_hand():
    # (0.8 + z²/20 ± z sqrt(0.016 + z²/400)) / (1 + z²/10) with z = 1.959964
    low, high = wilson_interval(8, 10)
    assert low == pytest.approx(0.490163, abs=1e-6)
    assert high == pytest.approx(0.943317, abs=1e-6)


def test_wilson_interval_stays_inside_at_the_ends():
    low, high = wilson_interval(0, 5)
    assert low == 0.0
    assert high == pytest.approx(0.434482, abs=1e-6)  # z² / (5 + z²)
    assert wilson_interval(5, 5).low == pytest.approx(1 - 0.434482, abs=1e-6)


def test_wilson_interval_of_the_papers_test_set():
    low, high = wilson_interval(361, 687)
    assert (high - low) / 2 == pytest.approx(0.037, abs=5e-4)


@pytest.mark.parametrize(
    ("only_a", "only_b", "expected"),
    [(1, 5, 14 / 64), (5, 1, 14 / 64), (0, 6, 2 / 64), (3, 3, 1.0), (0, 1, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_by_hand(only_a, only_b, expected):
    a, b = cells(both=4, only_a=only_a, only_b=only_b, neither=2)
    assert mcnemar_exact(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(("only_a", "only_b"), [(2, 11), (30, 18), (57, 80)])
def test_mcnemar_is_twice_the_binomial_tail(only_a, only_b):
    a, b = cells(both=100, only_a=only_a, only_b=only_b, neither=70)
    tail = 2 * binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
    assert mcnemar_exact(a, b) == pytest.approx(tail)


def test_paired_difference_by_hand():
    # 12 padded questions: centre 4/12, variance (7/12 - 1/9) / 12.
    result = paired_difference(*cells(both=2, only_a=5, only_b=1, neither=2))
    assert result.difference == pytest.approx(0.4)
    assert result.low == pytest.approx(-0.055471, abs=1e-6)
    assert result.high == pytest.approx(0.722137, abs=1e-6)
    assert result.p_value == pytest.approx(0.21875)
    assert result.n == 10


def test_paired_difference_changes_sign_with_its_arguments():
    a, b = cells(both=20, only_a=9, only_b=30, neither=11)
    forth, back = paired_difference(a, b), paired_difference(b, a)
    assert back.difference == -forth.difference
    assert (back.low, back.high) == (pytest.approx(-forth.high), pytest.approx(-forth.low))
    assert back.p_value == forth.p_value


def test_equal_answers_leave_a_little_doubt():
    result = paired_difference(*cells(both=50, neither=50))
    assert (result.difference, result.p_value) == (0.0, 1.0)
    assert result.low == pytest.approx(-result.high)
    assert result.high == pytest.approx(1.959964 / 102, abs=1e-6)  # sqrt(1/102) / sqrt(102)


def test_interval_of_a_paired_difference_stays_in_range():
    assert paired_difference([False], [True]).low == -1.0
    assert paired_difference([True], [False]).high == 1.0


def test_paired_answers_must_be_of_the_same_questions():
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([True, False], [True])
    with pytest.raises(ValueError, match="at least one"):
        paired_difference([], [])


def test_majority():
    assert majority(["no", "yes", "no"]) == ("no", pytest.approx(2 / 3))
    assert majority(["b", "a", "b", "a"]).answer == "a"
    with pytest.raises(ValueError, match="empty"):
        majority([])
