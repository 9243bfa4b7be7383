"""LoRA and DoRA (arXiv 2106.09685, 2402.09353): two small matrices beside each linear layer, which alone are trained.

`peft` puts them into the model, which stays what it was for all else that trains, reads or speeds it up.
"""

import copy
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

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

Save = Callable[[Path], None]
"""What writes a student's weights into a folder, as they are when it is called."""


def add_adapters(student: Student, config: LoraConfig, *, base: StudentConfig, seed: int) -> Save:
    """Put adapters into a student, whose own weights are frozen. It says what it said until they are trained.

    The seed decides where they start. `base` is what the student was loaded from; saved adapters name it.

    Returns:
        What saves the student: whole, with the adapters in its weights, or the adapters alone. Neither changes it.

    Raises:
        StudentError: If `peft` is not installed, or the student has none of the layers that are named.
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
            adapted = peft.get_peft_model(student.model, settings)
    except ValueError as error:  # how it says that no layer has such a name
        raise StudentError(
            f"{student.name!r} gets no adapters by training.lora.targets = {config.targets!r}: its linear layers are "
            f'called {", ".join(_linear_names(student.model))}, and "all-linear" means all of them. ({error})'
        ) from None
    return partial(save_merged, student.model) if config.output == "merged" else _saving_apart(adapted, base)


def save_merged(model: Any, folder: Path) -> None:
    """Save a model as if its adapters were its own weights; it keeps both, bit for bit."""
    with _merged(model):
        model.save_pretrained(folder)


def _merged(model: nn.Module) -> AbstractContextManager[None]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    def merge(layer: Any) -> nn.Module:
        alone = copy.deepcopy(layer)  # to take a product away again would leave its rounding
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

    def save(folder: Path) -> None:
        adapted.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()  # peft's, which would show where the base lies

    return save


def _linear_names(model: nn.Module) -> list[str]:
    from transformers.pytorch_utils import Conv1D

    linear = (name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | Conv1D))
    return sorted({name.rpartition(".")[2] for name in linear})
