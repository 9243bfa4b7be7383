"""When memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

from sert.errors import OutOfMemoryError

_SIGNS = ("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED", "std::bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Know that memory ran out; torch has no type of its own for that on a CPU, nor for what its libraries need."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in _SIGNS)


@contextmanager
def out_of_memory_means(message: str) -> Iterator[None]:
    """Raise `OutOfMemoryError` with this message when memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(message) from None
