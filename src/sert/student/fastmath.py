"""The same results in less time: changes to a model and to this process that are undone when their block ends."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

# `mallopt` parameters of glibc, from malloc.h, with what its own adjusting comes to after large tensors were freed.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_GLIBC_TRIM_THRESHOLD, _GLIBC_MMAP_MAX = 64 * 2**20, 65536


@contextmanager
def fast_activations(model: nn.Module) -> Iterator[None]:
    """Let torch's one-pass kernel compute GELU's tanh form, which transformers' `gelu_new` spells out in eight passes.

    The function is the same up to rounding; the model gets its own modules back at the end.
    """
    from transformers.activations import NewGELUActivation

    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is NewGELUActivation
    ]
    for parent, name, _ in found:
        setattr(parent, name, nn.GELU(approximate="tanh"))
    try:
        yield
    finally:
        for parent, name, child in found:
            setattr(parent, name, child)


@contextmanager
def head_on_rows(head: nn.Module | None, rows_N: Tensor, *, shape: tuple[int, int]) -> Iterator[None]:
    """Let the language-model head see only some rows of the hidden states, so that the model's logits are (1, N, V).

    The model's own forward goes on from there, so what it does to logits one by one (scaling, soft caps) stays as it
    is. A model whose head is no module, or is given anything but hidden states (B, T, H), returns what it always did.

    Args:
        head: The model's output embeddings.
        rows_N: Which of the B * T positions, counted row by row.
        shape: (B, T) of the batch.
    """

    def select(_: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor] | None:
        is_hidden = len(args) == 1 and args[0].ndim == 3 and args[0].shape[:2] == shape
        return (args[0].flatten(0, 1).index_select(0, rows_N)[None],) if is_hidden else None

    handle = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let this process reuse the memory of freed tensors instead of handing it to the system and asking again.

    The C library returns each large block when it is freed, and the system clears it page by page when it is asked
    for again; a training step frees and asks for gigabytes. At the end the memory goes back. glibc only.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_MAX, _GLIBC_MMAP_MAX)
        libc.mallopt(_M_TRIM_THRESHOLD, _GLIBC_TRIM_THRESHOLD)
        libc.malloc_trim(0)
