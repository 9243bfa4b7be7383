"""Bytes that stay: written, synced and renamed, and a full disk told in bytes."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sert.errors import DataError, DiskError, DiskFullError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OTHERS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ECHILD, errno.EPIPE)
"""What the system says of files and is no fault of a disk."""
_WRAPPED = re.compile(r"os error (\d+)\)")
"""How libraries written in Rust name the system's error."""


@contextmanager
def writing(folder: Path, needed: int = 1) -> Iterator[None]:
    """Turn what the disk says into clear errors, while `needed` bytes or more are written in a folder that exists.

    Raises:
        DiskFullError: If there is no room, saying how many bytes are needed and how many are free.
        DiskError: If the disk cannot be written for another reason.
    """
    try:
        yield
    except Exception as error:
        code = _code_of(error)
        if code in _FULL:
            raise _full(folder, needed) from None
        if code is not None:
            place = getattr(error, "filename", None) or folder
            raise DiskError(f"{place} cannot be written or read: {os.strerror(code)}.") from None
        raise


def _code_of(error: Exception) -> int | None:
    """Find the system's error in whatever it comes wrapped in."""
    if isinstance(error, OSError):
        return None if isinstance(error, ConnectionError | TimeoutError) or error.errno in _OTHERS else error.errno
    wrapped = _WRAPPED.search(str(error))
    return int(wrapped[1]) if wrapped else None


def _full(folder: Path, needed: int) -> DiskFullError:
    free = shutil.disk_usage(folder).free
    return DiskFullError(
        f"The disk of {folder} is full: at least {needed:,} bytes are to be written and {free:,} are free. Free some "
        "room; the same command goes on."
    )


def require_room(folder: Path, needed: int) -> None:
    """Refuse to start what certainly does not fit.

    Raises:
        DiskFullError: If fewer bytes are free.
    """
    if shutil.disk_usage(folder).free < needed:
        raise _full(folder, needed)


def check_folder(folder: Path) -> None:
    """Check that nothing but folders stands where a folder is to be.

    Raises:
        DataError: If a part of the path is a file.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise DataError(f"{folder} cannot be made: a part of its path is a file.")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        DataError: If a part of the path is a file.
        DiskError: If it cannot be made.
    """
    with writing(next((each for each in (folder, *folder.parents) if each.exists()), folder)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise DataError(f"{folder} cannot be made: a part of its path is a file.") from None


def remove(path: Path) -> None:
    """Remove a file, a folder and all in it, or a link but nothing that it leads to; or nothing if nothing is there.

    A folder gets another name first, so that none is there that lacks a part.
    """
    if path.is_dir() and not path.is_symlink():
        aside = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
        path.rename(aside)
        shutil.rmtree(aside)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until everything in a folder is on the disk, links as such."""
    for place, _, names in os.walk(folder):
        for file in (Path(place) / name for name in names):
            if not file.is_symlink():
                sync(file)
        sync(Path(place))


@contextmanager
def whole_folder(folder: Path, needed: int = 1) -> Iterator[Path]:
    """Make a folder that is complete or as it was before, of the scratch folder that is yielded to be filled.

    Raises:
        DiskFullError: If there is no room for the `needed` bytes.
    """
    scratch = folder.with_name(f".{uuid.uuid4().hex}")
    with writing(folder.parent, needed):
        try:
            scratch.mkdir()
            yield scratch
            sync_tree(scratch)
            remove(folder)
            scratch.rename(folder)
            sync(folder.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def put(file: Path, content: bytes) -> None:
    """Write a file that is complete or as it was before, whatever happens.

    Raises:
        DiskFullError: If there is no room.
    """
    put_parts(file, [content], needed=len(content))


def put_parts(file: Path, parts: Iterable[bytes], *, needed: int) -> None:
    """Write a file part by part, of `needed` bytes or more, that is complete or as it was before, whatever happens.

    Raises:
        DiskFullError: If there is no room.
    """
    scratch = file.with_name(f".{file.name}.tmp-{uuid.uuid4().hex[:8]}")
    try:
        with writing(file.parent, needed):
            with scratch.open("wb") as stream:
                stream.writelines(parts)
            sync(scratch)
            scratch.rename(file)
            sync(file.parent)
    finally:
        scratch.unlink(missing_ok=True)
