"""Sampling of next tokens: top-k first, then top-p inside the k, with uniforms that depend on nothing but the lane.

Shapes: B lanes, T steps, V vocabulary, K kept tokens, N blocks of S tokens, C candidates.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sert.student.kernels import compiled

BLOCK = 128
LARGE_VOCABULARY = 2**14
"""Logits of a lane from which on compiled loops are worth their compilation."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


class Sampled(NamedTuple):
    """Next tokens of lanes and their log-probabilities in nats under the untempered, untruncated student."""

    tokens: Tensor
    logprobs: Tensor


def lane_uniforms(lane_seeds: list[int], *, num_steps: int) -> Tensor:
    """Draw the uniforms of every lane and step at once, (B, T) in [0, 1), float64.

    A counter-based generator (the finaliser of SplitMix64 over seed + step * golden ratio): a lane's numbers do not
    depend on the lanes beside it. Reference: Steele, Lea and Flood, OOPSLA 2014.
    """
    seeds_B1 = np.array(lane_seeds, dtype=np.uint64)[:, None]
    steps_T = np.arange(1, num_steps + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z_BT = seeds_B1 + steps_T * _GOLDEN
        z_BT = (z_BT ^ (z_BT >> np.uint64(30))) * _MIX_1
        z_BT = (z_BT ^ (z_BT >> np.uint64(27))) * _MIX_2
    z_BT = z_BT ^ (z_BT >> np.uint64(31))
    return torch.from_numpy((z_BT >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def branch_first_tokens(logits_BV: Tensor, *, num_branches: int, skip_ids: tuple[int, ...]) -> Sampled:
    """Take the most probable first tokens of each prompt, (B, K), most probable first, leaving out `skip_ids`.

    Exactly `num_branches` columns come back: ties are cut by `topk` order, never kept by a threshold.

    Raises:
        ValueError: If the vocabulary is too small.
    """
    if not 1 <= num_branches <= logits_BV.shape[1] - len(skip_ids):
        raise ValueError(f"num_branches must be in [1, {logits_BV.shape[1] - len(skip_ids)}], not {num_branches}")
    logits_BV = logits_BV.float()
    log_total_B1 = logits_BV.logsumexp(dim=1, keepdim=True)
    if skip_ids:
        logits_BV = logits_BV.clone()
        logits_BV[:, list(skip_ids)] = -torch.inf
    values_BK, tokens_BK = logits_BV.topk(num_branches, dim=1)
    return Sampled(tokens_BK, values_BK - log_total_B1)


def top_logits(logits_BV: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the k largest logits (B, K), largest first, their tokens (B, K), and the log-sum-exp of all (B, 1).

    The vocabulary is cut into blocks, and only the k blocks with the largest maxima are sorted: no other can hold one
    of the k largest. Several times faster than `topk` over a large vocabulary.
    """
    vocabulary = logits_BV.shape[1]
    num_blocks = vocabulary // BLOCK
    kernels = compiled() if logits_BV.device.type == "cpu" and vocabulary >= LARGE_VOCABULARY else None
    maxima_BN = log_totals_B1 = None
    if kernels is not None:
        maxima_BN, log_totals_B1 = kernels.block_maxima(logits_BV, block=BLOCK)
    if k == 1 and maxima_BN is None:
        tokens_BK = logits_BV.argmax(dim=1, keepdim=True)
        values_BK = logits_BV.gather(1, tokens_BK)
    elif num_blocks < 4 * k:
        values_BK, tokens_BK = logits_BV.topk(k, dim=1)
    else:
        covered = num_blocks * BLOCK
        blocks_BNS = logits_BV[:, :covered].view(-1, num_blocks, BLOCK)
        maxima_BN = blocks_BNS.amax(dim=2) if maxima_BN is None else maxima_BN
        chosen_BK1 = maxima_BN.topk(k, dim=1).indices[:, :, None]
        values_BC = blocks_BNS.gather(1, chosen_BK1.expand(-1, -1, BLOCK)).flatten(1)
        tokens_BC = (chosen_BK1 * BLOCK + torch.arange(BLOCK, device=logits_BV.device)).flatten(1)
        rest = torch.arange(covered, vocabulary, device=logits_BV.device)
        values_BK, places_BK = torch.cat([values_BC, logits_BV[:, covered:]], dim=1).topk(k, dim=1)
        tokens_BK = torch.cat([tokens_BC, rest.expand(len(logits_BV), -1)], dim=1).gather(1, places_BK)
    if log_totals_B1 is None:
        # The largest logit is known already, so one pass of logsumexp can be left out.
        log_totals_B1 = (logits_BV - values_BK[:, :1]).exp_().sum(dim=1, keepdim=True).log_() + values_BK[:, :1]
    return values_BK, tokens_BK, log_totals_B1


def sample_next(logits_BV: Tensor, uniforms_B: Tensor, *, top_k: int, top_p: float, temperature: float) -> Sampled:
    """Draw one token a lane, (B,), by inverse transform over the top-k, then top-p, distribution.

    Top-p keeps the smallest set of the most probable tokens whose share reaches `top_p`, after tempering and top-k, as
    `transformers` does. `top_k=1` is greedy decoding.
    """
    logits_BV = logits_BV.float()
    values_BK, tokens_BK, log_totals_B1 = top_logits(logits_BV, min(top_k, logits_BV.shape[1]))
    shares_BK = torch.softmax(values_BK.double() / temperature, dim=1)
    before_BK = shares_BK.cumsum(dim=1) - shares_BK
    shares_BK = shares_BK * (before_BK < top_p)
    cdf_BK = shares_BK.cumsum(dim=1)
    picked_B1 = (cdf_BK <= uniforms_B[:, None] * cdf_BK[:, -1:]).sum(dim=1, keepdim=True)
    kept_B1 = (shares_BK > 0).sum(dim=1, keepdim=True)
    picked_B1 = torch.minimum(picked_B1, kept_B1 - 1)
    logprobs_B = (values_BK.gather(1, picked_B1) - log_totals_B1)[:, 0]
    return Sampled(tokens_BK.gather(1, picked_B1)[:, 0], logprobs_B)
