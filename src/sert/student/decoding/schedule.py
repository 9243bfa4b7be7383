"""Which lanes decode when: all at once, or a few of each prompt at a time where a referee may spare the others.

Every lane gets its first token in the first round; then lanes wait for their round, the first samples of all branches
before the second ones. Before each round the referee says which of them still matter.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from sert.student.decoding.packing import LanePacker

if TYPE_CHECKING:
    from sert.student.decoding.engine import Continuation, Decoding

WAITING = "waiting"
"""Finish of a lane that has its first token only, until its round comes."""

_TOKENS_A_PROMPT_TOKEN = 4
"""Each round reads the prompts again, so that its lanes must be able to grow to so many times what is read."""
_SMALLEST_ROUND = 0.25
"""A round fills this share of `max_lanes` while there are lanes left: few lanes are hardly faster than more."""


class Referee(Protocol):
    """Stops lanes whose end does not matter any more. What comes of it may not depend on when it is asked."""

    def ended(self, prompt: int, lane: "Continuation") -> None:
        """Learn of a finished lane of a prompt (its index)."""

    def stops(self, prompt: int, lane: "Continuation") -> str | None:
        """Say how an unfinished lane finishes if it may stop here, None if it goes on."""


class Rounds:
    """The lanes that wait, and what is known of the others. Without a referee there is one round.

    Every prompt has lanes whose end is known long before that of its last lane. They are kept packed, and lanes that
    wait are not kept at all: their next wave finds their first token again.
    """

    def __init__(
        self,
        prompt_lengths: Sequence[int],
        decoding: "Decoding",
        *,
        referee: Referee | None,
        progress: Callable[[float], None],
    ) -> None:
        self._decoding, self._referee, self._progress = decoding, referee, progress
        self._mean_length = sum(prompt_lengths) / max(1, len(prompt_lengths))
        samples, slots = decoding.samples, decoding.lanes_per_question
        in_turn = sorted(range(slots), key=lambda lane: (lane % samples, lane))
        shortest_first = sorted(range(len(prompt_lengths)), key=lambda index: prompt_lengths[index])
        self._waiting = dict.fromkeys(shortest_first, in_turn)
        self._packer = LanePacker()
        self._known = dict.fromkeys(shortest_first, b"")

    def waves(self) -> Iterator[tuple[list[int], list[list[int]], int]]:
        """Name the waves: prompts of like length, the lanes of each that wait in turn, and how many of them go on."""
        for number in itertools.count():
            if not self._waiting:
                return
            lanes = self._lanes_of_round(number)
            per_wave = max(1, self._decoding.max_lanes // lanes)
            prompts = list(self._waiting)
            for start in range(0, len(prompts), per_wave):
                wave = prompts[start : start + per_wave]
                yield wave, [self._waiting[prompt] for prompt in wave], lanes

    def learn(
        self, prompts: Sequence[int], found: Sequence[dict[int, "Continuation"]]
    ) -> list[tuple[int, list["Continuation"]]]:
        """Take what a wave found, by lane, and return the prompts that no lane of is left to decode."""
        done = []
        for prompt, lanes in zip(prompts, found, strict=True):
            seen = {lane: self._decided(prompt, lanes[lane]) for lane in self._waiting[prompt]}
            self._known[prompt] += self._packer.pack(lane for lane in seen.values() if lane is not None)
            self._waiting[prompt] = [lane for lane, decided in seen.items() if decided is None]
            if not self._waiting[prompt]:
                done.append((prompt, self._packer.unpack(self._known.pop(prompt))))
                del self._waiting[prompt]
        return done

    def _decided(self, prompt: int, lane: "Continuation") -> "Continuation | None":
        """Return a lane as it will stay, None if it still waits."""
        if lane.finish != WAITING:
            return lane
        assert self._referee is not None
        finish = self._referee.stops(prompt, lane)
        if finish is None:
            return None
        self._progress(1.0)
        return replace(lane, finish=finish)

    def _lanes_of_round(self, number: int) -> int:
        """Choose how many lanes a prompt decodes: twice as many in each round, so that there are few rounds."""
        decoding = self._decoding
        if self._referee is None:
            return decoding.lanes_per_question
        first = math.ceil(_TOKENS_A_PROMPT_TOKEN * self._mean_length / decoding.max_new_tokens)
        at_least = int(_SMALLEST_ROUND * decoding.max_lanes) // len(self._waiting)
        return min(max(first << number, at_least, 1), decoding.lanes_per_question)
