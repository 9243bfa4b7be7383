import math
from dataclasses import asdict, fields, replace
from pathlib import Path as FilePath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sert.errors import DataError
from sert.records import Example, Gain, Judgement, Output, Path, Prediction, Question, Rationale, Verdict
from sert.store import tables
from sert.store.artifacts import content_key
from sert.store.tables import StoredTable, TableWriter, read_table, records_key, schema_of, write_table
from tests_support import Census

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


SCHEMAS = {
    Question: (
        "question_id task split question: string; choices: list<item: string>; answer prompt: string; "
        "context: list<item: list<item: string>>; expression: bool"
    ),
    Path: (
        "question_id: string; branch sample first_token_id: int32; first_token_logprob: double; "
        "token_ids: list<item: int32>; logprobs: list<item: float>; text finish: string; num_tokens: int32; "
        "perplexity rep_2: double"
    ),
    Verdict: (
        "question_id: string; branch sample: int32; reason: string; num_tokens: int32; rep_2 perplexity: double; "
        "imitation option_repetition direct_response: bool; conclusion: string; agrees selected: bool; "
        "whole_characters: int32"
    ),
    Example: "question_id prompt completion source: string; path_ids: list<item: int32>; conclusion: string",
    Rationale: (
        "question_id model prompt text finish_reason extracted: string; correct: bool; "
        "prompt_tokens completion_tokens: int32; source flag: string"
    ),
    Prediction: (
        "question_id prompt completion finish: string; num_tokens: int32; answer_strict answer_loose: string; "
        "correct_strict correct_loose format_ok: bool; rep_1: double; reasoning_tokens: int32; reasoned: bool; "
        "num_outputs votes: int32"
    ),
    Output: "question_id: string; sample: int32; completion finish: string; num_tokens: int32; answer: string",
    Gain: "question_id: string; branch sample: int32; nats: double; right right_without: bool",
    Judgement: (
        "source question_id: string; repeat: int32; coherence relevance logical_consistency completeness: double; "
        "failure reply: string; branch sample: int32"
    ),
}


@pytest.mark.parametrize("record_type", SCHEMAS, ids=lambda record_type: record_type.__name__)
def test_the_columns_of_every_table(record_type: type) -> None:
    runs = (run.split(": ", 1) for run in SCHEMAS[record_type].split("; "))
    expected = [(name, column_type) for names, column_type in runs for name in names.split()]
    assert [(field.name, str(field.type)) for field in schema_of(record_type)] == expected


def test_other_tools_read_the_columns(tmp_path: FilePath) -> None:
    write_table(tmp_path / "p.parquet", [PATH], Path)
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.names[:5] == ["question_id", "branch", "sample", "first_token_id", "first_token_logprob"]
    assert schema.field("token_ids").type == pa.list_(pa.int32())


def test_what_came_later_and_says_nothing_leaves_the_keys_of_questions_alone(tmp_path: FilePath) -> None:
    plain = Question("q", "t", "train", "Is it?", ("a", "b"), "A", "P")
    passages = [
        replace(plain, context=(("passage", "One."), ("hint", ""))),
        plain,
        replace(plain, context=(("x", "y"),)),
    ]
    write_table(tmp_path / "q.parquet", passages, Question)
    assert read_table(tmp_path / "q.parquet", Question) == passages
    assert records_key([plain]) == "4ea63cbc23f7"
    assert len({records_key([each]) for each in passages}) == 3


def test_extra_columns_are_ignored_and_missing_ones_named(tmp_path: FilePath) -> None:
    pq.write_table(
        pa.table({"question_id": ["q"], "prompt": ["p"], "completion": ["c"], "source": ["s"], "x": [1]}),
        tmp_path / "more.parquet",
    )
    assert read_table(tmp_path / "more.parquet", Example) == [Example("q", "p", "c", "s")]
    pq.write_table(pa.table({"question_id": ["q"], "prompt": ["p"]}), tmp_path / "less.parquet")
    with pytest.raises(DataError, match="completion, source"):
        read_table(tmp_path / "less.parquet", Example)


def test_a_column_that_is_there_twice_is_named(tmp_path: FilePath) -> None:
    names = ["question_id", "prompt", "prompt", "completion", "source"]
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 5, names=names), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet has the column prompt more than once"):
        read_table(tmp_path / "t.parquet", Example)


def test_a_column_that_earlier_versions_did_not_write_has_its_default(tmp_path: FilePath) -> None:
    prediction = Prediction("q", "p", "c", "eos", 1, None, "yes", False, True, False, 0.0, 1, False, 5, 3)
    file = tmp_path / "predictions.parquet"
    write_table(file, [prediction], Prediction)
    assert read_table(file, Prediction) == [prediction]
    for lost, default in (("num_outputs", 1), ("votes", 1)):
        pq.write_table(pq.read_table(file).drop_columns(lost), tmp_path / "old.parquet")
        assert read_table(tmp_path / "old.parquet", Prediction) == [replace(prediction, **{lost: default})]


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
    assert records_key([PATH]) == records_key([PATH]) == content_key([asdict(PATH)])
    assert records_key([PATH]) != records_key([PATH, PATH])


# ---- some rows at a time


def paths(number: int) -> list[Path]:
    lengths = [(7 * index) % 5 for index in range(number)]
    return [
        Path(f"q{index}", index, 0, 5, None, (index,) * length, (-0.5,) * length, f"t{index}", "eos", length, 1.0, 0.0)
        for index, length in enumerate(lengths)
    ]


@pytest.mark.parametrize("rows", [0, 1, 6, 7, 20])
@pytest.mark.parametrize(("group", "read"), [(1, 1), (3, 2), (7, 5), (2048, 512)])
def test_rows_keep_their_order_whatever_is_written_and_read_at_a_time(
    group: int, read: int, rows: int, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS_A_GROUP", group)
    monkeypatch.setattr(tables, "ROWS_A_READ", read)
    file = tmp_path / "p.parquet"
    assert write_table(file, iter(paths(rows)), Path) == rows
    assert pq.ParquetFile(file).num_row_groups == max(1, math.ceil(rows / group))
    assert read_table(file, Path) == paths(rows)
    stored = StoredTable(file, Path)
    assert (len(stored), list(stored), list(stored)) == (rows, paths(rows), paths(rows))


def test_a_part_of_the_rows_is_read_wherever_row_groups_end(
    tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 3)
    monkeypatch.setattr(tables, "ROWS_A_READ", 2)
    paths = [replace(PATH, sample=number) for number in range(8)]
    write_table(tmp_path / "paths.parquet", paths, Path)
    table = StoredTable(tmp_path / "paths.parquet", Path)
    for first in range(9):
        for end in range(first, 10):
            assert list(table.between(first, end)) == paths[first:end], (first, end)


def test_records_that_are_added_bit_by_bit_are_one_table(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 4)
    with TableWriter(tmp_path / "p.parquet", Path) as writer:
        for start in (0, 3, 5):
            writer.add(paths(10)[start : {0: 3, 3: 5, 5: 10}[start]])
    assert (writer.rows, read_table(tmp_path / "p.parquet", Path)) == (10, paths(10))


def test_few_records_are_held_at_a_time(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 8)
    monkeypatch.setattr(tables, "ROWS_A_READ", 4)
    values = [[getattr(path, field.name) for field in fields(Path)] for path in paths(100)]
    written, read = Census(), Census()
    write_table(tmp_path / "p.parquet", map(written.of(Path), *zip(*values, strict=True)), Path)
    assert 8 <= written.most <= 10
    assert sum(path.num_tokens for path in StoredTable(tmp_path / "p.parquet", read.of(Path))) == 200
    assert 1 <= read.most <= 6
