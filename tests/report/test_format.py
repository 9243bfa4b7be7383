import math

import pytest

from sert.report import format, names


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.0, "0.0"), (1.0, "100.0"), (0.4321, "43.2"), (None, "–"), (math.nan, "–")],  # noqa: RUF001
)
def test_percent(share, written):
    assert format.percent(share) == written


@pytest.mark.parametrize(("value", "written"), [(math.inf, "–"), (None, "–"), (0.305, "0.30"), (12.0, "12.00")])  # noqa: RUF001
def test_decimal(value, written):
    assert format.decimal(value) == written


@pytest.mark.parametrize(("difference", "written"), [(0.1, "+10.0"), (-0.0312, "−3.1"), (0.0, "+0.0"), (None, "–")])  # noqa: RUF001
def test_points(difference, written):
    assert format.points(difference) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.00001, "< 0.0001"), (0.0499, "0.0499"), (0.0501, "0.0501"), (0.52, "0.52"), (None, "–")],  # noqa: RUF001
)
def test_p_value(value, written):
    assert format.p_value(value) == written


def test_intervals_and_counts():
    assert format.percent_interval([0.1, 0.25]) == "10.0 to 25.0"
    assert format.percent_interval(None) == "–"  # noqa: RUF001
    assert format.points_interval((-0.01, 0.25)) == "−1.0 to +25.0"  # noqa: RUF001
    assert format.count(12345) == "12,345"
    assert format.count(None) == "–"  # noqa: RUF001


def test_unknown_names_are_kept():
    assert names.method_name("sert+rd") == "SERT+RD"
    assert names.method_name("mine") == "mine"
    assert names.rule_name("length") == "too short"
    assert names.rule_name("mine") == "mine"


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [(0.526, 2, "+0.53"), (-64.41, 1, "−64.4"), (-0.0001, 2, "+0.00"), (None, 2, "–"), (float("inf"), 2, "–")],  # noqa: RUF001
)
def test_signed_numbers(value, digits, written):
    assert format.with_sign(value, digits) == written


def test_a_mean_over_seeds_stands_with_their_standard_deviation():
    assert format.spread({"mean": 0.5471, "sd": 0.0067}) == "54.7 ± 0.7"
    assert format.spread({"mean": 0.5, "sd": None}) == "50.0"
    assert format.spread({"mean": 0.53, "sd": 0.012}, format.decimal) == "0.53 ± 0.01"
    assert format.spread(None) == "–"  # noqa: RUF001
