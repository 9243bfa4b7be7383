import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test, ttest_1samp

from sert.stats.seeds import over_seeds, paired_over_seeds, paired_where
from sert.stats.shares import Interval, agresti_min


def draw_answers(seeds, n, *, share=0.5, number=0):
    generator = np.random.default_rng(number)
    return (generator.random((seeds, n)) < share).tolist()


def test_over_seeds_by_hand():
    # Student's t of 2 degrees of freedom at 97.5 % is 4.302652729749; half = t x 0.04 / sqrt(3).
    result = over_seeds([0.50, 0.58, 0.54])
    assert (result.lowest, result.highest, result.n) == (0.50, 0.58, 3)
    assert result.mean == pytest.approx(0.54, abs=1e-12)
    assert result.sd == pytest.approx(0.04, abs=1e-12)
    assert result.interval == pytest.approx((0.4406344915, 0.6393655085), abs=1e-9)


def test_over_seeds_as_scipy_has_it():
    values = [52.3, 55.9, 54.0, 57.2, 50.1]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert over_seeds(values).interval == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_seed_has_no_spread():
    assert over_seeds([0.55]) == (0.55, None, 0.55, 0.55, 1, None)


def test_equal_seeds_have_an_interval_without_width():
    assert over_seeds([0.5, 0.5]) == (0.5, 0.0, 0.5, 0.5, 2, Interval(0.5, 0.5))


def test_a_mean_over_no_seeds_is_refused():
    with pytest.raises(ValueError, match="at least one seed"):
        over_seeds([])


def test_paired_over_seeds_by_hand():
    # Over two seeds a wins question 1 twice, 2 once, none 3, and loses 4 once: sums 2, 1, 0, -1.
    a = [[True, True, True, False], [True, False, False, True]]
    b = [[False, False, True, True], [False, False, False, True]]
    result = paired_over_seeds(a, b)
    assert result.difference == pytest.approx(0.25, abs=1e-12)
    # Signs of 2, 1, 1 give 4, 2, 2, 0 and their negatives: 6 of 8 are at least 2 from 0.
    assert result.p_value == pytest.approx(0.75, abs=1e-12)
    # Sum 1, squares 6/4, agreement (6/4) / (4/2); six padded questions: 1/6 +- z sqrt((2.25/6 - 1/36) / 6).
    assert (result.low, result.high) == pytest.approx((-0.3048273892, 0.6381607225), abs=1e-9)
    assert result.n == 4
    assert (result.by_seed.lowest, result.by_seed.highest, result.by_seed.n) == (0.25, 0.25, 2)


@pytest.mark.parametrize(("n", "share"), [(1, 0.5), (20, 0.3), (229, 0.5), (1221, 0.2)])
def test_one_seed_is_the_mcnemar_comparison(n, share):
    for number in range(20):
        a, b = draw_answers(2, n, share=share, number=number)
        pairs = list(zip(a, b, strict=True))
        only_a, only_b = pairs.count((True, False)), pairs.count((False, True))
        seeded = paired_over_seeds([a], [b])
        p_value = binomtest(only_b, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
        assert seeded.p_value == pytest.approx(p_value, rel=1e-10)
        interval = agresti_min(only_a - only_b, only_a + only_b, n=n)
        assert seeded[:3] == pytest.approx(((only_a - only_b) / n, *interval), abs=1e-12)
        assert (seeded.n, seeded.by_seed.interval) == (n, None)


def test_seeds_that_answer_alike_are_one_seed():
    a, b = draw_answers(2, 100)
    assert paired_over_seeds([a] * 5, [b] * 5)[:4] == pytest.approx(paired_over_seeds([a], [b])[:4], abs=1e-12)


def test_seeds_that_answer_apart_say_more_than_one():
    a, b = draw_answers(5, 300, number=1), draw_answers(5, 300, number=2)
    five, one = paired_over_seeds(a, b), paired_over_seeds(a[:1], b[:1])
    # Where all is chance, five seeds are worth nearly five times the questions.
    assert (one.high - one.low) / (five.high - five.low) == pytest.approx(5**0.5, rel=0.1)


def test_the_sign_flip_test_as_scipy_has_it():
    a, b = draw_answers(3, 9, number=3), draw_answers(3, 9, share=0.2, number=4)
    differences = np.array(a, dtype=float).sum(axis=0) - np.array(b, dtype=float).sum(axis=0)
    expected = permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=2**9).pvalue
    assert paired_over_seeds(a, b).p_value == pytest.approx(expected, abs=1e-12)
    assert expected < 0.5


def test_the_difference_changes_sign_with_its_arguments():
    a, b = draw_answers(4, 50, number=5), draw_answers(4, 50, share=0.4, number=6)
    forth, back = paired_over_seeds(a, b), paired_over_seeds(b, a)
    assert back.difference == -forth.difference
    assert (back.low, back.high) == (pytest.approx(-forth.high), pytest.approx(-forth.low))
    assert back.p_value == forth.p_value
    assert back.by_seed.mean == pytest.approx(-forth.by_seed.mean)


def test_the_order_of_seeds_and_questions_says_nothing():
    a, b = draw_answers(3, 40, number=7), draw_answers(3, 40, number=8)
    moved = [[row[::-1] for row in rows[::-1]] for rows in (a, b)]
    assert paired_over_seeds(*moved)[:5] == pytest.approx(paired_over_seeds(a, b)[:5], abs=1e-12)


def test_equal_methods_leave_a_little_doubt():
    answers = draw_answers(3, 100)
    result = paired_over_seeds(answers, answers)
    assert (result.difference, result.p_value) == (0.0, 1.0)
    assert result.high == -result.low == pytest.approx(1.959964 / 102, abs=1e-6)


def test_seeds_whose_answers_cancel_leave_a_little_doubt_too():
    result = paired_over_seeds([[True, False], [False, True]], [[False, True], [True, False]])
    assert (result.difference, result.p_value) == (0.0, 1.0)
    assert result.high == -result.low == pytest.approx(1.959964 / 4, abs=1e-6)


def test_a_certain_difference_stays_in_range():
    result = paired_over_seeds([[True] * 8] * 3, [[False] * 8] * 3)
    assert (result.difference, result.high) == (1.0, 1.0)
    assert result.p_value == pytest.approx(2 / 2**8, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b"),
    [([[True, False]], [[True]]), ([[True]] * 2, [[True]] * 3), ([[True]], [[True]] * 3), ([], []), ([[]], [[]])],
)
def test_other_seeds_or_questions_are_refused(a, b):
    with pytest.raises(ValueError, match="the same of each"):
        paired_over_seeds(a, b)


def test_paired_where_some_answers_count_by_hand():
    # Question 1 counts twice and is won twice, 2 and 4 count once and are won and lost, 3 counts nowhere.
    a = [[True, True, True, False], [True, False, False, True]]
    b = [[False, False, True, True], [False, False, False, True]]
    counted = [[True, True, False, True], [True, False, False, False]]
    result = paired_where(a, b, counted=counted)
    assert (result.difference, result.n, result.share) == (0.5, 3, 0.5)  # 2 + 1 - 1 of four pairs that count
    # Signs of 2, 1, 1: 6 of 8 are at least 2 from 0.
    assert result.p_value == pytest.approx(0.75, abs=1e-12)
    # A question counts 4/3 times: sum 1.5, squares 6 / (16/9), agreement 3.375 / 3; five padded: 0.3 +- z 0.9 / 5^0.5.
    assert (result.low, result.high) == (pytest.approx(0.3 - 1.959964 * 0.9 / 5**0.5, abs=1e-6), 1.0)


def test_where_all_answers_count_it_is_the_comparison_over_all():
    a, b = draw_answers(3, 40, number=7), draw_answers(3, 40, number=8)
    found = paired_where(a, b, counted=[[True] * 40] * 3)
    assert found[:5] == paired_over_seeds(a, b)[:5]
    assert found.share == 1.0
    left_out = [[*row, True] for row in a], [[*row, False] for row in b]
    assert paired_where(*left_out, counted=[[True] * 40 + [False]] * 3)[:5] == found[:5]


def test_where_nothing_counts_there_is_nothing_to_say():
    assert paired_where([[True]], [[False]], counted=[[False]]) is None
    with pytest.raises(ValueError, match="said to count or not"):
        paired_where([[True]], [[False]], counted=[[True], [True]])
