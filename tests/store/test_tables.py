import math
from pathlib import Path as FilePath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sert.errors import DataError
from sert.records import Example, Path, Question, Rationale
from sert.store.tables import read_table, records_key, write_table

PATH = Path("q\x1b[31m", 0, 1, 5, -0.5, (5, 6), (-0.5, -0.25), "a\x00b\u2028|<script>", "eos", 2, math.inf, 0.0)


def test_records_come_back_as_they_were(tmp_path: FilePath) -> None:
    file = tmp_path / "paths.parquet"
    assert write_table(file, [PATH], Path) == 1
    assert read_table(file, Path) == [PATH]


def test_missing_values_and_empty_tables_come_back(tmp_path: FilePath) -> None:
    rationale = Rationale("q", "m", "p", "t", "", None, False, None, None, "file")
    write_table(tmp_path / "r.parquet", [rationale], Rationale)
    assert read_table(tmp_path / "r.parquet", Rationale) == [rationale]
    write_table(tmp_path / "none.parquet", [], Question)
    assert read_table(tmp_path / "none.parquet", Question) == []


def test_other_tools_read_the_columns(tmp_path: FilePath) -> None:
    write_table(tmp_path / "p.parquet", [PATH], Path)
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.names[:5] == ["question_id", "branch", "sample", "first_token_id", "first_token_logprob"]
    assert schema.field("token_ids").type == pa.list_(pa.int32())


def test_extra_columns_are_ignored_and_missing_ones_named(tmp_path: FilePath) -> None:
    pq.write_table(
        pa.table({"question_id": ["q"], "prompt": ["p"], "completion": ["c"], "source": ["s"], "x": [1]}),
        tmp_path / "more.parquet",
    )
    assert read_table(tmp_path / "more.parquet", Example) == [Example("q", "p", "c", "s")]
    pq.write_table(pa.table({"question_id": ["q"], "prompt": ["p"]}), tmp_path / "less.parquet")
    with pytest.raises(DataError, match="completion, source"):
        read_table(tmp_path / "less.parquet", Example)


def test_broken_tables_are_refused(tmp_path: FilePath) -> None:
    with pytest.raises(DataError, match="There is no table"):
        read_table(tmp_path / "no.parquet", Path)
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_table(tmp_path / "text.parquet", Path)
    write_table(tmp_path / "p.parquet", [PATH] * 100, Path)
    whole = (tmp_path / "p.parquet").read_bytes()
    for position in range(4, len(whole) // 2, 97):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        (tmp_path / "p.parquet").write_bytes(bytes(flipped))
        try:
            assert read_table(tmp_path / "p.parquet", Path) == [PATH] * 100
        except DataError:
            continue


def test_equal_records_share_a_key() -> None:
    assert records_key([PATH]) == records_key([PATH])
    assert records_key([PATH]) != records_key([PATH, PATH])
