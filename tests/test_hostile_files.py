"""Files that are broken, endless, enormous or made to run code: one clear error, nothing run, nothing left."""

import json
import os
import pickle
import shutil
import socket
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import sert
from hostile_support import name_shard, names_below
from sert.config.load import load_config
from sert.config.tree import TaskConfig
from sert.errors import ConfigError, DataError, SertError, TeacherError
from sert.files import LONGEST_LINE
from sert.records import Question
from sert.student.training.examples import read_examples
from sert.tasks.load import LONGEST_TEXT, load_task
from sert.teacher.recorded import read_recorded

ROW = {"question_id": "a", "question": "Is ice cold?", "answer": "yes"}
QUESTION = Question("a", "t", "train", "Is ice cold?", (), "yes", "Question: Is ice cold?\nAnswer:")
Read = Callable[[Path], Any]


def table(file: Path) -> Any:
    return load_task("t", TaskConfig.model_validate({"kind": "table", "data": file}))


def kind(name: str) -> Read:
    return lambda file: load_task("t", TaskConfig.model_validate({"kind": name, "data": file}))


# Every door for a file: how it is read, the ending that its name needs, and the error it refuses with.
DOORS: dict[str, tuple[Read, str, type[SertError]]] = {
    "questions.jsonl": (table, ".jsonl", DataError),
    "questions.csv": (table, ".csv", DataError),
    "questions.parquet": (table, ".parquet", DataError),
    "strategyqa": (kind("strategyqa"), ".json", DataError),
    "commonsenseqa": (kind("commonsenseqa"), ".jsonl", DataError),
    "examples.jsonl": (read_examples, ".jsonl", DataError),
    "examples.parquet": (read_examples, ".parquet", DataError),
    "recorded.log": (lambda file: read_recorded(file, [QUESTION]), ".log", TeacherError),
    "recorded.jsonl": (lambda file: read_recorded(file, [QUESTION]), ".jsonl", TeacherError),
    "recorded.json": (lambda file: read_recorded(file, [QUESTION]), ".json", TeacherError),
    "config": (load_config, ".toml", ConfigError),
}


def make_folder(file: Path) -> None:
    file.mkdir()


def make_pipe(file: Path) -> None:
    os.mkfifo(file)


def make_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(file))


def make_zeros(file: Path) -> None:
    file.symlink_to("/dev/zero")


def make_loop(file: Path) -> None:
    file.symlink_to(file.name)


def make_nothing(file: Path) -> None:
    pass


def make_dangling(file: Path) -> None:
    file.symlink_to("nowhere")


def make_enormous(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(2**40)


NO_FILES = [
    make_folder, make_pipe, make_socket, make_zeros, make_loop, make_nothing, make_dangling, make_enormous,
]  # fmt: skip


def refuse(read: Read, file: Path, expected: type[SertError]) -> str:
    """Read a file that must be refused; return the message, which names the file."""
    with pytest.raises(expected) as error:
        read(file)
    assert file.name in str(error.value)
    assert len(str(error.value)) < 1500
    return str(error.value)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("make", NO_FILES, ids=lambda make: make.__name__)
def test_what_is_no_plain_file_is_refused_at_every_door(
    door: str, make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket has to be short
    read, ending, expected = DOORS[door]
    file = tmp_path / f"f{ending}"
    make(file)
    before = names_below(tmp_path)
    tracemalloc.start()
    refuse(read, file, expected)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert names_below(tmp_path) == before


TEXTS = {
    "empty": b"",
    "blank": b"\n\n  \n",
    "UTF-16": json.dumps(ROW).encode("utf-16"),
    "UTF-16 without mark": json.dumps(ROW).encode("utf-16-le"),
    "latin-1": '{"question": "Wie heißt er?"}\n'.encode("latin-1"),
    "zeros": bytes(1000),
    "open object": b'{"question": "Is ice cold?", "answer": ',
    "open text": b'{"question": "Is ice',
    "list": b"[1, 2]\n",
    "null": b"null\n",
    "number": b"3\n",
    "NaN": b"NaN\n",
    "text": b'"x"\n',
    "deep list": 100_000 * b"[",
    "deep object": 100_000 * b'{"a":',
    "deep and closed": b'{"question": ' + 900 * b"[" + 900 * b"]" + b', "answer": "yes"}',
    "long number": b'{"question": ' + 5000 * b"9" + b"}",
    "HTML": b"<!doctype html><title>404</title>",
    "gzip": b"\x1f\x8b\x08\x00" + zlib.compress(bytes(1000)),
    "pickle": pickle.dumps(ROW),
    "Parquet's name alone": b"PAR1",
    "truncated Parquet": b"PAR1" + 100 * b"\x15" + b"PAR1",
    "single quotes": b"{'question': 'Is ice cold?'}",
    "trailing comma": b'{"question": "Is ice cold?",}\n',
    "two objects": b'{"question": "a"} {"question": "b"}\n',
}


@pytest.mark.parametrize("door", [door for door in DOORS if door != "config"])
@pytest.mark.parametrize("name", TEXTS)
def test_malformed_files_are_refused_at_every_door(door: str, name: str, tmp_path: Path) -> None:
    read, ending, expected = DOORS[door]
    file = tmp_path / f"f{ending}"
    file.write_bytes(TEXTS[name])
    if door == "recorded.jsonl" and name in ("empty", "blank"):
        assert read(file).rationales == []  # `teach` says that nothing is there
        return
    refuse(read, file, expected)
    assert names_below(tmp_path) == [file.name]


def line(**changed: Any) -> bytes:
    return json.dumps(ROW | changed).encode() + b"\n"


ROWS = [
    (line() + b'{"question": }\n' + line(), "line 2, column 14: not JSON (Expecting value)"),
    (line() + b'{"question": "x"}\n', "line 2: there is no column 'answer'"),
    (line() + line(question=3), "line 2: the question must be a text, not 3"),
    (line() + line(question=True), "line 2: the question must be a text, not True"),
    (line() + line(question=None), "line 2: the question must be a text, not None"),
    (line() + line(question=float("nan")), "line 2: the question must be a text, not nan"),
    (line() + line(question=["a"]), "line 2: the question must be a text, not ['a']"),
    (line() + line(question=" \t\u2003"), "line 2: the question is empty"),
    (line() + line(answer=float("inf")), "line 2: the answer must be a text, not inf"),
    (line() + line(answer={"a": 1}), "line 2: the answer must be a text, a number, true or false, not {'a': 1}"),
    (line() + line(answer=None), "line 2: the answer is empty"),
    (line() + line(question="x" * (LONGEST_TEXT + 1)), "has 131,073 characters; 131,072 are allowed"),
    (line() + b'{"x": "' + LONGEST_LINE * b"x" + b'"}', "line 2 has more than 4,194,304 bytes"),
    (line() + line(question="a\ud800"), "line 2: the question 'a\\ud800' holds half a character"),
    (line() + b'{"question": "\xff"}', "line 2 is not UTF-8 text (byte 0xff)"),
]


@pytest.mark.parametrize(("content", "says"), ROWS, ids=[says[:40] for _, says in ROWS])
def test_bad_rows_are_named(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(content)
    assert says in refuse(table, tmp_path / "q.jsonl", DataError)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["a", "a"], "line 2: the id 'a' was given already, by"),
        (["1", 1], "line 2: the id '1' was given already"),
        (["a", " a "], "line 2: the id 'a' was given already"),
        (["a", True], "line 2: the id must be a text, not True"),
        (["a", 1.0], "line 2: the id must be a text, not 1.0"),
        (["a", None], "line 2: the id must be a text, not None"),
        (["a", {"b": 1}], "line 2: the id must be a text, not {'b': 1}"),
        (["a", "\ud83d"], "half a character"),
        (["a", ""], "line 2: the id is empty"),
    ],
)
def test_ids_never_collide(ids: list[Any], says: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(ROW | {"question_id": each}) + "\n" for each in ids))
    config = {"kind": "table", "data": tmp_path / "q.jsonl", "columns": {"question_id": "question_id"}}
    with pytest.raises(DataError) as error:
        load_task("t", TaskConfig.model_validate(config))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"question,answer\n" + (LONGEST_TEXT + 1) * b"x" + b",yes\n", "field larger than field limit (131072)"),
        (b"question,answer\n" + (LONGEST_LINE + 1) * b"x", "line 2 has more than 4,194,304 bytes"),
        (b'question,answer\n"' + 200_000 * b"x\n", "field larger than field limit (131072)"),
        (b"question,answer,answer\nIs it?,yes,no\n", "the header names 'answer' twice"),
        (b"question,answer\nIs it?\n", "the number of fields"),
        (b"question:answer\nIs it?:yes\n", "there is no column 'question'"),
        (b'question,answer\n"Is" it?,yes\n', "not CSV"),
    ],
)
def test_bad_csv_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_bytes(content)
    assert says in refuse(table, tmp_path / "q.csv", DataError)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends_are_read_and_none_is_changed_inside_a_cell(ends: bytes, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_bytes(
        b"\xef\xbb\xbf" + ends.join([b"question,answer", b'"Is\rit\r\n?",yes', b'"Was it?",no', b""])
    )
    assert [each.question for each in table(tmp_path / "q.csv").questions] == ["Is\rit\r\n?", "Was it?"]
    two = [line(question=text).rstrip() for text in ("Is it?", "Was it?")]
    (tmp_path / "q.jsonl").write_bytes(b"\xef\xbb\xbf" + ends.join([*two, b"", b""]))
    assert [each.question for each in table(tmp_path / "q.jsonl").questions] == ["Is it?", "Was it?"]


def test_a_long_line_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    for name in ("q.jsonl", "q.csv"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(100 * 2**20)
        tracemalloc.start()
        assert "line 1 has more than 4,194,304 bytes" in refuse(table, tmp_path / name, DataError)
        assert tracemalloc.get_traced_memory()[1] < 4 * LONGEST_LINE
        tracemalloc.stop()


def test_split_files_are_checked_like_question_files(tmp_path: Path) -> None:
    data = tmp_path / "d.json"
    data.write_text(json.dumps([{"qid": "a", "question": "Is ice cold?", "answer": True}]))
    for content in (b"", b"[]", b'{"train": [0], "test": [1e99]}', b'{"train": [true], "test": [0]}', 99999 * b"["):
        (tmp_path / "s.json").write_bytes(content)
        config = {"kind": "strategyqa", "data": data, "split_file": tmp_path / "s.json"}
        with pytest.raises(DataError, match=r"s\.json"):
            load_task("t", TaskConfig.model_validate(config))


# ---- as a user runs it

LAB = 'name = "x"\n[student]\npath = "lab"\n[teacher]\nkind = "lab"\n[tasks.own]\nkind = "table"\ndata = "q.jsonl"\n'


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "pipe.toml"], 3, "it is a pipe, a socket or a device"),
        (["run", "good.toml"], 4, "q.jsonl cannot be read as UTF-8 text: it is a pipe"),
        (["train", "--examples", "q.jsonl", "--out", "o"], 4, "There are no examples at q.jsonl"),
        (["teach", "--task", "lab_choice", "--recorded", "q.jsonl", "--out", "o"], 6, "no file of recorded"),
        (["mine", "--task", "lab_choice", "--student", "./s", "--out", "o"], 5, "names 'shard.bin'"),
        (["mine", "--task", "lab_choice", "--out", 300 * "x"], 9, "File name too long"),
    ],
)
def test_a_process_ends_with_its_code(
    arguments: list[str], code: int, says: str, student_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(student_folder, tmp_path / "s")
    name_shard(tmp_path / "s", "shard.bin", tmp_path / "executed")
    os.mkfifo(tmp_path / "pipe.toml")
    os.mkfifo(tmp_path / "q.jsonl")
    (tmp_path / "good.toml").write_text(LAB)
    before = names_below(tmp_path)
    result = sert(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert says in result.stderr and "Traceback" not in result.stderr
    assert names_below(tmp_path) == before
