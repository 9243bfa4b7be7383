"""What the process around it has set changes nothing in a student's numbers, and what cannot be kept out is told."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

from sert.config.tree import EvaluationConfig, MiningConfig, StudentConfig, TrainingConfig
from sert.evaluation.prediction import evaluate
from sert.paths.mining import mine
from sert.records import Example, Question
from sert.store.artifacts import Artifact
from sert.student.surroundings import PRECISION, forget_precision, plain_numbers
from sert.student.training.stage import train

EXAMPLES = [Example(f"q{i}", f"Is {i} odd?", f" So the answer is {'yes' if i % 2 else 'no'}.", "label") for i in (1, 2)]
TRAINING = TrainingConfig(max_steps=2)
MINING = MiningConfig(branches=2, samples=2, max_new_tokens=6)
EVALUATION = EvaluationConfig(max_new_tokens=6)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def coarse_products() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextmanager
def coarse_products_told_otherwise() -> Iterator[None]:
    products = torch.backends.mkldnn.matmul
    before, products.fp32_precision = products.fp32_precision, "bf16"
    try:
        yield
    finally:
        products.fp32_precision = before


SET: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "a default type": lambda: default_dtype(torch.float64),
    "a coarse default type": lambda: default_dtype(torch.bfloat16),
    "a default device": lambda: default_device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "coarse products": coarse_products,
    "coarse products, told otherwise": coarse_products_told_otherwise,
}


@pytest.fixture(scope="module")
def plain(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Artifact]:
    return stages(student_folder, tmp_path_factory.mktemp("plain"))


def stages(student_folder: Path, folder: Path) -> list[Artifact]:
    student = StudentConfig(path=str(student_folder), device="cpu")
    asked = [Question(f"q{i}", "t", "train", f"{i}?", (), "yes", f"Question: {i}?\nAnswer:") for i in range(3)]
    return [
        train(EXAMPLES, student, out=folder / "trained", config=TRAINING),
        mine(asked, student, out=folder / "mined", config=MINING),
        evaluate(asked, student, out=folder / "evaluated", config=EVALUATION),
        evaluate(asked, student, out=folder / "compat", config=EVALUATION.model_copy(update={"harness": "compat"})),
    ]


@pytest.mark.parametrize("name", SET)
def test_what_the_process_has_set_changes_nothing(
    name: str, plain: list[Artifact], student_folder: Path, tmp_path: Path
) -> None:
    with SET[name]():
        found = stages(student_folder, tmp_path)
    for one, other in zip(plain, found, strict=True):
        assert (other.key, other.manifest["outputs"]) == (one.key, one.manifest["outputs"]), other.folder.name


def test_what_the_process_has_set_is_back_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with default_dtype(torch.float64), default_device("meta"), coarse_products(), torch.autocast("cpu"):
        with plain_numbers():
            assert "ACCELERATE_MIXED_PRECISION" not in os.environ
            assert (torch.get_default_dtype(), torch.get_default_device().type) == (torch.float32, "cpu")
            assert torch.get_float32_matmul_precision() == "highest" and not torch.is_autocast_enabled("cpu")
        assert os.environ["ACCELERATE_MIXED_PRECISION"] == "bf16"
        assert (torch.get_default_dtype(), torch.get_default_device().type) == (torch.float64, "meta")
        assert torch.get_float32_matmul_precision() == "medium" and torch.is_autocast_enabled("cpu")


def test_the_command_line_forgets_what_libraries_read_when_they_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PRECISION:
        monkeypatch.setenv(name, "1")
    forget_precision()
    assert not set(PRECISION) & os.environ.keys()


def test_manifests_tell_what_a_student_computed_with(
    student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        made = stages(student_folder, tmp_path)
    finally:
        torch.set_num_threads(threads)
    for artifact in made:
        (told,) = artifact.manifest["surroundings"]
        assert (told["threads"], told["device"], told["variables"]["MKL_CBWR"]) == (3, "cpu", "COMPATIBLE")
        assert told["instructions"] == torch.backends.cpu.get_cpu_capability()
        assert told["attention"] == "sdpa"
