"""Dropout on a CPU with fewer random numbers: torch draws a 64-bit one for each value, one after the other."""

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from sert.student.speed.layers import layers_replaced

_STEPS = 2**16
"""Shares of values dropped are whole numbers of 65,536ths; so four decisions come from one 64-bit number."""
_ONE_IN_BFLOAT16 = 0x3F80


class Dropout(nn.Dropout):
    """The same from `keep_mask`."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop values in training."""
        if not self.training:
            return input
        return (input * keep_mask(input.shape, self.p, dtype=input.dtype)).mul_(1 / (1 - self.p))


def keep_mask(shape: tuple[int, ...], share: float, *, dtype: torch.dtype) -> Tensor:
    """Draw a 0 for a `share` of the values and a 1 for the others.

    It comes from torch's generator, and is the same with any number of threads.
    """
    count = math.prod(shape)
    numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    keep = numbers.view(torch.int16)[:count].view(shape).ge_(round(share * _STEPS) - _STEPS // 2)
    # torch converts integers to bfloat16 slowly; the bits of a one are quick to put there.
    return keep.mul_(_ONE_IN_BFLOAT16).view(dtype) if dtype == torch.bfloat16 else keep.to(dtype)


def fast_dropout(model: nn.Module) -> AbstractContextManager[None]:
    """Let the model's dropout layers draw their numbers so; it gets its own back at the end."""
    return layers_replaced(
        model,
        lambda layer: type(layer) is nn.Dropout and not layer.inplace and 0 < layer.p < 1,
        lambda layer: Dropout(layer.p).train(layer.training),
    )
