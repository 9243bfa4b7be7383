"""Gradient checkpointing keeps less and changes nothing."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sert.config.tree import TrainingConfig
from sert.errors import StudentError
from sert.records import Example
from sert.student.load import Student, make_student
from sert.student.training.batching import collate, encode_example
from sert.student.training.loop import loss_sum, train_student
from sert.student.training.recomputing import activations_recomputed
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama
from training_support import kept_for_gradients

EXAMPLES = [
    Example(f"q{i}", f"Is {i} odd?", f" So the answer is {'yes' if i % 2 else 'no, it is not'}.", "label")
    for i in range(8)
]
FAMILIES = {"gpt2": tiny_gpt2, "llama": tiny_llama}


def fresh(family: str, *, dropout: float = 0.0) -> Student:
    tokenizer = make_tokenizer()
    model = FAMILIES[family](len(tokenizer), scale=0.05)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = dropout
    return make_student(model, tokenizer, name="tiny")


@pytest.mark.parametrize("autocast", ["no", "bf16"])
@pytest.mark.parametrize("row_weights", [0, 10**7])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_changes_no_loss(
    family: str, row_weights: int, autocast: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sert.student.training.loop.ROW_WEIGHTS", row_weights)
    curves = []
    for checkpointing in (False, True):
        config = TrainingConfig(
            batch_size=4, max_steps=5, learning_rate=1e-2, autocast=autocast, gradient_checkpointing=checkpointing
        )
        student, file = fresh(family, dropout=0.2), tmp_path / "loss.jsonl"
        train_student(student, EXAMPLES, config, seed=0, loss_file=file)
        curves.append([json.loads(line)["loss"] for line in file.read_text().splitlines()])
    assert curves[1] == pytest.approx(curves[0], rel=1e-6)


def kept_bytes(student: Student) -> int:
    """Count what a forward pass keeps for the gradients, besides weights."""
    encoded = [encode_example(student, example, loss_on_prompt=True) for example in EXAMPLES]
    with kept_for_gradients(student.model) as kept:
        loss = loss_sum(student.model.train(), collate(encoded, device=torch.device("cpu")))
        size = sum(kept.values())
    loss.backward()
    return size


@pytest.mark.parametrize("family", FAMILIES)
def test_it_keeps_less_and_is_undone(family: str) -> None:
    student = fresh(family)
    plain = kept_bytes(student)
    with activations_recomputed(student.model):
        less = kept_bytes(student)
    assert less < plain / 2
    assert kept_bytes(student) == plain


def test_a_model_that_cannot_is_refused() -> None:
    with pytest.raises(StudentError, match="Linear has no layers"), activations_recomputed(nn.Linear(2, 2)):
        pass
