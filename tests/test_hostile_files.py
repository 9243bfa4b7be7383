"""Files that are broken, endless, enormous or made to run code: one clear error, nothing run, nothing left."""

import contextlib
import json
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sert.config import StudentConfig, TaskConfig
from sert.config_files import load_config
from sert.errors import ConfigError, DataError, SertError, StudentError, TeacherError
from sert.files import LARGEST_TEXT, LONGEST_LINE
from sert.records import Question
from sert.student.examples import read_examples
from sert.student.load import load_student, student_key
from sert.tasks import rows
from sert.tasks.base import LONGEST_TEXT, load_task
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


def names_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


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
    (line() + b'{"question": "x"}\n', "line 2: there is no column 'answer'"),
    (line() + line(question=3), "line 2: the question must be a text, not 3"),
    (line() + line(question=True), "line 2: the question must be a text, not True"),
    (line() + line(question=None), "line 2: the question must be a text, not None"),
    (line() + line(question=float("nan")), "line 2: the question must be a text, not nan"),
    (line() + line(question=["a"]), "line 2: the question must be a text, not ['a']"),
    (line() + line(question=" \t\u2003"), "line 2: the question is empty"),
    (line() + line(answer=float("inf")), "line 2: the answer must be a text, not inf"),
    (line() + line(answer=1), "line 2: the answer must be a text, not 1"),
    (line() + line(answer=None), "line 2: the answer must be a text, not None"),
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
        (b"question;answer\nIs it?;yes\n", "there is no column 'question'"),
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
    assert says in refuse(table, tmp_path / "q.parquet", DataError)


def test_parquet_that_was_cut_or_changed_is_refused_or_read(tmp_path: Path) -> None:
    file = tmp_path / "q.parquet"
    parquet(file, {"question": [f"Is {n} odd?" for n in range(50)], "answer": 50 * ["yes"]})
    whole = file.read_bytes()
    for place in range(0, len(whole), 41):
        file.write_bytes(whole[:place])
        refuse(table, file, DataError)
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
    assert "it holds 1,000,001 rows, and at most 1,000,000" in refuse(table, tmp_path / "q.parquet", DataError)


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


# ---- students


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.fixture
def folder(student_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(student_folder, tmp_path / "s")
    return tmp_path / "s"


def load(folder: Path) -> Any:
    return load_student(StudentConfig(path=str(folder), device="cpu"))


def change(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(content | values))


def unload(folder: Path, **payloads: Path) -> None:
    """Take the weights away and put pickles there."""
    (folder / "model.safetensors").unlink()
    for name, executed in payloads.items():
        (folder / name.replace("__", ".")).write_bytes(pickle.dumps(Payload(executed)))


def add_auto_map(folder: Path, executed: Path) -> None:
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(executed)!r})\n")
    auto_map = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T", "evil.F"]}
    change(folder / "config.json", model_type="own", auto_map=auto_map)
    change(folder / "tokenizer_config.json", auto_map=auto_map, tokenizer_class="Own")


def header(folder: Path, content: dict[str, Any], *, length: int | None = None) -> None:
    text = json.dumps(content).encode()
    size = struct.pack("<Q", len(text) if length is None else length)
    (folder / "model.safetensors").write_bytes(size + text + bytes(64))


def tensor(shape: list[int], offsets: list[int]) -> dict[str, Any]:
    return {"transformer.wte.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}


def index(folder: Path, shard: str, executed: Path) -> None:
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "shard.bin").write_bytes(pickle.dumps(Payload(executed)))
    (folder.parent / "outside.safetensors").write_bytes(b"")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"transformer.wte.weight": shard}})
    )


STUDENTS: dict[str, Callable[[Path, Path], Any]] = {
    "pickled weights": lambda folder, executed: unload(folder, pytorch_model__bin=executed),
    "pickled shard": lambda folder, executed: index(folder, "shard.bin", executed),
    "shard elsewhere": lambda folder, executed: index(folder, "../outside.safetensors", executed),
    "absolute shard": lambda folder, executed: index(folder, "/dev/zero", executed),
    "index of lists": lambda folder, _: (folder / "model.safetensors.index.json").write_text("[]"),
    "code in the folder": add_auto_map,
    "header too long": lambda folder, _: header(folder, {}, length=2**63),
    "header past the end": lambda folder, _: header(folder, {}, length=10_000),
    "offsets past the end": lambda folder, _: header(folder, tensor([1000, 32], [0, 128000])),
    "offsets overlap": lambda folder, _: header(folder, tensor([4], [0, 16]) | {"b": tensor([4], [8, 24])}),
    "negative offsets": lambda folder, _: header(folder, tensor([4], [-16, 0])),
    "overflowing shape": lambda folder, _: header(folder, tensor([2**62, 2**62], [0, 16])),
    "pickle as safetensors": lambda folder, executed: (folder / "model.safetensors").write_bytes(
        pickle.dumps(Payload(executed))
    ),
    "config of a list": lambda folder, _: (folder / "config.json").write_text("[]"),
    "deep config": lambda folder, _: (folder / "config.json").write_text(100_000 * "["),
    "config of nulls": lambda folder, _: change(folder / "config.json", n_layer=None, n_head=None),
    "no heads": lambda folder, _: change(folder / "config.json", n_head=0),
    "negative layers": lambda folder, _: change(folder / "config.json", n_embd=-32),
    "unknown type": lambda folder, _: change(folder / "config.json", model_type="../../x"),
    "quantised elsewhere": lambda folder, _: change(
        folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}
    ),
    "config in latin-1": lambda folder, _: (folder / "config.json").write_bytes(b'{"a": "\xe4"}'),
    "tokenizer of a list": lambda folder, _: (folder / "tokenizer.json").write_text("[]"),
    "tokenizer of another form": lambda folder, _: (folder / "tokenizer.json").write_text('{"model": {"type": "X"}}'),
    "deep tokenizer": lambda folder, _: (folder / "tokenizer.json").write_text(100_000 * "["),
    "tokenizer is a pipe": lambda folder, _: ((folder / "tokenizer.json").unlink(), os.mkfifo(folder / "vocab.json")),
    "weights are a device": lambda folder, _: (folder / "more.safetensors").symlink_to("/dev/zero"),
    "weights are a pipe": lambda folder, _: os.mkfifo(folder / "more.safetensors"),
    "weights are a folder": lambda folder, _: (folder / "more.safetensors").mkdir(),
    "a pipe beside": lambda folder, _: os.mkfifo(folder / "chat_template.jinja"),
    "a link beside": lambda folder, _: (folder / "generation_config.json.tmp").symlink_to("generation_config.json.tmp"),
    "enormous config": lambda folder, _: os.truncate(folder / "config.json", LARGEST_TEXT + 1),
}


@pytest.mark.parametrize("name", STUDENTS)
def test_hostile_students_are_refused_and_run_nothing(name: str, folder: Path, tmp_path: Path) -> None:
    executed = tmp_path / "executed"
    STUDENTS[name](folder, executed)
    before = names_below(tmp_path)
    with pytest.raises(StudentError) as error:
        load(folder)
    assert str(folder) in str(error.value)
    assert names_below(tmp_path) == before and not executed.exists()


def test_the_payload_would_show(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "executed")))
    assert (tmp_path / "executed").is_dir()


def test_pickles_and_templates_beside_good_weights_are_never_run(folder: Path, tmp_path: Path) -> None:
    executed = tmp_path / "executed"
    for name in ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "scheduler.pt", "rng_state.pth"):
        (folder / name).write_bytes(pickle.dumps(Payload(executed)))
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{% include '/etc/passwd' %}" + f"{{{{ '{executed}' }}}}"
    change(folder / "tokenizer_config.json", chat_template=template)
    (folder / "chat_template.jinja").write_text(template)
    key = student_key(StudentConfig(path=str(folder)))
    student = load(folder)
    assert student.decode(student.encode_prompt(template)) == template
    assert len(key) == 12 and not executed.exists()


@pytest.mark.parametrize(
    "path",
    ["", "a\x00b", 5000 * "a", 300 * "b" + "/c", "../../nowhere", "~nobody-here/x", "$HOME/x", "%2e%2e/x",
     "a/../b", "-x", "a\nb", "x" * 97, "\u202e", "C:\\x", "\\\\host\\share", "http://127.0.0.1/x", "x/y/z", ".", "//"],
)  # fmt: skip
def test_names_of_students_that_are_none(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudentError):
        load_student(StudentConfig(path=path, device="cpu"))
    with contextlib.suppress(StudentError):  # the key of a hub id is known without asking for it
        student_key(StudentConfig(path=path))
    assert names_below(tmp_path) == []


# ---- as a user runs it

LAB = 'name = "x"\n[student]\npath = "lab"\n[teacher]\nkind = "lab"\n[tasks.own]\nkind = "table"\ndata = "q.jsonl"\n'


def sert(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(cwd.parent)}
    return subprocess.run(
        [sys.executable, "-m", "sert", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "pipe.toml"], 3, "it is a pipe, a socket or a device"),
        (["run", "good.toml"], 4, "q.jsonl cannot be read as UTF-8 text: it is a pipe"),
        (["train", "--examples", "q.jsonl", "--out", "o"], 4, "There are no examples at q.jsonl"),
        (["teach", "--task", "lab_choice", "--recorded", "q.jsonl", "--out", "o"], 6, "no file of recorded"),
        (["mine", "--task", "lab_choice", "--student", "./s", "--out", "o"], 5, "names 'shard.bin'"),
        (["mine", "--task", "lab_choice", "--out", 300 * "x"], 1, "File name too long"),
    ],
)
def test_a_process_ends_with_its_code(arguments: list[str], code: int, says: str, folder: Path, tmp_path: Path) -> None:
    index(folder, "shard.bin", tmp_path / "executed")
    os.mkfifo(tmp_path / "pipe.toml")
    os.mkfifo(tmp_path / "q.jsonl")
    (tmp_path / "good.toml").write_text(LAB)
    before = names_below(tmp_path)
    result = sert(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert says in result.stderr and "Traceback" not in result.stderr
    assert names_below(tmp_path) == before
