"""The decoding engine's loops in C, for large students on CPUs; where there is no compiler, torch does the same.

The C files here are compiled once a process, for the processor it runs on, with the compiler that the environment
variable `CC` names (`cc` if it names none; `CC=false` does without). What comes out differs from torch's by rounding
only; int8 and int16 layers give the same bits on all processors that have them.

Shapes: Q questions, B lanes, L places of lanes, H key-value heads, G query heads a key-value head, P prompt positions,
T decoding steps, D head width, I inputs, O outputs, V vocabulary, N blocks.
"""

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

SOURCES = ("elementwise.c", "attention.c", "products.c")
FLAGS = "-O3 -march=native -fopenmp -fno-math-errno -fno-trapping-math -shared -fPIC"
COMPILES_WITHIN = 60
"""Seconds until the compiler is given up."""
PANEL = 64
"""Outputs that products.c packs together."""
TILE_ROWS = 32
"""Most rows that products.c multiplies at a time; it reads so many, whether they are there or not."""
TILE_INPUTS = 32
"""Inputs in bfloat16 of a tile; layers that are multiplied in tiles have a multiple of it."""
BLOCK = 64
"""Inputs that share a step in int16."""
LARGEST_INT16 = 5792
"""Steps of the largest number of a block: 64 products of such numbers fit into 32 bits."""
LANE = 16
"""Most numbers that the loops read at a time; inputs of packed layers are a multiple of it."""
STEPS = 16
"""Caches in bfloat16 have room for a multiple of so many steps."""

_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32


def _fields(*groups: tuple[Any, str]) -> list[tuple[str, Any]]:
    """Name the fields of a C structure, those of one type together."""
    return [(name, kind) for kind, names in groups for name in names.split()]


class _Attention(ctypes.Structure):
    """`struct attention` of attention.c."""

    _fields_ = _fields(
        (_POINTER, "query new_keys new_values prompt_keys prompt_values prompt_lengths lane_keys lane_values"),
        (_POINTER, "places firsts out"),
        (_SIZE, "query_stride new_stride questions heads groups prompt_size steps_size filled width"),
        (ctypes.c_float, "scaling"),
        (_INT, "is_bfloat16 threads"),
    )


class _Linear(ctypes.Structure):
    """`struct linear` of products.c."""

    _fields_ = _fields(
        (_POINTER, "inputs weights zeros scales bias rounded steps out"),
        (_SIZE, "rows inputs_size outputs"),
        (_INT, "row_parts weight_parts threads"),
    )


class Packed(NamedTuple):
    """A linear layer as products.c reads it; what belongs to outputs is filled up to whole panels.

    `kind` names the loop. `scales` belong to int8 and int16 weights, and `zeros` (what the offset of the rounded inputs
    adds to each sum) to int8 ones. In tiles of bfloat16 inputs and weights have one part or two.
    """

    kind: str
    weights: Tensor
    bias: Tensor | None
    inputs: int
    outputs: int
    scales: Tensor | None = None
    zeros: Tensor | None = None
    row_parts: int = 1
    weight_parts: int = 1

    @property
    def row_bytes(self) -> int:
        """Bytes of a rounded row."""
        return self.inputs * (1 if self.kind == "int8" else 2 * self.row_parts)


class Caches(NamedTuple):
    """Keys and values of prompts, each (Q, H, P, D), or of places for lanes, (L, H, T, D), contiguous.

    In bfloat16 values stand in pairs of steps, (.., H, T / 2, D, 2), and T is a multiple of `STEPS`.
    """

    keys: Tensor
    values: Tensor


class LanePlaces(NamedTuple):
    """Which lanes decode, those of a question beside each other, and where their keys and values are; both int64.

    Lane b is at place `places_B[b]`. The lanes of question q are those from `firsts_Q1[q]` to `firsts_Q1[q + 1]`.
    """

    places_B: Tensor
    firsts_Q1: Tensor


class Kernels:
    """The compiled loops. Arguments are float32 and on the CPU; what is not contiguous is copied."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.sert_gelu.argtypes = (_POINTER, _SIZE, _POINTER, _INT)
        library.sert_block_maxima.argtypes = (_POINTER, _SIZE, _SIZE, _SIZE, _POINTER, _POINTER, _INT)
        library.sert_attend.argtypes = (_POINTER, _POINTER)
        library.sert_instructions.restype = ctypes.c_char_p
        self._library = library
        self.instructions: str = library.sert_instructions().decode()
        abilities = int(library.sert_abilities())
        self.has_integers, self.has_bfloat16, self._has_pairs, self.has_tiles = (
            bool(abilities & bit) for bit in (1, 2, 4, 8)
        )

    def gelu(self, values: Tensor) -> Tensor:
        """GELU's tanh form, of any shape."""
        values = values.contiguous()
        out = torch.empty_like(values)
        self._library.sert_gelu(values.data_ptr(), values.numel(), out.data_ptr(), torch.get_num_threads())
        return out

    def linear(self, inputs_BI: Tensor, layer: Packed) -> Tensor:
        """Apply a layer to rows, which are rounded on the way: (B, O).

        In int8 a row has steps of its largest magnitude / 127 and sums are exact. In int16 each block of a row has
        steps of its largest magnitude / `LARGEST_INT16`, sums of a block are exact, and are added up in float32. In
        bfloat16 sums are float32.
        """
        if inputs_BI.dtype != torch.float32 or inputs_BI.shape[1:] != (layer.inputs,):
            raise RuntimeError(f"a layer of {layer.inputs} inputs cannot read {inputs_BI.dtype} {inputs_BI.shape}")
        inputs_BI = inputs_BI.contiguous()
        rows = len(inputs_BI)
        out_BO = torch.empty((rows, layer.outputs))
        rounded = torch.empty((rows + TILE_ROWS, layer.row_bytes), dtype=torch.uint8)
        steps = torch.empty((rows + TILE_ROWS, -(-layer.inputs // BLOCK)))
        tensors = (inputs_BI, layer.weights, layer.zeros, layer.scales, layer.bias, rounded, steps, out_BO)
        pointers = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
        sizes = (rows, layer.inputs, layer.outputs, layer.row_parts, layer.weight_parts)
        given = _Linear(*pointers, *sizes, torch.get_num_threads())
        getattr(self._library, f"sert_linear_{layer.kind}")(ctypes.byref(given))
        return out_BO

    def block_maxima(self, logits_BV: Tensor, *, block: int) -> tuple[Tensor, Tensor]:
        """Find the largest logit of each whole block (B, N) and the log-sum-exp of each row (B, 1), in one pass."""
        logits_BV = logits_BV.contiguous()
        rows, vocabulary = logits_BV.shape
        maxima_BN, log_totals_B1 = torch.empty((rows, vocabulary // block)), torch.empty((rows, 1))
        sizes, threads = (rows, vocabulary, block), torch.get_num_threads()
        self._library.sert_block_maxima(
            logits_BV.data_ptr(), *sizes, maxima_BN.data_ptr(), log_totals_B1.data_ptr(), threads
        )
        return maxima_BN, log_totals_B1

    def attend(
        self,
        query_BND: Tensor,
        new_BHD: tuple[Tensor, Tensor],
        prompts: Caches,
        lengths_Q: Tensor,
        lanes: Caches,
        where: LanePlaces,
        *,
        filled: int,
        scaling: float,
    ) -> Tensor:
        """Append a step's keys and values to the lanes', then attend with one softmax over prompt and lane.

        What each query of all N = H * G heads gathered comes back, (B, N, D). `new_BHD` are this step's keys and
        values. Of each prompt `lengths_Q` (int64) positions count, and of the T steps those that are `filled`, this
        one too. Products of queries and keys are multiplied with `scaling`.
        """
        num_lanes, num_queries, width = query_BND.shape
        if query_BND.stride()[1:] != (width, 1):
            query_BND = query_BND.contiguous()
        new_keys, new_values = new_BHD
        if new_keys.stride() != new_values.stride() or new_keys.stride()[1:] != (width, 1):
            new_keys, new_values = new_keys.contiguous(), new_values.contiguous()
        questions, heads, prompt_size, _ = prompts.keys.shape
        steps_size, threads = lanes.keys.shape[2], torch.get_num_threads()
        out_BND = torch.empty((num_lanes, num_queries, width))
        scratch = torch.empty((threads, prompt_size + steps_size + STEPS))
        tensors = (query_BND, new_keys, new_values, *prompts, lengths_Q, *lanes, *where, out_BND)
        sizes = (
            *(query_BND.stride(0), new_keys.stride(0), questions),
            *(heads, num_queries // heads, prompt_size, steps_size, filled, width),
        )
        is_bfloat16 = lanes.keys.dtype == torch.bfloat16
        given = _Attention(*(tensor.data_ptr() for tensor in tensors), *sizes, scaling, is_bfloat16, threads)
        self._library.sert_attend(ctypes.byref(given), scratch.data_ptr())
        return out_BND

    def attends_in_pairs(self, width: int) -> bool:
        """Tell whether `attend` knows bfloat16 caches of heads of this width."""
        return self._has_pairs and width % 32 == 0


def serves_width(width: int) -> bool:
    """Tell whether `Kernels.attend` knows heads of this width: attention.c reads up to sixteen numbers at a time."""
    return width % 16 == 0 and width <= 256


def pack(weight_IO: Tensor, bias_O: Tensor | None, scale_NO: Tensor | None = None) -> Packed:
    """Pack weights for `Kernels.linear`; I is a multiple of 16.

    Weights are bfloat16, or int8 with one scale an output (N = 1), or int16 with one for each `BLOCK` inputs, of which
    the last block may have fewer.
    """
    inputs, outputs = weight_IO.shape
    panels = -(-outputs // PANEL)
    group = 4 // weight_IO.element_size()
    filled_up = _fill_up(weight_IO)
    weights = filled_up.view(inputs // group, group, panels, PANEL).permute(2, 0, 3, 1).contiguous()
    zeros = filled_up.sum(dim=0, dtype=torch.int32) * 128 if weight_IO.dtype == torch.int8 else None
    scales = None if scale_NO is None else _fill_up(scale_NO).view(-1, panels, PANEL).transpose(0, 1).contiguous()
    kind = str(weight_IO.dtype).removeprefix("torch.")
    return Packed(kind, weights, _filled_bias(bias_O), inputs, outputs, scales, zeros)


def pack_tiles(weight_IO: Tensor, bias_O: Tensor | None, *, parts: int) -> Packed:
    """Pack weights for tiles of bfloat16 (`Kernels.has_tiles`); I is a multiple of `TILE_INPUTS`.

    With `parts` = 2 inputs are the sums of two bfloat16 numbers, and so are weights that are more than one.
    """
    inputs, outputs = weight_IO.shape
    weight_parts = [weight_IO.bfloat16()]
    if parts == 2:
        rest_IO = (weight_IO.float() - weight_parts[0].float()).bfloat16()
        weight_parts += [rest_IO] if bool(rest_IO.any()) else []
    filled_up = _fill_up(torch.stack(weight_parts))
    halves = filled_up.view(len(weight_parts), inputs // TILE_INPUTS, TILE_INPUTS // 2, 2, -1, 2, 16)
    weights = halves.permute(4, 1, 0, 5, 2, 6, 3).contiguous()
    bias, sizes = _filled_bias(bias_O), (inputs, outputs)
    return Packed("bfloat16_tiles", weights, bias, *sizes, row_parts=parts, weight_parts=len(weight_parts))


def _filled_bias(bias_O: Tensor | None) -> Tensor | None:
    return None if bias_O is None else _fill_up(bias_O.detach().float())


def _fill_up(values: Tensor) -> Tensor:
    """Fill up the last dimension, outputs, to whole panels."""
    return torch.nn.functional.pad(values, (0, -values.shape[-1] % PANEL))


class Compilation(NamedTuple):
    """What came of compiling the loops: the loops, or why there are none and what mends it."""

    kernels: Kernels | None
    failure: str = ""
    remedy: str = ""


@functools.cache
def compilation() -> Compilation:
    """Compile the loops for the processor at hand, once a process."""
    try:
        return Compilation(compile_loops())
    except FileNotFoundError as missing:
        return Compilation(None, f"there is no C compiler {missing.filename!r}", "install gcc or clang, or set CC")
    except (OSError, ValueError, subprocess.SubprocessError):
        return Compilation(
            None,
            f"the C compiler {os.environ.get('CC') or 'cc'!r} does not compile the loops",
            "set CC to a gcc or clang that knows OpenMP and this processor",
        )


def compiled() -> Kernels | None:
    """Give the compiled loops; None without a compiler that can."""
    return compilation().kernels


def compile_loops(*flags: str) -> Kernels:
    """Compile the loops for the processor at hand, or as further flags have it (`-march=x86-64-v3`: with AVX2 only).

    Raises:
        OSError, ValueError, subprocess.SubprocessError: If there is no compiler, or it cannot.
    """
    with (
        resources.as_file(resources.files("sert.student.kernels")) as sources,
        tempfile.TemporaryDirectory(prefix="sert-kernels-") as folder,
    ):
        library = Path(folder) / "kernels.so"
        compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
        files = [str(sources / name) for name in SOURCES]
        command = [*compiler, *FLAGS.split(), *flags, "-o", str(library), *files, "-lm"]
        subprocess.run(command, check=True, capture_output=True, timeout=COMPILES_WITHIN)
        return Kernels(ctypes.CDLL(str(library)))
