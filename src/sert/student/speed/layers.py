"""Other layers in the places of some of a model's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

Place = tuple[nn.Module, str, Any]
"""Where a layer was: its parent and name there; and the layer."""


def replace_layers(model: nn.Module, wanted: Callable[[Any], bool], make: Callable[[Any], nn.Module]) -> list[Place]:
    """Put what `make` makes of them in the place of the wanted layers; return where which one was."""
    places = [(parent, *child) for parent in model.modules() for child in parent.named_children() if wanted(child[1])]
    for parent, name, layer in places:
        setattr(parent, name, make(layer))
    return places


def cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Give a model's weights another type; what it computes for itself, such as rotary frequencies, stays."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)


@contextmanager
def layers_replaced(
    model: nn.Module, wanted: Callable[[Any], bool], make: Callable[[Any], nn.Module]
) -> Iterator[None]:
    """Do so for a while; then the model gets its own layers back, in the mode that it is in."""
    places = replace_layers(model, wanted, make)
    try:
        yield
    finally:
        for parent, name, layer in places:
            setattr(parent, name, layer.train(parent.training))


@contextmanager
def changed(place: Any, name: str, value: Any) -> Iterator[None]:
    """Give an object something else by this name for a while."""
    own = vars(place)
    before = {name: own[name]} if name in own else {}
    setattr(place, name, value)
    try:
        yield
    finally:
        delattr(place, name)  # what its class has by that name, its forward say, is there again
        for name, value in before.items():
            setattr(place, name, value)
