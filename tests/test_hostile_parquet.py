"""Parquet files of wrong types, cut, changed, or larger than they look: one clear error in bounded memory."""

import contextlib
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks import readers as rows
from sert.tasks.load import LONGEST_TEXT, load_task


def table(file: Path) -> Any:
    return load_task("t", TaskConfig.model_validate({"kind": "table", "data": file}))


def refuse(file: Path) -> str:
    with pytest.raises(DataError) as error:
        table(file)
    assert file.name in str(error.value) and len(str(error.value)) < 1500
    return str(error.value)


def parquet(file: Path, columns: dict[str, Any], **options: Any) -> None:
    pq.write_table(pa.table(columns), file, **options)


YES = pa.array(["yes"])
PARQUET = [
    ({"question": pa.array([3]), "answer": YES}, "row 1: the question must be a text, not 3"),
    ({"question": pa.array([b"\xff\xfe"]), "answer": YES}, r"must be a text, not b'\xff\xfe'"),
    ({"question": pa.array([None], pa.string()), "answer": YES}, "must be a text, not None"),
    ({"question": pa.array([["a"]]), "answer": YES}, "must be a text, not ['a']"),
    ({"question": pa.array([float("nan")]), "answer": YES}, "must be a text, not nan"),
    ({"question": pa.array([2**62], pa.timestamp("ms")), "answer": YES}, "cannot be read as Parquet"),
    ({"question": pa.array(["x" * (LONGEST_TEXT + 1)]), "answer": YES}, "131,072 are allowed"),
    ({"answer": YES}, "there is no column 'question'"),
    ({"question": pa.array([], pa.string())}, "holds no questions"),
    (
        {"question": pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(struct.pack("ii", 0, 1)),
                                                           pa.py_buffer(b"\xff")]), "answer": YES},
        "cannot be read as Parquet",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "says"), PARQUET, ids=range(len(PARQUET)))
def test_parquet_of_wrong_types_is_named(columns: dict[str, Any], says: str, tmp_path: Path) -> None:
    parquet(tmp_path / "q.parquet", columns)
    assert says in refuse(tmp_path / "q.parquet")


def test_parquet_that_was_cut_or_changed_is_refused_or_read(tmp_path: Path) -> None:
    file = tmp_path / "q.parquet"
    parquet(file, {"question": [f"Is {n} odd?" for n in range(50)], "answer": 50 * ["yes"]})
    whole = file.read_bytes()
    for place in range(0, len(whole), 41):
        file.write_bytes(whole[:place])
        refuse(file)
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        with contextlib.suppress(DataError):  # a changed byte may go unnoticed; nothing else may be raised
            table(file)


@pytest.mark.parametrize(("cells", "size", "groups"), [(1, 2**28, 5), (100, 100_000, 120)])
def test_parquet_that_unpacks_to_too_much_is_refused_in_bounded_memory(
    cells: int, size: int, groups: int, tmp_path: Path
) -> None:
    """Large cells, and one cell that is stored once and stands in every row."""
    file = tmp_path / "bomb.parquet"
    piece = pa.table({"question": pa.array(cells * [size * b"0"], pa.binary())})
    options = {"compression": "lz4", "use_dictionary": cells > 1, "write_statistics": False}
    with pq.ParquetWriter(file, piece.schema, **options) as writer:
        for _ in range(groups):
            writer.write_table(piece)
    assert file.stat().st_size < 2**23
    del piece
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb.parquet cannot be read as Parquet: it unpacks to more than 1,073,741,8"):
        for _ in rows.read_parquet(file):
            pass
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_rows_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="q holds more than 1,000,000 rows, the most that are read; split it"):
        for _ in rows.bounded(range(rows.MOST_ROWS + 1), "q"):
            pass
    pq.write_table(pa.table({"question": pa.nulls(rows.MOST_ROWS + 1, pa.string())}), tmp_path / "q.parquet")
    assert "it holds 1,000,001 rows, and at most 1,000,000" in refuse(tmp_path / "q.parquet")
