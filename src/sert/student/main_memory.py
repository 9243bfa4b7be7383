"""The main memory of this machine, or of the container that this process is in."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class MainMemory(NamedTuple):
    """Bytes that this process may have: all, and those that are free."""

    total: int
    available: int


class _Group(NamedTuple):
    """Names of a control group's files and of the count of its cache, by the version of the system's interface."""

    limit: str
    used: str
    cached: str


_VERSION_2 = _Group("memory.max", "memory.current", "file")
_VERSION_1 = _Group("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")


def main_memory(system: Path = Path("/")) -> MainMemory | None:
    """Read Linux's account of the memory, and the limits of the control groups (a container's) around this process.

    None if the system does not say.
    """
    try:
        sizes = dict(line.split(":") for line in (system / "proc/meminfo").read_text(encoding="ascii").splitlines())
        total, free = (int(sizes[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):
        return None
    for folder, names in _groups(system):
        try:
            limit, used = (int((folder / name).read_text()) for name in names[:2])
            cached = _cached(folder / "memory.stat", names.cached)
        except (OSError, ValueError, KeyError):  # there is no limit, or it is "max"
            continue
        total, free = min(total, limit), min(free, max(limit - used + cached, 0))
    return MainMemory(total, free)


def _groups(system: Path) -> Iterator[tuple[Path, _Group]]:
    """List the control groups around this process, the root of what it sees included."""
    try:
        lines = (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = dict(line.split(":", 2)[1:] for line in lines if line.count(":") >= 2)
    root = system / "sys/fs/cgroup"
    for controller, top, names in (("", root, _VERSION_2), ("memory", root / "memory", _VERSION_1)):
        yield top, names
        parts = Path(named.get(controller, "/").lstrip("/")).parts
        for length in range(1, len(parts) + 1):
            yield top.joinpath(*parts[:length]), names


def _cached(file: Path, name: str) -> int:
    stat: Mapping[str, str] = dict(line.split() for line in file.read_text(encoding="ascii").splitlines())
    return int(stat[name])
