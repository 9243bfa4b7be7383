"""Units: the parts into which the work of a stage is split, each finished or not there.

Which rows make up a unit is a function of the configuration and the inputs alone, so that it does not matter who does a
unit, when, and how often the work was stopped before. A finished unit is one file that was renamed into its place; its
name holds the hash of its bytes.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sert.store.disk import make_folder, put
from sert.terminal.progress import Advance

_HASH_DIGITS = 32


class Unit(NamedTuple):
    """A part of the work: its number, the indices of its rows, and the numbers of the units that come before it."""

    number: int
    rows: tuple[int, ...]
    after: frozenset[int] = frozenset()


Run = Callable[[Unit, Advance], bytes]
"""Does a unit, tells how far it is, and returns what is kept of it."""


class UnitWork(Protocol):
    """Work that is split into units."""

    def start(self, worker: int) -> Run:
        """Get ready (load the student, say), and return what does a unit. Workers are numbered from 0."""


class Store(Protocol):
    """Keeps what comes of units; on every machine that does some it can be reached."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    def commit(self, unit: Unit, content: bytes) -> None:
        """Keep what came of a unit."""


class Executor(Protocol):
    """Does units, in any order and place."""

    def execute(self, job: UnitWork, units: Sequence[Unit], store: Store, *, advance: Advance) -> Iterator[Unit]:
        """Do the units and name each one when it is in the store. A unit comes behind those that it waits for.

        Raises:
            SertError: If the job does, or nobody is left to do it.
        """


def plan_units(sizes: Sequence[int], *, rows_a_unit: int) -> list[Unit]:
    """Split rows into units of so many, rows of like size together; a function of its arguments."""
    order = sorted(range(len(sizes)), key=lambda row: (sizes[row], row))
    starts = range(0, len(order), rows_a_unit)
    return [Unit(number, tuple(order[start : start + rows_a_unit])) for number, start in enumerate(starts)]


class UnitStore:
    """The finished units in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finished(self) -> dict[int, Path]:
        """Find the finished units by number. Files whose bytes are not those that were written are removed."""
        found = {}
        for file in self._files():
            if _is_whole(file):
                found[int(file.name.partition(".")[0])] = file
            else:
                file.unlink()  # left by a crash, or damaged; the unit is done again
        return found

    def damaged(self) -> list[str]:
        """Name the files whose bytes are not those that were written."""
        return [file.name for file in self._files() if not file.name.startswith(".") and not _is_whole(file)]

    def _files(self) -> list[Path]:
        return sorted(file for file in self.folder.glob("*") if file.is_file())

    def commit(self, unit: Unit, content: bytes) -> None:
        """Keep what came of a unit: all of it or, if anything fails, nothing.

        Raises:
            DiskError: If it cannot be written.
        """
        make_folder(self.folder)
        put(self.folder / f"{unit.number:06d}.{_digest(content)}", content)


def _is_whole(file: Path) -> bool:
    number, _, digest = file.name.partition(".")
    return number.isdecimal() and digest == _digest(file.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
