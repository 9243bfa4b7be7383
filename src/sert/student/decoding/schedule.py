"""What is to be decoded, and which lanes decode when.

All lanes decode at once, or a few of each prompt at a time where a referee may spare the others. Every lane gets its
first token in the first turn; then lanes wait for theirs, the first samples of all branches before the second ones.
Before each turn the referee says which of them still matter.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from sert.errors import StudentError
from sert.student.decoding.lanes import Lane, pack
from sert.student.lengths import too_long_text
from sert.student.outline import Outline

WAITING = "waiting"
"""Finish of a lane that has its first token only, until its turn comes."""

_TOKENS_A_PROMPT_TOKEN = 4
"""Each turn reads the prompts again, so that its lanes must be able to grow to so many times what is read."""
_SMALLEST_TURN = 0.25
"""A turn fills this share of `max_lanes` while there are lanes left: few lanes are hardly faster than more."""


class DecodingPrompt(NamedTuple):
    """A prompt to continue; `item` names it in the random numbers."""

    item: str
    token_ids: list[int]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to continue prompts.

    Attributes:
        branches: First tokens to branch on; None draws the first token like every other.
        samples: Lanes a branch.
        top_k: 1 is greedy decoding.
        eos_branch: `skip` takes the next token instead of end-of-text as a branch, `continue` keeps it and goes on.
        max_lanes: Lanes that decode together (at least those of one question).
    """

    branches: int | None
    samples: int
    max_new_tokens: int
    top_k: int = 1
    top_p: float = 1.0
    temperature: float = 1.0
    eos_branch: str = "skip"
    max_lanes: int = 400
    seed: int = 0

    @property
    def lanes_per_question(self) -> int:
        """How many continuations each question gets."""
        return (self.branches or 1) * self.samples


def check_lengths(student: Outline, prompts: Sequence[DecodingPrompt], decoding: Decoding) -> None:
    """Check that every prompt and its continuation fit into the student's positions.

    Raises:
        StudentError: Naming those that do not.
    """
    if decoding.branches is not None and decoding.branches + len(student.eos_ids) > student.vocabulary:
        raise StudentError(
            f"{decoding.branches} branches are more than the {student.vocabulary} tokens of {student.name!r} allow."
        )
    for prompt in prompts:
        if not prompt.token_ids:
            raise StudentError(f"The prompt of {prompt.item!r} has no tokens; prompts must not be empty.")
    if told := tell_too_long(student, prompts, decoding):
        raise StudentError(told)


def is_too_long(student: Outline, prompt: DecodingPrompt, decoding: Decoding) -> bool:
    """Tell whether a prompt and the longest continuation have more tokens than the student has positions."""
    total = len(prompt.token_ids) + decoding.max_new_tokens
    return student.max_positions is not None and total > student.max_positions


def tell_too_long(student: Outline, prompts: Sequence[DecodingPrompt], decoding: Decoding) -> str | None:
    """Say which prompts are too long and what mends it; None where none is."""
    return too_long_text(
        {each.item: len(each.token_ids) for each in prompts if is_too_long(student, each, decoding)},
        len(prompts),
        name=student.name,
        positions=student.max_positions or 0,
        max_new_tokens=decoding.max_new_tokens,
    )


def longest_text(prompts: Sequence[DecodingPrompt], decoding: Decoding) -> int:
    """Count the tokens of the longest text that can come of it."""
    return max((len(prompt.token_ids) for prompt in prompts), default=0) + decoding.max_new_tokens


class Referee(Protocol):
    """Stops lanes whose end does not matter any more. What comes of it may not depend on when it is asked.

    Attributes:
        stopped: For each reason, how much of what it stopped.
    """

    stopped: dict[str, dict[str, int]]

    def ended(self, prompt: int, lane: Lane) -> None:
        """Learn of a finished lane of a prompt (its index)."""

    def stops(self, prompt: int, lane: Lane) -> str | None:
        """Say how an unfinished lane finishes if it may stop here, None if it goes on."""


class Schedule:
    """The lanes that wait, and what is known of the others. Without a referee there is one turn.

    Every prompt has lanes whose end is known long before that of its last lane. They are kept packed, and lanes that
    wait are not kept at all: their next wave finds their first token again.
    """

    def __init__(
        self,
        prompt_lengths: Sequence[int],
        decoding: Decoding,
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
        self._known = dict.fromkeys(shortest_first, b"")

    def waves(self) -> Iterator[tuple[list[int], list[list[int]], int]]:
        """Name the waves: prompts of like length, the lanes of each that wait in turn, and how many of them go on."""
        for number in itertools.count():
            if not self._waiting:
                return
            lanes = self._lanes_of_turn(number)
            per_wave = max(1, self._decoding.max_lanes // lanes)
            prompts = list(self._waiting)
            for start in range(0, len(prompts), per_wave):
                wave = prompts[start : start + per_wave]
                yield wave, [self._waiting[prompt] for prompt in wave], lanes

    def learn(self, prompts: Sequence[int], found: Sequence[dict[int, Lane]]) -> list[tuple[int, bytes]]:
        """Take what a wave found, by lane; return the prompts that have no lane left to decode, with all of theirs."""
        done = []
        for prompt, lanes in zip(prompts, found, strict=True):
            seen = {lane: self._decided(prompt, lanes[lane]) for lane in self._waiting[prompt]}
            self._known[prompt] += pack(lane for lane in seen.values() if lane is not None)
            self._waiting[prompt] = [lane for lane, decided in seen.items() if decided is None]
            if not self._waiting[prompt]:
                done.append((prompt, self._known.pop(prompt)))
                del self._waiting[prompt]
        return done

    def _decided(self, prompt: int, lane: Lane) -> Lane | None:
        """Return a lane as it will stay, None if it still waits."""
        if lane.finish != WAITING:
            return lane
        assert self._referee is not None
        finish = self._referee.stops(prompt, lane)
        if finish is None:
            return None
        self._progress(1.0)
        return replace(lane, finish=finish)

    def _lanes_of_turn(self, number: int) -> int:
        """Choose how many lanes a prompt decodes: twice as many in each turn, so that there are few turns."""
        decoding = self._decoding
        if self._referee is None:
            return decoding.lanes_per_question
        first = math.ceil(_TOKENS_A_PROMPT_TOKEN * self._mean_length / decoding.max_new_tokens)
        at_least = int(_SMALLEST_TURN * decoding.max_lanes) // len(self._waiting)
        return min(max(first << number, at_least, 1), decoding.lanes_per_question)
