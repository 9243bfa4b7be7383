"""Gradient checkpointing: only what goes into each layer is kept, the rest is computed again for the gradients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from sert.errors import StudentError


@contextmanager
def activations_recomputed(model: nn.Module) -> Iterator[None]:
    """Let the model's layers do so in training; dropout falls as it fell the first time. Undone at the end.

    Raises:
        StudentError: If the model has no layers that can.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    if not layers:
        raise StudentError(
            f"{type(model).__name__} has no layers whose activations can be computed again. "
            "Set training.gradient_checkpointing to false and training.micro_batch_size to less."
        )
    for layer in layers:
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False, context_fn=_surroundings)
        layer.gradient_checkpointing = True
    try:
        yield
    finally:
        for layer in layers:
            del layer._gradient_checkpointing_func, layer.gradient_checkpointing  # the class has it off


def _surroundings() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Give the second computation the context variables of the first, among them how texts stand in a row."""
    return nullcontext(), _with_variables(copy_context())


@contextmanager
def _with_variables(context: Context) -> Iterator[None]:
    before = [(variable, variable.set(value)) for variable, value in context.items()]
    try:
        yield
    finally:
        for variable, token in reversed(before):
            variable.reset(token)
