"""Tables of a grid's ablations: each group's variants beside the main student, and what the difference to it is."""

from typing import Any, NamedTuple

from sert.report import cells
from sert.report.grid_rows import (
    MAIN,
    Metrics,
    Pair,
    Row,
    ablation_comparisons,
    flagged,
    is_reported,
    main_rows,
    of_pair,
    right_by_seed,
)
from sert.report.grid_tables import significance, unsigned_points
from sert.report.table import Column, Table, build_table, if_measured


class Ablated(NamedTuple):
    """A variant's summary, and its comparison with the main student of the same method where there is one."""

    summary: Row
    comparison: Row | None

    @property
    def name(self) -> str:
        """The variant and its method."""
        return f"{self.summary['variant']}, {cells.method_name(self.summary['method'])}"


_COLUMNS = (
    Column("Variant", lambda row: flagged(row["name"], row)),
    Column("Acc %", lambda row: cells.spread(row["accuracy"])),
    Column("k by seed / n", right_by_seed),
    Column("To main, points", lambda row: cells.points(row["difference"])),
    Column("95 % interval", lambda row: cells.points_interval(row["ci95"])),
    Column("p, Holm", lambda row: cells.p_value(row["p_holm"])),
    Column("At 0.05", lambda row: significance(row)),
    Column("Detectable, points", lambda row: unsigned_points(row["detectable"])),
)
_OUTPUT_COLUMNS = (
    Column("Strict %", lambda row: cells.spread(row["accuracy_strict"])),
    Column("Fmt", lambda row: _mean(row["format"])),
    Column("Len", lambda row: _mean(row["mean_length"], 1)),
    Column("Rep", lambda row: _mean(row["repetition"])),
    Column("Reasoned %", lambda row: cells.spread(row["reasoned"])),
)
_TRUE_PATHS = Column("True paths %", lambda row: cells.spread(row["true_paths"]))
_SELECTED_TRUE = Column("True among selected %", lambda row: cells.percent(row["selected_true"]))
_BETWEEN_COLUMNS = (
    Column("Comparison", lambda row: f"{row['a']} against {row['b']}, {cells.method_name(str(row['method']))}"),
    Column("Difference, points", lambda row: cells.points(row["difference"])),
    Column("95 % interval", lambda row: cells.points_interval(row["ci95"])),
    Column("p, Holm", lambda row: cells.p_value(row["p_holm"])),
    Column("At 0.05", lambda row: significance(row)),
    Column("Detectable, points", lambda row: unsigned_points(row["detectable"])),
)
_COMPARED = ("difference", "ci95", "p_holm", "detectable")


def ablation_groups(metrics: Metrics, pair: Pair) -> list[str]:
    """List the groups of ablations of a student on a task."""
    rows = of_pair(metrics, "summary", pair)
    return list(dict.fromkeys(row["group"] for row in rows if row["group"] is not None))


def ablated(metrics: Metrics, pair: Pair, *, group: str) -> list[Ablated]:
    """List the variants of a group as the grid reports them, with their comparison with the main student."""
    compared = {
        (row["a"], row["method"]): row
        for row in ablation_comparisons(metrics, pair)
        if row["b"] == MAIN and row["group"] == group
    }
    return [
        Ablated(row, compared.get((row["variant"], row["method"])))
        for row in of_pair(metrics, "summary", pair)
        if row["group"] == group and is_reported(row)
    ]


def ablation_table(metrics: Metrics, pair: Pair, *, group: str) -> Table:
    """Build the table of a group: the main student of each method, then its variants and their difference to it."""
    variants = ablated(metrics, pair, group=group)
    true = {row["variant"]: row["selected_true_share"] for row in of_pair(metrics, "selection", pair)}
    methods = dict.fromkeys(each.summary["method"] for each in variants)
    mains = {row["method"]: Ablated(row, None) for row in reversed(main_rows(metrics, pair))}
    rows: list[dict[str, Any]] = []
    for method in methods:
        of_method = [each for each in variants if each.summary["method"] == method]
        for each in ([mains[method]] if method in mains else []) + of_method:
            rows.append(
                {
                    **each.summary,
                    **{key: (each.comparison or {}).get(key) for key in _COMPARED},
                    "name": each.name if len(methods) > 1 else each.summary["variant"],
                    "selected_true": true.get(each.summary["variant"]),
                }
            )
    true_paths = if_measured(rows, _TRUE_PATHS, key="true_paths")
    selected = if_measured(rows, _SELECTED_TRUE, key="selected_true")
    return build_table(rows, (*_COLUMNS, *selected, *_OUTPUT_COLUMNS, *true_paths))


def between_table(metrics: Metrics, pair: Pair, *, group: str) -> Table:
    """Build the table of a group's comparisons of variants with one another."""
    rows = ablation_comparisons(metrics, pair)
    return build_table([row for row in rows if row["group"] == group and row["b"] != MAIN], _BETWEEN_COLUMNS)


def _mean(measure: Row | None, digits: int = 2) -> str:
    return cells.MISSING if measure is None else cells.decimal(measure["mean"], digits)
