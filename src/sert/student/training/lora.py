"""LoRA and DoRA (arXiv 2106.09685, 2402.09353): two small matrices beside each linear layer, which alone are trained.

`peft` puts them into the model, which stays what it was for all else that trains, reads or speeds it up.
"""

import copy
import os
import warnings
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from sert.config.lora import LoraConfig
from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.seeds import derive_seed
from sert.student.adapter import quiet_peft
from sert.student.folder import find_student
from sert.student.load import Student
from sert.student.speed.layers import layers_replaced


class Save(Protocol):
    """What writes a student's weights into a folder, as they are when it is called."""

    def __call__(self, folder: Path, *, last: bool = False) -> None:
        """Write them. The last time it may change the student, and then needs no memory for a copy of its weights."""


def add_adapters(student: Student, config: LoraConfig, *, base: StudentConfig, seed: int) -> Save:
    """Put adapters into a student, whose own weights are frozen. It says what it said until they are trained.

    The seed decides where they start. `base` is what the student was loaded from; saved adapters name it.

    Returns:
        What saves the student: whole, with the adapters in its weights, or the adapters alone.

    Raises:
        StudentError: If `peft` is not installed, the student has none of the layers that are named, or one of them
            shares its weights with the embeddings.
    """
    try:
        import peft
    except ImportError:
        raise StudentError("training.lora needs the `peft` package: pip install 'sert[lora]'.") from None
    from transformers.pytorch_utils import Conv1D

    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.targets if isinstance(config.targets, str) else list(config.targets),
        use_dora=config.dora,
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in student.model.modules()),
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(derive_seed(seed, "lora") % 2**63)
    try:
        with quiet_peft():
            warnings.filterwarnings("error", "Model has `tie_word_embeddings=True` and a tied layer")
            adapted = peft.get_peft_model(student.model, settings)
    except UserWarning:
        raise StudentError(
            f"training.lora.targets = {config.targets!r} names a layer of {student.name!r} whose weights are those of "
            'its embeddings too: adapters would change one of the two alone. Leave it out; "all-linear" does.'
        ) from None
    except ValueError as error:  # how it says that no layer has such a name
        raise StudentError(
            f"{student.name!r} gets no adapters by training.lora.targets = {config.targets!r}: its linear layers are "
            f'called {", ".join(_linear_names(student.model))}, and "all-linear" means all of them. ({error})'
        ) from None
    return partial(save_merged, student.model) if config.output == "merged" else _saving_apart(adapted, base)


def save_merged(model: Any, folder: Path, *, last: bool = False) -> None:
    """Save a model as if its adapters were its own weights; it keeps both, bit for bit, but for the last time."""
    with _merged(model, keep=not last):
        model.save_pretrained(folder)


def _merged(model: nn.Module, *, keep: bool) -> AbstractContextManager[None]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    def merge(layer: Any) -> nn.Module:
        alone = copy.deepcopy(layer) if keep else layer  # to take a product away again would leave its rounding
        alone.merge()
        merged: nn.Module = alone.get_base_layer()
        return merged

    return layers_replaced(model, lambda layer: isinstance(layer, BaseTunerLayer), merge)


def _saving_apart(adapted: Any, base: StudentConfig) -> Save:
    """Let adapters name their base, which may have others already, and everything in them stand in an order."""
    (settings,) = adapted.peft_config.values()
    place = find_student(base)
    path = place.path if place.kind == "adapter" else adapted.get_base_model().name_or_path
    settings.base_model_name_or_path = os.path.abspath(path) if os.path.isdir(path) else path
    settings.revision = place.revision
    settings.target_modules = sorted(settings.target_modules)

    def save(folder: Path, *, last: bool = False) -> None:
        adapted.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()  # peft's, which would show where the base lies

    return save


def _linear_names(model: nn.Module) -> list[str]:
    from transformers.pytorch_utils import Conv1D

    linear = (name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | Conv1D))
    return sorted({name.rpartition(".")[2] for name in linear})
