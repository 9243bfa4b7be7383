r"""MATH: problems of competitions, whose answers are expressions in TeX (Hendrycks et al., 2021).

An instance; where there is no `answer`, it is what the last box of the solution holds:

    {"problem": "What is $1/2+1/4$?", "solution": "It is $\\boxed{\\frac{3}{4}}$.", "answer": "\\frac{3}{4}"}
"""

from collections.abc import Iterator

from sert.config.columns import Columns
from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Split
from sert.tasks.expressions import BOX
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_splits
from sert.tasks.rows import Record, Row, column
from sert.tasks.table import table_row

_ID = "unique_id"


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the problems. Without `unique_id`, ids are row numbers, counted from 0.

    Raises:
        DataError: If a file or the hub set cannot be read.
    """
    return read_splits(config, read_file, test_split="test", row=_row)


def _row(split: Split, record: Record) -> Row:
    answer = "answer" if "answer" in record.columns else "solution"
    if answer == "solution" and not BOX.search(str(column(record, answer))):
        raise DataError(
            f"{record.where}: there is no answer, and no \\boxed{{...}} in the solution that would hold it."
        )
    question_id = _ID if _ID in record.columns else None
    return table_row(
        Columns(question_id=question_id, question="problem", answer=answer, answer_is="expression"), split, record
    )


QUESTION_SET = QuestionSet(
    "MATH: problems of competitions, answers are expressions in TeX (JSONL files, or a hub set)",
    read_rows,
    options=FILES | HUB,
    hub_id="EleutherAI/hendrycks_math",
)
