"""The decoding engine's loops in C, for large students on CPUs; where there is no compiler, torch does the same.

`kernels.c` is compiled once a process, for the processor it runs on, with the compiler that the environment variable
`CC` names (`cc` if it names none; `CC=false` does without). What comes out differs from torch's by rounding only.

Shapes: Q questions, S lanes a question, B = Q * S lanes, H key-value heads, G query heads a key-value head,
P prompt positions, T decoding steps, D head width, I inputs, O outputs, V vocabulary, N blocks.
"""

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

FLAGS = "-O3 -march=native -fopenmp -fno-math-errno -fno-trapping-math -shared -fPIC"
COMPILES_WITHIN = 60
"""Seconds until the compiler is given up."""

_POINTERS = ("query", "prompt_keys", "prompt_values", "prompt_lengths", "lane_keys", "lane_values", "out")
_SIZES = ("query_stride", "questions", "slots", "heads", "groups", "prompt_size", "steps_size", "filled", "width")


class _Attention(ctypes.Structure):
    """`struct attention` of kernels.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _SIZES),
        ("scaling", ctypes.c_float),
        ("is_bfloat16", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    )


class Kernels:
    """The compiled loops. Arguments are float32 and on the CPU; what is not contiguous is copied."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def gelu(self, values: Tensor) -> Tensor:
        """GELU's tanh form, of any shape."""
        values = values.contiguous()
        out = torch.empty_like(values)
        count = ctypes.c_int64(values.numel())
        self._library.sert_gelu(_pointer(values), count, _pointer(out), torch.get_num_threads())
        return out

    def quantize_rows(self, values_BI: Tensor) -> tuple[Tensor, Tensor]:
        """As `quantized.quantize_rows`: (B, I) int8 and the steps (B, 1)."""
        values_BI = values_BI.contiguous()
        rows, inputs = values_BI.shape
        rounded_BI, steps_B1 = torch.empty((rows, inputs), dtype=torch.int8), torch.empty((rows, 1))
        self._library.sert_quantize_rows(
            _pointer(values_BI),
            ctypes.c_int64(rows),
            ctypes.c_int64(inputs),
            ctypes.c_float(torch.finfo(torch.float32).tiny),
            _pointer(rounded_BI),
            _pointer(steps_B1),
            torch.get_num_threads(),
        )
        return rounded_BI, steps_B1

    def scale_sums(self, sums_BO: Tensor, steps_B1: Tensor, scale_O: Tensor, bias_O: Tensor | None) -> Tensor:
        """Turn int32 sums into floats (B, O): times the step of the row and the scale of the column, plus the bias."""
        rows, outputs = sums_BO.shape
        scaled_BO = torch.empty((rows, outputs))
        self._library.sert_scale_sums(
            _pointer(sums_BO),
            ctypes.c_int64(rows),
            ctypes.c_int64(outputs),
            _pointer(steps_B1),
            _pointer(scale_O),
            None if bias_O is None else _pointer(bias_O),
            _pointer(scaled_BO),
            torch.get_num_threads(),
        )
        return scaled_BO

    def block_maxima(self, logits_BV: Tensor, *, block: int) -> tuple[Tensor, Tensor]:
        """Find the largest logit of each whole block (B, N) and the log-sum-exp of each row (B, 1), in one pass."""
        logits_BV = logits_BV.contiguous()
        rows, vocabulary = logits_BV.shape
        maxima_BN, log_totals_B1 = torch.empty((rows, vocabulary // block)), torch.empty((rows, 1))
        self._library.sert_block_maxima(
            _pointer(logits_BV),
            ctypes.c_int64(rows),
            ctypes.c_int64(vocabulary),
            ctypes.c_int64(block),
            _pointer(maxima_BN),
            _pointer(log_totals_B1),
            torch.get_num_threads(),
        )
        return maxima_BN, log_totals_B1

    def attend(
        self,
        query_BND: Tensor,
        prompt_QHPD: tuple[Tensor, Tensor],
        lengths_Q: Tensor,
        lane_BHTD: tuple[Tensor, Tensor],
        *,
        filled: int,
        scaling: float,
    ) -> Tensor:
        """Attend with one softmax over the prompt of the question and what the lane said itself.

        Args:
            query_BND: The queries of all N = H * G heads.
            prompt_QHPD: Keys and values of the prompts, contiguous; of each prompt only `lengths_Q` positions count.
            lengths_Q: Positions, int64.
            lane_BHTD: Keys and values of the lanes, contiguous, both float32 or both bfloat16.
            filled: Steps that are there of T.
            scaling: What the products of queries and keys are multiplied with.

        Returns:
            What each query gathered, (B, N, D).
        """
        lanes, num_queries, width = query_BND.shape
        if query_BND.stride()[1:] != (width, 1):
            query_BND = query_BND.contiguous()
        questions, heads, prompt_size, _ = prompt_QHPD[0].shape
        steps_size, threads = lane_BHTD[0].shape[2], torch.get_num_threads()
        out_BND = query_BND.new_empty((lanes, num_queries, width))
        scratch = torch.empty((threads, prompt_size + steps_size))
        tensors = (query_BND, *prompt_QHPD, lengths_Q, *lane_BHTD, out_BND)
        sizes = (
            query_BND.stride(0),
            questions,
            lanes // questions,
            heads,
            num_queries // heads,
            prompt_size,
            steps_size,
            filled,
            width,
        )
        is_bfloat16 = lane_BHTD[0].dtype == torch.bfloat16
        given = _Attention(*(tensor.data_ptr() for tensor in tensors), *sizes, scaling, is_bfloat16, threads)
        self._library.sert_attend(ctypes.byref(given), _pointer(scratch))
        return out_BND


def serves_width(width: int) -> bool:
    """Tell whether `Kernels.attend` knows heads of this width: kernels.c reads sixteen numbers at a time."""
    return width % 16 == 0 and width <= 256


@functools.cache
def compiled() -> Kernels | None:
    """Compile the loops, once a process; None without a compiler that can."""
    source = resources.files("sert.student").joinpath("kernels.c")
    with resources.as_file(source) as path, tempfile.TemporaryDirectory(prefix="sert-kernels-") as folder:
        library = Path(folder) / "kernels.so"
        try:
            compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
            command = [*compiler, *FLAGS.split(), "-o", str(library), str(path), "-lm"]
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILES_WITHIN)
            return Kernels(ctypes.CDLL(str(library)))
        except (OSError, ValueError, subprocess.SubprocessError):
            return None


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
