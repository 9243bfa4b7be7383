"""Parquet tables of records: zstd, page checksums, the schema that a record type's annotations give.

Records are written and read some at a time, so that tables may be larger than memory.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from sert.errors import DataError
from sert.records import (
    Example,
    Float32,
    Gain,
    HeldOutScore,
    Judgement,
    Likelihood,
    Output,
    Path,
    Prediction,
    Question,
    Rationale,
    Verdict,
)
from sert.store.artifacts import content_key
from sert.store.disk import writing

RecordT = TypeVar(
    "RecordT",
    Question,
    Path,
    Verdict,
    Example,
    Rationale,
    Prediction,
    Output,
    Likelihood,
    Gain,
    Judgement,
    HeldOutScore,
)

ROWS_A_GROUP = 2048
"""Rows that are written together, and held until then."""
ROWS_A_READ = 512
"""Rows that are read together."""

_COLUMN_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int32(),
    float: pa.float64(),
    Float32: pa.float32(),
    bool: pa.bool_(),
}


def schema_of(record_type: type) -> pa.Schema:
    """Build the Arrow schema of a record type from its annotations."""
    annotations = get_type_hints(record_type, include_extras=True)
    return pa.schema([(field.name, _column_type(annotations[field.name])) for field in fields(record_type)])


def _column_type(annotation: Any) -> pa.DataType:
    """Take `X | None` as X, which may be missing, and `tuple[X, ...]` as a list of X."""
    if annotation in _COLUMN_TYPES:
        return _COLUMN_TYPES[annotation]
    inner = _column_type(get_args(annotation)[0])
    return pa.list_(inner) if get_origin(annotation) is tuple else inner


class TableWriter(Generic[RecordT]):
    """Writes records to one Parquet file as they come.

    Attributes:
        rows: How many there were so far.
    """

    def __init__(self, file: FilePath, record_type: type[RecordT]) -> None:
        self.rows = 0
        self._file, self._schema = file, schema_of(record_type)
        with writing(file.parent):
            self._writer = pq.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True)
        self._held: list[RecordT] = []

    def __enter__(self) -> "TableWriter[RecordT]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with writing(self._file.parent), self._writer:
            # A table without rows has a row group too.
            if kind is None and (self._held or not self.rows):
                self._write()

    def add(self, records: Iterable[RecordT]) -> None:
        """Append records."""
        for record in records:
            self._held.append(record)
            self.rows += 1
            if len(self._held) == ROWS_A_GROUP:
                self._write()

    def _write(self) -> None:
        columns = {name: [getattr(record, name) for record in self._held] for name in self._schema.names}
        table = pa.table(columns, schema=self._schema)
        with writing(self._file.parent, table.nbytes):
            self._writer.write_table(table)
        self._held.clear()


class StoredTable(Generic[RecordT]):
    """The records of one Parquet file, read anew and some at a time whenever they are iterated over.

    Extra columns are ignored; one that earlier versions did not write has its default.

    Raises:
        DataError: If the file is missing, is not Parquet, lacks a column or has one twice; while iterating if it is
            damaged.
    """

    def __init__(self, file: FilePath, record_type: type[RecordT]) -> None:
        self._file = file
        self._record_type: type[RecordT] = record_type
        with self._open() as table:
            self._rows: int = table.metadata.num_rows
            there = Counter(table.schema_arrow.names)
        self._names = [field.name for field in fields(record_type) if field.name in there]
        self._defaults = {field.name: field.default for field in fields(record_type) if field.name not in there}
        if twice := [name for name in self._names if there[name] > 1]:
            raise DataError(f"{file} has the column {', '.join(twice)} more than once; keep one of them.")
        missing = [name for name, default in self._defaults.items() if default is MISSING]
        if missing:
            raise DataError(f"{file} is no table of {record_type.__name__} records: it lacks {', '.join(missing)}.")

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[RecordT]:
        with self._open() as table, self._reading():
            yield from self._records(table.iter_batches(batch_size=ROWS_A_READ, columns=self._names))

    def between(self, first: int, end: int) -> Iterator[RecordT]:
        """Read the records from number `first` to before number `end`, and little of the file besides."""
        start = 0
        with self._open() as table, self._reading():
            for group in range(table.num_row_groups):
                rows = table.metadata.row_group(group).num_rows
                if start < end and first < start + rows:
                    batches = table.iter_batches(batch_size=ROWS_A_READ, row_groups=[group], columns=self._names)
                    yield from itertools.islice(self._records(batches), max(0, first - start), end - start)
                start += rows

    def _records(self, batches: Iterable[Any]) -> Iterator[RecordT]:
        for batch in batches:
            columns = {name: _values(batch.column(name)) for name in self._names}
            columns |= {name: [default] * batch.num_rows for name, default in self._defaults.items()}
            ordered = (columns[field.name] for field in fields(self._record_type))
            yield from (self._record_type(*row) for row in zip(*ordered, strict=True))

    def _open(self) -> Any:
        if self._file.exists() and not self._file.is_file():
            raise DataError(f"{self._file} is no file.")
        with self._reading():
            return pq.ParquetFile(self._file, page_checksum_verification=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise DataError(f"There is no table {self._file}.") from None
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self._file} cannot be read as Parquet: {error}") from None


def write_table(file: FilePath, records: Iterable[RecordT], record_type: type[RecordT]) -> int:
    """Write records to one Parquet file and return how many there were."""
    with TableWriter(file, record_type) as writer:
        writer.add(records)
    return writer.rows


def records_key(records: Iterable[RecordT]) -> str:
    """Hash the content of records, so that equal inputs are known as equal.

    A column that came later, and has a default, counts where it holds something else.
    """
    # Records are flat; `dataclasses.asdict`, which copies all that is nested, takes ten times as long.
    return content_key(
        [
            {each.name: value for each in fields(record) if (value := getattr(record, each.name)) != each.default}
            for record in records
        ]
    )


@lru_cache(maxsize=128)
def questions_key(questions: tuple[Question, ...]) -> str:
    """Hash the content of questions; the stages of a run ask this of the same ones again and again."""
    return records_key(questions)


def questions_input(questions: tuple[Question, ...]) -> dict[str, str]:
    """Name questions by their split, with the hash of their content, as what a result depends on."""
    splits = " and ".join(dict.fromkeys(question.split for question in questions))
    return {f"{splits} questions": questions_key(questions)}


def read_table(file: FilePath, record_type: type[RecordT]) -> list[RecordT]:
    """Read all records back; extra columns are ignored.

    Raises:
        DataError: If the file is missing, is not Parquet, or lacks a column.
    """
    return list(StoredTable(file, record_type))


def _values(column: Any) -> list[Any]:
    """List the values of a column. Tuples are cut out of all that they hold, several times as fast as row by row."""
    if not pa.types.is_list(column.type):
        return list(column.to_pylist())
    ends = column.offsets.to_pylist()
    first = ends[0] if ends else 0
    values = _values(column.flatten())
    return [tuple(values[start - first : end - first]) for start, end in itertools.pairwise(ends)]
