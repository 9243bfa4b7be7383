"""Trackers of experiments: TensorBoard, trackio and Weights & Biases, each behind the same two calls.

They are told names of stages and numbers, and nothing else: no text, no path, no setting. Nothing of them is imported
before one is asked for.
"""

import io
import os
import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, Protocol

from sert.errors import ConfigError
from sert.store.disk import make_folder

Tracker = Literal["tensorboard", "trackio", "wandb"]
PROJECT = "sert"
"""What runs belong to, for trackers that have projects."""
ENDING = ".tracked"
"""How the folder beside a run is called in which trackers keep their files."""
_NO_TAG = re.compile(r"[^\w.+, /-]+")


class Sink(Protocol):
    """Where numbers go."""

    def log(self, name: str, step: int, numbers: Mapping[str, float]) -> None:
        """Note numbers of a stage at a step."""

    def close(self) -> None:
        """Write what is not written yet."""


class _TensorBoard:
    def __init__(self, run: str, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(log_dir=str(folder))

    def log(self, name: str, step: int, numbers: Mapping[str, float]) -> None:
        for each, value in numbers.items():
            self._writer.add_scalar(_tag(name, each), value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    def __init__(self, run: str, folder: Path) -> None:
        import trackio

        with redirect_stdout(io.StringIO()):  # where results of commands are printed
            off = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
            self._run: Any = trackio.init(project=PROJECT, name=run, **off)

    def log(self, name: str, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log({_tag(name, each): value for each, value in numbers.items()}, step=step)

    def close(self) -> None:
        import trackio

        with redirect_stdout(io.StringIO()):
            trackio.finish()


class _Wandb:
    def __init__(self, run: str, folder: Path) -> None:
        import wandb

        # Without a key it would ask for one at the terminal.
        mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
        settings = wandb.Settings(silent=True, disable_code=True, disable_git=True, save_code=False)
        self._run: Any = wandb.init(project=PROJECT, name=run, dir=str(folder), mode=mode, settings=settings)
        self._run.define_metric("*", step_metric="step")

    def log(self, name: str, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log({"step": step, **{_tag(name, each): value for each, value in numbers.items()}})

    def close(self) -> None:
        self._run.finish()


_SINKS: Mapping[Tracker, Callable[[str, Path], Sink]] = {
    "tensorboard": _TensorBoard,
    "trackio": _Trackio,
    "wandb": _Wandb,
}


def open_sink(tracker: Tracker, *, run: str, folder: Path) -> Sink:
    """Begin to track a run; what is written here goes into the folder.

    Raises:
        ConfigError: If the tracker is not installed. Whatever else goes wrong is of the tracker's own kinds.
    """
    make_folder(folder)
    try:
        return _SINKS[tracker](run, folder)
    except ImportError:
        raise ConfigError(f"report.tracker = {tracker!r} needs its package: pip install 'sert[track]'.") from None


def _tag(name: str, number: str) -> str:
    return f"{_NO_TAG.sub('_', name)}/{number}"
