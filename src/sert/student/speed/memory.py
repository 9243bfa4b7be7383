"""When memory runs out."""

import torch

_SIGNS = ("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED", "std::bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Know that memory ran out; torch has no type of its own for that on a CPU, nor for what its libraries need."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in _SIGNS)
