"""All tables of a result as Parquet or JSONL, with a data card."""

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from sert.errors import DataError
from sert.export.markdown import as_code
from sert.export.sources import Source
from sert.export.writing import Exported
from sert.store.disk import writing
from sert.store.tables import ROWS_A_READ

KINDS = ("mine", "filter", "teach", "train", "evaluate", "likelihood", "gain", "judge")
USE = (
    "One file a table: `datasets.load_dataset(FOLDER, NAME)` reads each by its name. The columns are described in "
    "`docs/data.md` of sert. Shares and accuracies are 0 to 1, log-probabilities natural logs under the untempered, "
    "untruncated student; token ids are the truth, text is for people. In JSONL, numbers that are not finite (the "
    "perplexity of an empty path) are null."
)

Form = Literal["parquet", "jsonl"]


def write_tables(source: Source, folder: Path, *, form: Form) -> Exported:
    """Write every table of a result.

    Raises:
        DataError: If it has none, or one cannot be read.
    """
    found = sorted(source.artifact.folder.glob("*.parquet"))
    if not found:
        raise DataError(f"{source.name} holds no table.")
    files, told = dict[str, str](), list[str]()
    for table in found:
        files[table.stem] = f"{source.name}.{table.stem}.{form}"
        told.append(_write(table, folder / files[table.stem], form=form))
    return Exported(source, files, told)


def _write(table: Path, file: Path, *, form: Form) -> str:
    """Write one table, and say what it holds."""
    with opened_table(table) as opened, writing(file.parent):
        if form == "parquet":
            shutil.copyfile(table, file)
        else:
            with file.open("w", encoding="utf-8") as stream:
                stream.writelines(_lines(opened))
        return contents(table.stem, opened)


@contextmanager
def opened_table(table: Path) -> Iterator[Any]:
    """Open a table; its pages are checked as they are read.

    Raises:
        DataError: If it cannot be read, here or where it is used.
    """
    try:
        with pq.ParquetFile(table, page_checksum_verification=True) as opened:
            yield opened
    except pa.ArrowException as error:
        raise DataError(f"{table} cannot be read as Parquet: {error}") from None


def contents(name: str, opened: Any) -> str:
    """Say how many rows a table has, and which columns, in Markdown."""
    columns = ", ".join(map(as_code, opened.schema_arrow.names))
    return f"{as_code(name)}: {opened.metadata.num_rows:,} rows, columns {columns}"


def _lines(table: Any) -> Iterator[str]:
    for batch in table.iter_batches(batch_size=ROWS_A_READ):
        for row in batch.to_pylist():
            yield json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """Write null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
