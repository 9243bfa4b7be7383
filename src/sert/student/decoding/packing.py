"""Finished lanes as bytes: a lane of few tokens takes a tenth of what its Python objects take."""

import itertools
import json
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sert.student.decoding.engine import Continuation

_HEAD = 4
"""Numbers before a lane's tokens: its branch, its sample, the number of its finish, how many tokens it has."""


class LanePacker:
    """Packs lanes and unpacks what it packed itself. Packs can be joined end to end.

    Attributes:
        finishes: The finishes met so far, by number.
    """

    def __init__(self, finishes: Iterable[str] = ()) -> None:
        self.finishes = list(finishes)

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
        from sert.student.decoding.engine import Continuation

        integers: Any = memoryview(packed).cast("i")
        floats: Any = memoryview(packed).cast("f")
        lanes, start = [], 0
        while start < len(integers):
            branch, sample, finish, length = integers[start : start + _HEAD]
            tokens, logprobs = start + _HEAD, start + _HEAD + length
            start = logprobs + length
            token_ids, values = integers[tokens:logprobs].tolist(), floats[logprobs:start].tolist()
            lanes.append(Continuation(branch, sample, token_ids, values, self.finishes[finish]))
        return sorted(lanes, key=lambda lane: (lane.branch, lane.sample))

    def _number(self, finish: str) -> int:
        if finish not in self.finishes:
            self.finishes.append(finish)
        return self.finishes.index(finish)


def pack_unit(rows: "Iterable[Iterable[Continuation]]", notes: Mapping[str, Any]) -> bytes:
    """Pack the lanes of each row of a unit, behind a line of JSON that says what is needed to read them."""
    packer = LanePacker()
    packed = [packer.pack(lanes) for lanes in rows]
    head = {"finishes": packer.finishes, "sizes": [len(each) for each in packed], "notes": dict(notes)}
    return b"".join([json.dumps(head, sort_keys=True).encode("ascii"), b"\n", *packed])


class PackedUnit:
    """The lanes of a finished unit, read row by row.

    Attributes:
        notes: What was noted beside the lanes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        with file.open("rb") as stream:
            head = json.loads(stream.readline())
            self._starts = list(itertools.accumulate(head["sizes"], initial=stream.tell()))
        self._packer = LanePacker(head["finishes"])
        self.notes: dict[str, Any] = head["notes"]

    def lanes(self, row: int) -> "list[Continuation]":
        """Return the lanes of a row, counted within the unit, by branch and sample."""
        with self._file.open("rb") as stream:
            stream.seek(self._starts[row])
            return self._packer.unpack(stream.read(self._starts[row + 1] - self._starts[row]))
