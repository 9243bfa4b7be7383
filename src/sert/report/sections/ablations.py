"""Tables of ablations: each group's variants beside the main student, and what the difference to it is."""

from collections.abc import Sequence
from typing import NamedTuple

from sert.config.grid import MAIN
from sert.report.columns import ABLATIONS, standing_columns
from sert.report.names import LAST, Row, flagged, method_name
from sert.report.parts import ReportSection, TitledTable, filled
from sert.report.rows import Metrics, Pair, ablation_comparisons, is_reported, of_pair, with_intervals
from sert.report.sections.results import differences
from sert.report.table import Table, build_table

_COMPARED = ("difference", "ci95", "p_holm", "detectable", "both_answered", "only_form", "within_chance")
MOST_WITHOUT = 0.05
"""Share of a variant's outputs without an answer from which on a terminal shows how they stand."""


class Ablated(NamedTuple):
    """A variant's summary, and its comparison with the main student of the same method where there is one."""

    summary: Row
    comparison: Row | None

    @property
    def name(self) -> str:
        """The variant and its method."""
        return f"{self.summary['variant']}, {method_name(self.summary['method'])}"


def ablation_groups(metrics: Metrics, pair: Pair) -> list[str]:
    """List the groups of ablations of a student on a task."""
    rows = of_pair(metrics, "summary", pair)
    return list(dict.fromkeys(row["group"] for row in rows if row["group"] is not None))


def ablated(metrics: Metrics, pair: Pair, *, group: str) -> list[Ablated]:
    """List the variants of a group at the epoch that they are compared at, with their comparison with the main student.

    That is the last epoch, or the reported one of variants that have no other.
    """
    compared = {(row["a"], row["method"]): row for row in ablation_comparisons(metrics, pair) if row["group"] == group}
    by_variant: dict[tuple[str, str], list[Row]] = {}
    for row in of_pair(metrics, "summary", pair):
        if row["group"] == group:
            by_variant.setdefault((row["variant"], row["method"]), []).append(row)
    found = ((key, _compared_at(rows)) for key, rows in by_variant.items())
    return [Ablated(row, compared.get(key)) for key, row in found if row is not None]


def _compared_at(rows: Sequence[Row]) -> Row | None:
    last = (row for row in rows if row["epoch_choice"] == LAST)
    return next(last, None) or next((row for row in rows if is_reported(row)), None)


def ablation_table(metrics: Metrics, pair: Pair, *, group: str, terminal: bool = False) -> Table:
    """Build the table of a group: the main student of each method, then its variants and their difference to it.

    The main student is shown at the epoch that its variants are compared at. A variant that is reported at another
    epoch has a further row, without a difference.
    """
    return build_table(_rows(metrics, pair, group=group), ABLATIONS, terminal=terminal)


def ablated_standings(metrics: Metrics, pair: Pair, *, group: str) -> Table:
    """Build the table of how the outputs of a group stand; empty where nearly all of them state an answer."""
    rows = _rows(metrics, pair, group=group)
    columns = standing_columns("Variant", lambda row: flagged(row["name"], row), single=False)
    if all(row["unread"]["mean"] + row["cut"]["mean"] <= MOST_WITHOUT for row in rows):
        return Table((), [])
    return build_table(rows, columns, terminal=True)


def _rows(metrics: Metrics, pair: Pair, *, group: str) -> list[Row]:
    variants = ablated(metrics, pair, group=group)
    true = {row["variant"]: row["selected_true_share"] for row in of_pair(metrics, "selection", pair)}
    methods = list(dict.fromkeys(each.summary["method"] for each in variants))
    return [
        {
            **with_intervals(metrics, each.summary),
            **{key: (each.comparison or {}).get(key) for key in _COMPARED},
            "name": each.name if len(methods) > 1 else each.summary["variant"],
            "selected_true": true.get(each.summary["variant"]),
        }
        for method in methods
        for each in _of_method(metrics, pair, [each for each in variants if each.summary["method"] == method])
    ]


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


def ablations_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out each group of ablations of each student."""
    tables: list[TitledTable] = []
    named: dict[Pair, list[tuple[str, Row]]] = {pair: [] for pair in pairs}
    for pair in pairs:
        for group in ablation_groups(metrics, pair):
            tables.append(TitledTable(f"{pair.title}: {group}", ablation_table(metrics, pair, group=group)))
            variants = ablated(metrics, pair, group=group)
            named[pair] += [(each.name, each.comparison) for each in variants if each.comparison is not None]
    notes = [
        "Each variant changes one thing of the main student. Differences are variant minus main, paired on the same "
        "questions, after the last epoch and over the seeds that both were run with.",
    ]
    figures = differences(named, name="ablations")
    return ReportSection("ablations", "Ablations", notes, tables=filled(tables), figures=figures)
