import math

import pytest

from sert.judge.reply import Scores
from sert.judge.scores import Agreement, agreement, criterion_summary

NOTHING = Agreement(None, None, None, 0)


def test_agreement_by_hand():
    # Pairs of the first item: (1,2), (1,3), (2,3); of the second: one; of the third none.
    found = agreement(
        [
            [Scores(7, 5, 9, 0), Scores(7, 6, 5, 10), Scores(8, 5, 9, 0)],
            [Scores(4, 4, 4, 4), None, Scores(7, 4, 4.5, 4)],
            [Scores(1, 1, 1, 1), None],
        ]
    )
    assert found == {
        "coherence": Agreement(1.25, 0.25, 0.75, 4),  # 0, 1, 1 and 3
        "relevance": Agreement(0.5, 0.5, 1.0, 4),  # 1, 0, 1 and 0
        "logical_consistency": Agreement(2.125, 0.25, 0.5, 4),  # 4, 0, 4 and 0.5
        "completeness": Agreement(5.0, 0.5, 0.5, 4),  # 10, 0, 10 and 0
    }


def test_scores_of_different_items_are_not_compared():
    assert set(agreement([[Scores(1, 1, 1, 1)], [Scores(9, 9, 9, 9)]]).values()) == {NOTHING}


@pytest.mark.parametrize("repeats", [[], [[]], [[None, None]], [[Scores(3, 3, 3, 3), None]]])
def test_without_pairs_nothing_is_said(repeats):
    assert set(agreement(repeats).values()) == {NOTHING}


def test_what_is_not_finite_is_left_out_for_its_criterion_only():
    found = agreement([[Scores(math.nan, 5, 5, 5), Scores(0, 5, 5, 5)]])
    assert found["coherence"] == NOTHING
    assert found["relevance"] == Agreement(0.0, 1.0, 1.0, 1)


def test_one_point_is_within_one_point_in_binary_too():
    found = agreement([[Scores(6.4, 7.3, 0.3, 1), Scores(5.4, 6.3, 1.3, 2.001)]])
    assert [each.within_one_share for each in found.values()] == [1.0, 1.0, 1.0, 0.0]


def test_summary_by_hand():
    # n 4, mean 6, variance (4 + 0 + 0 + 4) / 3; the 97.5 % point of t with 3 degrees of freedom is 3.182446.
    summary = criterion_summary([4, 6, None, 6, 8, math.nan])
    assert summary.num_scored == 4
    assert summary.num_failed == 2
    assert summary.mean == 6.0
    low, high = summary.interval
    half = 3.182446 * math.sqrt(8 / 3) / 2
    assert low == pytest.approx(6 - half, abs=1e-6)
    assert high == pytest.approx(6 + half, abs=1e-6)


def test_equal_scores_have_an_interval_of_no_width():
    assert criterion_summary([7.0, 7.0, 7.0]) == (3, 0, 7.0, (7.0, 7.0))


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        ([], (0, 0, None, None)),
        ([None, None], (0, 2, None, None)),
        ([math.nan, math.inf], (0, 2, None, None)),
        ([7.5], (1, 0, 7.5, None)),
        ([None, 0.0], (1, 1, 0.0, None)),
    ],
)
def test_too_few_scores(values, summary):
    assert criterion_summary(values) == summary
