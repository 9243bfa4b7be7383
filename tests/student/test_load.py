import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.store.artifacts import file_hash
from sert.student import weights
from sert.student.folder import find_student
from sert.student.load import load_student, load_texts, make_student, student_key
from tests_support import make_tokenizer, tiny_gpt2


@pytest.fixture
def copy(student_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(student_folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_folder_loads(student_folder: Path) -> None:
    student = load_student(StudentConfig(path=str(student_folder), device="cpu", dtype="bfloat16"))
    assert student.model.dtype == torch.bfloat16
    assert (student.eos_ids, student.max_positions) == ((0,), 192)
    assert not student.model.training
    assert student.decode(student.encode_prompt(" a  b .")) == " a  b ."


def test_threads_can_be_set(student_folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        load_student(StudentConfig(path=str(student_folder), device="cpu", num_threads=before + 1))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_key_names_content_and_not_place(student_folder: Path, copy: Path) -> None:
    def key(folder: Path, dtype: str = "float32") -> str:
        return student_key(StudentConfig.model_validate({"path": str(folder), "dtype": dtype}))

    assert key(copy) == key(student_folder) != key(copy, "bfloat16")
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    assert key(copy) != key(student_folder)


def test_a_student_is_hashed_once_a_process_and_again_when_it_has_changed(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, hashed = StudentConfig(path=str(copy)), list[str]()
    monkeypatch.setattr(weights, "file_hash", lambda file: hashed.append(file.name) or file_hash(file))
    before = student_key(student)
    once = len(hashed)
    assert student_key(student) == before and len(hashed) == once > 2
    changed = bytearray((copy / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (copy / "model.safetensors").write_bytes(changed)
    assert student_key(student) != before
    assert hashed[once:] == ["model.safetensors"]


@pytest.mark.parametrize("name", ["no/such/student", "./nobody", "/nobody"])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(StudentError, match="There is no student folder"):
        find_student(StudentConfig(path=name))


@pytest.mark.parametrize(
    ("missing", "says"),
    [("config.json", "no config.json"), ("tokenizer.json", "no tokenizer"), ("model.safetensors", "safetensors")],
)
def test_an_incomplete_folder_is_refused_before_loading(copy: Path, missing: str, says: str) -> None:
    (copy / missing).unlink()
    with pytest.raises(StudentError, match=says):
        find_student(StudentConfig(path=str(copy)))


def test_pickled_weights_are_never_loaded(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(StudentError, match="Pickled checkpoints are not loaded"):
        load_student(StudentConfig(path=str(copy)))


def test_a_folder_that_asks_for_remote_code_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text("raise SystemExit('executed')")
    with pytest.raises(StudentError, match="cannot be loaded"):
        load_student(StudentConfig(path=str(copy)))


def test_a_broken_weights_file_is_one_clear_error(copy: Path) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudentError, match="cut off"):
        load_student(StudentConfig(path=str(copy)))


def test_a_tokenizer_larger_than_the_model_is_refused() -> None:
    with pytest.raises(StudentError, match="do not belong together"):
        make_student(tiny_gpt2(100), make_tokenizer(), name="x")


def test_weights_that_lack_a_tensor_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["transformer.h.0.mlp.c_fc.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StudentError, match=r"incomplete: transformer\.h\.0\.mlp\.c_fc\.weight"):
        load_student(StudentConfig(path=str(copy), device="cpu"))


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"n_embd": 64}))
    with pytest.raises(StudentError, match="cannot be loaded"):
        load_student(StudentConfig(path=str(copy), device="cpu"))


def test_a_device_that_is_not_there_is_refused(student_folder: Path) -> None:
    for name in ("nonsense", "cuda:99"):
        with pytest.raises(StudentError, match=name):
            load_student(StudentConfig(path=str(student_folder), device=name))


def test_docstrings_that_python_left_out_are_missed_with_what_mends_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "tokenizer.json").write_text("{}")
    monkeypatch.setattr("sert.student.load.sys", SimpleNamespace(flags=SimpleNamespace(optimize=2)))
    with pytest.raises(StudentError, match="Unset PYTHONOPTIMIZE, or leave out -OO"):
        load_texts(StudentConfig(path=str(copy)))


def test_a_tokenizer_saves_nothing_of_how_it_was_loaded(
    student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    texts = load_texts(StudentConfig(path=str(student_folder)))
    texts.tokenizer.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert not {"is_local", "local_files_only"} & saved.keys()
