"""Rows of question files and hub sets, as they are found: nothing in them has been checked yet."""

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sert.config import TaskConfig
from sert.errors import DataError
from sert.records import Split

SHOWN_CHARACTERS = 80


class Record(NamedTuple):
    """One row of a source: where it stands (for messages), its number from 0, and its columns."""

    where: str
    number: int
    columns: Mapping[str, Any]


class Row(NamedTuple):
    """One row, told apart into the parts of a question. `choices` is None for a question that has none."""

    split: Split
    where: str
    question_id: Any
    question: Any
    choices: Any
    answer: Any


Reader = Callable[[Path], Iterable[Record]]


def read_splits(config: TaskConfig, reader: Reader, *, test_split: str | None) -> Iterator[tuple[Split, Record]]:
    """Read the train rows, then the test rows, from the files or the hub set that `config` names.

    Args:
        config: Says where the rows are.
        reader: Reads one file.
        test_split: The hub split that is tested on when `config.test_split` is not given.

    Raises:
        DataError: If a source cannot be read, or holds no rows.
    """
    sources: list[tuple[Split, str, Iterable[Record]]] = []
    if config.hub is not None:
        names: list[tuple[Split, str | None]] = [
            ("train", config.train_split),
            ("test", config.test_split or test_split),
        ]
        for split, name in names:
            if name is not None:
                sources.append((split, f"The split {name!r} of {config.hub}", read_hub(config, name)))
    if config.data is not None:
        sources.append(("train", str(config.data), reader(config.data)))
    if config.test_data is not None:
        sources.append(("test", str(config.test_data), reader(config.test_data)))
    for split, source, records in sources:
        records = list(records)
        if not records:
            raise DataError(f"{source} holds no questions.")
        for record in records:
            yield split, record


def row_id(split: Split, record: Record) -> str:
    """Make an id for a row that has none: its index; `test-` and its index in the test set's own file or hub split."""
    return str(record.number) if split == "train" else f"test-{record.number}"


def read_json(file: Path) -> Any:
    """Read a file that is one JSON value.

    Raises:
        DataError: If it is missing, unreadable, or not JSON.
    """
    return _parse(read_text(file), str(file))


def read_jsonl(file: Path) -> Iterator[Record]:
    """Read a file with one JSON object a line; blank lines are passed over.

    Raises:
        DataError: If it is missing or unreadable, or a line is no JSON object.
    """
    index = 0
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        columns = _parse(line, where)
        if not isinstance(columns, dict):
            raise DataError(f"{where}: a JSON object is needed, not {shorten(columns)}.")
        yield Record(where, index, columns)
        index += 1


def read_csv(file: Path) -> Iterator[Record]:
    """Read a CSV file with a header line.

    Raises:
        DataError: If it is missing or unreadable, or a line has more or fewer fields than the header.
    """
    lines = csv.DictReader(io.StringIO(read_text(file)), strict=True)
    try:
        for index, columns in enumerate(lines):
            where = f"{file}, line {lines.line_num}"
            if None in columns or None in columns.values():
                raise DataError(f"{where}: the number of fields is not that of the header; quote fields with commas.")
            yield Record(where, index, columns)
    except csv.Error as error:
        raise DataError(f"{file}, line {lines.line_num}: not CSV ({error}).") from None


def read_parquet(file: Path) -> Iterator[Record]:
    """Read a Parquet file.

    Raises:
        DataError: If it is missing or is not Parquet.
    """
    try:
        table = pq.read_table(file)
        rows = table.to_pylist()
    except FileNotFoundError:
        raise _missing(file) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from None
    for index, columns in enumerate(rows):
        yield Record(f"{file}, row {index + 1}", index, columns)


def read_hub(config: TaskConfig, split: str) -> Iterator[Record]:
    """Read one split of a hub set or a local data set folder.

    Raises:
        DataError: If the `datasets` package is missing, or the set or its split cannot be loaded.
    """
    assert config.hub is not None
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"Reading {config.hub} needs the `datasets` package: pip install 'sert[hub]'. Files need it not."
        ) from None
    try:
        rows = datasets.load_dataset(config.hub, revision=config.hub_revision, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"The split {split!r} of {config.hub} cannot be loaded: {error}") from None
    for index, columns in enumerate(rows.to_list()):
        yield Record(f"{config.hub}, split {split}, row {index + 1}", index, columns)


def read_text(file: Path) -> str:
    """Read UTF-8 text, with or without a byte order mark.

    Raises:
        DataError: If the file is missing or is not UTF-8 text.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _missing(file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as UTF-8 text: {error}") from None


def column(record: Record, name: str) -> Any:
    """Look a column up; dots reach into nested ones.

    Raises:
        DataError: If there is no such column, with the nearest names.
    """
    if name in record.columns:
        return record.columns[name]
    value: Any = record.columns
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise _no_column(record, name)
        value = value[part]
    return value


def shorten(value: object) -> str:
    """Show what was given, in at most a line."""
    shown = repr(value)
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[: SHOWN_CHARACTERS - 1]}…"


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{where}, column {error.colno}" if "\n" not in text else f"{where}, line {error.lineno}"
        raise DataError(f"{place}: not JSON ({error.msg}).") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not usable JSON ({error}).") from None


def _missing(file: Path) -> DataError:
    return DataError(f"There is no file {file}. Relative paths are taken from the current folder, {Path.cwd()}.")


def _no_column(record: Record, name: str) -> DataError:
    names = [str(key) for key in _all_names(record.columns)]
    nearest = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else f"it has {shorten(', '.join(names))}."
    return DataError(f"{record.where}: there is no column {name!r}; {hint}")


def _all_names(columns: Mapping[str, Any]) -> Iterator[str]:
    for name, value in columns.items():
        yield name
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in value)
