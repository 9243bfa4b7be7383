"""The rows of a grid's metrics by student and task, and which of them the report is about."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sert.report import cells

Metrics = Mapping[str, Any]
Row = Mapping[str, Any]

MAIN = "main"
LAST, TEST_BEST, COMPAT = "last", "test-best", "compat"
_LISTED = 4  # seeds whose numbers are written out in a cell


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


def main_funnel(metrics: Metrics, pair: Pair) -> list[Row]:
    """Pick the funnel of the main students."""
    return [row for row in of_pair(metrics, "funnel", pair) if row.get("group") is None]


def is_reported(row: Row) -> bool:
    """Tell whether a row's epoch is the one that the grid reports; untrained students have no other."""
    return row["primary"] or row["epoch_choice"] is None


def seeds_of(metrics: Metrics, summary: Row) -> list[Row]:
    """Pick the rows of single seeds that a row of the summary sums up."""
    keys = ("student", "task", "variant", "method", "epoch_choice", "harness", "votes")
    return [row for row in section(metrics, "rows") if all(row[key] == summary.get(key, row[key]) for key in keys)]


def method_comparisons(metrics: Metrics, pair: Pair) -> list[Row]:
    """Pick the comparisons between methods."""
    return [row for row in of_pair(metrics, "comparisons", pair) if row["group"] is None]


def ablation_comparisons(metrics: Metrics, pair: Pair) -> list[Row]:
    """Pick the comparisons within groups of ablations; where one is with the main student, that is b."""
    return [
        _turned(row) if row["a"] == MAIN else row
        for row in of_pair(metrics, "comparisons", pair)
        if row["group"] is not None
    ]


def _turned(row: Row) -> Row:
    """Say the same of b against a."""
    turned = {**row, "a": row["b"], "b": row["a"]}
    turned["difference"] = None if row["difference"] is None else -row["difference"]
    turned["by_seed"] = [-each for each in row["by_seed"] or ()]
    for interval in ("ci95", "ci95_seeds"):
        turned[interval] = None if row[interval] is None else [-end for end in reversed(row[interval])]
    return turned


def marks_of(row: Row) -> str:
    """Name what sets a row's numbers apart; empty for others.

    That is a student without examples to train on, an epoch chosen on the test set, the earlier harness.
    """
    reasons = [TEST_BEST] * (row["epoch_choice"] == TEST_BEST) + [COMPAT] * (row["harness"] == COMPAT)
    if untrained := row.get("untrained"):
        some = f" with {untrained} of {row['seeds']} seeds" if untrained < row["seeds"] else ""
        reasons.insert(0, f"not trained{some}")
    return ", ".join(reasons)


def flagged(name: str, row: Row) -> str:
    """Write a name with how many outputs a question vote, if several, and with what sets its numbers apart.

    Those of an epoch chosen on the test set are too good.
    """
    votes, marks = row.get("votes") or 1, marks_of(row)
    name = f"{name} [{votes} votes]" if votes > 1 else name
    return f"{name} ({marks}{': too good' if TEST_BEST in marks else ''})" if marks else name


def right_by_seed(row: Row) -> str:
    """Write how many of n questions each seed got right; of many seeds the fewest and the most."""
    correct = row["correct"]
    if len(correct) > _LISTED:
        return f"{min(correct)} to {max(correct)} / {row['n']}"
    return f"{', '.join(map(str, correct))} / {row['n']}"


def points_by_seed(row: Row) -> str:
    """Write the difference of each seed in points; of many seeds the lowest and the highest."""
    differences = row["by_seed"] or []
    if len(differences) > _LISTED:
        return f"{cells.points(min(differences))} to {cells.points(max(differences))}"
    return ", ".join(cells.points(each) for each in differences) or cells.MISSING
