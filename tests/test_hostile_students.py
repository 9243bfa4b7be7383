"""Folders of students that are broken, endless, or made to run code: one clear error, nothing run, nothing left."""

import contextlib
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile_support import Payload, name_shard, names_below
from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.files import LARGEST_TEXT
from sert.student.load import load_student, student_key


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


def renumber(file: Path) -> None:
    content = json.loads(file.read_text())
    content["model"]["vocab"]["a"] = 99_999
    file.write_text(json.dumps(content))


STUDENTS: dict[str, Callable[[Path, Path], Any]] = {
    "pickled weights": lambda folder, executed: unload(folder, pytorch_model__bin=executed),
    "pickled shard": lambda folder, executed: name_shard(folder, "shard.bin", executed),
    "shard elsewhere": lambda folder, executed: name_shard(folder, "../outside.safetensors", executed),
    "absolute shard": lambda folder, executed: name_shard(folder, "/dev/zero", executed),
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
    "tokens beyond the model": lambda folder, _: renumber(folder / "tokenizer.json"),
    "deep tokenizer": lambda folder, _: (folder / "tokenizer.json").write_text(100_000 * "["),
    "tokenizer is a pipe": lambda folder, _: ((folder / "tokenizer.json").unlink(), os.mkfifo(folder / "vocab.json")),
    "weights are a device": lambda folder, _: (folder / "more.safetensors").symlink_to("/dev/zero"),
    "weights are a pipe": lambda folder, _: os.mkfifo(folder / "more.safetensors"),
    "weights are a folder": lambda folder, _: (folder / "more.safetensors").mkdir(),
    "a pipe beside": lambda folder, _: os.mkfifo(folder / "chat_template.jinja"),
    "a link to itself": lambda folder, _: (
        (folder / "generation_config.json").unlink(),
        (folder / "generation_config.json").symlink_to("generation_config.json"),
    ),
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
    with pytest.raises(StudentError, match=r"chat template of .* cannot be used.*student\.prompt = 'plain'"):
        load(folder)
    student = load_student(StudentConfig(path=str(folder), device="cpu", prompt="plain"))
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
