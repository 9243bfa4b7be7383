"""Telling a tracker of experiments the numbers of a run: curves of trainings as they go, results of finished stages.

No result depends on it. What fails there is told once, and the run goes on without.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sert.errors import ConfigError
from sert.runs.request import Request
from sert.runs.trackers import ENDING, Sink, open_sink
from sert.store.stage import Stage
from sert.terminal.progress import Advance, Reporter
from sert.terminal.text import cut

_OF_RESULTS = ("train", "evaluate", "filter", "mine")


class Tracked:
    """Reports as another reporter does, and hands numbers on.

    Attributes:
        name: What numbers are told of, the stage in work; else the label of who tells them.
    """

    def __init__(self, reporter: Reporter, sink: Callable[[], Sink] | None) -> None:
        """Take who is told, and what begins to track; None where nothing is tracked."""
        self.name: str | None = None
        self._reporter = reporter
        self._sink: Sink | None = None
        try:
            self._sink = None if sink is None else sink()
        except ConfigError:
            raise  # it is not installed, and nothing is made yet
        except Exception as error:
            self._failed(error)

    def say(self, line: str) -> None:
        """Pass a line on."""
        self._reporter.say(line)

    def track(self, label: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Pass progress on."""
        return self._reporter.track(label, total, unit)

    def measure(self, label: str, step: int, numbers: Mapping[str, float]) -> None:
        """Hand numbers on."""
        self._guarded(lambda sink: sink.log(self.name or label, step, numbers))

    def finished(self, stage: Stage, *, curve: bool) -> None:
        """Hand the results of a stage on, and of a training that went on elsewhere its whole curve."""
        if stage.job.kind in _OF_RESULTS:
            self._guarded(lambda sink: _tell(sink, stage, curve=curve))

    def close(self) -> None:
        """End tracking."""
        self._guarded(lambda sink: sink.close())

    def _guarded(self, do: Callable[[Sink], None]) -> None:
        """Do something with the tracker, where there is one; where it fails, leave it alone from here on."""
        if self._sink is None:
            return
        try:
            do(self._sink)
        except Exception as error:  # each tracker has errors of its own
            self._sink = None
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        said = cut(" ".join(f"{type(error).__name__}: {error}".split()), most=300)
        self._reporter.say(f"warning: the tracker failed, and the run goes on without it: {said}")


def _tell(sink: Sink, stage: Stage, *, curve: bool) -> None:
    result = stage.result.open()
    lines = result.file("loss.jsonl")
    if curve and stage.job.kind == "train" and lines.is_file():
        for line in map(json.loads, lines.read_text(encoding="utf-8").splitlines()):
            sink.log(stage.name, int(line.pop("step")), line)
    numbers = dict(_numbers(result.counts))
    sink.log(stage.name, int(numbers.get("steps", 0)), numbers)


def _numbers(counts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Take the plain numbers of what was counted, of intervals both ends."""
    for name, value in counts.items():
        if isinstance(value, list) and len(value) == 2:
            yield from ((f"{name}_{end}", part) for end, part in zip(("low", "high"), value, strict=True))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


@contextmanager
def tracking(request: Request, out: Path, reporter: Reporter) -> Iterator[Tracked]:
    """Track a run or a grid while it is made, where its configuration asks for it, into a folder beside it.

    Raises:
        ConfigError: If the tracker is not installed.
    """
    tracker = request.arms[0].config.report.tracker
    folder = out.absolute().with_name(f"{out.absolute().name}{ENDING}")
    begin = None if tracker == "none" else lambda: open_sink(tracker, run=request.asked.name, folder=folder)
    tracked = Tracked(reporter, begin)
    try:
        yield tracked
    finally:
        tracked.close()
