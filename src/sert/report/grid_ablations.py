"""Tables of a grid's ablations: each group's variants beside the main student, and what the difference to it is."""

from collections.abc import Sequence
from typing import NamedTuple

from sert.report import cells
from sert.report.grid_rows import (
    LAST,
    MAIN,
    Metrics,
    Pair,
    Row,
    ablation_comparisons,
    flagged,
    is_reported,
    of_pair,
    right_by_seed,
)
from sert.report.grid_tables import FOUND_COLUMNS
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
    Column("Epoch", lambda row: cells.epoch_name(row["epoch_choice"])),
    Column("Acc %", lambda row: cells.spread(row["accuracy"])),
    Column("k by seed / n", right_by_seed),
    Column("To main, points", lambda row: cells.points(row["difference"])),
    Column("95 % interval", lambda row: cells.points_interval(row["ci95"])),
    *FOUND_COLUMNS,
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
    *FOUND_COLUMNS,
)
_COMPARED = ("difference", "ci95", "p_holm", "detectable")


def ablation_groups(metrics: Metrics, pair: Pair) -> list[str]:
    """List the groups of ablations of a student on a task."""
    rows = of_pair(metrics, "summary", pair)
    return list(dict.fromkeys(row["group"] for row in rows if row["group"] is not None))


def ablated(metrics: Metrics, pair: Pair, *, group: str) -> list[Ablated]:
    """List the variants of a group at the epoch that they are compared at, with their comparison with the main student.

    That is the last epoch, or the reported one of variants that have no other.
    """
    compared = {
        (row["a"], row["method"]): row
        for row in ablation_comparisons(metrics, pair)
        if row["b"] == MAIN and row["group"] == group
    }
    by_variant: dict[tuple[str, str], list[Row]] = {}
    for row in of_pair(metrics, "summary", pair):
        if row["group"] == group:
            by_variant.setdefault((row["variant"], row["method"]), []).append(row)
    found = ((key, _compared_at(rows)) for key, rows in by_variant.items())
    return [Ablated(row, compared.get(key)) for key, row in found if row is not None]


def _compared_at(rows: Sequence[Row]) -> Row | None:
    last = (row for row in rows if row["epoch_choice"] == LAST)
    return next(last, None) or next((row for row in rows if is_reported(row)), None)


def ablation_table(metrics: Metrics, pair: Pair, *, group: str) -> Table:
    """Build the table of a group: the main student of each method, then its variants and their difference to it.

    The main student is shown at the epoch that its variants are compared at. A variant that is reported at another
    epoch has a further row, without a difference.
    """
    variants = ablated(metrics, pair, group=group)
    true = {row["variant"]: row["selected_true_share"] for row in of_pair(metrics, "selection", pair)}
    methods = list(dict.fromkeys(each.summary["method"] for each in variants))
    rows = [
        {
            **each.summary,
            **{key: (each.comparison or {}).get(key) for key in _COMPARED},
            "name": each.name if len(methods) > 1 else each.summary["variant"],
            "selected_true": true.get(each.summary["variant"]),
        }
        for method in methods
        for each in _of_method(metrics, pair, [each for each in variants if each.summary["method"] == method])
    ]
    true_paths = if_measured(rows, _TRUE_PATHS, key="true_paths")
    selected = if_measured(rows, _SELECTED_TRUE, key="selected_true")
    return build_table(rows, (*_COLUMNS, *selected, *_OUTPUT_COLUMNS, *true_paths))


def _of_method(metrics: Metrics, pair: Pair, variants: Sequence[Ablated]) -> list[Ablated]:
    """Put the main student before the variants of a method, and what is reported of another epoch behind each."""
    summary = of_pair(metrics, "summary", pair)
    choices = {each.summary["epoch_choice"] for each in variants}
    method = variants[0].summary["method"]
    main = [row for row in summary if row["variant"] == MAIN and row["method"] == method]
    shown = [row for row in main if row["epoch_choice"] in choices] or [row for row in main if is_reported(row)]
    listed = [Ablated(row, None) for row in shown]
    for each in variants:
        listed.append(each)
        same = [row for row in summary if (row["variant"], row["method"]) == (each.summary["variant"], method)]
        listed += [Ablated(row, None) for row in same if is_reported(row) and row is not each.summary]
    return listed


def between_table(metrics: Metrics, pair: Pair, *, group: str) -> Table:
    """Build the table of a group's comparisons of variants with one another."""
    rows = ablation_comparisons(metrics, pair)
    return build_table([row for row in rows if row["group"] == group and row["b"] != MAIN], _BETWEEN_COLUMNS)


def _mean(measure: Row | None, digits: int = 2) -> str:
    return cells.MISSING if measure is None else cells.decimal(measure["mean"], digits)
