"""With which numbers a process computes: what makes two processes round alike, and what of a student another one needs.

Results are the same bytes wherever these are the same: the build of torch, the device, the processor's instructions,
the threads, the loops that were compiled, and the variables by which libraries choose among instructions.
"""

import json
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from sert.config.tree import StudentConfig
from sert.store.portable import Parcels, Places, Portable, moved
from sert.store.shipping import Parcel, Source
from sert.student.folder import ADAPTER_CONFIG, LAB_STUDENT, Place, count_weights, find_student, keyed_files, read_json
from sert.student.load import device_named
from sert.student.surroundings import TOLD, device_told, forget_precision, processor_fields
from sert.student.weights import hash_of

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_DYNAMIC", "OMP_DYNAMIC", "OMP_THREAD_LIMIT")
"""Variables whose effect is the number of threads, which is set and told itself."""
_EXTENSIONS = ("amx", "avx", "fma", "sve", "asimd", "bf16", "i8mm")
"""Beginnings of the names of instructions with which products of matrices are computed."""
LAB, _GGUF, _BASE = "lab", "student.gguf", "base"


def threads_of(students: Iterable[StudentConfig]) -> int:
    """Count the CPU threads of a process that works with these students, one after the other; torch's without any."""
    import torch

    own: int = torch.get_num_threads()
    return max((student.num_threads or own for student in students), default=own)


def settle(threads: int) -> None:
    """Let this process, which does nothing else, compute in so many threads, and exactly."""
    forget_precision()
    import torch

    torch.set_num_threads(threads)


def numbers_of(students: Iterable[StudentConfig], *, threads: int) -> dict[str, str]:
    """Tell with which numbers this process computes what these students do."""
    import torch

    students = list(students)
    devices = {device_told(device_named(student.device)) for student in students}
    numbers = {
        "torch": torch.__version__,
        "device": ", ".join(sorted(devices)),
        "instructions": instructions(torch.backends.cpu.get_cpu_capability()),
        "threads": str(threads),
    }
    if "cpu" in devices and any(map(_may_be_large, students)):
        from sert.student.kernels import compiled

        loops = compiled()
        numbers["compiled loops"] = "none" if loops is None else loops.instructions
    chosen = [f"{name}={os.environ[name]}" for name in TOLD if name in os.environ and name not in _THREADS]
    return numbers | ({"variables": ", ".join(chosen)} if chosen else {})


def _may_be_large(student: StudentConfig) -> bool:
    """Tell whether loops are compiled for a student, as far as its files tell."""
    from sert.student.speed.quantized import LARGE_STUDENT

    weights = count_weights(find_student(student))
    return weights is None or weights >= LARGE_STUDENT


def instructions(capability: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name what torch takes of a processor, who made it, and which of its instructions multiply matrices.

    Libraries choose their loops by all three.
    """
    found = processor_fields(cpuinfo)
    maker = found.get("vendor_id") or found.get("CPU implementer") or "unknown maker"
    flags = (found.get("flags") or found.get("Features") or "").split()
    return f"{capability} ({maker}: {' '.join(sorted(flag for flag in flags if flag.startswith(_EXTENSIONS)))})"


def student_parcels(student: StudentConfig) -> Parcels:
    """Pack what another machine needs of a student; nothing of one that is on the hub or ships with the package.

    Raises:
        StudentError: If it is no student.
    """
    place = find_student(student)
    if place.kind == "hub" or _is_shipped(place):
        return {}
    return {student.path: packed_student(place)}


def packed_student(place: Place) -> Parcel:
    """Pack the files that a student depends on, an adapter's base among them."""
    return Parcel.of(dict(_files_of(place)), entry=_GGUF if place.kind == "gguf" else "", hash_of=hash_of)


def _files_of(place: Place, prefix: str = "") -> Iterator[tuple[str, Source]]:
    folder = Path(place.path)
    if place.kind == "gguf":
        yield f"{prefix}{_GGUF}", folder
        return
    for file in keyed_files(folder):
        yield f"{prefix}{file.relative_to(folder).as_posix()}", file
    if place.base is not None and place.base.kind != "hub":
        settings = read_json(folder / ADAPTER_CONFIG) | {"base_model_name_or_path": _base_there(place.base)}
        yield f"{prefix}{ADAPTER_CONFIG}", json.dumps(settings).encode()
        if not _is_shipped(place.base):
            yield from _files_of(place.base, f"{prefix}{_BASE}/")


def _base_there(base: Place) -> str:
    """Name the base of an adapter from the adapter's folder."""
    if _is_shipped(base):
        return LAB
    return f"{_BASE}/{_GGUF}" if base.kind == "gguf" else _BASE


def _is_shipped(place: Place) -> bool:
    return Path(place.path) == LAB_STUDENT


class StudentWork(Portable):
    """Work of students that other machines can do: they need its files, and compute as this one does."""

    @property
    @abstractmethod
    def students(self) -> Sequence[StudentConfig]:
        """Who does it."""

    @property
    def threads(self) -> int:
        """CPU threads of a process that does it."""
        return threads_of(self.students)

    def pinned(self) -> Self:
        """Write down the threads that this machine would take."""
        pinned: Self = moved(self, {}, threads=threads_of([]))
        return pinned

    def parcels(self) -> Parcels:
        """The students."""
        return {path: parcel for student in self.students for path, parcel in student_parcels(student).items()}

    def placed(self, places: Places) -> Portable:
        """The same work where files lie elsewhere."""
        work: Portable = moved(self, places)
        return work

    def numbers(self) -> dict[str, str]:
        """With which numbers this process would do it."""
        return numbers_of(self.students, threads=self.threads)

    def settle(self) -> dict[str, str]:
        """Take the threads, and tell what came of that."""
        import torch

        settle(self.threads)
        return numbers_of(self.students, threads=torch.get_num_threads())
