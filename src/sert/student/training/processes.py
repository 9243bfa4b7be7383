"""The processes that train a student together: this one alone, or those that `torchrun` or `accelerate launch` started.

Of a launcher only that counts: mixed precision, accumulation and the like are settings of the training.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sert.terminal.text import shorten

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
"""Variables that a launcher gives each of its processes; some job schedulers give one of them to lone processes."""
_UNHEEDED = {
    "ACCELERATE_MIXED_PRECISION": (("no",), "training.autocast says it"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (("1",), "training.batch_size and training.micro_batch_size say it"),
    "ACCELERATE_DYNAMO_BACKEND": (("no",), "nothing is compiled"),
    "ACCELERATE_USE_DEEPSPEED": (("false",), "every process holds the whole student"),
    "ACCELERATE_USE_FSDP": (("false",), "every process holds the whole student"),
    "ACCELERATE_USE_MEGATRON_LM": (("false",), "every process holds the whole student"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": (("false",), "every process holds the whole student"),
}
"""What else accelerate's launcher tells -> its values that ask for nothing, and what is so instead."""


def process_rank() -> int:
    """Tell which process of a distributed training this is (0 = the one that writes), as the launchers say."""
    return int(os.environ["RANK"]) if _is_launched() else 0


def _is_launched() -> bool:
    return all(os.environ.get(name) for name in LAUNCHED)


def unheeded() -> Iterator[str]:
    """Say which wishes of a launcher change nothing here, and what is so instead."""
    for name, (nothing, instead) in _UNHEEDED.items():
        value = os.environ.get(name, nothing[0])
        if value.lower() not in nothing:
            yield f"{name}={shorten(value)} changes nothing: {instead}"


class Processes:
    """The processes that train together.

    Attributes:
        number: How many there are.
        index: Which one this is, from 0 on.
        device: Where this one trains: alone where the student is, else where the launcher puts it.
    """

    def __init__(self, device: "torch.device") -> None:
        """Meet the others, if a launcher started some; `device` is where the student is."""
        self.number, self.index, self.device = 1, 0, device
        if _is_launched():
            from accelerate import PartialState

            state = PartialState(cpu=device.type == "cpu")
            self.number, self.index = state.num_processes, state.process_index
            if self.number > 1:
                self.device = state.device

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.index == 0

    def shared(self, model: Any) -> Any:
        """Let gradients of a model be those of all processes."""
        if self.number == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        on_cpu = self.device.type == "cpu"
        return DistributedDataParallel(model.to(self.device), device_ids=None if on_cpu else [self.device.index])

    def sum(self, value: "Tensor") -> "Tensor":
        """Add up what all processes hold, in place."""
        if self.number > 1:
            import torch.distributed

            torch.distributed.all_reduce(value)
        return value

    def all_of(self, value: int) -> list[int]:
        """List what all processes hold."""
        if self.number == 1:
            return [value]
        import torch.distributed

        values: list[Any] = [None] * self.number
        torch.distributed.all_gather_object(values, value)
        return values
