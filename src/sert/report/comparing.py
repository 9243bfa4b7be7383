"""The columns of comparisons: over all questions, and among those that both sides answered."""

from collections.abc import Callable
from typing import Any

from sert.report.format import (
    MISSING,
    by_seed,
    count,
    p_value,
    percent,
    points,
    points_interval,
    unsigned_points,
)
from sert.report.names import Row, comparison_name
from sert.report.rows import is_significant
from sert.report.table import Column
from sert.tasks.standing import STANDINGS


def points_by_seed(row: Row) -> str:
    """Write the difference of each seed in points; of many seeds the lowest and the highest."""
    return by_seed(row["by_seed"] or [], points) or MISSING


def significance(comparison: Row) -> str:
    """Say in a cell whether a comparison is significant, or why it is no evidence of better answers although it is."""
    if comparison["p_holm"] is None:
        return MISSING
    if comparison.get("untrained"):
        return "not trained"
    if not is_significant(comparison):
        return "not significant"
    return _doubts(comparison) or "significant"


def _doubts(comparison: Row) -> str:
    form, chance = bool(comparison.get("only_form")), bool(comparison.get("within_chance"))
    return ", ".join(["only form"] * form + ["at chance"] * chance)


DIFFERENCE = Column("Difference, points", lambda row: points(row["difference"]))
INTERVAL = Column("95 % interval", lambda row: points_interval(row["ci95"]))
P_VALUE = Column("p", lambda row: p_value(row["p_value"]))
P_HOLM = Column("p, Holm", lambda row: p_value(row["p_holm"]))
SIGNIFICANT = Column("At 0.05", significance)
DETECTABLE = Column("Detectable, points", lambda row: unsigned_points(row["detectable"]))


def comparison_columns(*, single: bool) -> list[Column]:
    """List the columns of the comparisons of methods, in one run or over several."""
    name = Column("Comparison", comparison_name)
    if single:
        detectable = DETECTABLE._replace(on_terminal=False)
        return [name, DIFFERENCE, INTERVAL, P_VALUE, P_HOLM, SIGNIFICANT, detectable]
    return [
        name,
        DIFFERENCE,
        Column("By seed", points_by_seed, on_terminal=False),
        Column("95 %, seeds", lambda row: points_interval(row["ci95_seeds"]), on_terminal=False),
        INTERVAL,
        P_VALUE._replace(on_terminal=False),
        P_HOLM,
        SIGNIFICANT,
        DETECTABLE,
    ]


def among_answered(row: Row, key: str) -> Any:
    """Take a number of a comparison among the questions that both sides answered; None where there are none."""
    both = row["both_answered"]
    return None if both is None else both[key]


def _standings_of(side: str) -> Callable[[Row], str]:
    return lambda row: " / ".join(percent(row["standings"][side][name]) for name in STANDINGS)


def reads_as(row: Row) -> str:
    """Say in a cell what a comparison says beyond its difference."""
    both = row["both_answered"]
    if row["p_holm"] is None:
        return MISSING
    if row.get("untrained"):
        return "not trained"
    if doubts := _doubts(row):
        return doubts
    if both is None or is_significant(row) == is_significant(both):
        return "as over all"
    return "hidden over all" if is_significant(both) else "not shown here"


_BOTH = Column("Both answered %", lambda row: percent(among_answered(row, "share")))
_AMONG = (
    Column("Difference, points", lambda row: points(among_answered(row, "difference"))),
    Column("95 % interval", lambda row: points_interval(among_answered(row, "ci95"))),
    Column("p, Holm", lambda row: p_value(among_answered(row, "p_holm"))),
)
_VERDICT = Column("Verdict", reads_as)

COMPARED_BY_ANSWER = (
    Column("Comparison", comparison_name),
    _VERDICT,
    _BOTH,
    Column("Questions", lambda row: count(among_answered(row, "n")), on_terminal=False),
    *_AMONG,
    Column("First: right / wrong / unread / cut %", _standings_of("a"), on_terminal=False),
    Column("Second: the same", _standings_of("b"), on_terminal=False),
)
"""Comparisons of methods among the questions that both answered, and what they say with those over all."""

BOTH_ANSWERED = (_BOTH, *(each._replace(heading=f"Of these: {each.heading}") for each in _AMONG), _VERDICT)
"""The same beside a difference over all."""
