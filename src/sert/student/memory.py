"""When memory runs out."""

import torch


def is_out_of_memory(error: Exception) -> bool:
    """Know that memory ran out; torch has no type of its own for that on a CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
