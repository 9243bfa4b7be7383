"""Cross-entropy over a large vocabulary in few passes.

Shapes: N supervised tokens, V vocabulary, R rows at a time.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

CHUNK_LOGITS = 2**19
"""Logits that are worked on at a time: in float32 they stay in a processor's cache from pass to pass."""


def cross_entropy_sum(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Sum the cross-entropy in float32; the logits may be of fewer bits."""
    if logits_NV.device.type != "cpu":
        return cross_entropy(logits_NV.float(), targets_N, reduction="sum")
    apply: Any = _CrossEntropySum.apply
    loss: Tensor = apply(logits_NV, targets_N)
    return loss


class _CrossEntropySum(torch.autograd.Function):
    """Loss and gradient from one reading of the logits, some rows at a time.

    torch's own writes and reads five tensors of all logits in float32. Here there is one more, the gradient, and it
    has the logits' type.
    """

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, targets_N: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.promote_types(logits_NV.dtype, torch.float32))
        grad_NV = torch.empty_like(logits_NV) if ctx.needs_input_grad[0] else None
        rows = max(1, CHUNK_LOGITS // logits_NV.shape[1])
        for start in range(0, len(logits_NV), rows):
            targets_R1 = targets_N[start : start + rows, None]
            chunk_RV = torch.empty(logits_NV[start : start + rows].shape, dtype=total.dtype)
            chunk_RV.copy_(logits_NV[start : start + rows]).sub_(chunk_RV.amax(1, keepdim=True))
            chosen_R1 = chunk_RV.gather(1, targets_R1)
            sums_R1 = chunk_RV.exp_().sum(1, keepdim=True)
            total += (sums_R1.log() - chosen_R1).sum()
            if grad_NV is not None:
                chunk_RV.div_(sums_R1).scatter_add_(1, targets_R1, -torch.ones_like(sums_R1))
                grad_NV[start : start + rows] = chunk_RV
        if grad_NV is not None:
            ctx.save_for_backward(grad_NV)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (grad_NV,) = ctx.saved_tensors
        # As a number, so that a product of few bits stays one.
        return grad_NV * grad.item(), None
