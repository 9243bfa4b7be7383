"""Parquet tables of records: zstd, page checksums, one fixed schema a record type."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path as FilePath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from sert.errors import DataError
from sert.records import Example, Path, Prediction, Question, Rationale, Verdict
from sert.store.artifacts import content_key

RecordT = TypeVar("RecordT", Question, Path, Verdict, Example, Rationale, Prediction)

_STRING, _INT, _FLOAT, _BOOL = pa.string(), pa.int32(), pa.float64(), pa.bool_()
_COLUMN_TYPES: dict[str, pa.DataType] = {
    "choices": pa.list_(_STRING),
    "token_ids": pa.list_(_INT),
    "logprobs": pa.list_(pa.float32()),
    **dict.fromkeys(("branch", "sample", "first_token_id", "num_tokens", "reasoning_tokens"), _INT),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), _INT),
    **dict.fromkeys(("first_token_logprob", "perplexity", "rep_1", "rep_2"), _FLOAT),
    **dict.fromkeys(("imitation", "option_repetition", "direct_response", "agrees", "selected", "correct"), _BOOL),
    **dict.fromkeys(("correct_strict", "correct_loose", "format_ok", "reasoned"), _BOOL),
}


def schema_of(record_type: type) -> pa.Schema:
    """Build the Arrow schema of a record type; columns without an entry of their own are strings."""
    return pa.schema([(field.name, _COLUMN_TYPES.get(field.name, _STRING)) for field in fields(record_type)])


def write_table(file: FilePath, records: Iterable[RecordT], record_type: type[RecordT]) -> int:
    """Write records to one Parquet file and return how many there were."""
    schema = schema_of(record_type)
    rows = list(records)
    columns = [pa.array([getattr(row, name) for row in rows], schema.field(name).type) for name in schema.names]
    table = pa.Table.from_arrays(columns, schema=schema)
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)
    return len(rows)


def records_key(records: Iterable[RecordT]) -> str:
    """Hash the content of records, so that equal inputs are known as equal."""
    return content_key([asdict(record) for record in records])


def read_table(file: FilePath, record_type: type[RecordT]) -> list[RecordT]:
    """Read records back; extra columns are ignored.

    Raises:
        DataError: If the file is missing, is not Parquet, or lacks a column.
    """
    names = schema_of(record_type).names
    try:
        table = pq.read_table(file, page_checksum_verification=True)
    except FileNotFoundError:
        raise DataError(f"There is no table {file}.") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from None
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise DataError(f"{file} is no table of {record_type.__name__} records: it lacks {', '.join(missing)}.")
    return list(_records(table.select(names), record_type))


def _records(table: pa.Table, record_type: type[RecordT]) -> Iterator[RecordT]:
    tuples = [name for name in table.column_names if pa.types.is_list(table.schema.field(name).type)]
    row: dict[str, Any]
    for row in table.to_pylist():
        for name in tuples:
            row[name] = tuple(row[name])
        yield record_type(**row)
