"""Ctrl-C and SIGTERM: stop soon, leave nothing half-written, exit with 130 or 143."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

# Signals that arrived. What a handler raises can be swallowed, inside an import for instance; `raise_arrived` is called
# whenever work advances and raises it again.
_arrived: list[int] = []


def watch() -> None:
    """Turn both signals into exceptions that unwind through every clean-up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def raise_arrived() -> None:
    """Raise what a signal asked for, if one has arrived."""
    if _arrived:
        raise KeyboardInterrupt if _arrived[0] == signal.SIGINT else SystemExit(128 + _arrived[0])


def exit_interrupted() -> NoReturn:
    """Exit with 130 at once: the interpreter's own way out may turn an interrupt into a kill by the same signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    _arrived.append(number)
    raise_arrived()
