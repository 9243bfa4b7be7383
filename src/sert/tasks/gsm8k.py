r"""GSM8K: sums told as stories, whose answers are numbers (Cobbe et al., 2021).

An instance of the release's JSONL files and of the hub; the answer proper stands behind `####`, the way to it before:

    {"question": "Tim has 2 pens and buys 70. How many has he?", "answer": "He has 2+70 = <<2+70=72>>72.\n#### 72"}
"""

from collections.abc import Iterator
from functools import partial

from sert.config.columns import Columns
from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Split
from sert.tasks.normalize import is_number
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_splits
from sert.tasks.rows import Record, Row
from sert.tasks.table import table_row
from sert.terminal.text import shorten

_COLUMNS = Columns(answer_after="####")


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the questions. Ids are row numbers, counted from 0.

    Raises:
        DataError: If a file or the hub set cannot be read.
    """
    return read_splits(config, read_file, test_split="test", row=partial(_row, _COLUMNS), hub_config="main")


def _row(columns: Columns, split: Split, record: Record) -> Row:
    row = table_row(columns, split, record)
    if not isinstance(row.answer, str) or not is_number(row.answer):
        raise DataError(f"{record.where}: behind #### stands {shorten(row.answer)}; a number is needed there.")
    return row


QUESTION_SET = QuestionSet(
    "GSM8K: sums told as stories, answers are numbers (the release's JSONL files, or a hub set)",
    read_rows,
    options=FILES | HUB,
    hub_id="openai/gsm8k",
)
