"""The same results in less time: changes to a model and to this process that are undone when their block ends."""

import ctypes
import inspect
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from sert.student.kernels import Kernels
from sert.student.speed.attention import causal_attention
from sert.student.speed.layers import layers_replaced
from sert.student.speed.memory import is_out_of_memory

# `mallopt` parameters of glibc, from malloc.h, with what its own adjusting comes to after large tensors were freed.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_GLIBC_TRIM_THRESHOLD, _GLIBC_MMAP_MAX = 64 * 2**20, 65536

_IN_A_ROW = "sert_in_a_row"
_LENGTHS: ContextVar[list[int]] = ContextVar("lengths")
# What transformers passes to an attention function and what changes nothing in it.
HARMLESS = {"position_ids", "cache_position", "use_cache", "output_attentions", "output_hidden_states"}


class CompiledGELU(nn.Module):
    """GELU's tanh form for inference, in a compiled loop."""

    def __init__(self, kernels: Kernels) -> None:
        super().__init__()
        self._kernels = kernels

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply it to float32 inputs of any shape."""
        return self._kernels.gelu(inputs)


def fast_activations(model: nn.Module, kernels: Kernels | None = None) -> AbstractContextManager[None]:
    """Compute GELU's tanh form, which transformers' `gelu_new` spells out in eight passes, in one pass.

    The function is the same up to rounding; the model gets its own modules back at the end. The kernels are for
    inference only; without them torch computes it.
    """
    from transformers.activations import NewGELUActivation

    return layers_replaced(
        model,
        lambda layer: type(layer) is NewGELUActivation,
        lambda layer: nn.GELU(approximate="tanh") if kernels is None else CompiledGELU(kernels),
    )


@contextmanager
def head_on_rows(head: nn.Module | None, rows_N: Tensor, *, shape: tuple[int, int]) -> Iterator[None]:
    """Let the language-model head see only some rows of the hidden states, so that the model's logits are (1, N, V).

    The model's own forward goes on from there, so what it does to logits one by one (scaling, soft caps) stays as it
    is. A model whose head is no module, or is given anything but hidden states (B, T, H), returns what it always did.
    The head is the model's output embeddings, the rows are among the B * T positions of the batch, counted row by row.
    """

    def select(_: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor] | None:
        is_hidden = len(args) == 1 and args[0].ndim == 3 and args[0].shape[:2] == shape
        return (args[0].flatten(0, 1).index_select(0, rows_N)[None],) if is_hidden else None

    with nullcontext() if head is None else head.register_forward_pre_hook(select):
        yield


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


@contextmanager
def texts_in_a_row(model: Any, *, longest: int) -> Iterator[bool]:
    """Let the model read texts that stand one after the other in a row, without padding and each by itself.

    Its linear layers then see all tokens at once, and its attention goes text by text. A model that does not leave its
    attention to transformers' interface, or that does anything else across tokens, stays as it is.
    `longest` is the length of the longest text to come.

    Yields:
        Whether it can; `model_in_a_row` then does it.
    """
    from transformers import AttentionInterface, PreTrainedModel

    own = getattr(getattr(model, "config", None), "_attn_implementation", None)
    able = isinstance(model, PreTrainedModel) and own == "sdpa" and type(model)._can_set_attn_implementation()
    if (
        not able
        or "position_ids" not in inspect.signature(model.forward).parameters
        or not sees_all(model.config, longest)
    ):
        yield False
        return
    AttentionInterface.register(_IN_A_ROW, _attention_by_text)
    try:
        yield _same_in_a_row(model)
    finally:
        model.set_attn_implementation(own)


def model_in_a_row(model: Any, input_ids_1T: Tensor, lengths: list[int]) -> Any:
    """Call a model, changed by `texts_in_a_row`, on texts of these lengths; positions count from each one's start."""
    positions = torch.cat([torch.arange(length, device=input_ids_1T.device) for length in lengths])
    token = _LENGTHS.set(lengths)
    try:
        return model(input_ids=input_ids_1T, position_ids=positions[None], use_cache=False)
    finally:
        _LENGTHS.reset(token)


def sees_all(config: Any, longest: int) -> bool:
    """Tell whether every token of such a text sees all before it, as far as a model's configuration says."""
    config = config.get_text_config()
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return all(window is None or window >= longest for window in windows)


@torch.no_grad()
def _same_in_a_row(model: Any) -> bool:
    """Change the model's attention and try it: two texts in a row must give what they gave alone; else change back."""
    training, own, body = model.training, model.config._attn_implementation, model.base_model
    model.eval()
    vocabulary = model.get_input_embeddings().weight.shape[0]
    texts = [(torch.arange(length, device=model.device) * 7 + length) % vocabulary for length in (5, 7)]
    try:
        alone = torch.cat([body(input_ids=text[None], use_cache=False)[0][0] for text in texts])
        model.set_attn_implementation(_IN_A_ROW)
        together = model_in_a_row(body, torch.cat(texts)[None], [5, 7])[0][0]
        same = bool((together - alone).abs().max() <= 1e-4 * alone.abs().max())
    except (IndexError, NotImplementedError, TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):  # says nothing of the model, and another way to train it rounds differently
            raise
        same = False
    model.train(training)
    if not same:
        model.set_attn_implementation(own)
    return same


def _attention_by_text(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attend within each text of the row: an attention function of transformers, on (1, H, T, D), causal."""
    lengths = _LENGTHS.get()
    unknown = [name for name, given in more.items() if given is not None and name not in HARMLESS]
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if unknown or attention_mask is not None or not causal or (sliding_window or max(lengths)) < max(lengths):
        raise NotImplementedError(f"attention with {unknown}")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key = query.to(value.dtype), key.to(value.dtype)  # rotary positions leave them in float32
    output_THD = causal_attention(query[0], key[0], value[0], lengths=lengths, dropout=dropout, scaling=scaling)
    return output_THD[None], None
