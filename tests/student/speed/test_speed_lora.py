"""Adapters in one product with their layer's weights give what peft's own layers give."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from sert.student.speed.lora import adapters_in_one
from training_support import kept_for_gradients

peft = pytest.importorskip("peft")

INPUTS, OUTPUTS, RANK = 5, 7, 3
LAYERS = {
    "linear": lambda: nn.Linear(INPUTS, OUTPUTS, bias=False),
    "with a bias": lambda: nn.Linear(INPUTS, OUTPUTS),
    "the other way round": lambda: Conv1D(OUTPUTS, INPUTS),
}


def adapted(layer: nn.Module, *, rank: int = RANK, alpha: int = 6, **settings: Any) -> nn.Module:
    """Put adapters at a layer; they stand in a model, as peft wants it. None of its numbers is 0."""
    fan_in_fan_out = isinstance(layer, Conv1D)
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=["layer"], fan_in_fan_out=fan_in_fan_out, **settings
    )
    model: nn.Module = peft.get_peft_model(nn.Sequential(OrderedDict(layer=layer)), config).base_model.model
    torch.manual_seed(0)
    for weight in model.parameters():
        nn.init.normal_(weight)
    return model


def forward_and_backward(model: nn.Module, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """The outputs, and the gradients of a sum of theirs in which each counts differently."""
    inputs = inputs.clone().requires_grad_()
    model.zero_grad()
    outputs = model(inputs)
    (outputs.sin() * torch.arange(outputs.numel()).view(outputs.shape)).sum().backward()
    trained = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    return {"outputs": outputs.detach(), "inputs": inputs.grad, **trained}


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_outputs_and_gradients_are_pefts(make: Any, shape: tuple[int, ...]) -> None:
    model, inputs = adapted(make()).double(), torch.randn(*shape, INPUTS, dtype=torch.float64)
    expected = forward_and_backward(model, inputs)
    with adapters_in_one(model):
        assert "forward" in vars(model.layer)
        found = forward_and_backward(model, inputs)
    assert found.keys() == expected.keys() and len(found) == 4
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-12, atol=1e-12)


def test_numbers_worked_out_by_hand() -> None:
    model = adapted(nn.Linear(2, 2, bias=False), rank=1, alpha=2)
    (a, b), weight = (getattr(model.layer, name)["default"].weight for name in ("lora_A", "lora_B")), model.layer.weight
    for given, values in ((weight, [[1, 2], [3, 4]]), (a, [[1, 1]]), (b, [[1], [2]])):
        given.data = torch.tensor(values).float()
    inputs = torch.tensor([[1.0, 1.0]], requires_grad=True)
    with adapters_in_one(model):
        outputs = model(inputs)  # by 1 2 + 2 (1) (1 1) = 3 4
        outputs.sum().backward()  #   3 4     (2)         7 8
    assert outputs.tolist() == [[7, 15]] and inputs.grad.tolist() == [[10, 12]]
    assert a.grad.tolist() == [[6, 6]] and b.grad.tolist() == [[4], [4]]


@pytest.mark.parametrize("settings", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}, {"bias": "all"}])
def test_layers_that_do_more_stay_as_they_are_and_all_are_pefts_afterwards(settings: dict[str, Any]) -> None:
    models = adapted(nn.Linear(INPUTS, OUTPUTS), **settings), adapted(nn.Linear(INPUTS, OUTPUTS))

    def changed() -> list[bool]:
        return ["forward" in vars(model.layer) for model in models]

    with adapters_in_one(nn.ModuleList(models)):
        assert changed() == [False, True]
    assert changed() == [False, False]


@pytest.mark.parametrize("autocast", [False, True])
def test_nothing_is_kept_that_peft_does_not_keep(autocast: bool) -> None:
    model, inputs = adapted(nn.Linear(INPUTS, OUTPUTS)), torch.randn(40, INPUTS, requires_grad=True)

    def kept_bytes() -> int:
        with torch.autocast("cpu", enabled=autocast), kept_for_gradients(model) as kept:
            model(inputs).sum().backward()
        return sum(kept.values())

    plain = kept_bytes()
    with adapters_in_one(model):
        assert 0 < kept_bytes() <= plain


def test_in_bfloat16_products_alone_are_coarser() -> None:
    model, inputs = adapted(nn.Linear(INPUTS, OUTPUTS)), torch.randn(4, INPUTS)
    exact = model(inputs)
    with adapters_in_one(model), torch.autocast("cpu"):
        inputs.requires_grad_()
        found = model(inputs)
    found.sum().backward()
    assert found.dtype == torch.bfloat16 and inputs.grad.dtype == torch.float32
    torch.testing.assert_close(found.float(), exact, rtol=0.05, atol=0.05)
    assert all(weight.grad.dtype == torch.float32 for weight in model.parameters() if weight.requires_grad)
