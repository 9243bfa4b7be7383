import random

import pytest

from sert.stats.holm import holm


def test_holm_by_hand():
    # Sorted: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04, which may not fall below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-12)


def test_holm_is_capped_at_1():
    assert holm([0.6, 0.4, 0.9]) == [1.0, 1.0, 1.0]


def test_equal_p_values_stay_equal():
    assert holm([0.02, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04], abs=1e-12)


def test_holm_of_one_and_of_none():
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_holm_keeps_the_order_and_lies_between_the_p_values_and_bonferronis():
    draw = random.Random(0)
    for _ in range(200):
        p_values = [draw.random() ** 3 for _ in range(draw.randint(1, 12))]
        adjusted = holm(p_values)
        assert all(p <= q <= min(1.0, p * len(p_values)) for p, q in zip(p_values, adjusted, strict=True))
        by_p = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
        assert by_p == sorted(by_p)


def test_holm_does_not_depend_on_the_order_given():
    p_values = [0.2, 0.001, 0.03, 0.03, 0.9]
    assert holm(p_values[::-1]) == holm(p_values)[::-1]
