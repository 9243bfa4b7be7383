"""Files on their way between machines: parcels, named by their content, that a machine gets once and in chunks.

A parcel lies in the cache of a machine whole or not at all, and each file in it has the hash that it was sent with.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from sert.errors import DataError
from sert.files import user_cache
from sert.store.artifacts import content_key, file_hash, files_of
from sert.store.disk import make_folder, remove, whole_folder, writing
from sert.store.lock import waited_lock

CHUNK = 2**20
"""Bytes that are sent at a time."""
ROOM = 20 * 2**30
"""Bytes of parcels that a machine keeps; beyond them those that were not used for the longest time go."""
UNTOUCHED_SECONDS = 3600.0
"""A parcel that was used later is never removed."""
KEPT_SECONDS = 7 * 86400.0
"""Unfinished work of stages is kept so long on the machine that did it."""
PARCELS, STAGES, LOCKS = "parcels", "stages", "locks"

Source = Path | bytes
"""Where the bytes of a file come from: a file, or themselves."""


class Part(NamedTuple):
    """A file of a parcel: its name in it, its bytes and their hash (SHA-256)."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Parcel:
    """Files that are needed on another machine, in an order of their names.

    Attributes:
        parts: What is in it.
        entry: Which of its files or folders is meant by who needs it; nothing means all of it.
        sources: Name -> where its bytes come from; stays on the machine that packed it.
    """

    parts: tuple[Part, ...]
    entry: str
    sources: Mapping[str, Source]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"sources": {}}

    @property
    def key(self) -> str:
        """The hash of the names and the content of its files."""
        return content_key([*map(list, self.parts)])

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(part.size for part in self.parts)

    @staticmethod
    def of(sources: Mapping[str, Source], *, entry: str = "", hash_of: Callable[[Path], str] = file_hash) -> "Parcel":
        """Pack files; `hash_of` hashes one, and may know the hash already."""
        parts = []
        for name, source in sorted(sources.items()):
            if isinstance(source, bytes):
                parts.append(Part(name, len(source), hashlib.sha256(source).hexdigest()))
            else:
                parts.append(Part(name, source.stat().st_size, hash_of(source)))
        return Parcel(tuple(parts), entry, dict(sources))

    @staticmethod
    def of_folder(folder: Path, *, hash_of: Callable[[Path], str] = file_hash) -> "Parcel":
        """Pack all files in a folder and below it."""
        return Parcel.of({name: folder / name for name in files_of(folder)}, hash_of=hash_of)

    def read(self, name: str, start: int) -> bytes:
        """Read a chunk of one of its files, on the machine that packed it."""
        return read_chunk(self.sources[name], start)


def read_chunk(source: Source, start: int) -> bytes:
    """Read what is sent at a time, from a place on."""
    if isinstance(source, bytes):
        return source[start : start + CHUNK]
    with source.open("rb") as stream:
        stream.seek(start)
        return stream.read(CHUNK)


def node_cache() -> Path:
    """Name the folder that a machine keeps parcels in, and the unfinished work of stages that it was sent."""
    return user_cache("nodes")


def unpacked(parcel: Parcel, ask: Callable[[str, str, int], bytes]) -> Path:
    """Find a parcel on this machine, or get it; several processes that need it at once get it once.

    Args:
        parcel: What is needed.
        ask: Gets a chunk: of a parcel, by its key, of which file, from which place on.

    Returns:
        Its entry: a file or a folder that nobody changes.

    Raises:
        DataError: If what comes is not what was to be sent.
        DiskFullError: If there is no room.
    """
    cache = node_cache()
    place = cache / PARCELS / parcel.key
    with waited_lock(cache / LOCKS / parcel.key):
        if not place.is_dir():
            make_folder(place.parent)
            make_room(cache, parcel.size)
            with whole_folder(place, parcel.size) as scratch:
                for part in parcel.parts:
                    _receive(scratch / checked_name(part.name), part, lambda name, at: ask(parcel.key, name, at))
        with suppress(OSError):
            place.touch()
    return place / parcel.entry


def checked_name(name: str) -> str:
    """Refuse a name that leads out of its parcel.

    Raises:
        DataError: If it does.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise DataError(f"A file that was sent is called {name!r}, which leads out of its folder.")
    return name


def _receive(file: Path, part: Part, ask: Callable[[str, int], bytes]) -> None:
    make_folder(file.parent)
    received = hashlib.sha256()
    with writing(file.parent, part.size), file.open("wb") as stream:
        while stream.tell() < part.size:
            chunk = ask(part.name, stream.tell())
            if not chunk:
                break
            received.update(chunk)
            stream.write(chunk)
    if received.hexdigest() != part.digest:
        raise DataError(f"{part.name} was changed while it was sent to another machine; give the command again.")


def make_room(cache: Path, needed: int) -> None:
    """Remove what was not used for long: parcels beyond the room that there is for them, and old unfinished work."""
    now = time.time()
    for work in (cache / STAGES).glob("*"):
        if now - _used(work) > KEPT_SECONDS:
            _remove_quietly(work)
    parcels = sorted((cache / PARCELS).glob("[!.]*"), key=_used)
    sizes = {parcel: sum(_sizes(parcel)) for parcel in parcels}
    taken = sum(sizes.values()) + needed
    for parcel in parcels:
        if taken <= ROOM or now - _used(parcel) < UNTOUCHED_SECONDS:
            break
        _remove_quietly(parcel)
        taken -= sizes[parcel]
    for left in (cache / PARCELS).glob(".*"):  # by a process that was killed
        if now - _used(left) > UNTOUCHED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _remove_quietly(folder: Path) -> None:
    with suppress(OSError):  # another process of this machine does the same
        remove(folder)


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()


def _sizes(folder: Path) -> Iterator[int]:
    for file in folder.rglob("*"):
        with suppress(OSError):
            yield 0 if file.is_dir() else file.stat().st_size


class Arrival:
    """A folder in which files from another machine arrive, chunk by chunk in their order.

    Attributes:
        folder: Where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)

    def take(self, name: str, chunk: bytes) -> None:
        """Add a chunk to a file.

        Raises:
            DataError: If its name leads out of the folder.
            DiskFullError: If there is no room.
        """
        file = self.folder / checked_name(name)
        make_folder(file.parent)
        with writing(file.parent, len(chunk)), file.open("ab") as stream:
            stream.write(chunk)

    def discard(self) -> None:
        """Remove what arrived and was not taken from there."""
        shutil.rmtree(self.folder, ignore_errors=True)
