"""Finished lanes as bytes: a lane of few tokens takes a tenth of what its Python objects take."""

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sert.student.decoding import Continuation

_HEAD = 4
"""Numbers before a lane's tokens: its branch, its sample, the number of its finish, how many tokens it has."""


class LanePacker:
    """Packs lanes and unpacks what it packed itself. Packs can be joined end to end."""

    def __init__(self) -> None:
        self._finishes: list[str] = []

    def pack(self, lanes: "Iterable[Continuation]") -> bytes:
        """Pack lanes. Log-probabilities are kept as 32-bit numbers, which is what the engine makes."""
        return b"".join(
            part.tobytes()
            for lane in lanes
            for part in (
                array("i", (lane.branch, lane.sample, self._number(lane.finish), len(lane.token_ids))),
                array("i", lane.token_ids),
                array("f", lane.logprobs),
            )
        )

    def unpack(self, packed: bytes) -> "list[Continuation]":
        """Return the lanes by branch and sample."""
        from sert.student.decoding import Continuation

        integers: Any = memoryview(packed).cast("i")
        floats: Any = memoryview(packed).cast("f")
        lanes, start = [], 0
        while start < len(integers):
            branch, sample, finish, length = integers[start : start + _HEAD]
            tokens, logprobs = start + _HEAD, start + _HEAD + length
            start = logprobs + length
            token_ids, values = integers[tokens:logprobs].tolist(), floats[logprobs:start].tolist()
            lanes.append(Continuation(branch, sample, token_ids, values, self._finishes[finish]))
        return sorted(lanes, key=lambda lane: (lane.branch, lane.sample))

    def _number(self, finish: str) -> int:
        if finish not in self._finishes:
            self._finishes.append(finish)
        return self._finishes.index(finish)
