"""One writer at a time: a lock on a folder that is free again when its owner dies."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sert.errors import RunLockedError
from sert.store.disk import make_folder, writing

LOCK, OWNER = ".lock", ".lock-owner"
_OWNED = "process {} on {}"
_NAMED = re.compile(_OWNED.format(r"(\d+)", "(.+)"))
WAIT_SECONDS = 0.5


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a folder as its only writer. Readers need no lock.

    The system frees the lock of a process that dies. Where the file system knows no such locks, a file with host and
    process stands for it; then a process that died on another host has to be removed by hand.

    Raises:
        RunLockedError: If another process holds it.
        DataError: If a part of its path is a file.
        DiskError: If the folder cannot be made or written to.
    """
    owner = folder / OWNER
    lock = _acquire(folder)
    try:
        with suppress(OSError):  # whom to name to others is no reason to stop, on a full disk least of all
            owner.unlink(missing_ok=True)
            owner.write_text(_OWNED.format(os.getpid(), platform.node()) + "\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def waited_lock(folder: Path) -> Iterator[None]:
    """Hold a folder that stays as its only writer, after whoever holds it now.

    Raises:
        DataError: If a part of its path is a file.
        DiskError: If the folder cannot be made or written to.
    """
    make_folder(folder)
    lock = FileLock(folder / LOCK)
    with writing(folder):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def holder_of(folder: Path) -> str | None:
    """Say who holds a folder; None where nobody does, or the process that did is gone from this machine.

    A number that another process has by now looks like the one that had it.
    """
    named = _NAMED.fullmatch(owner := _owner_of(folder))
    if named is None or (named[2] == platform.node() and not is_alive(int(named[1]))):
        return None
    return owner


def is_alive(process: int) -> bool:
    """Tell whether this machine has a process of this number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is there, and somebody else's
        return True
    return True


def _owner_of(folder: Path) -> str:
    """Read who said last that the folder was its own; nothing where nobody did."""
    with suppress(OSError, UnicodeDecodeError):
        return (folder / OWNER).read_text(encoding="utf-8").strip()
    return ""


def _acquire(folder: Path) -> FileLock:
    while True:
        make_folder(folder)
        lock = FileLock(folder / LOCK)
        with writing(folder):
            try:
                lock.acquire(timeout=WAIT_SECONDS)
                return lock
            except FileNotFoundError:  # its owner was done, and removed the folder
                continue
            except Timeout:
                owner = _owner_of(folder) or "another process"
                raise RunLockedError(f"{folder} is in use by {owner}; wait for it or choose another --out.") from None
