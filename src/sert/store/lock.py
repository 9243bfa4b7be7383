"""One writer at a time: a lock on a folder that is free again when its owner dies."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sert.errors import RunLockedError
from sert.store.disk import make_folder, writing

LOCK, OWNER = ".lock", ".lock-owner"
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
            owner.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
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


def _holder(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"


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
                raise RunLockedError(
                    f"{folder} is in use by {_holder(folder / OWNER)}; wait for it or choose another --out."
                ) from None
