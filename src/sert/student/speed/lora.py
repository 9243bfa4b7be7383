"""Linear layers with LoRA beside them in one product: by W + s B A, which is the same but for rounding.

Shapes: N tokens, I inputs, O outputs, R rank.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from sert.student.speed.layers import changed


@contextmanager
def adapters_in_one(model: nn.Module) -> Iterator[None]:
    """Let layers with peft's adapters multiply by the sum of both weights until the block ends.

    Beside a layer adapters take six narrow products a step, of rows as short as their rank, and passes over what the
    layer gives; by the sum it is four products. The sum is made anew whenever it is needed, so it takes no memory and
    follows the optimizer. Layers whose adapters see other inputs (dropout) or do more than add up (DoRA) stay as they
    are.
    """
    with ExitStack() as stack:
        for layer in filter(_adds_up, model.modules()):
            stack.enter_context(changed(layer, "forward", partial(_forward, layer)))
        yield


def _adds_up(layer: Any) -> bool:
    """Tell whether a layer is W x + b + s B A x, of which only A and B are trained."""
    from peft.tuners.lora import Linear
    from transformers.pytorch_utils import Conv1D

    if type(layer) is not Linear or type(layer.get_base_layer()) not in (nn.Linear, Conv1D):
        return False
    if layer.disable_adapters or layer.merged or len(layer.active_adapters) != 1 or layer.lora_variant:
        return False
    (name,) = layer.active_adapters
    dropout, biases = layer.lora_dropout[name], (layer.lora_A[name].bias, layer.lora_B[name].bias)
    is_frozen = not any(weight.requires_grad for weight in layer.get_base_layer().parameters())
    return isinstance(dropout, nn.Identity) and biases == (None, None) and is_frozen


def _forward(layer: Any, inputs: Tensor) -> Tensor:
    (name,), base = layer.active_adapters, layer.get_base_layer()
    weight_OI = base.weight if isinstance(base, nn.Linear) else base.weight.t()
    dtype = inputs.dtype
    if torch.is_autocast_enabled(inputs.device.type):
        dtype = torch.get_autocast_dtype(inputs.device.type)
    given = (weight_OI, base.bias, layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name])
    apply: Any = _LinearWithAdapter.apply
    output: Tensor = apply(inputs.to(dtype), *given)
    return output


class _LinearWithAdapter(torch.autograd.Function):
    """Inputs (.., I) to outputs (.., O) of their type; weights are of another one where products are of fewer bits."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight_OI: Tensor, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scaling: float
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight_OI, a_RI, b_OR)
        ctx.scaling = scaling
        with torch.autocast(inputs.device.type, enabled=False):
            bias_O = None if bias_O is None else bias_O.to(inputs.dtype)
            return linear(inputs, _sum(weight_OI, a_RI, b_OR, scaling).to(inputs.dtype), bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_OI, a_RI, b_OR = ctx.saved_tensors
        grad_inputs = None
        if ctx.needs_input_grad[0]:
            grad_inputs = grad @ _sum(weight_OI, a_RI, b_OR, ctx.scaling).to(grad.dtype)
        inputs_NI, grad_NO = inputs.flatten(0, -2), grad.flatten(0, -2)
        grad_a_RI = (grad_NO @ b_OR.to(grad.dtype)).t() @ inputs_NI
        grad_b_OR = grad_NO.t() @ (inputs_NI @ a_RI.to(grad.dtype).t())
        scaled = (each.to(a_RI.dtype).mul_(ctx.scaling) for each in (grad_a_RI, grad_b_OR))
        return grad_inputs, None, None, *scaled, None


def _sum(weight_OI: Tensor, a_RI: Tensor, b_OR: Tensor, scaling: float) -> Tensor:
    """Make W + s B A, laid out as W is."""
    return torch.addmm(weight_OI, b_OR, a_RI, alpha=scaling, out=torch.empty_like(weight_OI))
