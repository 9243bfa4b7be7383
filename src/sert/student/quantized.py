"""Linear layers in int8 or in bfloat16 between float32 activations: coarser students, for decoding on CPUs.

In int8 weights have a scale an output channel, activations one a row, and sums are exact. In bfloat16 both are rounded
and sums are float32. Either way a lane's result does not depend on the lanes beside it, nothing is calibrated, and the
embedding, the norms, the residuals and the softmax stay in float32.
Source of the int8 scheme: Dettmers et al., LLM.int8(), 2022, section 2.1 (vector-wise quantization).

Shapes: B rows, I inputs, O outputs.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from sert.errors import StudentError
from sert.student.kernels import LANE, Kernels, compiled, pack

LARGEST = 127
LARGE_LAYER = 2**18
"""Weights of a layer from which on compiled loops are worth their compilation."""
LARGE_STUDENT = 10_000_000
"""Weights of a student from which on they are."""


class CoarseLinear(torch.nn.Module):
    """A linear layer for inference whose weights and inputs are rounded."""


class Int8Linear(CoarseLinear):
    """y = x W + b with W in int8 (I, O), one scale an output channel."""

    weight: Tensor | None
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight_IO: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        quantized_OI, scale_O1 = quantize_rows(weight_IO.detach().t())
        self.register_buffer("scale", scale_O1[:, 0].clone())
        self.register_buffer("bias", None if bias_O is None else bias_O.detach().clone())
        self._kernels = _kernels_for(weight_IO)
        if self._kernels is not None and self._kernels.has_int8:
            self._packed = pack(quantized_OI.t(), self.bias, self.scale)
            self.weight = None
        else:
            self._kernels = None
            self.register_buffer("weight", quantized_OI.t().contiguous())

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer to (..., I)."""
        inputs_BI = inputs.flatten(0, -2)
        if self._kernels is not None:
            outputs_BO = self._kernels.linear(inputs_BI, self._packed)
        else:
            assert self.weight is not None
            quantized_BI, steps_B1 = quantize_rows(inputs_BI)
            outputs_BO = (torch._int_mm(quantized_BI, self.weight) * steps_B1).mul_(self.scale)
            if self.bias is not None:
                outputs_BO.add_(self.bias)
        return outputs_BO.view(*inputs.shape[:-1], -1)


class BFloat16Linear(CoarseLinear):
    """y = x W + b with W and x in bfloat16 and sums in float32, in compiled loops."""

    def __init__(self, weight_IO: Tensor, bias_O: Tensor | None, kernels: Kernels) -> None:
        super().__init__()
        self._kernels = kernels
        self._packed = pack(weight_IO.detach().to(torch.bfloat16), bias_O)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer to (..., I)."""
        return self._kernels.linear(inputs.flatten(0, -2), self._packed).view(*inputs.shape[:-1], -1)


def quantize_rows(values_BI: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row to int8 steps of its largest magnitude; return (B, I) int8 and the steps (B, 1)."""
    steps_B1 = (values_BI.abs().amax(dim=1, keepdim=True) / LARGEST).clamp_(min=torch.finfo(torch.float32).tiny)
    return (values_BI / steps_B1).round_().to(torch.int8), steps_B1


def quantize_student(model: Any) -> None:
    """Put every linear layer of a float32 model, the language-model head included, into int8, in place.

    Raises:
        StudentError: If the model is not on the CPU, or this processor's integer products saturate (old ones do).
    """
    if model.device.type != "cpu":
        raise StudentError(f"student.dtype = 'int8' runs on the CPU only, not on {model.device}; use bfloat16 there.")
    _check_products()
    _replace_linears(model, Int8Linear)


def halve_student(model: Any) -> None:
    """Put a float32 model into bfloat16, in place: its linear layers alone where compiled loops multiply them."""
    kernels = None
    if model.device.type == "cpu" and model.num_parameters() >= LARGE_STUDENT:
        kernels = compiled()
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear | Conv1D)]
    inputs = [layer.nx if isinstance(layer, Conv1D) else layer.in_features for layer in layers]
    if kernels is None or not kernels.has_bfloat16 or any(size % LANE for size in inputs):
        model.to(torch.bfloat16)
        return
    _replace_linears(model, lambda weight_IO, bias_O: BFloat16Linear(weight_IO, bias_O, kernels))


def _replace_linears(model: Any, make: Any) -> None:
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Conv1D):
                setattr(parent, name, make(layer.weight, layer.bias))
            elif isinstance(layer, torch.nn.Linear) and layer is not head:
                setattr(parent, name, make(layer.weight.t(), layer.bias))
    model.set_output_embeddings(make(head.weight.t(), head.bias))


def _kernels_for(weight_IO: Tensor) -> Kernels | None:
    return compiled() if weight_IO.numel() >= LARGE_LAYER and weight_IO.shape[0] % LANE == 0 else None


def _check_products() -> None:
    inputs = torch.full((32, 256), -LARGEST, dtype=torch.int8)
    weights = torch.full((256, 64), LARGEST, dtype=torch.int8)
    if not bool((torch._int_mm(inputs, weights) == -LARGEST * LARGEST * 256).all()):
        raise StudentError(
            "student.dtype = 'int8' needs exact 8-bit products, which this processor lacks; use float32."
        )


def is_coarse(model: Any) -> bool:
    """Tell whether the linear layers round."""
    return isinstance(model.get_output_embeddings(), CoarseLinear)
