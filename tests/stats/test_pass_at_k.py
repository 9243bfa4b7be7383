"""pass@k by hand and by counting all subsets."""

from itertools import combinations
from math import comb

import pytest

from sert.stats.pass_at_k import guessed_pass_at_k, pass_at_k


@pytest.mark.parametrize(("n", "right", "k"), [(25, 0, 5), (25, 3, 1), (25, 3, 5), (25, 24, 2), (5, 2, 5), (1, 1, 1)])
def test_it_is_the_formula(n: int, right: int, k: int) -> None:
    assert pass_at_k(n, right, k) == pytest.approx(1 - comb(n - right, k) / comb(n, k))


def test_it_is_the_share_of_subsets_that_hold_a_right_one() -> None:
    subsets = list(combinations([True, True, False, False, False, False], 3))
    assert pass_at_k(6, 2, 3) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_guessing_by_hand() -> None:
    assert guessed_pass_at_k(25, 25, 3, chance=0.5) == pytest.approx(7 / 8)
    assert guessed_pass_at_k(25, 0, 3, chance=0.5) == pytest.approx(0)
    # Of four samples two state an answer; of two that are drawn none does with 1/6, one with 4/6, both with 1/6.
    assert guessed_pass_at_k(4, 2, 2, chance=0.2) == pytest.approx(1 - (1 / 6 + 4 / 6 * 0.8 + 1 / 6 * 0.64))
    assert guessed_pass_at_k(4, 2, 2, chance=0.0) == pytest.approx(0)
