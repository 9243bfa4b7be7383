"""Blocks of bytes that wait on the disk for their turn, so that memory does not grow with what is made."""

import tempfile
from array import array
from pathlib import Path
from types import TracebackType

_MISSING = -1


class Spill:
    """As many blocks as there are numbers, put in any order and got in any order.

    The file has no name as far as the system allows, so that nothing of it is left whatever happens.
    """

    def __init__(self, folder: Path, blocks: int) -> None:
        self._stream = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed by `__exit__`
        self._starts = array("q", (_MISSING,)) * blocks
        self._sizes = array("q", (0,)) * blocks
        self._end = 0

    def __enter__(self) -> "Spill":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def put(self, number: int, block: bytes) -> None:
        """Store a block under a number."""
        self._stream.seek(self._end)
        self._stream.write(block)
        self._starts[number], self._sizes[number] = self._end, len(block)
        self._end += len(block)

    def get(self, number: int) -> bytes:
        """Read a block back.

        Raises:
            KeyError: If none was put under this number.
        """
        if self._starts[number] == _MISSING:
            raise KeyError(number)
        self._stream.seek(self._starts[number])
        return self._stream.read(self._sizes[number])
