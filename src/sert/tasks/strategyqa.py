"""StrategyQA: yes/no questions whose steps are implicit (Geva et al., 2021).

Three forms are read. An instance of BIG-bench's `task.json`:

    {"input": "Could a penguin post a letter at the summit of Everest?", "target_scores": {"Yes": 0, "No": 1}}

An instance of the official release file, and of a hub set such as `ChilleD/StrategyQA`, or of a Parquet, JSONL or CSV
file of one:

    {"qid": "0f3b9c", "question": "Could a penguin post a letter at the summit of Everest?", "answer": false}
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Split
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_json, read_splits
from sert.tasks.rows import Record, Row, column, row_id
from sert.terminal.text import shorten


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the questions. Ids are the row's index for BIG-bench's file, else the `qid`.

    A split file sorts the rows of `data` by their indices; rows that it does not name are not used.

    Raises:
        DataError: If a file cannot be read or has another form, or the split file does not fit it.
    """
    rows = list(read_splits(config, _read_file, test_split="test", row=_row))
    if config.split_file is None:
        yield from rows
        return
    for split, indices in _read_split_file(config.split_file, num_rows=len(rows)).items():
        for row in (rows[index] for index in indices):
            yield row._replace(split=split) if isinstance(row, Row) else row


def _row(split: Split, record: Record) -> Row:
    if "input" in record.columns:
        asked, answer = record.columns["input"], _scored_answer(record)
        return Row(split, record.where, row_id(split, record), asked, None, answer, record)
    question_id, question, answer = (column(record, name) for name in ("qid", "question", "answer"))
    return Row(split, record.where, question_id, question, None, answer, record)


def _scored_answer(record: Record) -> str:
    scores = column(record, "target_scores")
    if scores == {"Yes": 1, "No": 0}:
        return "yes"
    if scores == {"Yes": 0, "No": 1}:
        return "no"
    raise DataError(
        f"{record.where}: target_scores is {shorten(scores)}; it must give Yes and No, one of them 1, the other 0."
    )


def _read_file(file: Path) -> Iterator[Record]:
    if file.suffix in (".jsonl", ".csv", ".tsv", ".parquet"):
        yield from read_file(file)
        return
    content = read_json(file)
    rows = content.get("examples") if isinstance(content, Mapping) else content
    if not isinstance(rows, list):
        raise DataError(
            f"{file} is no StrategyQA file; it must be BIG-bench's task.json (an object with a list `examples`) or the "
            "official release (a list of questions). For other files use kind = 'table'."
        )
    for index, columns in enumerate(rows):
        where = f"{file}, row {index} (from 0)"
        if not isinstance(columns, Mapping):
            raise DataError(f"{where}: a JSON object is needed, not {shorten(columns)}.")
        yield Record(where, index, columns)


def _read_split_file(file: Path, *, num_rows: int) -> dict[Split, list[int]]:
    content = read_json(file)
    if not isinstance(content, dict) or content.keys() != {"train", "test"}:
        given = shorten(sorted(content)) if isinstance(content, dict) else shorten(content)
        raise DataError(f"{file} must be an object with the keys train and test, not {given}.")
    seen: dict[int, str] = {}
    for split, indices in content.items():
        if not isinstance(indices, list) or not indices:
            raise DataError(f"{file}: {split} must be a list of row indices with at least one, not {shorten(indices)}.")
        for index in indices:
            if type(index) is not int or not 0 <= index < num_rows:
                raise DataError(f"{file}: {split} holds {shorten(index)}; indices go from 0 to {num_rows - 1}.")
            if index in seen:
                raise DataError(f"{file}: row {index} is in {seen[index]} and again in {split}; list it once.")
            seen[index] = split
    return {"train": content["train"], "test": content["test"]}


QUESTION_SET = QuestionSet(
    "StrategyQA: yes/no, implicit steps (BIG-bench task.json, the release file, or a hub set)",
    read_rows,
    options=FILES | HUB | {"split_file"},
    hub_id="ChilleD/StrategyQA",
    is_yes_no=True,
)
