"""Linear layers in int8, int16 or bfloat16 between float32 activations: coarser students, for decoding on CPUs.

In int8 weights have a scale an output channel, activations one a row, and sums are exact. In int16 every 64 inputs of
either have one, and sums over so many are exact. In bfloat16 both are rounded and sums are float32; in bfloat16x2 what
rounding leaves of them is multiplied too. Always a lane's result does not depend on the lanes beside it, nothing is
calibrated, and the embedding, the norms, the residuals and the softmax stay in float32.
Source of the int8 scheme: Dettmers et al., LLM.int8(), 2022, section 2.1 (vector-wise quantization).

Shapes: B rows, I inputs, O outputs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from sert.errors import StudentError
from sert.student.kernels import (
    BLOCK,
    LANE,
    LARGEST_INT16,
    TILE_INPUTS,
    Kernels,
    Packed,
    compilation,
    compiled,
    pack,
    pack_tiles,
)
from sert.student.speed.layers import Place, cast_weights, replace_layers

LARGEST = 127
LARGE_LAYER = 2**18
"""Weights of a layer from which on compiled loops are worth their compilation."""
LARGE_STUDENT = 10_000_000
"""Weights of a student from which on they are."""


class CoarseLinear(torch.nn.Module):
    """A linear layer for inference whose weights and inputs are rounded."""

    def __init__(self, weight_IO: Tensor) -> None:
        super().__init__()
        self.num_inputs, self.num_outputs = weight_IO.shape

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer to (..., I)."""
        outputs_BO = self._apply_to_rows(inputs.reshape(-1, self.num_inputs))
        return outputs_BO.view(*inputs.shape[:-1], self.num_outputs)

    def _apply_to_rows(self, inputs_BI: Tensor) -> Tensor:
        raise NotImplementedError


class Int8Linear(CoarseLinear):
    """y = x W + b with W in int8 (I, O), one scale an output channel.

    Raises:
        StudentError: If nothing here multiplies it exactly.
    """

    weight: Tensor | None
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight_IO: Tensor, bias_O: Tensor | None) -> None:
        super().__init__(weight_IO)
        quantized_OI, scale_O1 = quantize_rows(weight_IO.detach().t())
        self.register_buffer("scale", scale_O1[:, 0].clone())
        self.register_buffer("bias", None if bias_O is None else bias_O.detach().clone())
        needs_loops = not torch_is_exact()
        wants_loops = self.num_inputs % LANE == 0 and (needs_loops or weight_IO.numel() >= LARGE_LAYER)
        kernels = compiled() if wants_loops else None
        self._kernels = kernels if kernels is not None and kernels.has_integers else None
        if needs_loops and self._kernels is None:
            raise StudentError(
                "student.dtype = 'int8' needs exact 8-bit products, which torch lacks on this processor. Compiled "
                "loops have them (`sert doctor` says why there are none here); use float32 without."
            )
        if self._kernels is not None:
            self._packed = pack(quantized_OI.t(), self.bias, self.scale[None])
        self.register_buffer("weight", None if self._kernels is not None else quantized_OI.t().contiguous())

    def _apply_to_rows(self, inputs_BI: Tensor) -> Tensor:
        if self._kernels is not None:
            return self._kernels.linear(inputs_BI, self._packed)
        assert self.weight is not None
        quantized_BI, steps_B1 = quantize_rows(inputs_BI)
        outputs_BO = (torch._int_mm(quantized_BI, self.weight) * steps_B1).mul_(self.scale)
        return outputs_BO if self.bias is None else outputs_BO.add_(self.bias)


class CompiledLinear(CoarseLinear):
    """y = x W + b in compiled loops."""

    def __init__(self, weight_IO: Tensor, bias_O: Tensor | None, kernels: Kernels) -> None:
        super().__init__(weight_IO)
        self._kernels = kernels
        self._packed = self._pack(weight_IO.detach(), bias_O)

    def _pack(self, weight_IO: Tensor, bias_O: Tensor | None) -> Packed:
        raise NotImplementedError

    def _apply_to_rows(self, inputs_BI: Tensor) -> Tensor:
        return self._kernels.linear(inputs_BI, self._packed)


class BFloat16Linear(CompiledLinear):
    """y = x W + b with W and x in bfloat16 and sums in float32."""

    def _pack(self, weight_IO: Tensor, bias_O: Tensor | None) -> Packed:
        if self._kernels.has_tiles and self.num_inputs % TILE_INPUTS == 0:
            return pack_tiles(weight_IO, bias_O, parts=1)
        return pack(weight_IO.bfloat16(), bias_O)


class BFloat16x2Linear(CompiledLinear):
    """y = x W + b with W and x as sums of two bfloat16 numbers, some 16 bits, and sums in float32, in tiles.

    Source: Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
    Computations, 2019.
    """

    def _pack(self, weight_IO: Tensor, bias_O: Tensor | None) -> Packed:
        return pack_tiles(weight_IO, bias_O, parts=2)


class Int16Linear(CompiledLinear):
    """y = x W + b with W and x in int16: some 13 bits of every number, wherever it lies.

    Source of scales for blocks: Dettmers et al., 8-bit Optimizers via Block-wise Quantization, 2022, section 2.1.
    """

    def _pack(self, weight_IO: Tensor, bias_O: Tensor | None) -> Packed:
        quantized_IO, steps_NO = quantize_blocks(weight_IO.float())
        return pack(quantized_IO, bias_O, steps_NO)


NEARLY_EXACT: dict[str, type[CompiledLinear]] = {"bfloat16x2": BFloat16x2Linear, "int16": Int16Linear}
"""Layers of the types that hardly change a student."""
IN_LOOPS: dict[str, Callable[[Tensor, Tensor | None, Kernels], CoarseLinear]] = {
    **NEARLY_EXACT,
    "bfloat16": BFloat16Linear,
    "int8": lambda weight_IO, bias_O, _: Int8Linear(weight_IO, bias_O),
}
"""Layers of the types that compiled loops multiply, from what moves students least to what moves them most."""


def quantize_rows(values_BI: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row to int8 steps of its largest magnitude; return (B, I) int8 and the steps (B, 1)."""
    steps_B1 = (values_BI.abs().amax(dim=1, keepdim=True) / LARGEST).clamp_(min=torch.finfo(torch.float32).tiny)
    return (values_BI / steps_B1).round_().to(torch.int8), steps_B1


def quantize_blocks(weight_IO: Tensor) -> tuple[Tensor, Tensor]:
    """Round blocks of inputs to int16 steps of their largest magnitude; return (I, O) int16 and the steps (N, O)."""
    blocks = torch.split(weight_IO, BLOCK)
    steps_NO = torch.stack([block.abs().amax(dim=0) for block in blocks]).div_(LARGEST_INT16)
    steps_NO.clamp_(min=torch.finfo(torch.float32).tiny)
    rounded = [(block / steps).round_().to(torch.int16) for block, steps in zip(blocks, steps_NO, strict=True)]
    return torch.cat(rounded), steps_NO


def quantize_student(model: Any) -> None:
    """Put every linear layer of a float32 model, the language-model head included, into int8, in place.

    Raises:
        StudentError: If the model is not on the CPU, nothing here multiplies int8 exactly, or the model wants more of
            its layers than products.
    """
    if model.device.type != "cpu":
        raise StudentError(f"student.dtype = 'int8' runs on the CPU only, not on {model.device}; use bfloat16 there.")
    _replace_linears(model, Int8Linear)
    if not _runs(model):
        raise StudentError(f"student.dtype = 'int8' does not fit {type(model).__name__}; use float32 or bfloat16.")


def multiply_in_bfloat16(model: Any) -> None:
    """Let compiled loops multiply the linear layers of a bfloat16 model where they can; all else then is float32.

    In place. Small models, models on other devices and those that want more of their layers than products stay as
    they are, and so does every model where this processor or a compiler is missing; `fallback` says it.
    """
    kernels = _kernels_for(model, "bfloat16")
    if kernels is None:
        return
    model.float()
    if not _multiply_with(model, lambda weight_IO, bias_O: BFloat16Linear(weight_IO, bias_O, kernels)):
        cast_weights(model, torch.bfloat16)


def multiply_nearly_exactly(model: Any, dtype: str) -> None:
    """Let compiled loops multiply the linear layers of a float32 model in int16 or bfloat16x2 where they can.

    In place. Where they cannot (see `multiply_in_bfloat16`), the model stays as it is, which is more exact.
    """
    kernels = _kernels_for(model, dtype)
    if kernels is not None:
        _multiply_with(model, lambda weight_IO, bias_O: NEARLY_EXACT[dtype](weight_IO, bias_O, kernels))


def fallback(model: Any, dtype: str) -> str | None:
    """Say what a loaded model decodes in where that is not what `dtype` names, or is slower than it could be.

    Returns:
        One sentence with the reason and what mends it; None where all is as asked for. Small models lose no time.
    """
    on_cpu, is_small = model.device.type == "cpu", num_weights(model) < LARGE_STUDENT
    head, layers = model.get_output_embeddings(), {**NEARLY_EXACT, "bfloat16": BFloat16Linear}
    lacking = lacking_loops(model, dtype)
    is_as_asked = isinstance(head, layers[dtype]) if dtype in layers else lacking is None or is_small
    if is_as_asked or dtype not in _INSTEAD or (dtype not in NEARLY_EXACT and not on_cpu):
        return None
    because = lacking or Lacking("the model does more with its layers than multiply", _EXACT)
    said = f"student.dtype = {dtype!r} {_INSTEAD[dtype]}, because {because}"
    return said if is_small else f"warning: {said}"


class Lacking(NamedTuple):
    """Why compiled loops cannot multiply a model's layers, and what mends it."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}"


_EXACT = "use float32"
_INSTEAD = {
    "int16": "is float32 here",
    "bfloat16x2": "is float32 here",
    "bfloat16": "is torch's own here, which rounds sums and norms too and can take many times as long",
    "int8": "is multiplied by torch here, which is slower",
    "float32": "decodes without compiled loops here, which is slower",
}


def lacking_loops(model: Any, dtype: str) -> Lacking | None:
    """Say why compiled loops do not serve a model in numbers of this type, as far as that shows without trying."""
    if model.device.type != "cpu":
        return Lacking(f"compiled loops run on CPUs only, not on {model.device}", "use bfloat16 there")
    if num_weights(model) < LARGE_STUDENT:
        return Lacking(f"compiled loops are for students of {LARGE_STUDENT:,} weights and more", _EXACT)
    kernels, failure, remedy = compilation()
    if kernels is None:
        return Lacking(failure, remedy)
    if dtype == "float32":
        return None
    if dtype not in products_of(kernels):
        return Lacking(f"the loops for this processor ({kernels.instructions}) have no products for it", _EXACT)
    inputs = [each.nx if isinstance(each, Conv1D) else each.in_features for each in filter(_is_linear, model.modules())]
    if odd := [size for size in inputs if size % inputs_at_once(dtype)]:
        return Lacking(f"a layer of the student has {odd[0]} inputs, no multiple of {inputs_at_once(dtype)}", _EXACT)
    return None


def products_of(kernels: Kernels) -> list[str]:
    """List the types that compiled loops multiply on this processor, in the order of `IN_LOOPS`."""
    has = {"bfloat16x2": kernels.has_tiles, "bfloat16": kernels.has_bfloat16}
    return [dtype for dtype in IN_LOOPS if has.get(dtype, kernels.has_integers)]


def inputs_at_once(dtype: str) -> int:
    """Tell of how many inputs a layer must have a multiple for compiled loops to multiply it in this type."""
    return TILE_INPUTS if dtype == "bfloat16x2" else LANE


def _kernels_for(model: Any, dtype: str) -> Kernels | None:
    return compiled() if lacking_loops(model, dtype) is None else None


def _multiply_with(model: Any, make: Callable[[Tensor, Tensor | None], CoarseLinear]) -> bool:
    """Replace all linear layers; where the model does not run with the new ones, put its own ones back."""
    replaced = _replace_linears(model, make)
    if _runs(model):
        return True
    for parent, name, layer in replaced:
        setattr(parent, name, layer)
    return False


def num_weights(model: Any) -> int:
    """Count the weights, those of coarse layers included."""
    coarse = [layer for layer in model.modules() if isinstance(layer, CoarseLinear)]
    return sum(layer.num_inputs * layer.num_outputs for layer in coarse) + int(model.num_parameters())


def _replace_linears(model: Any, make: Callable[[Tensor, Tensor | None], CoarseLinear]) -> list[Place]:
    def coarse(layer: Any) -> CoarseLinear:
        return make(layer.weight if isinstance(layer, Conv1D) else layer.weight.t(), layer.bias)

    return replace_layers(model, _is_linear, coarse)


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, torch.nn.Linear | Conv1D)


@torch.no_grad()
def _runs(model: Any) -> bool:
    """Try one token: some models read the weights of their layers, or have no head."""
    if not isinstance(model.get_output_embeddings(), CoarseLinear):
        return False
    try:
        model(input_ids=torch.zeros((1, 1), dtype=torch.long))
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False
    return True


def torch_is_exact() -> bool:
    """Tell whether torch's int8 products are exact here: without VNNI the sums of two products may saturate."""
    inputs, weights = (torch.full(shape, LARGEST, dtype=torch.int8) for shape in ((32, 256), (256, 64)))
    expected = LARGEST * LARGEST * 256
    return all(bool((torch._int_mm(sign * inputs, weights) == sign * expected).all()) for sign in (1, -1))


def is_rounded(model: Any) -> bool:
    """Tell whether the linear layers round more than float32 does."""
    return isinstance(model.get_output_embeddings(), CoarseLinear)


def is_coarse(model: Any) -> bool:
    """Tell whether the linear layers round as much as bfloat16 does, or more."""
    return is_rounded(model) and not isinstance(model.get_output_embeddings(), tuple(NEARLY_EXACT.values()))
