"""How much memory a training will take, told before it starts: from the shapes of a student's weights alone."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sert.config.tree import StudentConfig, TrainingConfig
from sert.student.folder import Place, find_student, read_json, weight_files
from sert.student.gguf import converted, is_converted
from sert.student.main_memory import main_memory
from sert.student.weights import shapes_in

if TYPE_CHECKING:
    import torch

KEPT_SHARE = 1.2
"""Numbers a token that a layer keeps for its gradients, for each input and output of its linear layers. A GPT-2 keeps
17 for each of its width (as in arXiv 2205.05198, equation 2), and has 16 inputs and outputs; a Llama keeps more for its
gate and its rotary positions."""
KEPT_BY_DORA = 1.0
"""The same once more for DoRA, which keeps what the layer and its adapter gave."""
LOGITS_KEPT = 2
"""How often there are logits of the tokens of a pass: themselves and their gradients."""
WORTH_TELLING = 2**30
"""Bytes below which a training says nothing of its memory."""
_NUMBER, _HALF, _ADAM = 4, 2, 8
_GIGABYTE, _MEGABYTE = 1e9, 1e6
_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


class Sizes(NamedTuple):
    """What of a student decides the memory of its training.

    Attributes:
        weights: All of them.
        linear: Of each linear layer in its numbered layers, by name: inputs and outputs.
        vocabulary: Rows of the embeddings.
        width: Numbers that go from layer to layer.
        depth: Layers.
    """

    weights: int
    linear: Mapping[str, tuple[int, int]]
    vocabulary: int
    width: int
    depth: int

    @staticmethod
    def of(shapes: Mapping[str, tuple[int, ...]], *, vocabulary: int, depth: int) -> "Sizes":
        """Take the shapes of all weights, each once."""
        tables = {name: shape for name, shape in shapes.items() if len(shape) == 2}
        embeddings = [shape for shape in tables.values() if shape[0] == vocabulary]
        # Adapters keep their inputs with their layers.
        linear = {
            name: (shape[0], shape[1])
            for name, shape in tables.items()
            if any(part.isdigit() for part in name.split(".")) and ".lora_" not in name
        }
        width = embeddings[0][1] if embeddings else 0
        return Sizes(sum(map(math.prod, shapes.values())), linear, vocabulary, width, max(depth, 1))


class MemoryNeed(NamedTuple):
    """Bytes that a training takes, by what they hold."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)

    def lacking(self, available: int | None, *, there: int = 0) -> str | None:
        """Say that it is not there, and what takes less; None if it is. So many bytes of it are taken already."""
        if available is None or self.total - there <= available:
            return None
        return (
            f"takes {self} of memory, more than the {size_text(available + there)} that there are. A smaller "
            "training.micro_batch_size, training.gradient_checkpointing or training.lora takes less."
        )

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size_text(size)}" for name, size in self._asdict().items())
        return f"about {size_text(self.total)} ({parts} at most)"


def size_text(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / _GIGABYTE:.1f} GB" if size >= _GIGABYTE else f"{size / _MEGABYTE:.0f} MB"


def sizes_of(model: Any) -> Sizes:
    """Read the sizes of a loaded model; of adapters in it, too."""
    return Sizes.of(
        {name: tuple(weight.shape) for name, weight in model.named_parameters()},
        vocabulary=model.get_input_embeddings().weight.shape[0],
        depth=getattr(model.config.get_text_config(), "num_hidden_layers", 1),
    )


def sizes_at(place: Place) -> Sizes | None:
    """Read a student's sizes by the headers of its files, of an adapter its base's; None where they do not say them.

    Nothing is loaded.

    Raises:
        StudentError: If a file is broken.
    """
    if place.base is not None:
        return sizes_at(place.base)
    if place.kind == "gguf" and is_converted(Path(place.path)):
        return sizes_at(Place("folder", str(converted(Path(place.path)))))
    if place.kind != "folder":
        return None
    folder = Path(place.path)
    config = read_json(folder / "config.json")
    text = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    vocabulary, depth = text.get("vocab_size"), next((text[name] for name in _DEPTHS if name in text), None)
    if not isinstance(vocabulary, int) or not isinstance(depth, int):
        return None
    shapes = {name: shape for file in weight_files(folder) for name, shape in shapes_in(file).items()}
    return Sizes.of(shapes, vocabulary=vocabulary, depth=depth)


def trained_weights(sizes: Sizes, config: TrainingConfig) -> int:
    """Count the weights that are trained: those of the adapters where there are some, else all."""
    lora = config.lora
    if lora is None:
        return sizes.weights
    chosen: Iterable[tuple[int, int]] = (
        shape
        for name, shape in sizes.linear.items()
        if lora.targets == "all-linear" or name.removesuffix(".weight").rpartition(".")[2] in lora.targets
    )
    return sum(lora.rank * sum(shape) + lora.dora * shape[0] for shape in chosen)


def memory_need(sizes: Sizes, config: TrainingConfig, *, tokens: int, trained: int) -> MemoryNeed:
    """Add up what a training takes, when so many weights are trained, and so many tokens go through it at a time.

    An upper bound of a guess: that all of these tokens are supervised, and all activations float32.
    """
    share = KEPT_SHARE + (KEPT_BY_DORA if config.lora is not None and config.lora.dora else 0.0)
    inside = share * sum(map(sum, sizes.linear.values()))
    kept = sizes.depth * sizes.width + inside / sizes.depth if config.gradient_checkpointing else inside
    copies = _HALF * sizes.weights if config.autocast == "bf16" else 0
    if config.lora is not None and config.lora.output == "merged" and config.snapshots > 1:
        copies += _NUMBER * sum(map(math.prod, sizes.linear.values()))  # when one is saved
    return MemoryNeed(
        weights=_NUMBER * sizes.weights + copies,
        gradients=_NUMBER * trained,
        optimizer=_ADAM * trained,
        activations=round(_NUMBER * tokens * (kept + LOGITS_KEPT * sizes.vocabulary)),
    )


def tokens_at_a_time(config: TrainingConfig, *, longest: int, num_examples: int, processes: int = 1) -> int:
    """Tell how many tokens go through the student at a time, at most, where the longest text has so many."""
    share = math.ceil(min(config.batch_size, num_examples) / processes)
    return min(config.micro_batch_size or share, share) * min(longest, config.max_length)


def guess_memory(student: StudentConfig, config: TrainingConfig, *, tokens: int) -> MemoryNeed | None:
    """Guess what a training takes by the headers of its student's files; None where they do not say it."""
    sizes = sizes_at(find_student(student))
    return sizes and memory_need(sizes, config, tokens=tokens, trained=trained_weights(sizes, config))


def available_by_name(name: str) -> int | None:
    """Tell how many bytes are free where `student.device` says; None if that cannot be known."""
    if name == "cpu":
        return _of_main_memory()  # needs no torch
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    try:
        return available_memory((accelerator or torch.device("cpu")) if name == "auto" else torch.device(name))
    except RuntimeError:  # there is no such device, which the run says in its own words
        return None


def available_memory(device: "torch.device") -> int | None:
    """Tell how many bytes are free on a device; None if the system does not say."""
    if device.type == "cpu":
        return _of_main_memory()
    import torch

    return int(torch.accelerator.get_memory_info(device)[0])


def _of_main_memory() -> int | None:
    memory = main_memory()
    return None if memory is None else memory.available
