"""Files of weights, as far as their first bytes tell: what they hold, and whether they are there at all."""

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from operator import attrgetter
from pathlib import Path

from sert.errors import StudentError
from sert.store.artifacts import file_hash

Shapes = Mapping[str, tuple[int, ...]]
"""Tensors by their names."""
_LFS = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER, _LARGEST_HEADER = 1024, 100_000_000
_state_of = attrgetter("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


def hash_of(file: Path) -> str:
    """Hash a file (SHA-256) once a process, and again when it has changed."""
    return _hash(file, _state_of(file.stat()))


@lru_cache(maxsize=1024)
def _hash(file: Path, state: tuple[int, ...]) -> str:
    return file_hash(file)


def check_content(file: Path) -> None:
    """Refuse what Git left in the place of a large file.

    Raises:
        StudentError: If the file is a pointer of Git LFS.
    """
    if file.stat().st_size > _LARGEST_POINTER:
        return
    with file.open("rb") as stream:
        if stream.read(len(_LFS)) == _LFS:
            raise StudentError(
                f"{file} is a pointer of Git LFS, not the file itself. Run `git lfs pull` in {file.parent} "
                "(`git lfs install` first, if that is new there)."
            )


def shapes_in(file: Path) -> Shapes:
    """Read the shapes of the tensors of a safetensors file from its header, once a process.

    Raises:
        StudentError: If it is cut off, or no such file.
    """
    return _shapes(file, _state_of(file.stat()))


def num_weights_in(files: list[Path]) -> int:
    """Count the weights of safetensors files.

    Raises:
        StudentError: If one is cut off, or no such file.
    """
    return sum(prod(shape) for file in files for shape in shapes_in(file).values())


@lru_cache(maxsize=1024)
def _shapes(file: Path, state: tuple[int, ...]) -> Shapes:
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size - 8, _LARGEST_HEADER):
                raise ValueError(f"its header is to have {length:,} bytes, and the file has {size:,}")
            header = json.loads(stream.read(length))
        tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
        if end > size:
            raise ValueError(f"its header speaks of {end:,} bytes, and the file has {size:,}")
        return {name: tuple(map(int, tensor["shape"])) for name, tensor in tensors.items()}
    except (
        AttributeError,
        IndexError,
        KeyError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        reason = str(error) if isinstance(error, ValueError | OSError) else "its header is none"
        raise StudentError(
            f"{file} is cut off or no safetensors file: {reason}. Get it again, or save it again with save_pretrained."
        ) from None
