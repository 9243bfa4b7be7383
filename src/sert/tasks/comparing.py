"""Whether two expressions have the same value, found out by math-verify in a process that may be killed.

What a model wrote can take a computer algebra system for ever, or all of its memory. So it is asked in a process of its
own, which has bounds of time and memory; when it hangs or dies, the two differ, and another process goes on.
"""

import atexit
import json
import os
import selectors
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from sert.errors import ConfigError

SECONDS = 5.0
"""That a comparison may take."""
SECONDS_TO_START = 120.0
READY, SAME, DIFFERENT = b"r", b"1", b"0"
"""Bytes by which the process answers."""
_SCRIPT = Path(__file__).with_name("math_worker.py")


class Comparer:
    """A process that compares expressions one pair after the other, and its successors.

    Attributes:
        killed: How many processes were ended because they did not answer.
    """

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self.killed = 0
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def same(self, answer: str, gold: str) -> bool:
        """Tell whether both have the same value; not if that cannot be found out.

        Raises:
            ConfigError: If the process cannot begin.
        """
        process = self._running()
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps([answer, gold]).encode() + b"\n")
            process.stdin.flush()
        verdict = self._byte(process, self._seconds)
        if verdict not in (SAME, DIFFERENT):
            self.killed += 1
            self.close()
        return verdict == SAME

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        if self._byte(self._process, SECONDS_TO_START) != READY:
            self.close()
            raise ConfigError(
                "math-verify does not begin to work, which compares answers that are expressions; try "
                "`python -c 'import math_verify'`."
            )
        return self._process

    def _byte(self, process: "subprocess.Popen[bytes]", seconds: float) -> bytes:
        """Wait for the next byte; none where the process ended, or is silent."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            return os.read(process.stdout.fileno(), 1) if waiting.select(seconds) else b""


def same_value(answer: str, gold: str) -> bool:
    """Tell whether two expressions have the same value; each pair is asked once."""
    return _same_value(os.getpid(), answer, gold)


@lru_cache(maxsize=16384)
def _same_value(process: int, answer: str, gold: str) -> bool:
    return _comparer(process).same(answer, gold)


@lru_cache(maxsize=1)
def _comparer(process: int) -> Comparer:
    """Make one for this process: what it was forked from has its own."""
    comparer = Comparer()
    atexit.register(comparer.close)
    return comparer
