"""Examining the machine: what a student has to run on here, and what it runs fast in."""

import importlib.metadata
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path

from sert.doctor.finding import Finding
from sert.student.gguf import cache
from sert.student.main_memory import MainMemory, main_memory

LITTLE_MEMORY = 2.0
"""GB below which GPT-2 cannot be trained: 16 bytes a weight, for the weight, its gradient and the optimizer."""
LITTLE_DISK = 5.0
"""GB below which a run with GPT-2 may not end: each method keeps a student of half a GB for each task."""

_GIGABYTE = 1e9


def examine_machine(folder: Path) -> list[Finding]:
    """Find out what this machine offers to a student, and the disk of the folder where results would go."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("sert", "torch", "transformers"))
    return [
        Finding("python", "ok", f"Python {platform.python_version()} on {platform.platform()}"),
        Finding("packages", "ok", versions),
        _cores(),
        check_memory(main_memory()),
        _disk(folder),
        _accelerator(),
        _compiler(),
        _loops(),
        _dtype(),
        _hub(),
        check_cache(cache()),
    ]


def _cores() -> Finding:
    import torch

    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    threads = torch.get_num_threads()
    seen = f"{cores} cores for this process, {threads} threads of torch"
    if threads > cores:
        message = f"{seen}: threads wait for each other. Set OMP_NUM_THREADS={cores}, or student.num_threads."
        return Finding("cores", "warning", message)
    return Finding("cores", "ok", seen)


def check_memory(memory: MainMemory | None) -> Finding:
    """Say whether there is enough."""
    if memory is None:
        return Finding("memory", "unknown", "This system does not say how much memory is free.")
    free = memory.available / _GIGABYTE
    seen = f"{free:.1f} of {memory.total / _GIGABYTE:.1f} GB available"
    if free < LITTLE_MEMORY:
        message = f"{seen}: training GPT-2 takes more. Close other programs, or train a smaller student."
        return Finding("memory", "warning", message)
    return Finding("memory", "ok", seen)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / _GIGABYTE
    if free < LITTLE_DISK:
        message = f"{free:.1f} GB free in {folder}: a run of all methods may need more. Make room, or use another disk."
        return Finding("disk", "warning", message)
    return Finding("disk", "ok", f"{free:.1f} GB free in {folder}")


def _accelerator() -> Finding:
    import torch

    device = torch.accelerator.current_accelerator(check_available=True)
    if device is None:
        return Finding("accelerator", "ok", "none: students run on the CPU")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    count = torch.accelerator.device_count()
    return Finding("accelerator", "ok", f"{name}, {count} of them: student.device = 'auto' uses the first")


def _compiler() -> Finding:
    command = os.environ.get("CC", "")
    try:
        compiler = (shlex.split(command) or ["cc"])[0]
    except ValueError:
        return Finding("compiler", "warning", f"CC={command} cannot be read as a command. Correct it, or unset it.")
    path = shutil.which(compiler)
    if path is None:
        message = f"There is no C compiler {compiler!r}: large students decode slower. Install gcc or clang, or set CC."
        return Finding("compiler", "warning", message)
    return Finding("compiler", "ok", path)


def _loops() -> Finding:
    from sert.student.kernels import compilation

    kernels, failure, remedy = compilation()
    if kernels is None:
        message = f"There are none, because {failure}: large students decode slower, through torch alone; {remedy}."
        return Finding("compiled loops", "warning", message)
    message = f"They compile and load, made for {kernels.instructions}; large students decode with them."
    return Finding("compiled loops", "ok", message)


def _dtype() -> Finding:
    """Say which `student.dtype` may be fast here, by the facts that decide it when students are loaded."""
    import torch

    from sert.student.kernels import compiled
    from sert.student.speed.quantized import NEARLY_EXACT, products_of, torch_is_exact

    if torch.accelerator.current_accelerator(check_available=True) is not None:
        return Finding("fast dtype", "ok", "bfloat16, on the accelerator; int8 runs on CPUs only")
    kernels = compiled()
    if kernels is not None and (fast := products_of(kernels)):
        near = " and ".join(dtype for dtype in fast if dtype in NEARLY_EXACT)
        told = f"{', '.join(fast)}, in compiled loops: `sert doctor --student PATH` measures them."
        return Finding("fast dtype", "ok", f"{told} Students hardly change in {near}")
    if not torch_is_exact():
        return Finding("fast dtype", "ok", "float32; int8 is refused, as 8-bit products are not exact here")
    return Finding("fast dtype", "ok", "float32; int8 and bfloat16 run through torch alone")


def _hub() -> Finding:
    value = os.environ.get("HF_HUB_OFFLINE", "")
    if value.upper() in ("1", "ON", "YES", "TRUE"):
        return Finding("hub", "ok", f"HF_HUB_OFFLINE={value}: hub students and data come from the local cache only")
    return Finding("hub", "ok", "hub students and data are downloaded when needed; HF_HUB_OFFLINE=1 forbids it")


def check_cache(folder: Path) -> Finding:
    """Say what the students that were converted from GGUF files take."""
    sizes = [file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    if not sizes:
        return Finding("gguf cache", "ok", f"empty; GGUF files are converted into {folder}")
    message = f"{sum(sizes) / _GIGABYTE:.1f} GB of converted GGUF files in {folder}: remove it when you want"
    return Finding("gguf cache", "ok", f"{message}, they are converted again when they are needed")
