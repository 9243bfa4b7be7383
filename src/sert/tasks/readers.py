"""Files and hub sets of questions, read row by row."""

import csv
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.files import LARGEST_TABLE, check_file, read_lines, read_whole
from sert.records import Split
from sert.tasks.features import stored_class_names, with_class_names
from sert.tasks.hub import read_hub
from sert.tasks.rows import MOST_ROWS, Record, Row, bounded
from sert.terminal.text import shorten

LARGEST_JSON = 2**26
"""Bytes of a question file that is one JSON value."""
_ROWS_A_READ = 64
# Between the fields of a line, with their names for people; of two that split a header alike, the first.
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# Between lines that end in a carriage return alone.
_BEHIND_RETURN = re.compile(r"(?<=\r)(?!\n)")

Reader = Callable[[Path], Iterable[Record]]

FILES = frozenset({"data", "test_data", "test_share"})
"""Options of question sets that lie in files."""
HUB = frozenset({"hub", "hub_config", "hub_revision", "train_split", "test_split"})
"""Options of question sets that lie on the hub, or in a local data set folder."""


class QuestionSet(NamedTuple):
    """What there is to say of one kind of question set.

    Attributes:
        description: What it is, in a line.
        read_rows: Reads its questions, unchecked; a row that cannot be told apart is the error that says why.
        options: The options of a task that are not for every kind and that this one takes; empty if it needs no source.
        hub_id: Where it is on the hub, with a test split of its own.
        is_yes_no: Whether every answer must be yes or no.
        repeats_choices: Whether a question may have a choice twice, since the set was published so.
        is_lab: Whether the lab's oracle can be its teacher.
    """

    description: str
    read_rows: Callable[[TaskConfig], Iterator[Row | DataError]]
    options: frozenset[str] = frozenset()
    hub_id: str | None = None
    is_yes_no: bool = False
    repeats_choices: bool = False
    is_lab: bool = False


def read_splits(
    config: TaskConfig,
    reader: Reader,
    *,
    test_split: str | None,
    row: Callable[[Split, Record], Row],
    hub_config: str | None = None,
) -> Iterator[Row | DataError]:
    """Read the train rows, then the test rows, from the files or the hub set that `config` names.

    Of the hub `hub_config` is read and `test_split` tested on where the configuration names none. `row` tells a row
    apart; where it raises, the error stands in the place of the row.

    Raises:
        DataError: If a source cannot be read, or holds no rows.
    """
    if config.hub is not None and config.hub_config is None:
        config = config.model_copy(update={"hub_config": hub_config})
    for split, source, records in _sources(config, reader, test_split=test_split):
        read = list(bounded(records, source))
        if not read:
            raise DataError(f"{source} holds no questions.")
        for record in read:
            try:
                yield row(split, record)
            except DataError as error:
                yield error


def _sources(
    config: TaskConfig, reader: Reader, *, test_split: str | None
) -> Iterator[tuple[Split, str, Iterable[Record]]]:
    splits: tuple[Split, Split] = ("train", "test")
    if config.hub is not None:
        for split, name in zip(splits, (config.train_split, config.test_split or test_split), strict=True):
            if name is not None:
                yield split, f"The split {name!r} of {config.hub}", read_hub(config, name)
    for split, file in zip(splits, (config.data, config.test_data), strict=True):
        if file is not None:
            yield split, str(file), reader(file)


def read_json(file: Path) -> Any:
    """Read a file that is one JSON value.

    Raises:
        DataError: If it is missing, unreadable, or not JSON.
    """
    with _reading(file):
        text = read_whole(file, largest=LARGEST_JSON)
    return _parse(
        text, str(file), behind="the file must be one JSON value; questions as JSON lines are for --task table"
    )


def read_jsonl(file: Path) -> Iterator[Record]:
    """Read a file with one JSON object a line; blank lines are passed over.

    Raises:
        DataError: If it is missing or unreadable, or a line is no JSON object.
    """
    filled = ((number, line) for number, line in enumerate(_lines(file), start=1) if line.strip())
    for index, (number, line) in enumerate(filled):
        where = f"{file}, line {number}"
        columns = _parse(line.rstrip("\r\n"), where)
        if not isinstance(columns, dict):
            raise DataError(f"{where}: a JSON object is needed, not {shorten(columns)}.")
        yield Record(where, index, columns)


def read_json_rows(file: Path) -> Iterator[Record]:
    """Read a `.json` file: a list of objects, an object that holds one such list, or one object a line.

    Raises:
        DataError: If it is missing or unreadable, or has another form.
    """
    if _holds_lines(file):
        yield from read_jsonl(file)
        return
    content = read_json(file)
    values = content.values() if isinstance(content, Mapping) else [content]
    lists = [value for value in values if isinstance(value, list) and value and isinstance(value[0], Mapping)]
    if len(lists) != 1:
        raise DataError(
            f"{file} must be a list of objects, an object with one such list, or one object a line, and it holds "
            f"{len(lists) or 'no'} lists of objects. Pandas writes a list by `to_json(FILE, orient='records')`."
        )
    for index, columns in enumerate(lists[0]):
        where = f"{file}, row {index} (from 0)"
        if not isinstance(columns, Mapping):
            raise DataError(f"{where}: a JSON object is needed, not {shorten(columns)}.")
        yield Record(where, index, columns)


def _holds_lines(file: Path) -> bool:
    """Tell whether the first two lines are objects, each by itself."""
    try:
        first = list(itertools.islice((line for line in _lines(file) if line.strip()), 2))
    except DataError:  # of a file that is one long line, too
        return False
    return len(first) == 2 and all(map(_is_object, first))


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def read_csv(file: Path) -> Iterator[Record]:
    """Read a CSV file with a header line, split at commas, semicolons or tabs; a `.tsv` file at tabs.

    A cell may hold 131,072 characters, the csv module's own limit.

    Raises:
        DataError: If it is missing or unreadable, or a line has more or fewer fields than the header.
    """
    separator = "\t" if file.suffix == ".tsv" else max(_SEPARATORS, key=lambda each: _header_fields(file, each))
    lines = csv.DictReader(_lines(file), delimiter=separator, strict=True)
    try:
        names = lines.fieldnames or ()
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{file}, line 1: the header names {shorten(', '.join(twice))} twice; rename one column.")
        for index, columns in enumerate(lines):
            where = f"{file}, line {lines.line_num}"
            if None in columns or None in columns.values():
                raise DataError(
                    f"{where}: the number of fields is not that of the header, which {_SEPARATORS[separator]} split; "
                    f"quote fields with {_SEPARATORS[separator]}."
                )
            yield Record(where, index, columns)
    except csv.Error as error:
        raise DataError(f"{file}, line {lines.reader.line_num}: not CSV ({error}).") from None


def _header_fields(file: Path, separator: str) -> int:
    """Count the fields that a separator splits the header into; none, where it is not well-formed so."""
    try:
        return len(next(csv.reader(_lines(file), delimiter=separator, strict=True), ()))
    except csv.Error:
        return 0


def read_parquet(file: Path) -> Iterator[Record]:
    """Read a Parquet file.

    Raises:
        DataError: If it is missing or is not Parquet.
    """
    try:
        check_file(file, largest=LARGEST_TABLE)
        with pq.ParquetFile(file) as table:
            _check_parquet(table)
            names = stored_class_names(table.schema_arrow.metadata or {})
            index = unpacked = 0
            for batch in table.iter_batches(batch_size=_ROWS_A_READ):
                unpacked += batch.nbytes
                _check_unpacked(unpacked)  # a text that was stored once may be in every row
                for columns in batch.to_pylist():
                    yield Record(f"{file}, row {index + 1}", index, with_class_names(columns, names))
                    index += 1
    except FileNotFoundError:
        raise _missing(file) from None
    except (pa.ArrowException, OSError, ValueError, ArithmeticError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from None


_BY_ENDING = {
    ".jsonl": read_jsonl,
    ".json": read_json_rows,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}


def read_file(file: Path) -> Iterator[Record]:
    """Read a JSONL, JSON, CSV, TSV or Parquet file, which its name tells.

    Raises:
        DataError: If it is of another kind, or cannot be read.
    """
    if file.suffix not in _BY_ENDING:
        raise DataError(f"{file} is of no kind that can be read; its name must end in {', '.join(_BY_ENDING)}.")
    return _BY_ENDING[file.suffix](file)


def _check_parquet(table: Any) -> None:
    """Refuse what would not fit into memory once it is unpacked, and columns of which only one would be seen."""
    names = table.schema_arrow.names
    if len(set(names)) < len(names):
        raise OSError("two of its columns have the same name")
    _check_unpacked(sum(table.metadata.row_group(number).total_byte_size for number in range(table.num_row_groups)))
    if table.metadata.num_rows > MOST_ROWS:
        raise OSError(f"it holds {table.metadata.num_rows:,} rows, and at most {MOST_ROWS:,} are read")


def _check_unpacked(size: int) -> None:
    if size > LARGEST_TABLE:
        raise OSError(f"it unpacks to more than {LARGEST_TABLE:,} bytes, the most that are read")


def _parse(text: str, where: str, *, behind: str = "Extra data") -> Any:
    """Parse one JSON value; `behind` is what to say of one that another text follows."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{where}, column {error.colno}" if "\n" not in text else f"{where}, line {error.lineno}"
        said = behind if error.msg == "Extra data" else error.msg
        raise DataError(f"{place}: not JSON ({said}).") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not usable JSON ({error}).") from None


def _lines(file: Path) -> Iterator[str]:
    """Read lines with their ends, which may be those of any system."""
    with _reading(file):
        for line in read_lines(file):
            yield from filter(None, _BEHIND_RETURN.split(line))


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _missing(file) from None
    except OSError as error:
        raise DataError(f"{file} cannot be read as UTF-8 text: {error}.") from None


def _missing(file: Path) -> DataError:
    return DataError(f"There is no file {file}. Relative paths are taken from the current folder, {Path.cwd()}.")
