"""`examples/write_gguf.py`: what it writes is read back as the same student, answer for answer."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("gguf")

import sert.lab
from sert.config.tree import EvaluationConfig, StudentConfig, TaskConfig
from sert.evaluation.prediction import evaluate
from sert.records import Prediction
from sert.store.tables import read_table
from sert.student.load import Student, load_student
from sert.tasks.load import load_task
from tests_support import tiny_llama

STUDENT = Path(sert.lab.__file__).parent / "student"
SCRIPT = Path(__file__).parents[2] / "examples" / "write_gguf.py"
QUESTIONS = load_task("lab", TaskConfig(kind="lab_choice", limit=20)).split("test")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(student: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(student), str(out), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answers(path: Path, out: Path) -> list[str]:
    config = EvaluationConfig(max_new_tokens=48)
    done = evaluate(QUESTIONS, StudentConfig(path=str(path), device="cpu", num_threads=1), out=out, config=config)
    return [each.completion for each in read_table(done.file("predictions.parquet"), Prediction)]


@pytest.fixture(scope="module")
def lab() -> Student:
    return load_student(StudentConfig(path="lab", device="cpu"))


def save_llama(student: Student, folder: Path) -> Path:
    """A tiny Llama with random weights, and the lab's tokenizer."""
    model = tiny_llama(len(student.tokenizer))
    model.config.bos_token_id = model.config.eos_token_id = model.generation_config.eos_token_id = student.eos_ids[0]
    model.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", [pytest.param("gpt2", marks=pytest.mark.slow), "llama"])
def test_twenty_greedy_answers_are_the_same(kind: str, lab: Student, tmp_path: Path) -> None:
    folder = STUDENT if kind == "gpt2" else save_llama(lab, tmp_path / "llama")
    done = write(folder, tmp_path / "it.gguf")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'it.gguf'}: {kind}, ")
    expected = answers(folder, tmp_path / "expected")
    assert answers(tmp_path / "it.gguf", tmp_path / "found") == expected
    assert len(set(expected)) > 5


@pytest.mark.slow
def test_halves_are_nearly_the_same_student(lab: Student, tmp_path: Path) -> None:
    folder = save_llama(lab, tmp_path / "llama")
    assert write(folder, tmp_path / "it.gguf", "--type", "F16").returncode == 0
    tokens = torch.tensor([lab.encode_prompt(QUESTIONS[0].prompt)])
    with torch.inference_mode():
        found, expected = (
            load_student(StudentConfig(path=str(path), device="cpu")).model(input_ids=tokens).logits.log_softmax(-1)
            for path in (tmp_path / "it.gguf", folder)
        )
    assert 0 < (found - expected).abs().max() < 0.05


def test_what_the_file_could_not_say_is_refused(lab: Student, tmp_path: Path) -> None:
    folder = save_llama(lab, tmp_path / "llama")
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(text.replace('"add_prefix_space": false', '"add_prefix_space": true', 1))
    done = write(folder, tmp_path / "it.gguf")
    assert done.returncode == 1 and "How its tokenizer splits texts has no name here" in done.stderr
