"""A disk that fails on demand: builds the library of `faulty_disk.c`, and arms it in a process that has it loaded.

What it counts are the operations of libc by which Python, Arrow (C++) and safetensors (Rust) write: write, fsync,
rename, truncate, allocate, link and their kin. Making and removing files is not counted, and a file that is removed or
cut gives no room back to a budget.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

SOURCE = Path(__file__).with_suffix(".c")
KINDS = ("fail", "half", "kill")


class Fault(NamedTuple):
    """What is wrong with the disk below a folder.

    Attributes:
        folder: The folder.
        n: The operation that fails, counted from 1; 0 for none, so that operations are only counted.
        error: The error number it fails with.
        kind: `fail` does nothing of it, `half` writes half of its bytes, `kill` does so and kills the process.
        room: Bytes that still have room, in place of a single failure. What goes beyond is cut, then refused.
    """

    folder: str
    n: int = 0
    error: int = 0
    kind: str = "fail"
    room: int | None = None


class Disk:
    """The library in this process. It must have been preloaded, see `preloaded`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.faulty_disk_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
        self._library.faulty_disk_budget.argtypes = (ctypes.c_char_p, ctypes.c_long)
        self._library.faulty_disk_count.restype = self._library.faulty_disk_failed.restype = ctypes.c_long
        assert self._library.faulty_disk_ready(), "there is no file for the library's state"

    @staticmethod
    def is_there() -> bool:
        """Whether this process was started with the library."""
        return "FAULTY_DISK_STATE" in os.environ

    def arm(self, fault: Fault) -> None:
        """Make a fault happen; the count starts anew."""
        folder = os.fsencode(Path(fault.folder).resolve())
        if fault.room is not None:
            self._library.faulty_disk_budget(folder, fault.room)
        else:
            self._library.faulty_disk_arm(folder, fault.n, fault.error, KINDS.index(fault.kind))

    def disarm(self) -> None:
        """Let everything work, and count nothing more."""
        self._library.faulty_disk_disarm()

    def count(self) -> int:
        """Return how many operations there were since a fault was armed."""
        return int(self._library.faulty_disk_count())

    def failed(self) -> int:
        """Return how many of them failed or were cut short."""
        return int(self._library.faulty_disk_failed())

    @contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """Arm a fault for a while."""
        self.arm(fault)
        try:
            yield
        finally:
            self.disarm()


class SmallDisk:
    """A folder with little room: a file system of its own where this process may mount one, else a budget.

    Attributes:
        folder: The folder.
        fault: What processes that write there are to be armed with; None for a file system.
    """

    def __init__(self, folder: Path, *, room: int) -> None:
        """Take the folder, which does not exist yet, and its room in bytes."""
        self.folder, self.room = folder, room
        self.fault: Fault | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir()
        if not _mount("tmpfs", self.folder, options=f"size={self.room}"):
            self.fault = Fault(str(self.folder), room=self.room)
        return self

    def __exit__(self, *_: object) -> None:
        if self.fault is None:
            subprocess.run(["umount", str(self.folder)], check=True)

    def enlarge(self) -> None:
        """Make room enough for any test; where there is a budget, a process without a fault has it."""
        if self.fault is None:
            assert _mount("tmpfs", self.folder, options="remount,size=256m")

    @staticmethod
    def may_mount() -> bool:
        """Whether this process may mount a file system."""
        with tempfile.TemporaryDirectory() as folder:
            mounted = _mount("tmpfs", Path(folder), options="size=4096")
            if mounted:
                subprocess.run(["umount", folder], check=True)
        return mounted


def _mount(kind: str, folder: Path, *, options: str) -> bool:
    command = ["mount", "-t", kind, "-o", options, "none", str(folder)]
    return (
        shutil.which("mount") is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def compiler() -> list[str] | None:
    """Return the command of the C compiler, if there is one."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else None


def build(folder: Path) -> Path:
    """Compile the library into a folder."""
    command = compiler()
    assert command is not None
    library = folder / "faulty_disk.so"
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror"]
    subprocess.run([*command, *flags, str(SOURCE), "-o", str(library), "-ldl"], check=True, capture_output=True)
    return library


def preloaded(library: Path, *, state: Path) -> dict[str, str]:
    """Make the file of the library's state and return the environment of processes that are to share it."""
    size = ctypes.CDLL(str(library)).faulty_disk_state_size
    size.restype = ctypes.c_size_t
    state.write_bytes(bytes(size()))
    return {"LD_PRELOAD": str(library), "FAULTY_DISK_STATE": str(state)}
