"""Work that can be done on other machines: what it needs there, with which numbers it computes, what it leaves."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Self

from sert.config.section import Section
from sert.config.tree import StudentConfig
from sert.store.shipping import Parcel
from sert.store.units import Run, Unit

Parcels = Mapping[str, Parcel]
"""What is needed of the machine that deals the work out, by where it lies there."""
Places = Mapping[str, str]
"""Where that lies on the machine that does the work."""


class Portable(ABC):
    """Work in units that other machines can do.

    What it says of itself here is enough where units need no files and compute nothing that is rounded.
    """

    @property
    def threads(self) -> int:
        """CPU threads of a process that does it."""
        return 1

    @abstractmethod
    def start(self, worker: int) -> Run:
        """Get ready, and return what does a unit."""

    def pinned(self) -> Self:
        """The same work, with what this machine would decide written down."""
        return self

    def parcels(self) -> Parcels:
        """What every unit needs."""
        return {}

    def parcels_of(self, unit: Unit) -> Parcels:
        """What one unit needs besides."""
        return {}

    def placed(self, places: Places) -> "Portable":
        """The same work where its files lie elsewhere."""
        return self

    def numbers(self) -> dict[str, str]:
        """Tell with which numbers this process would do it: what rounds otherwise gives another text."""
        return {}

    def settle(self) -> dict[str, str]:
        """Let a process that will do nothing else compute as the work says, and tell its numbers."""
        return self.numbers()

    def stays(self, unit: Unit) -> bool:
        """Tell whether a unit is done on the machine that deals the work out."""
        return False

    def left(self, unit: Unit) -> Path | None:
        """Name the folder that a unit left on the machine that did it, whose files come home; most leave none."""
        return None

    def arrived(self, unit: Unit, folder: Path) -> None:
        """Put what a unit left into its place, where the work was dealt out."""
        raise AssertionError(f"unit {unit.number} left {folder}, which has no place")


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change parts of what describes a piece of work: dataclasses, tuples, sections of the configuration, paths.

    `change` gives what takes the place of a part, or `NotImplemented` where the parts of that are to be looked at.
    Records of tables are left alone.
    """
    new = change(value)
    if new is not NotImplemented:
        return new
    if isinstance(value, tuple):
        return _changed_tuple(value, change)
    if isinstance(value, Section):
        parts = {name: getattr(value, name) for name in type(value).model_fields}
        others = _others(parts, change)
        return value.model_copy(update=others) if others else value
    if is_dataclass(value) and not isinstance(value, type) and not _is_record(value):
        others = _others({each.name: getattr(value, each.name) for each in fields(value) if each.init}, change)
        return replace(value, **others) if others else value
    return value


def _changed_tuple(value: tuple[Any, ...], change: Callable[[Any], Any]) -> tuple[Any, ...]:
    if not value or _is_record(value[0]):
        return value
    parts = [changed(part, change) for part in value]
    if all(new is old for new, old in zip(parts, value, strict=True)):
        return value
    return tuple(parts) if type(value) is tuple else type(value)(*parts)  # a named one


def _others(parts: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    new = {name: changed(part, change) for name, part in parts.items()}
    return {name: part for name, part in new.items() if part is not parts[name]}


def _is_record(value: Any) -> bool:
    return type(value).__module__ == "sert.records"


def moved(value: Any, places: Places, *, threads: int | None = None) -> Any:
    """Give what lies elsewhere its place there, and students their threads; none of it changes a key."""

    def change(part: Any) -> Any:
        if isinstance(part, StudentConfig):
            path = places.get(part.path, part.path)
            return part.model_copy(update={"path": path, "num_threads": part.num_threads or threads})
        if isinstance(part, Path):
            return Path(places[str(part)]) if str(part) in places else part
        return NotImplemented

    return changed(value, change)
