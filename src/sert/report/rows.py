"""The rows of `metrics.json` by student and task, and which of them the report is about."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sert.config.grid import MAIN
from sert.report.names import Row

Metrics = Mapping[str, Any]

SIGNIFICANCE = 0.05


class Pair(NamedTuple):
    """A student on a task."""

    student: str
    task: str

    @property
    def title(self) -> str:
        """What the pair is called."""
        return f"{self.student} on {self.task}"


def pairs_of(metrics: Metrics) -> list[Pair]:
    """List the students of every task, in the order of the tasks and of the summary."""
    rows = section(metrics, "summary")
    students = dict.fromkeys(row["student"] for row in rows)
    measured = {(row["student"], row["task"]) for row in rows}
    return [
        Pair(student, about["task"])
        for about in metrics["tasks"]
        for student in students
        if (student, about["task"]) in measured
    ]


def is_single(metrics: Metrics) -> bool:
    """Tell whether the report is about one run: one student, one seed, nothing varied."""
    return "seed" in metrics


def about_task(metrics: Metrics, task: str) -> Row:
    """Find the task's row of `metrics["tasks"]`."""
    return next(row for row in metrics["tasks"] if row["task"] == task)


def section(metrics: Metrics, name: str) -> Sequence[Row]:
    """Take the rows of a section; one that is not there has none."""
    return metrics.get(name) or ()


def of_pair(metrics: Metrics, name: str, pair: Pair) -> list[Row]:
    """Pick the rows of a student and task from a section."""
    return [row for row in section(metrics, name) if (row["student"], row["task"]) == pair]


def main_rows(metrics: Metrics, pair: Pair) -> list[Row]:
    """Pick the summary of the methods as the grid reports them: no ablations, one choice of epoch."""
    return [row for row in of_pair(metrics, "summary", pair) if row["variant"] == MAIN and is_reported(row)]


def is_reported(row: Row) -> bool:
    """Tell whether a row's epoch is the one that the grid reports; untrained students have no other."""
    return row["primary"] or row["epoch_choice"] is None


def method_comparisons(metrics: Metrics, pair: Pair) -> list[Row]:
    """Pick the comparisons between methods."""
    return [row for row in of_pair(metrics, "comparisons", pair) if row["group"] is None]


def ablation_comparisons(metrics: Metrics, pair: Pair) -> list[Row]:
    """Pick the comparisons of variants with the main student."""
    return [row for row in of_pair(metrics, "comparisons", pair) if row["group"] is not None]


def reported_rows(metrics: Metrics, pair: Pair) -> list[Row]:
    """Pick the rows that the results show, with their intervals over questions."""
    return [with_intervals(metrics, row) for row in main_rows(metrics, pair)]


def with_intervals(metrics: Metrics, summary: Row) -> dict[str, Any]:
    """Give a row of the summary its intervals over questions: `interval`, and `interval_answered` of its answers."""
    ends = {"interval": "ci95", "interval_answered": "right_of_answered_ci95"}
    return {**summary, **{name: _interval_of(metrics, summary, key) for name, key in ends.items()}}


def _interval_of(metrics: Metrics, summary: Row, key: str) -> list[float] | None:
    """Find where the 95 % intervals of all seeds that a row of the summary sums up begin and end."""
    keys = ("student", "task", "variant", "method", "epoch_choice", "harness", "votes")
    seeds = (row for row in section(metrics, "rows") if all(row[name] == summary.get(name, row[name]) for name in keys))
    intervals = [row[key] for row in seeds if row[key] is not None]
    return [min(low for low, _ in intervals), max(high for _, high in intervals)] if intervals else None


def gain_of_test_best(best: Row | None, reported: Row | None) -> float | None:
    """Subtract the reported mean accuracy from that of the best epoch on the test set."""
    if best is None or reported is None or best["accuracy"] is None or reported["accuracy"] is None:
        return None
    return float(best["accuracy"]["mean"] - reported["accuracy"]["mean"])


def is_significant(comparison: Row) -> bool:
    """Tell whether a comparison's p-value, corrected for all comparisons, is known and below 0.05.

    Never with a student that had no examples to train on: its numbers say nothing of its method.
    """
    known = comparison["p_holm"] is not None and not comparison.get("untrained")
    return known and bool(comparison["p_holm"] < SIGNIFICANCE)
