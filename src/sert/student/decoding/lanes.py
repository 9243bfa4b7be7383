"""A decoded lane, in memory and as bytes: a lane of few tokens takes a tenth of what its Python objects take.

Packed lanes can be joined end to end. A unit's file is a line of JSON, which says how to read the rest, and the packed
lanes of its rows.
"""

import itertools
import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FINISHES = ("eos", "length", "rejected", "outrun")
"""How a lane can end; their numbers stand in packed lanes."""
_HEAD = 4
"""Numbers before a lane's tokens: its branch, its sample, the number of its finish, how many tokens it has."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One decoded continuation of a prompt.

    Attributes:
        branch: Rank of its first token.
        sample: Its number within the branch.
        token_ids: Its tokens, without the end-of-text that ended it.
        logprobs: Their log-probabilities in nats, 32-bit numbers.
        finish: How it ended.
    """

    branch: int
    sample: int
    token_ids: list[int]
    logprobs: list[float]
    finish: str


def pack(lanes: Iterable[Lane]) -> bytes:
    """Turn lanes into bytes."""
    return b"".join(
        part.tobytes()
        for lane in lanes
        for part in (
            array("i", (lane.branch, lane.sample, FINISHES.index(lane.finish), len(lane.token_ids))),
            array("i", lane.token_ids),
            array("f", lane.logprobs),
        )
    )


def unpack(packed: bytes, *, finishes: Sequence[str] = FINISHES) -> list[Lane]:
    """Return packed lanes by branch and sample."""
    integers: Any = memoryview(packed).cast("i")
    floats: Any = memoryview(packed).cast("f")
    lanes, start = [], 0
    while start < len(integers):
        branch, sample, finish, length = integers[start : start + _HEAD]
        tokens, logprobs = start + _HEAD, start + _HEAD + length
        start = logprobs + length
        token_ids, values = integers[tokens:logprobs].tolist(), floats[logprobs:start].tolist()
        lanes.append(Lane(branch, sample, token_ids, values, finishes[finish]))
    return sorted(lanes, key=lambda lane: (lane.branch, lane.sample))


def pack_unit(rows: Sequence[bytes], notes: Mapping[str, Any]) -> bytes:
    """Join the packed lanes of each row of a unit, behind what is needed to read them and some notes."""
    head = {"finishes": FINISHES, "sizes": [len(each) for each in rows], "notes": notes}
    return b"".join([json.dumps(head, sort_keys=True).encode("ascii"), b"\n", *rows])


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
        self._finishes: list[str] = head["finishes"]
        self.notes: dict[str, Any] = head["notes"]

    def lanes(self, row: int) -> list[Lane]:
        """Return the lanes of a row, counted within the unit, by branch and sample."""
        with self._file.open("rb") as stream:
            stream.seek(self._starts[row])
            return unpack(stream.read(self._starts[row + 1] - self._starts[row]), finishes=self._finishes)
