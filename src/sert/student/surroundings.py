"""What surrounds a student and is none of its settings: kept out of its numbers, or told for manifests.

Libraries look into the environment and keep settings of the whole process. What switches to coarser or other numbers is
put aside while a student is loaded, decodes or is trained. What cannot be, such as threads and instructions, is told.
"""

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from sert.student.load import Student

PRECISION = (
    "DNNL_DEFAULT_FPMATH_MODE",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TRANSFORMERS_SDPA_FORCE_GQA",
)
"""Variables that change with which numbers torch and transformers compute."""
LAUNCHERS = ("ACCELERATE_", "FSDP_", "PARALLELISM_CONFIG_")
"""Beginnings of the variables by which `accelerate launch` tells more than how many processes there are."""
TOLD = (
    *("ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "DNNL_MAX_CPU_ISA", "KMP_DETERMINISTIC_REDUCTION", "MKL_CBWR"),
    *("MKL_DYNAMIC", "MKL_ENABLE_INSTRUCTIONS", "MKL_NUM_THREADS", "OMP_DYNAMIC", "OMP_NUM_THREADS"),
    *("OMP_THREAD_LIMIT", "ONEDNN_MAX_CPU_ISA", "TORCH_BLAS_PREFER_CUBLASLT"),
)
"""Variables that change how sums are rounded, by threads or instructions; they are told where they are set."""
_LONGEST_VALUE = 60


def forget_precision() -> None:
    """Take the variables of `PRECISION` out of the environment for good: some are read only when a library loads."""
    for name in PRECISION:
        os.environ.pop(name, None)


@contextmanager
def plain_numbers() -> Iterator[None]:
    """Compute as torch does of itself, whatever the process around it has set; all of that is back at the end."""
    import torch

    aside = [name for name in os.environ if name in PRECISION or name.startswith(LAUNCHERS)]
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as stack:
        stack.enter_context(_put_aside(aside))
        for kind in {"cpu", getattr(torch.accelerator.current_accelerator(), "type", "cpu")}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        _exact_products(stack)
        if device.type != "cpu":
            stack.callback(torch.set_default_device, device)
            torch.set_default_device(None)
        yield


def _exact_products(stack: ExitStack) -> None:
    """Let float32 be multiplied as such until the stack is closed, told in that of torch's two ways that was used."""
    import torch

    on_cpu: Any = torch.backends.mkldnn
    told = [on_cpu.conv]
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        told += [on_cpu.matmul, torch.backends.cuda.matmul]
    else:
        if precision != "highest":
            stack.callback(torch.set_float32_matmul_precision, precision)
            torch.set_float32_matmul_precision("highest")
    for products in told:
        stack.callback(setattr, products, "fp32_precision", products.fp32_precision)
        products.fp32_precision = "ieee"


@contextmanager
def _put_aside(names: Iterable[str]) -> Iterator[None]:
    values = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(values)


def surroundings_of(student: "Student") -> dict[str, Any]:
    """Tell where a student is and with what it computes, as far as that rounds differently and no setting says it."""
    import torch

    device = student.device
    told: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_fields().get("model name", platform.processor()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": device_told(device),
        "attention": getattr(student.model.config, "_attn_implementation", None),
    }
    commit = getattr(student.model.config, "_commit_hash", None)
    variables = {name: os.environ[name][:_LONGEST_VALUE] for name in TOLD if name in os.environ}
    return told | ({"commit": commit} if commit else {}) | ({"variables": variables} if variables else {})


def device_told(device: "torch.device") -> str:
    """Name a device: an accelerator as its maker does, since they round in ways of their own."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def processor_fields(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Read what Linux tells of the first processor; nothing elsewhere."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = dict[str, str]()
    for name, _, value in (line.partition(":") for line in lines):
        found.setdefault(name.strip(), value.strip())
    return found
