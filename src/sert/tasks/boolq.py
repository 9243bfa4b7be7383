"""BoolQ: yes/no questions that people asked, each about a passage (Clark et al., 2019); with the passages or without.

An instance of the release's JSONL files and of the hub:

    {"question": "is the tower older than the bridge", "answer": true,
     "passage": "The tower was built in 1900, the bridge in 1950."}

`boolq` shows the passage (`prompts` of the kind, `sert.config.prompts.OF_KIND`); `boolq_closed` asks without it, a
closed book, and also reads files that have none. The two are different tasks, so which one it is stands in `kind`.
"""

from collections.abc import Iterator

from sert.config.columns import Columns
from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Split
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_splits
from sert.tasks.rows import Record, Row
from sert.tasks.table import table_row


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the questions. Ids are the set's own where it has some, else row numbers.

    Raises:
        DataError: If a file or the hub set cannot be read.
    """
    row = _with_passage if config.kind == "boolq" else _row
    return read_splits(config, read_file, test_split="validation", row=row)


def _row(split: Split, record: Record) -> Row:
    return table_row(Columns(question_id="id" if "id" in record.columns else None), split, record)


def _with_passage(split: Split, record: Record) -> Row:
    if "passage" not in record.columns:
        raise DataError(
            f"{record.where}: there is no column 'passage'; BoolQ without its passages is kind = 'boolq_closed'."
        )
    return _row(split, record)


OPEN, CLOSED = (
    QuestionSet(
        f"BoolQ, {book}: yes/no questions that people asked (the release's JSONL files, or a hub set)",
        read_rows,
        options=FILES | HUB,
        hub_id="google/boolq",
        is_yes_no=True,
    )
    for book in ("each with its passage", "without the passages")
)
