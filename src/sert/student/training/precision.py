"""Whether mixed precision pays on the machine that trains.

Not every processor multiplies numbers of 16 bits: where it does not, torch takes them one at a time, and the products
of a backward pass in bfloat16 take hundreds of times as long as those in float32.
"""

import math
import time

import torch

SLOWER = 1.2
"""Times that a step's products must take in bfloat16, compared with float32, before anybody is warned."""
_TOKENS, _WIDTH, _ROUNDS = 64, 512, 5


def times_as_long() -> float:
    """Measure how many times as long the three products of a linear layer's step take in bfloat16, on the CPU.

    Each at its best, in turns: what else runs on the machine makes products slower, and nothing makes them faster.
    """
    best = dict.fromkeys((torch.bfloat16, torch.float32), math.inf)
    for turn in range(1 + _ROUNDS):
        for dtype in best:
            took = _seconds(dtype)
            if turn:  # the first one also readies what torch keeps for them
                best[dtype] = min(best[dtype], took)
    return best[torch.bfloat16] / best[torch.float32]


def advice_against_bfloat16(ratio: float) -> str | None:
    """Say that bfloat16 does not pay, and what to set; None where it may."""
    if ratio <= SLOWER:
        return None
    return (
        f"training.autocast = 'bf16' makes this training slower: this processor takes {ratio:.1f} times as long for a "
        "layer's products in bfloat16 as in float32; --set training.autocast=no"
    )


def _seconds(dtype: torch.dtype) -> float:
    """Time the products once."""
    inputs_NI = torch.ones(_TOKENS, _WIDTH, dtype=dtype)
    grad_NO = torch.ones(_TOKENS, _WIDTH, dtype=dtype)
    weight_OI = torch.ones(_WIDTH, _WIDTH, dtype=dtype)
    began = time.perf_counter()
    torch.mm(inputs_NI, weight_OI.t())
    torch.mm(grad_NO, weight_OI)
    torch.mm(grad_NO.t(), inputs_NI)
    return time.perf_counter() - began
