"""A training that was stopped goes on as if it had not been."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sert.config.tree import TrainingConfig
from sert.errors import DiskFullError
from sert.records import Example
from sert.store.artifacts import file_hash
from sert.student.load import Student, make_student
from sert.student.training.checkpoints import TENSORS, Checkpoints
from sert.student.training.loop import train_student
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama

pytestmark = pytest.mark.usefixtures("one_thread")

# An epoch has three steps. A training with --soak has more of them, and is stopped after each.
STEPS, SOAK_STEPS = 12, 30
REDUCED = (0, 1, 5, 6, 10, 11)
FAMILIES = ("gpt2", "llama")
EXAMPLES = [
    Example(f"q{i}", f"Is {i} odd?", f" So the answer is {'yes' if i % 2 else 'no, it is not'}.", "label")
    for i in range(24)
]
CONFIG = TrainingConfig(
    batch_size=8,
    micro_batch_size=3,
    max_steps=STEPS,
    learning_rate=1e-2,
    schedule="cosine",
    warmup_steps=4,
    max_grad_norm=1.0,
    weight_decay=0.01,
)


class Stopped(Exception):
    """As a signal would be."""


def fresh(family: str = "gpt2") -> Student:
    tokenizer = make_tokenizer()
    model = {"gpt2": tiny_gpt2, "llama": tiny_llama}[family](len(tokenizer), scale=0.05)
    if family == "gpt2":
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.1
    return make_student(model, tokenizer, name="tiny")


def checkpoints(folder: Path, *, said: list[str] | None = None, every_seconds: float = 1e-9) -> Checkpoints:
    return Checkpoints(folder, every_seconds=every_seconds, say=(said if said is not None else []).append)


def train(student: Student, folder: Path, saves: Checkpoints | None, *, config: TrainingConfig = CONFIG) -> None:
    train_student(student, EXAMPLES, config, seed=3, loss_file=folder / "loss.jsonl", checkpoints=saves)


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


def stop_in(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Stop at the n-th micro-batch, a third of the way through a step for two of three calls."""
    import sert.student.training.loop as training

    whole, calls = training.loss_sum, iter(range(10**6))

    def stopping(*args: object, **named: object) -> torch.Tensor:
        if next(calls) == call:
            raise Stopped
        return whole(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "loss_sum", stopping)


@pytest.fixture(scope="module")
def config(full: bool) -> TrainingConfig:
    return CONFIG.model_copy(update={"max_steps": SOAK_STEPS}) if full else CONFIG


@pytest.fixture(scope="module")
def undisturbed(
    request: pytest.FixtureRequest, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Student]:
    folder, student = tmp_path_factory.mktemp("undisturbed"), fresh(request.param)
    train(student, folder, None, config=config)
    return request.param, folder, student


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Stop after every step with --soak, after a few without; and damage the checkpoints of one family, or of all."""
    soak = metafunc.config.getoption("--soak")
    if "step" in metafunc.fixturenames:
        metafunc.parametrize("step", range(SOAK_STEPS) if soak else REDUCED)
    if "undisturbed" in metafunc.fixturenames:
        some = "what" in metafunc.fixturenames and not soak
        metafunc.parametrize("undisturbed", FAMILIES[:1] if some else FAMILIES, indirect=True, scope="module")


@pytest.mark.soak
def test_a_training_goes_on_bit_for_bit_wherever_it_was_stopped(
    step: int,
    undisturbed: tuple[str, Path, Student],
    config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family, expected, trained = undisturbed
    with monkeypatch.context() as patched:
        stop_in(patched, 3 * step + step % 3)  # before, inside and near the end of the step's three micro-batches
        with pytest.raises(Stopped):
            train(fresh(family), tmp_path, checkpoints(tmp_path / "saves"), config=config)
    if step:
        assert max((tmp_path / "saves").iterdir()).name == f"step-{step:08d}"
    student = fresh(family)
    torch.rand(step + 1)  # whatever the generator did meanwhile
    train(student, tmp_path, checkpoints(tmp_path / "saves"), config=config)
    assert (tmp_path / "loss.jsonl").read_bytes() == (expected / "loss.jsonl").read_bytes()
    assert len(curve(tmp_path)) == config.max_steps
    after = student.model.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in trained.model.state_dict().items())


def test_checkpoints_are_few_and_without_pickles(tmp_path: Path) -> None:
    train(fresh(), tmp_path, checkpoints(tmp_path / "saves"))
    assert sorted(path.name for path in (tmp_path / "saves").iterdir()) == ["step-00000011", "step-00000012"]
    files = [file for file in (tmp_path / "saves").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".safetensors", ".json"}


def test_none_is_made_before_it_is_due(tmp_path: Path) -> None:
    train(fresh(), tmp_path, checkpoints(tmp_path / "saves", every_seconds=600.0))
    assert not (tmp_path / "saves").exists()


@pytest.mark.soak
@pytest.mark.parametrize("what", ["flip", "cut", "numbers", "gone"])
def test_a_broken_checkpoint_is_named_and_the_one_before_it_taken(
    what: str,
    undisturbed: tuple[str, Path, Student],
    config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family, expected, _ = undisturbed
    with monkeypatch.context() as patched:
        stop_in(patched, 30)
        with pytest.raises(Stopped):
            train(fresh(family), tmp_path, checkpoints(tmp_path / "saves"), config=config)
    last = max((tmp_path / "saves").iterdir())
    tensors = last / TENSORS
    content = bytearray(tensors.read_bytes())
    if what == "flip":
        content[len(content) // 2] ^= 1
        tensors.write_bytes(content)
    elif what == "cut":
        tensors.write_bytes(content[:-1])
    elif what == "numbers":
        numbers = last / "numbers.json"
        numbers.write_text(numbers.read_text().replace('"step":10', '"step":11', 1))
    else:
        tensors.unlink()
    said: list[str] = []
    train(fresh(family), tmp_path, checkpoints(tmp_path / "saves", said=said), config=config)
    assert said == ["the checkpoint step-00000010 is damaged and passed over"]
    assert curve(tmp_path) == curve(expected)


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sert.student.training.checkpoints as module

    saves = iter(range(10**6))
    whole = module.save_file

    def full(tensors: dict[str, torch.Tensor], file: Path) -> None:
        if next(saves) == 5:
            raise OSError(28, "No space left on device")
        whole(tensors, file)

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(DiskFullError, match=r"at least [\d,]+ bytes"):
        train(fresh(), tmp_path, checkpoints(tmp_path / "saves"))
    assert sorted(path.name for path in (tmp_path / "saves").iterdir()) == ["step-00000004", "step-00000005"]


def test_a_checkpoint_holds_what_it_was_given(tmp_path: Path) -> None:
    first = fresh()
    train(first, tmp_path, checkpoints(tmp_path / "saves"), config=CONFIG.model_copy(update={"max_steps": 3}))
    last = max((tmp_path / "saves").iterdir())
    kept = json.loads((last / "numbers.json").read_text())["numbers"]
    assert kept["step"] == 3 and kept["tensors"] == file_hash(last / TENSORS)
    assert kept["curve"] == curve(tmp_path)
