"""A reporter that keeps what it is told, for tests of what people hear."""

from sert.terminal.progress import Silent


class Listening(Silent):
    """Keeps the lines that are said, and shows no progress."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)
