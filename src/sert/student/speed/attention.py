"""Causal attention of several texts in a row, for training on CPUs: each text by itself, and of it some rows at a time.

torch's own goes through all heads one by one, takes twice as long for the gradients in float32 and five times in
bfloat16, and with dropout makes a dozen passes over all scores of a batch. Here heads that share their keys are one
product, the scores of a block stay in the cache, and most of those that lie in the future are never made. With
dropout a block is a whole text.

Shapes: H heads of queries, K of keys, G = H / K that share one; T tokens of all texts, n of a block, t of one text; D
features of a head.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sert.student.speed.dropout import keep_mask

BLOCK = 96
"""Rows of a text at a time: fewer make small products, more make scores that nobody asks for."""


def causal_attention(
    q_HTD: Tensor, k_KTD: Tensor, v_KTD: Tensor, *, lengths: list[int], dropout: float, scaling: float
) -> Tensor:
    """Gather (T, H, D) from the values of each text, by the softmax of the scores times `scaling`.

    A share of the softmax is dropped. That of each block is kept for the gradients.
    """
    apply: Any
    output_THD: Tensor
    if dropout:
        apply, group = _WithDropout.apply, len(q_HTD) // len(k_KTD)
        k_HTD, v_HTD = (each.repeat_interleave(group, dim=0) if group > 1 else each for each in (k_KTD, v_KTD))
        output_THD = apply(q_HTD, k_HTD, v_HTD, lengths, dropout, scaling)
    else:
        apply = _InBlocks.apply
        output_THD = apply(q_HTD, k_KTD, v_KTD, lengths, scaling)
    return output_THD


class _InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_HTD: Tensor, k_KTD: Tensor, v_KTD: Tensor, lengths: list[int], scaling: float) -> Tensor:
        heads = len(k_KTD)
        q_KTGD = _by_key(q_HTD.transpose(0, 1), heads).mul_(scaling)
        output_TKGD = v_KTD.new_empty((q_HTD.shape[1], heads, len(q_HTD) // heads, v_KTD.shape[-1]))
        future_nn = q_HTD.new_full((BLOCK, BLOCK), -torch.inf).triu_(1)
        kept: list[Tensor] = []
        for rows, keys in _blocks(lengths):
            scores = torch.bmm(q_KTGD[:, rows].flatten(1, 2), k_KTD[:, keys].mT)
            size = rows.stop - rows.start
            scores.view(heads, size, -1, scores.shape[-1])[..., -size:] += future_nn[:size, None, :size]
            shares = scores.softmax(-1)
            kept.append(shares)
            output_TKGD[rows] = _rows_first(torch.bmm(shares, v_KTD[:, keys]), size)
        ctx.save_for_backward(q_KTGD, k_KTD, v_KTD, *kept)
        ctx.settings = (lengths, scaling)
        return output_TKGD.flatten(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_THD: Tensor) -> tuple[Tensor | None, ...]:
        lengths, scaling = ctx.settings
        q_KTGD, k_KTD, v_KTD, *kept = ctx.saved_tensors
        grad_KTGD = _by_key(grad_THD, len(k_KTD))
        grad_q_TKGD = q_KTGD.new_empty(q_KTGD.transpose(0, 1).shape)
        grad_k_KTD, grad_v_KTD = k_KTD.new_zeros(k_KTD.shape), v_KTD.new_zeros(v_KTD.shape)
        for (rows, keys), shares in zip(_blocks(lengths), kept, strict=True):
            grad, q = grad_KTGD[:, rows].flatten(1, 2), q_KTGD[:, rows].flatten(1, 2)
            grad_shares = torch.bmm(grad, v_KTD[:, keys].mT)
            grad_scores = torch._softmax_backward_data(grad_shares, shares, -1, shares.dtype)
            grad_v_KTD[:, keys].baddbmm_(shares.mT, grad)
            grad_k_KTD[:, keys].baddbmm_(grad_scores.mT, q)
            size = rows.stop - rows.start
            grad_q_TKGD[rows] = _rows_first(torch.bmm(grad_scores, k_KTD[:, keys]), size)
        return grad_q_TKGD.mul_(scaling).flatten(1, 2).transpose(0, 1), grad_k_KTD, grad_v_KTD, None, None


def _blocks(lengths: list[int]) -> Iterator[tuple[slice, slice]]:
    """List the blocks of rows of all texts, and the rows that each of them may see."""
    for start, length in zip(itertools.accumulate(lengths, initial=0), lengths, strict=False):
        for first in range(start, start + length, BLOCK):
            end = min(first + BLOCK, start + length)
            yield slice(first, end), slice(start, end)


def _by_key(each_THD: Tensor, heads: int) -> Tensor:
    """Copy what belongs to heads so that those of a key stand together: (K, T, G, D)."""
    tokens, _, features = each_THD.shape
    each_TKGD = each_THD.reshape(tokens, heads, -1, features)
    return each_TKGD.transpose(0, 1).clone(memory_format=torch.contiguous_format)


def _rows_first(block: Tensor, size: int) -> Tensor:
    """Turn what a block's rows gathered, heads that share a key one below the other, around: (n, K, G, D)."""
    return block.view(len(block), size, -1, block.shape[-1]).transpose(0, 1)


class _WithDropout(torch.autograd.Function):
    """The same with dropout, whole texts at a time, with as many heads of keys as of queries."""

    @staticmethod
    def forward(
        ctx: Any, q_HTD: Tensor, k_HTD: Tensor, v_HTD: Tensor, lengths: list[int], dropout: float, scaling: float
    ) -> Tensor:
        future = q_HTD.new_full((max(lengths), max(lengths)), -torch.inf).triu_(1)
        output_THD = _tokens_first(v_HTD, heads=len(q_HTD))
        kept = []
        parts = zip(
            *(torch.split(each, lengths, dim=1) for each in (q_HTD, k_HTD, v_HTD, output_THD.transpose(0, 1))),
            strict=True,
        )
        for q, k, v, output in parts:
            size = q.shape[1]
            shares_Htt = torch.baddbmm(future[:size, :size], q, k.mT, alpha=scaling).softmax(-1)
            keep_Htt = keep_mask(shares_Htt.shape, dropout, dtype=shares_Htt.dtype)
            torch.mul(torch.bmm(shares_Htt * keep_Htt, v), 1 / (1 - dropout), out=output)
            kept += [shares_Htt, keep_Htt]
        ctx.save_for_backward(q_HTD, k_HTD, v_HTD, *kept)
        ctx.settings = (lengths, dropout, scaling)
        return output_THD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_THD: Tensor) -> tuple[Tensor | None, ...]:
        lengths, dropout, scaling = ctx.settings
        grad_THD = grad_THD * (1 / (1 - dropout))
        q_HTD, k_HTD, v_HTD, *kept = ctx.saved_tensors
        grads = [_tokens_first(each, heads=len(each)).transpose(0, 1) for each in (q_HTD, k_HTD, v_HTD)]
        whole = (q_HTD, k_HTD, v_HTD, grad_THD.transpose(0, 1), *grads)
        parts = zip(*(torch.split(each, lengths, dim=1) for each in whole), kept[::2], kept[1::2], strict=True)
        for q, k, v, grad, grad_q, grad_k, grad_v, shares_Htt, keep_Htt in parts:
            grad_v.copy_(torch.bmm((shares_Htt * keep_Htt).mT, grad))
            grad_shares_Htt = torch.bmm(grad, v.mT).mul_(keep_Htt)
            grad_scores_Htt = torch._softmax_backward_data(grad_shares_Htt, shares_Htt, -1, shares_Htt.dtype)
            torch.mul(torch.bmm(grad_scores_Htt, k), scaling, out=grad_q)
            torch.mul(torch.bmm(grad_scores_Htt.mT, q), scaling, out=grad_k)
        return *grads, None, None, None


def _tokens_first(like_HTD: Tensor, *, heads: int) -> Tensor:
    """Make room (T, H, D), in the order in which a model joins its heads."""
    return like_HTD.new_empty((like_HTD.shape[1], heads, like_HTD.shape[2]))
