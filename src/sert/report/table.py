"""The tables of a report as cells, and how one table is written as Markdown and as plain text."""

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sert.report import cells
from sert.report.verdict import significance
from sert.terminal.text import printable

Metrics = Mapping[str, Any]

TERMINAL_WIDTH = 100
TERMINAL_HEADING = 11
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]|~$#])")


class Table(NamedTuple):
    """A table as raw texts; whoever renders it escapes them. The first column names the row."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured."""
        return not self.rows


class Column(NamedTuple):
    """A column: its heading and how a row of `metrics.json` is written in it."""

    heading: str
    cell: Callable[[Mapping[str, Any]], str]


_RESULT_COLUMNS = (
    Column("Method", cells.row_name),
    Column("Acc %", lambda row: cells.percent(row["accuracy"])),
    Column("k/n", lambda row: f"{row['correct']}/{row['n']}"),
    Column("95 % interval", lambda row: cells.percent_interval(row["ci95"])),
    Column("Strict %", lambda row: cells.percent(row["accuracy_strict"])),
    Column("Fmt", lambda row: cells.decimal(row["format"])),
    Column("Len", lambda row: cells.decimal(row["mean_length"], 1)),
    Column("Rep", lambda row: cells.decimal(row["repetition"])),
    Column("Reasoned %", lambda row: cells.percent(row["reasoned"])),
)
_TRUE_PATHS = Column("True paths %", lambda row: cells.percent(row["true_paths"]))
COMPARISON_COLUMNS = (
    Column("Comparison", lambda row: f"{cells.method_name(row['a'])} against {cells.method_name(row['b'])}"),
    Column("Difference, points", lambda row: cells.points(row["difference"])),
    Column("95 % interval", lambda row: cells.points_interval(row["ci95"])),
    Column("p", lambda row: cells.p_value(row["p_value"])),
    Column("p, Holm", lambda row: cells.p_value(row["p_holm"])),
    Column("At 0.05", significance),
    Column("Detectable, points", lambda row: cells.unsigned_points(row["detectable"])),
    Column("Test", lambda row: str(row["test"])),
)
FUNNEL_COLUMNS = (
    Column("Rule", lambda row: cells.rule_name(row["rule"])),
    Column("Dropped", lambda row: cells.count(row["dropped"])),
    Column("Remaining", lambda row: cells.count(row["remaining"])),
    Column("Of mined %", lambda row: cells.percent(row["share"])),
)
FUNNEL_TRUE = Column("True among them %", lambda row: cells.percent(row["true_share"]))
_LATENT_COLUMNS = (
    Column("Decoding", lambda row: str(row["decoding"])),
    Column("Questions", lambda row: cells.count(row["questions"])),
    Column("Outputs each", lambda row: cells.count(row["samples"])),
    Column("Outputs that reason %", lambda row: cells.percent(row["reasoned_share"])),
    Column("Questions with one that reasons", lambda row: cells.count(row["questions_reasoned"])),
    Column("of questions %", lambda row: cells.percent(row["questions_reasoned_share"])),
)
_LATENT_TRUE = (
    Column("True outputs %", lambda row: cells.percent(row["true_share"])),
    Column("Questions with a true one %", lambda row: cells.percent(row["questions_true_share"])),
)
_SELECTION_COLUMNS = (
    Column("Train questions", lambda row: cells.count(row["questions"])),
    Column("With a selected path", lambda row: cells.count(row["with_selected"])),
    Column("Its own conclusion is gold", lambda row: cells.count(row["selected_agree"])),
)
_SELECTED_TRUE = Column("True among selected %", lambda row: cells.percent(row["selected_true_share"]))
_MINED_TRUE = Column("True among mined %", lambda row: cells.percent(row["mined_true_share"]))
_TRAINING_COLUMNS = (
    Column("Method", lambda row: cells.method_name(row["method"])),
    Column("Student", lambda row: str(row["student"])),
    Column("Seed", lambda row: str(row["seed"])),
    Column("Examples", lambda row: cells.count(row["train_examples"])),
    Column("Steps", lambda row: cells.count(row["train_steps"])),
    Column("Epoch tested", lambda row: cells.MISSING if row["epoch_choice"] is None else str(row["epoch_choice"])),
    Column("Split", lambda row: str(row["split"])),
)


def of_task(metrics: Metrics, section: str, task: str) -> list[Mapping[str, Any]]:
    """Pick the rows of one task from a section of the metrics."""
    return [row for row in metrics[section] if row["task"] == task]


def primary_rows(metrics: Metrics, task: str) -> list[Mapping[str, Any]]:
    """Pick the result rows of the snapshots that the comparisons are about, one a method."""
    return [row for row in of_task(metrics, "rows", task) if row.get("primary", True)]


def epoch_table(metrics: Metrics, task: str) -> Table:
    """Build the table of what each way of choosing the epoch comes to; empty where only one is open."""
    rows = of_task(metrics, "rows", task)
    choices = [choice for choice in cells.EPOCHS if any(row["epoch_choice"] == choice for row in rows)]
    if len(choices) < 2:
        return Table((), [])
    trained = list(dict.fromkeys(row["method"] for row in rows if row["epoch_choice"] is not None))
    by_choice = {(row["method"], row["epoch_choice"]): row for row in rows}
    header = ("Method", *(cells.epoch_heading(choice) for choice in choices))
    return Table(
        header, [(cells.method_name(m), *(_epoch_cell(by_choice.get((m, c))) for c in choices)) for m in trained]
    )


def _epoch_cell(row: Mapping[str, Any] | None) -> str:
    return cells.MISSING if row is None else f"{cells.percent(row['accuracy'])} (step {cells.count(row['step'])})"


def result_table(metrics: Metrics, about: Mapping[str, Any]) -> Table:
    """Build the result table of one task: a row a method, then the lines that need no model.

    Args:
        metrics: The run's numbers.
        about: The task's row of `metrics["tasks"]`.
    """
    rows = primary_rows(metrics, about["task"])
    table = build_table(rows, (*_RESULT_COLUMNS, *if_measured(rows, _TRUE_PATHS, key="true_paths")))
    majority = f"Majority class: {about['majority_answer']}"
    for name, accuracy in ((majority, about["majority_accuracy"]), ("Chance", about["chance_accuracy"])):
        blanks = ("",) * (len(table.header) - 2)
        table.rows.append((name, cells.percent(accuracy), *blanks))
    return table


def comparison_table(metrics: Metrics, task: str) -> Table:
    """Build the table of paired differences."""
    return build_table(of_task(metrics, "comparisons", task), COMPARISON_COLUMNS)


def funnel_table(metrics: Metrics, task: str) -> Table:
    """Build the table of how many paths each rule left."""
    rows = of_task(metrics, "funnel", task)
    return build_table(rows, (*FUNNEL_COLUMNS, *if_measured(rows, FUNNEL_TRUE, key="true_share")))


def latent_table(metrics: Metrics, task: str) -> Table:
    """Build the table of how often each decoding reasons."""
    rows = of_task(metrics, "latent", task)
    return build_table(rows, (*_LATENT_COLUMNS, *if_measured(rows, *_LATENT_TRUE, key="true_share")))


def selection_table(metrics: Metrics) -> Table:
    """Build the table of what was selected, a row a task."""
    return selection_rows(metrics["selection"], Column("Task", lambda row: str(row["task"])))


def selection_rows(rows: Sequence[Mapping[str, Any]], name: Column) -> Table:
    """Build a table of what was selected, with what each row is called first."""
    selected = if_measured(rows, _SELECTED_TRUE, key="selected_true_share")
    mined = if_measured(rows, _MINED_TRUE, key="mined_true_share")
    return build_table(rows, (name, *_SELECTION_COLUMNS, *selected, *mined))


def training_table(metrics: Metrics, task: str) -> Table:
    """Build the table of how each method was trained."""
    return build_table(primary_rows(metrics, task), _TRAINING_COLUMNS)


def build_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    """Lay rows of `metrics.json` out under columns."""
    return Table(
        tuple(column.heading for column in columns), [tuple(column.cell(row) for column in columns) for row in rows]
    )


def if_measured(rows: Sequence[Mapping[str, Any]], *columns: Column, key: str) -> tuple[Column, ...]:
    """Keep columns only where some row has what they show."""
    return columns if any(row[key] is not None for row in rows) else ()


def markdown_table(table: Table) -> str:
    """Write one table as Markdown; nothing in a cell acts as Markdown or HTML."""
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    lines = [[markdown_cell(cell) for cell in row] for row in (table.header, *table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def markdown_cell(text: str) -> str:
    """Keep a text inside its cell: nothing in it may act as Markdown or HTML."""
    escaped = _MARKDOWN_SIGNS.sub(r"\\\1", _one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_table(table: Table) -> str:
    """Write one table as plain text: no colour codes, at most 100 columns."""
    wide = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(table.header):
        lines = "\n".join(textwrap.wrap(heading, TERMINAL_HEADING))
        wide.add_column(lines, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    for row in table.rows:
        wide.add_row(*(Text(_one_line(cell).replace(cells.MINUS, "-")) for cell in row))
    console = Console(file=io.StringIO(), width=TERMINAL_WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(wide)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def wrap(text: str) -> str:
    """Break a text into lines for a terminal, control characters made visible."""
    return "\n".join(textwrap.wrap(_one_line(text), TERMINAL_WIDTH, subsequent_indent="  "))
