import pytest
from scipy.stats import binom

from sert.stats.seeds import paired_over_seeds
from sert.stats.shares import agresti_min, majority, smallest_detectable_difference, wilson_interval


def compare(*, both=0, only_a=0, only_b=0, neither=0):
    """Compare a with b, of one seed, that get so many questions right."""
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return paired_over_seeds([a], [b])


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
    result = compare(both=4, only_a=only_a, only_b=only_b, neither=2)
    assert result.p_value == pytest.approx(expected)


@pytest.mark.parametrize(("only_a", "only_b"), [(2, 11), (30, 18), (57, 80)])
def test_mcnemar_is_twice_the_binomial_tail(only_a, only_b):
    tail = 2 * binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
    assert compare(both=100, only_a=only_a, only_b=only_b, neither=70).p_value == pytest.approx(tail)


def test_paired_difference_by_hand():
    # 12 padded questions: centre 4/12, variance (7/12 - 1/9) / 12.
    result = compare(both=2, only_a=5, only_b=1, neither=2)
    assert result.difference == pytest.approx(0.4)
    assert result.low == pytest.approx(-0.055471, abs=1e-6)
    assert result.high == pytest.approx(0.722137, abs=1e-6)
    assert result.p_value == pytest.approx(0.21875)
    assert result.n == 10


def test_agresti_min_by_hand():
    # The same sums as above; to add as much disagreement as there is for one seed is the default.
    assert agresti_min(4, 6, n=10) == pytest.approx((-0.0554706255, 0.7221372922), abs=1e-9)
    # Two seeds, sum 1, squares 1.5 and agreement 0.75: 1/6 +- z sqrt((2.25/6 - 1/36) / 6).
    assert agresti_min(1, 1.5, n=4, agreement=0.75) == pytest.approx((-0.3048273892, 0.6381607225), abs=1e-9)


def test_paired_difference_changes_sign_with_its_arguments():
    forth, back = (compare(both=20, only_a=a, only_b=b, neither=11) for a, b in ((9, 30), (30, 9)))
    assert back.difference == -forth.difference
    assert (back.low, back.high) == (pytest.approx(-forth.high), pytest.approx(-forth.low))
    assert back.p_value == forth.p_value


def test_equal_answers_leave_a_little_doubt():
    result = compare(both=50, neither=50)
    assert (result.difference, result.p_value) == (0.0, 1.0)
    assert result.low == pytest.approx(-result.high)
    assert result.high == pytest.approx(1.959964 / 102, abs=1e-6)  # sqrt(1/102) / sqrt(102)


def test_interval_of_a_paired_difference_stays_in_range():
    assert compare(only_b=1).low == -1.0
    assert compare(only_a=1).high == 1.0


def test_smallest_detectable_difference_by_hand():
    # Six discordant questions are significant only when one method wins all, so it must win each with 0.8 ** (1 / 6).
    assert smallest_detectable_difference(6, 1.0) == pytest.approx(0.9269849680, abs=1e-9)
    # Of five, 5 : 0 has a p-value of 2 / 32.
    assert smallest_detectable_difference(5, 1.0) is None


def test_the_test_finds_the_smallest_detectable_difference_with_its_power():
    n, share, power = 40, 0.4, 0.7
    difference = smallest_detectable_difference(n, share, power=power)
    a_wins = (1 + difference / share) / 2
    found = sum(
        binom.pmf(m, n, share) * binom.pmf(only_a, m, a_wins)
        for m in range(n + 1)
        for only_a in range(m // 2 + 1, m + 1)
        if compare(only_a=only_a, only_b=m - only_a, neither=n - m).p_value <= 0.05
    )
    assert found == pytest.approx(power, abs=1e-9)


def test_smallest_detectable_difference_falls_with_questions_and_rises_with_discordance_and_power():
    by_questions = [smallest_detectable_difference(n, 0.3) for n in (100, 229, 687, 1221, 10_000)]
    assert by_questions == sorted(by_questions, reverse=True)
    assert [smallest_detectable_difference(687, share) for share in (0.1, 0.2, 0.4)] == pytest.approx(
        [0.0347, 0.0489, 0.0688], abs=5e-5
    )
    assert smallest_detectable_difference(687, 0.3, power=0.9) > smallest_detectable_difference(687, 0.3)


def test_a_difference_that_no_test_could_find_is_none():
    assert smallest_detectable_difference(229, 0.02) is None  # 4.6 discordant questions
    assert smallest_detectable_difference(229, 0.05) < 0.05


def test_majority():
    assert majority(["no", "yes", "no"]) == ("no", pytest.approx(2 / 3))
    assert majority(["b", "a", "b", "a"]).answer == "a"
    with pytest.raises(ValueError, match="empty"):
        majority([])
