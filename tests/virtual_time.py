"""An asyncio event loop whose clock jumps to the next timer, so that hours of waiting take milliseconds."""

import asyncio
from asyncio import base_events
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

MONTH = 30 * 24 * 3600.0


class Stuck(RuntimeError):
    """A coroutine that waits for something that can never happen."""


class _Clock:
    """Stands where the loop keeps its selector: instead of waiting for sockets it moves the time."""

    def __init__(self, at_most: float) -> None:
        self.now = 0.0
        self.at_most = at_most

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck(f"at {self.now:g} s nothing is ready and no timer is set: this would wait for ever")
        self.now += timeout
        if timeout and self.now > self.at_most:  # what is ready still runs, so that tasks can be cancelled
            raise Stuck(f"not done after {self.at_most:g} s of virtual time")
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """An event loop without sockets, signals and threads; `time()` starts at 0 and only timers move it."""

    def __init__(self, *, at_most: float = MONTH) -> None:
        super().__init__()
        self._selector = _Clock(at_most)

    def time(self) -> float:
        return self._selector.now

    def _process_events(self, events: list[Any]) -> None:
        """No sockets, no events."""

    def _write_to_self(self) -> None:
        """Nothing sleeps, so nothing has to be woken."""


def run_virtual(main: Coroutine[Any, Any, T], *, at_most: float = MONTH) -> T:
    """Run a coroutine in virtual time and return its result.

    Raises `Stuck` where it would wait for ever, or for more than `at_most` virtual seconds. Tasks left over are
    cancelled, as by `asyncio.run`. Only `loop.time()` is virtual: the `time` module still tells the real time.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(at_most=at_most)) as runner:
        return runner.run(main)
