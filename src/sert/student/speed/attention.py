"""Causal attention of several texts in a row, for training on CPUs: each text by itself, and of it some rows at a time.

torch's own goes through all heads one by one, takes twice as long for the gradients in float32 and five times in
bfloat16, and with dropout makes a dozen passes over all scores of a batch. Here heads that share their keys are one
product, the scores of a block stay in the cache, and most of those that lie in the future are never made.

Shapes: H heads of queries, K of keys, G = H / K that share one; T tokens of all texts, n of a block, t before its end;
D features of a head.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sert.student.speed.dropout import keep_mask

BLOCK = 96
"""Rows of a text at a time: fewer make small products, more make scores that nobody asks for."""


def causal_attention(
    q_HTD: Tensor, k_KTD: Tensor, v_KTD: Tensor, *, lengths: Sequence[int], dropout: float, scaling: float
) -> Tensor:
    """Gather (T, H, D) from the values of each text, by the softmax of the scores times `scaling`.

    A share of the softmax is dropped. That of each block is kept for the gradients.
    """
    apply: Any = _CausalAttention.apply
    output_THD: Tensor = apply(q_HTD, k_KTD, v_KTD, lengths, dropout, scaling)
    return output_THD


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q_HTD: Tensor, k_KTD: Tensor, v_KTD: Tensor, lengths: Sequence[int], dropout: float, scaling: float
    ) -> Tensor:
        heads = len(k_KTD)
        q_KTGD = _by_key(q_HTD.transpose(0, 1), heads).mul_(scaling)
        output_TKGD = v_KTD.new_empty((q_HTD.shape[1], heads, len(q_HTD) // heads, v_KTD.shape[-1]))
        future_nn = q_HTD.new_full((BLOCK, BLOCK), -torch.inf).triu_(1)
        kept: list[Tensor] = []
        for rows, keys in _blocks(lengths):
            scores = torch.bmm(q_KTGD[:, rows].flatten(1, 2), k_KTD[:, keys].mT)
            size = rows.stop - rows.start
            scores.unflatten(1, (size, -1))[..., -size:] += future_nn[:size, None, :size]
            shares = scores.softmax(-1)
            kept.append(shares)
            if dropout:
                keep = keep_mask(shares.shape, dropout, dtype=shares.dtype)
                kept.append(keep)
                shares = shares * keep
            output_TKGD[rows] = torch.bmm(shares, v_KTD[:, keys]).unflatten(1, (size, -1)).transpose(0, 1)
        ctx.save_for_backward(q_KTGD, k_KTD, v_KTD, *kept)
        ctx.settings = (lengths, dropout, scaling)
        return output_TKGD.mul_(1 / (1 - dropout)).flatten(1, 2) if dropout else output_TKGD.flatten(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_THD: Tensor) -> tuple[Tensor | None, ...]:
        lengths, dropout, scaling = ctx.settings
        q_KTGD, k_KTD, v_KTD, *kept = ctx.saved_tensors
        grad_KTGD = _by_key(grad_THD, len(k_KTD))
        if dropout:
            grad_KTGD.mul_(1 / (1 - dropout))
        grad_q_TKGD = q_KTGD.new_empty(q_KTGD.transpose(0, 1).shape)
        grad_k_KTD, grad_v_KTD = k_KTD.new_zeros(k_KTD.shape), v_KTD.new_zeros(v_KTD.shape)
        kept_of_block = iter(kept)
        for rows, keys in _blocks(lengths):
            shares = seen = next(kept_of_block)
            grad, q = grad_KTGD[:, rows].flatten(1, 2), q_KTGD[:, rows].flatten(1, 2)
            grad_shares = torch.bmm(grad, v_KTD[:, keys].mT)
            if dropout:
                keep = next(kept_of_block)
                seen = shares * keep
                grad_shares.mul_(keep)
            grad_scores = torch._softmax_backward_data(grad_shares, shares, -1, shares.dtype)
            grad_v_KTD[:, keys].baddbmm_(seen.mT, grad)
            grad_k_KTD[:, keys].baddbmm_(grad_scores.mT, q)
            size = rows.stop - rows.start
            grad_q_TKGD[rows] = torch.bmm(grad_scores, k_KTD[:, keys]).unflatten(1, (size, -1)).transpose(0, 1)
        return grad_q_TKGD.mul_(scaling).flatten(1, 2).transpose(0, 1), grad_k_KTD, grad_v_KTD, None, None, None


def _blocks(lengths: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """List the blocks of rows of all texts, and the rows that each of them may see."""
    for start, length in zip(itertools.accumulate(lengths, initial=0), lengths, strict=False):
        for first in range(start, start + length, BLOCK):
            end = min(first + BLOCK, start + length)
            yield slice(first, end), slice(start, end)


def _by_key(each_THD: Tensor, heads: int) -> Tensor:
    """Copy what belongs to heads so that those of a key stand together: (K, T, G, D)."""
    return each_THD.unflatten(1, (heads, -1)).transpose(0, 1).clone(memory_format=torch.contiguous_format)
