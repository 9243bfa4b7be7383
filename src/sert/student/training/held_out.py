"""Held-out texts of another kind than a student is trained on, which show what it forgets."""

from dataclasses import asdict, dataclass
from pathlib import Path

from sert.errors import DataError
from sert.store.artifacts import content_key
from sert.tasks.readers import read_jsonl
from sert.tasks.rows import Record, bounded
from sert.terminal.text import shorten


@dataclass(frozen=True)
class Choice:
    """A text with several endings, one of which is right."""

    context: str
    endings: tuple[str, ...]
    right: int


@dataclass(frozen=True)
class HeldOut:
    """What is scored: plain texts, and texts with endings to choose from."""

    texts: tuple[str, ...]
    choices: tuple[Choice, ...]

    @property
    def key(self) -> str:
        """Hash the content."""
        return content_key(asdict(self))


def read_held_out(file: Path) -> HeldOut:
    """Read a JSONL file whose lines have `text`, or `context`, `endings` and `right` (its index, from 0).

    Raises:
        DataError: If it cannot be read, a line has another form, or there are none.
    """
    texts, choices = list[str](), list[Choice]()
    for record in bounded(read_jsonl(file), file):
        if "text" in record.columns:
            texts.append(_text(record, "text"))
        else:
            choices.append(_choice(record))
    if not texts and not choices:
        raise DataError(f"{file} holds no texts. Give lines with `text`, or with `context`, `endings` and `right`.")
    return HeldOut(tuple(texts), tuple(choices))


def _text(record: Record, name: str) -> str:
    value = record.columns.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{record.where}: `{name}` must be a text, not {shorten(value)}.")
    return value


def _choice(record: Record) -> Choice:
    endings, right = record.columns.get("endings"), record.columns.get("right")
    if not isinstance(endings, list) or len(endings) < 2 or not all(isinstance(end, str) and end for end in endings):
        raise DataError(f"{record.where}: `endings` must be two texts or more, not {shorten(endings)}.")
    if type(right) is not int or not 0 <= right < len(endings):
        raise DataError(f"{record.where}: `right` must be the index of the right ending, not {shorten(right)}.")
    return Choice(_text(record, "context"), tuple(endings), right)
