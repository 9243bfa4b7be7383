"""Table II of arXiv 2502.12744 as printed, and a grid's numbers beside it.

An audit of the paper found: one seed; 54.65, 56.34, 22.63 and 26.03 % are no k of the stated 687 and 1,221 test
questions; the majority answer alone scores 52.55 and 20.88 %; the GPT-3.5 row repeats an evaluation on train and test
questions together (1224/2290 and 6585/10962); the unit of Len could not be identified.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sert.report.format import decimal, points, spread, with_sign
from sert.report.names import Row, flagged, method_name
from sert.report.parts import ReportSection, TitledTable, filled
from sert.report.rows import Metrics, Pair, main_rows, pairs_of
from sert.report.table import Table


class PaperRow(NamedTuple):
    """A line of the paper's table: accuracy in percent, the other numbers as printed; None where it has none."""

    accuracy: float
    format: float | None = None
    mean_length: float | None = None
    repetition: float | None = None


NUM_TEST = {"strategyqa": 687, "commonsenseqa": 1221}

STUDENTS: Mapping[tuple[str, str], Mapping[str, PaperRow]] = {
    ("gpt2", "strategyqa"): {
        "finetune": PaperRow(54.00),
        "sert": PaperRow(54.00, 0.91, 145.33, 0.53),
        "sert+rd": PaperRow(54.65, 0.99, 116.62, 0.50),
        "rd": PaperRow(52.69, 0.92, 116.23, 0.52),
    },
    ("gpt2-medium", "strategyqa"): {
        "finetune": PaperRow(50.22),
        "sert": PaperRow(55.17, 0.89, 149.11, 0.49),
        "sert+rd": PaperRow(56.34, 1.00, 103.42, 0.49),
        "rd": PaperRow(52.69, 0.85, 181.06, 0.56),
    },
    ("gpt2-large", "strategyqa"): {
        "finetune": PaperRow(53.57),
        "sert": PaperRow(55.75, 0.94, 63.06, 0.33),
        "sert+rd": PaperRow(57.21, 0.97, 80.28, 0.47),
        "rd": PaperRow(50.22, 0.79, 90.48, 0.51),
    },
    ("gpt2", "commonsenseqa"): {
        "finetune": PaperRow(20.80),
        "sert": PaperRow(20.72, 0.96, 120.80, 0.50),
        "sert+rd": PaperRow(21.95, 0.97, 114.30, 0.49),
        "rd": PaperRow(21.87, 0.91, 167.11, 0.61),
    },
    ("gpt2-medium", "commonsenseqa"): {
        "finetune": PaperRow(19.82),
        "sert": PaperRow(23.10, 0.82, 160.26, 0.56),
        "sert+rd": PaperRow(25.72, 0.90, 116.34, 0.52),
        "rd": PaperRow(21.54, 0.66, 257.40, 0.67),
    },
    ("gpt2-large", "commonsenseqa"): {
        "finetune": PaperRow(20.88),
        "sert": PaperRow(22.63, 0.99, 77.53, 0.46),
        "sert+rd": PaperRow(26.03, 1.00, 94.18, 0.47),
        "rd": PaperRow(22.93, 0.93, 96.15, 0.51),
    },
}
TEACHER: Mapping[str, PaperRow] = {
    "strategyqa": PaperRow(53.45, None, 76.77, 0.36),
    "commonsenseqa": PaperRow(60.07, None, 63.82, 0.31),
}
_TEACHER_COUNTS = {"strategyqa": "1224/2290", "commonsenseqa": "6585/10962"}
_MAJORITY = {"strategyqa": ("no", 52.55, "361/687"), "commonsenseqa": ("B", 20.88, "255/1221")}
_HEADER = (
    *("Student, method", "Acc %", "paper", "k/n of the paper", "diff., points"),
    *("Fmt", "paper", "diff.", "Len", "paper", "diff.", "Rep", "paper", "diff."),
)


def paper_table(metrics: Metrics, task: str) -> Table:
    """Build the table of our numbers, the paper's and the difference; empty where the paper has no such student.

    The last rows are the paper's reference rows, which no student of the grid stands beside.
    """
    known = [pair for pair in pairs_of(metrics) if pair.task == task and pair in STUDENTS and main_rows(metrics, pair)]
    rows = [row for pair in known for row in _student_rows(metrics, pair)]
    if not rows:
        return Table((), [])
    teacher = _row("GPT-3.5, zero-shot-CoT", None, TEACHER[task], count=_TEACHER_COUNTS[task])
    answer, majority, count = _MAJORITY[task]
    blanks = ("",) * (len(_HEADER) - 4)
    line = (f"Majority class: {answer}", "", decimal(majority), count, *blanks)
    return Table(_HEADER, [*rows, teacher, line])


def paper_counts(task: str, accuracy: float) -> str:
    """Say how many test questions a printed accuracy stands for, as k/n; where no k rounds to it, say that."""
    n = NUM_TEST[task]
    right = round(accuracy / 100 * n)
    is_share = f"{100 * right / n:.2f}" == f"{accuracy:.2f}"
    return f"{right}/{n}" if is_share else f"none of {n}"


def _student_rows(metrics: Metrics, pair: Pair) -> list[tuple[str, ...]]:
    ours = {row["method"]: row for row in reversed(main_rows(metrics, pair))}
    rows = []
    for method, paper in STUDENTS[pair].items():
        name, row = f"{pair.student}, {method_name(method)}", ours.get(method)
        name = flagged(name, row) if row else name
        rows.append(_row(name, row, paper, count=paper_counts(pair.task, paper.accuracy)))
    return rows


def _row(name: str, ours: Row | None, paper: PaperRow, *, count: str) -> tuple[str, ...]:
    accuracy = None if ours is None else ours["accuracy"]
    difference = None if accuracy is None else accuracy["mean"] - paper.accuracy / 100
    row = [name, spread(accuracy), decimal(paper.accuracy), count, points(difference)]
    for key in ("format", "mean_length", "repetition"):
        measure, printed = None if ours is None else ours[key], getattr(paper, key)
        mean = None if measure is None else measure["mean"]
        apart = None if mean is None or printed is None else mean - printed
        row += [decimal(mean), decimal(printed), with_sign(apart)]
    return tuple(row)


def paper_section(metrics: Metrics) -> ReportSection:
    """Lay out our numbers beside the paper's, for the students and tasks that it has."""
    notes = [
        "Ours, then the paper's (arXiv 2502.12744, Table II), then ours minus the paper's. The paper reports one seed; "
        "54.65, 56.34, 22.63 and 26.03 % are no k of its test questions; its GPT-3.5 row counts train questions too. "
        "What its Len counts could not be identified.",
    ]
    tables = (TitledTable(about["task"], paper_table(metrics, about["task"])) for about in metrics["tasks"])
    return ReportSection("paper", "Beside the paper", notes, tables=filled(tables))
