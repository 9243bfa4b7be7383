"""Whether mixed precision pays on the machine that trains.

Not every processor multiplies numbers of 16 bits: where it does not, torch takes them one at a time, and the products
of a backward pass in bfloat16 take hundreds of times as long as those in float32.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

SLOWER = 1.2
"""Times that a step's products must take in bfloat16, compared with float32, before anybody is warned."""
_TOKENS, _WIDTH, _ROUNDS = 64, 512, 3


def times_as_long() -> float:
    """Measure how many times as long the three products of a linear layer's step take in bfloat16, on the CPU."""
    return _seconds(torch.bfloat16) / _seconds(torch.float32)


def advice_against_bfloat16(ratio: float) -> str | None:
    """Say that bfloat16 does not pay, and what to set; None where it may."""
    if ratio <= SLOWER:
        return None
    return (
        f"training.autocast = 'bf16' makes this training slower: this processor takes {ratio:.1f} times as long for a "
        "layer's products in bfloat16 as in float32; --set training.autocast=no"
    )


def _seconds(dtype: torch.dtype) -> float:
    """Take the median time of the products, the first of which also readies what torch keeps for them."""
    inputs_NI = torch.ones(_TOKENS, _WIDTH, dtype=dtype)
    grad_NO = torch.ones(_TOKENS, _WIDTH, dtype=dtype)
    weight_OI = torch.ones(_WIDTH, _WIDTH, dtype=dtype)
    products: tuple[Callable[[], Tensor], ...] = (
        lambda: inputs_NI @ weight_OI.t(),
        lambda: grad_NO @ weight_OI,
        lambda: grad_NO.t() @ inputs_NI,
    )
    times = []
    for _ in range(1 + _ROUNDS):
        started = time.perf_counter()
        for product in products:
            product()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])
