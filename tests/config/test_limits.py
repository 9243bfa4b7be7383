import pytest

from sert.config.load import validate
from sert.config.rules import RulesConfig
from sert.errors import ConfigError

ALLOWED = 'give a number of 0 or more, such as 5.0, or a percentile of the mined paths, from "p0" to "p100"'


@pytest.mark.parametrize(
    ("given", "limit", "percentage"),
    [(5, 5.0, None), ("7.5", 7.5, None), ("p25", "p25", 25.0), ("p2.50", "p2.5", 2.5), ("p100", "p100", 100.0)],
)
def test_limits_are_numbers_or_percentiles(given: float | str, limit: float | str, percentage: float | None) -> None:
    rules = RulesConfig.model_validate({"min_perplexity": given})
    assert rules.min_perplexity == limit
    assert rules.percentiles.get("min_perplexity") == percentage


@pytest.mark.parametrize("name", ["min_perplexity", "max_perplexity"])
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("p", None),
        ("p101", None),
        ("p-5", None),
        ("P25", "p25"),
        ("25%", "p25"),
        ("25.0 percentile", "p25"),
        ("high", None),
        (-1, None),
        ("nan", None),
        (float("inf"), None),
        (10**400, None),
    ],
)
def test_other_limits_are_refused_with_what_is_allowed(name: str, given: object, meant: str | None) -> None:
    with pytest.raises(ConfigError) as refused:
        validate(RulesConfig, {name: given}, source="x")
    line = str(refused.value).splitlines()[1]
    assert line.startswith(f"  '{name}' = {repr(given)[:20]}")
    assert line.endswith(f'{ALLOWED}; did you mean "{meant}"?' if meant else ALLOWED)


@pytest.mark.parametrize(("low", "high"), [(5.0, 3.0), ("p75", "p25")])
def test_limits_in_the_wrong_order_are_refused(low: float | str, high: float | str) -> None:
    with pytest.raises(ConfigError, match=f"min_perplexity = {low} is above max_perplexity = {high}, which drops"):
        validate(RulesConfig, {"min_perplexity": low, "max_perplexity": high}, source="x")
    RulesConfig.model_validate({"min_perplexity": low, "max_perplexity": low})


def test_a_percentile_and_a_number_are_compared_when_the_paths_are_there() -> None:
    rules = RulesConfig.model_validate({"min_perplexity": "p75", "max_perplexity": 2})
    assert rules.names[-2:] == ("perplexity", "high_perplexity")
