"""Linear layers in 8-bit integers: weights by output channel, activations by row, sums exact.

Each row of activations has its own scale and the products are summed in 32-bit integers, so a lane's result does not
depend on the lanes beside it. Nothing is calibrated. The embedding, the norms and the attention stay in float32.
Source of the scheme: Dettmers et al., LLM.int8(), 2022, section 2.1 (vector-wise quantization).

Shapes: B rows, I inputs, O outputs.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from sert.errors import StudentError
from sert.student.kernels import compiled

LARGEST = 127
LARGE_LAYER = 2**18
"""Weights of a layer from which on compiled loops are worth their compilation."""


class Int8Linear(torch.nn.Module):
    """A linear layer for inference: y = x W + b with W in int8 (I, O), one scale an output channel."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight_IO: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        quantized_OI, scale_O1 = quantize_rows(weight_IO.detach().t())
        self.register_buffer("weight", quantized_OI.t().contiguous())
        self.register_buffer("scale", scale_O1[:, 0].clone())
        self.register_buffer("bias", None if bias_O is None else bias_O.detach().clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer to (..., I)."""
        inputs_BI = inputs.flatten(0, -2)
        kernels = compiled() if self.weight.numel() >= LARGE_LAYER else None
        if kernels is not None:
            quantized_BI, steps_B1 = kernels.quantize_rows(inputs_BI)
            sums_BO = torch._int_mm(quantized_BI, self.weight)
            outputs_BO = kernels.scale_sums(sums_BO, steps_B1, self.scale, self.bias)
        else:
            quantized_BI, steps_B1 = quantize_rows(inputs_BI)
            outputs_BO = (torch._int_mm(quantized_BI, self.weight) * steps_B1).mul_(self.scale)
            if self.bias is not None:
                outputs_BO.add_(self.bias)
        return outputs_BO.view(*inputs.shape[:-1], -1)


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
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Conv1D):
                setattr(parent, name, Int8Linear(layer.weight, layer.bias))
            elif isinstance(layer, torch.nn.Linear) and layer is not head:
                setattr(parent, name, Int8Linear(layer.weight.t(), layer.bias))
    model.set_output_embeddings(Int8Linear(head.weight.t(), head.bias))


def _check_products() -> None:
    inputs = torch.full((32, 256), -LARGEST, dtype=torch.int8)
    weights = torch.full((256, 64), LARGEST, dtype=torch.int8)
    if not bool((torch._int_mm(inputs, weights) == -LARGEST * LARGEST * 256).all()):
        raise StudentError(
            "student.dtype = 'int8' needs exact 8-bit products, which this processor lacks; use float32."
        )


def is_quantized(model: Any) -> bool:
    """Tell whether `quantize_student` was here."""
    return isinstance(model.get_output_embeddings(), Int8Linear)
