"""Progress for people (a bar on a terminal, plain lines elsewhere), on standard error."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sert.terminal.text import counted, printable

PLAIN_SECONDS = 5.0
LEAST_DONE = 0.02
"""Share of the work from which on the time left is told in lines: before, the first unit's start is most of it."""


class Advance(Protocol):
    """Called with the units that were finished (parts of one count), and a note such as the current loss."""

    def __call__(self, units: float, note: str = "") -> None:
        """Count finished units."""


class Reporter(Protocol):
    """Tells people what happens. `track` yields a function that is called as units are finished."""

    def say(self, line: str) -> None:
        """Say one line."""

    def track(self, label: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Track one stage of `total` units."""

    def measure(self, label: str, step: int, numbers: Mapping[str, float]) -> None:
        """Note the numbers of a step of a training, for who draws curves."""


class Silent:
    """Says nothing; the default of the Python API."""

    def say(self, line: str) -> None:
        """Drop the line."""

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """Track nothing."""
        yield lambda units, note="": None

    def measure(self, label: str, step: int, numbers: Mapping[str, float]) -> None:
        """Drop the numbers."""


class Terminal:
    """A bar with rate and time left on a terminal; elsewhere a plain line every few seconds."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, check: Callable[[], None] = lambda: None
    ) -> None:
        """Take a clock, and a check that is made whenever work advances and may raise to stop it."""
        self._console = Console(stderr=True, highlight=False, markup=False)
        self._clock = clock
        self._check = check

    def say(self, line: str) -> None:
        """Print one line. Control characters (from model text, say) are made visible, never sent to the terminal."""
        print(printable(line), file=sys.stderr, flush=True)

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """Show the progress of one stage: done / total, units a second, time left."""
        if self._console.is_terminal:
            yield from self._bar(label, total, unit)
        else:
            yield from self._lines(label, total, unit)

    def measure(self, label: str, step: int, numbers: Mapping[str, float]) -> None:
        """Drop the numbers: the progress holds the loss."""

    def _bar(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(printable(label), total=total, rate="", note="")
            done, start = 0.0, self._clock()

            def advance(units: float, note: str = "") -> None:
                nonlocal done
                self._check()
                done += units
                bar.update(task, completed=round(done), rate=self._rate(done, start, unit), note=printable(note))

            yield advance
        self.say(f"{label}: {counted(round(done), unit)}, {self._rate(done, start, unit)}")

    def _lines(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        done, start = 0.0, self._clock()
        last = start

        def advance(units: float, note: str = "") -> None:
            nonlocal done, last
            self._check()
            done += units
            now = self._clock()
            if now - last >= PLAIN_SECONDS and done < total:
                last = now
                known = done >= total * LEAST_DONE
                left = f", {(now - start) / done * (total - done):.0f} s left" if known else ""
                tail = f", {note}" if note else ""
                self.say(f"{label}: {done:.0f}/{total} {unit}, {self._rate(done, start, unit)}{left}{tail}")

        yield advance
        took = self._clock() - start
        self.say(f"{label}: {counted(round(done), unit)} in {took:.1f} s, {self._rate(done, start, unit)}")

    def _rate(self, done: float, start: float, unit: str) -> str:
        return f"{done / max(self._clock() - start, 1e-9):,.1f} {unit}/s"
