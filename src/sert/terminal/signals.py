"""Ctrl-C and SIGTERM: stop soon, leave nothing half-written, exit with 130 or 143.

The first signal unwinds the work through every clean-up. Whatever that hangs in, the process ends a few seconds later,
and at a second signal at once: nothing is lost by it, because work is committed so that it outlives any end.
"""

import os
import signal
import sys
import threading
from functools import cache
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 4.0

# Signals that arrived. What a handler raises can be swallowed, inside an import for instance; `raise_arrived` is called
# whenever work advances and raises it again.
_arrived: list[int] = []


def watch() -> None:
    """Turn both signals into exceptions that unwind through every clean-up, and see to it that they end the process."""
    # The system's own handler writes to the pipe at once, also while the interpreter waits for a long computation.
    signal.set_wakeup_fd(_watched_pipe(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


@cache
def _watched_pipe() -> int:
    """Start the thread that ends the process, once, and return the end of the pipe that tells it of signals."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_end_in_time, args=(reader,), daemon=True).start()
    return writer


def raise_arrived() -> None:
    """Raise what a signal asked for, if one has arrived."""
    if _arrived:
        raise KeyboardInterrupt if _arrived[0] == signal.SIGINT else SystemExit(128 + _arrived[0])


def ignore() -> None:
    """Let no signal change how a process ends whose work is done."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def exit_interrupted() -> NoReturn:
    """Exit with 130 at once: the interpreter's own way out may turn an interrupt into a kill by the same signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    _arrived.append(number)
    raise_arrived()


def _end_in_time(reader: int) -> None:
    """Wait for a signal, then for the grace to be over or another signal, and end the process."""
    watched = {int(signal.SIGINT), int(signal.SIGTERM)}
    first = _next_of(watched, reader)
    timer = threading.Timer(GRACE_SECONDS, os._exit, (128 + first,))
    timer.daemon = True
    timer.start()
    _next_of(watched, reader)
    os._exit(128 + first)


def _next_of(watched: set[int], reader: int) -> int:
    while True:
        number = os.read(reader, 1)[0]
        if number in watched:
            return number
