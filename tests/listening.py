"""A reporter that keeps what it is told, for tests of what people hear."""

from collections.abc import Iterator
from contextlib import contextmanager

from sert.terminal.progress import Advance, Silent


class Listening(Silent):
    """Keeps the lines that are said, and shows no progress."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


class StopsAt(Listening):
    """Stops the work when so much of it is done, as a signal does."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.left = amount

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        def advance(units: float, note: str = "") -> None:
            self.left -= units
            if self.left < 0:
                raise KeyboardInterrupt

        yield advance
