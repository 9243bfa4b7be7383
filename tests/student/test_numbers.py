"""With which numbers a process computes, and what another machine needs of a student."""

import json
import shutil
from pathlib import Path

import pytest

from sert.config.tree import StudentConfig
from sert.store.shipping import unpacked
from sert.student.folder import LAB_STUDENT
from sert.student.load import student_key
from sert.student.numbers import instructions, numbers_of, student_parcels, threads_of

LAB = StudentConfig(path="lab", device="cpu", num_threads=1)
CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: Some Processor
flags\t\t: fpu sse2 avx2 fma avx512_bf16 avx512f amx_tile

processor\t: 1
vendor_id\t: Other
flags\t\t: sse2
"""


def test_instructions_name_maker_and_what_multiplies(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    told = instructions("AVX512", tmp_path / "cpuinfo")
    assert told == "AVX512 (AuthenticAMD: amx_tile avx2 avx512_bf16 avx512f fma)"
    assert instructions("DEFAULT", tmp_path / "nothing") == "DEFAULT (unknown maker: )"


def test_numbers_are_those_that_results_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("MKL_CBWR", raising=False)
    before = numbers_of([LAB], threads=1)
    assert before.keys() == {"torch", "device", "instructions", "threads"}
    assert (before["torch"], before["device"], before["threads"]) == (torch.__version__, "cpu", "1")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert numbers_of([LAB], threads=2) == before | {"threads": "2", "variables": "MKL_CBWR=COMPATIBLE"}


def test_threads_are_those_of_the_settings_else_torchs() -> None:
    import torch

    assert threads_of([LAB, LAB.model_copy(update={"num_threads": 3})]) == 3
    assert threads_of([LAB.model_copy(update={"num_threads": None})]) == torch.get_num_threads()


def test_students_that_everybody_has_are_not_sent() -> None:
    assert student_parcels(LAB) == {}
    assert student_parcels(StudentConfig(path="gpt2")) == {}


def sent(student: StudentConfig) -> StudentConfig:
    ((path, parcel),) = student_parcels(student).items()
    assert path == student.path
    place = unpacked(parcel, lambda key, name, start: parcel.read(name, start))
    return student.model_copy(update={"path": str(place)})


def test_a_folder_is_the_same_student_where_it_arrives(
    student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = StudentConfig(path=str(student_folder))
    assert student_key(sent(here)) == student_key(here)


@pytest.mark.parametrize("base", ["lab", "folder"])
def test_an_adapter_brings_its_base(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(LAB_STUDENT, folder)
    adapter.mkdir()
    named = str(LAB_STUDENT if base == "lab" else folder)
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": named}))
    shutil.copyfile(folder / "model.safetensors", adapter / "adapter_model.safetensors")
    here = StudentConfig(path=str(adapter))
    there = sent(here)
    assert student_key(there) == student_key(here)
    shutil.rmtree(folder)
    assert (Path(there.path) / "base").is_dir() == (base == "folder")
    student_key(there)  # its base is beside it
