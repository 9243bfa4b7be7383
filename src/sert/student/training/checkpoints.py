"""Checkpoints of a training: its whole state, complete or invisible, so that it goes on bit for bit.

A checkpoint is a folder `step-N`: the weights that are trained and what Adam keeps of each in safetensors, and numbers
in JSON. It needs no random state, because order and dropout are functions of (seed, epoch) and (seed, step).
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sert.store.artifacts import content_key, file_hash
from sert.store.disk import make_folder, remove, whole_folder

CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints in an artifact's hidden folder."""
TENSORS, NUMBERS = "tensors.safetensors", "numbers.json"
KEPT = 2
_ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """How far a training is, besides weights and optimizer.

    Attributes:
        step: Optimizer steps that were made.
        tokens_seen: Supervised tokens of these.
        micro_batch_size: Most examples of a forward pass, where memory allowed fewer than were asked for.
        curve: Loss, gradient norm and learning rate of each step.
    """

    step: int = 0
    tokens_seen: int = 0
    micro_batch_size: int | None = None
    curve: list[dict[str, float]] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one training."""

    def __init__(
        self,
        folder: Path,
        *,
        every_seconds: float,
        say: Callable[[str], None],
        saved: Callable[[], object] = lambda: None,
    ) -> None:
        """Take where they lie, how often one is due, who hears of broken ones, and what is called after each one."""
        self._saved = saved
        self._folder, self._every, self._say = folder, every_seconds, say
        self._damaged: list[Path] = []
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() - self._last >= self._every

    def save(self, progress: Progress, model: nn.Module, adamw: torch.optim.Optimizer) -> None:
        """Save the state after a step, and remove the checkpoints before the last two.

        Raises:
            DiskError: If it cannot be written; the earlier ones are kept.
        """
        tensors = _tensors_of(model, adamw)
        size = sum(tensor.nbytes for tensor in tensors.values())
        make_folder(self._folder)
        for useless in [*self._damaged, *self._folder.glob(".*")]:  # the latter are of a process that was killed
            remove(useless)
        with whole_folder(self._folder / f"step-{progress.step:08d}", size) as scratch:
            save_file(tensors, scratch / TENSORS)
            numbers = asdict(progress) | {"tensors": file_hash(scratch / TENSORS)}
            text = json.dumps({"numbers": numbers, "hash": content_key(numbers)}, separators=(",", ":"))
            (scratch / NUMBERS).write_text(text, encoding="ascii")
        for old in self._all()[KEPT:]:
            shutil.rmtree(old)
        self._last = time.monotonic()
        self._saved()

    def restore(self, model: nn.Module, adamw: torch.optim.Optimizer) -> Progress:
        """Put the last complete checkpoint into model and optimizer and return its progress. Broken ones are named."""
        for folder in self._all():
            numbers = _read_numbers(folder)
            if numbers is None:
                self._say(f"the checkpoint {folder.name} is damaged and passed over")
                self._damaged.append(folder)
                continue
            _put_back(load_file(folder / TENSORS), model, adamw)
            del numbers["tensors"]
            return Progress(**numbers)
        return Progress()

    def _all(self) -> list[Path]:
        """List the checkpoints, the last one first."""
        return sorted(self._folder.glob("step-*"), reverse=True)


def _read_numbers(folder: Path) -> dict[str, Any] | None:
    """Read the numbers of a checkpoint; None if any of its bytes is not as it was written."""
    try:
        kept = json.loads((folder / NUMBERS).read_text(encoding="ascii"))
        numbers: dict[str, Any] = kept["numbers"]
        whole = kept["hash"] == content_key(numbers) and numbers["tensors"] == file_hash(folder / TENSORS)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return numbers if whole else None


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name the weights that are trained: all of a student, or its adapters alone."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _tensors_of(model: nn.Module, adamw: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for name, weight in trained_parameters(model).items():
        tensors[f"weight/{name}"] = weight.detach()
        tensors.update((f"{part}/{name}", value) for part, value in adamw.state.get(weight, {}).items())
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _put_back(tensors: dict[str, Tensor], model: nn.Module, adamw: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for name, weight in trained_parameters(model).items():
            weight.copy_(tensors[f"weight/{name}"])
            kept = {part: tensors[f"{part}/{name}"] for part in _ADAM if f"{part}/{name}" in tensors}
            if kept:
                adamw.state[weight] = {part: value.to(weight.device, copy=True) for part, value in kept.items()}
