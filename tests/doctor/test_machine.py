import pytest

from sert.doctor.machine import check_cache, check_memory, examine_machine
from sert.student.kernels import compiled
from sert.student.main_memory import MainMemory


def test_the_machine_is_examined_as_students_are_loaded(tmp_path):
    findings = {finding.name: finding for finding in examine_machine(tmp_path)}
    assert list(findings) == [
        *("python", "packages", "cores", "memory", "disk", "accelerator", "compiler", "compiled loops"),
        *("fast dtype", "hub", "gguf cache"),
    ]
    assert not {"problem"} & {finding.verdict for finding in findings.values()}
    kernels = compiled()
    assert findings["compiled loops"].verdict == ("warning" if kernels is None else "ok")
    assert kernels is None or f"made for {kernels.instructions};" in findings["compiled loops"].message
    if kernels is not None and kernels.has_integers and "none" in findings["accelerator"].message:
        fast = "bfloat16x2, int16, " if kernels.has_tiles else "int16, "
        assert findings["fast dtype"].message.startswith(fast)


def test_packages_are_named_with_their_versions(tmp_path):
    import torch
    import transformers

    message = {finding.name: finding.message for finding in examine_machine(tmp_path)}["packages"]
    assert f"torch {torch.__version__}" in message and f"transformers {transformers.__version__}" in message


@pytest.mark.parametrize(("available", "verdict"), [(1_950_000_000, "warning"), (2_050_000_000, "ok")])
def test_little_memory_is_a_warning(available, verdict):
    found = check_memory(MainMemory(16_400_000_000, available))
    assert found.verdict == verdict
    assert "of 16.4 GB available" in found.message


def test_memory_that_nobody_tells_of_is_unknown():
    assert check_memory(None).verdict == "unknown"


def test_the_place_and_the_size_of_converted_students_are_told(tmp_path):
    place = tmp_path / "sert/gguf"
    assert check_cache(place).message == f"empty; GGUF files are converted into {place}"
    (place / "0123-4567").mkdir(parents=True)
    with (place / "0123-4567/model.safetensors").open("wb") as file:
        file.truncate(1_340_000_000)
    assert check_cache(place).message.startswith(f"1.3 GB of converted GGUF files in {place}: remove it when you want")


@pytest.mark.parametrize(
    ("compiler", "says"), [("no-such-compiler -O2", "'no-such-compiler'"), ("gcc '", "cannot be read")]
)
def test_a_missing_compiler_is_a_warning(compiler, says, tmp_path, monkeypatch):
    compiled()  # with the compiler of this machine; it is asked for once a process
    monkeypatch.setenv("CC", compiler)
    found = {finding.name: finding for finding in examine_machine(tmp_path)}["compiler"]
    assert found.verdict == "warning" and says in found.message


@pytest.mark.parametrize(("value", "says"), [("1", "cache only"), ("true", "cache only"), ("0", "downloaded")])
def test_whether_the_hub_is_asked(value, says, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    found = {finding.name: finding for finding in examine_machine(tmp_path)}["hub"]
    assert says in found.message
