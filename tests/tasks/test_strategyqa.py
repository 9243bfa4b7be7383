import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.load import load_task

YES, NO = {"Yes": 1, "No": 0}, {"Yes": 0, "No": 1}
BIG_BENCH = {
    "name": "strategyqa",
    "examples": [
        {"input": "Is ice cold?", "target_scores": YES, "target": "Yes. It is."},
        {"input": "Can stones swim?", "target_scores": NO},
        {"input": "Is ice cold ?", "target_scores": YES},
        {"input": "Do birds fly?", "target_scores": YES},
    ],
}
RELEASE = [
    {"qid": "f1", "question": "Is ice cold?", "answer": True, "facts": []},
    {"qid": "f2", "question": "Can stones swim?", "answer": False},
]


def write(folder, content, name="task.json"):
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def load(file, **settings):
    return load_task("sqa", TaskConfig(kind="strategyqa", data=file, **settings))


def shown(data):
    return [(each.question_id, each.split, each.question, each.answer) for each in data.questions]


def test_big_bench_with_split_file(tmp_path):
    split = write(tmp_path, {"train": [3, 0], "test": [2]}, "split.json")
    data = load(write(tmp_path, BIG_BENCH), split_file=split)
    assert shown(data) == [("3", "train", "Do birds fly?", "yes"), ("2", "test", "Is ice cold ?", "yes")]
    assert data.left_out == {"train question also in the test split": 1}


def test_big_bench_alone_is_all_train(tmp_path):
    data = load(write(tmp_path, BIG_BENCH))
    assert [question.question_id for question in data.split("train")] == ["0", "1", "2", "3"]
    assert data.questions[1].answer == "no"


def test_release_file(tmp_path):
    data = load(write(tmp_path, "\ufeff" + json.dumps(RELEASE)))
    assert shown(data) == [("f1", "train", "Is ice cold?", "yes"), ("f2", "train", "Can stones swim?", "no")]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_files_of_the_hub_set(tmp_path, ending):
    rows = [{"qid": each["qid"], "question": each["question"], "answer": each["answer"]} for each in RELEASE]
    file = tmp_path / f"train.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif ending == "csv":
        file.write_text("qid,question,answer\n" + "".join(f"{','.join(map(str, row.values()))}\n" for row in rows))
    else:
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert shown(load(file)) == [("f1", "train", "Is ice cold?", "yes"), ("f2", "train", "Can stones swim?", "no")]


def test_bad_rows_are_told_at_once_and_only_where_a_split_uses_them(tmp_path):
    bad = {"input": "Is it?", "target_scores": {"Yes": 1, "No": 1}}
    file = write(tmp_path, {"examples": [*BIG_BENCH["examples"], bad, bad]})
    with pytest.raises(DataError, match=r"2 of 6 rows of sqa cannot be used.*\n.*row 4 .*\n.*row 5 "):
        load(file)
    assert len(load(file, split_file=write(tmp_path, {"train": [0], "test": [1]}, "s.json")).questions) == 2
    with pytest.raises(DataError, match=r"row 5 \(from 0\): target_scores"):
        load(file, split_file=write(tmp_path, {"train": [0, 5], "test": [1]}, "s.json"))


def test_test_file_gets_ids_of_its_own(tmp_path):
    test = write(tmp_path, {"examples": [{"input": "Is it?", "target_scores": NO}]}, "test.json")
    data = load(write(tmp_path, BIG_BENCH), test_data=test)
    assert [question.question_id for question in data.split("test")] == ["test-0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n  broken", r"task.json, line 2.*: not JSON"),
        ("", "not JSON"),
        ("{}\n{}\n", r"task.json, line 2: not JSON \(the file must be one JSON value; .* are for --task table\)"),
        ("[" * 200_000, "not usable JSON"),
        ({"rows": []}, "is no StrategyQA file"),
        ([], "holds no questions"),
        ([3], r"row 0 \(from 0\): a JSON object is needed, not 3"),
        ([{"qid": "1", "question": "Is it?", "anser": True}], "row 0 .*no column 'answer'; did you mean 'anser'"),
        ([{"qid": "1", "question": "Is it?", "answer": "maybe"}], "answer is 'maybe'; it must be yes/no or true/false"),
        ({"examples": [{"input": "Is it?", "target_scores": {"Yes": 1, "No": 1}}]}, "one of them 1, the other 0"),
        ({"examples": [{"input": "Is it?"}]}, "no column 'target_scores'"),
    ],
)
def test_bad_file(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, content))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*nothing\.json"):
        load(tmp_path / "nothing.json")


def test_file_that_is_no_text(tmp_path):
    file = tmp_path / "task.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        load(file)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": [0]}, r"keys train and test, not \['train'\]"),
        ([0], "keys train and test"),
        ({"train": [0], "test": []}, "test must be a list of row indices with at least one"),
        ({"train": [0], "test": [4]}, "test holds 4; indices go from 0 to 3"),
        ({"train": [-1], "test": [1]}, "train holds -1"),
        ({"train": [True], "test": [1]}, "train holds True"),
        ({"train": [0, 1], "test": [1]}, "row 1 is in train and again in test"),
        ({"train": [0, 0], "test": [1]}, "row 0 is in train and again in train"),
    ],
)
def test_bad_split_file(tmp_path, split, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, BIG_BENCH), split_file=write(tmp_path, split, "split.json"))
