"""Which way a student is driven, and how far a coarse student lies from itself in float32.

Both are found out on prompts that it is about to continue, with tokens that it thinks likely: on others a student's
numbers can be anything, and then differ by anything.

Shapes: B lanes, N places in texts, V vocabulary, K likely tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.decoding.stepping import CacheStepper, LaneStepper, PlainStepper, StepperType, WholeStepper, lent
from sert.student.load import Student
from sert.student.soundness import likely_differences
from sert.student.speed.memory import is_out_of_memory
from sert.student.speed.patches import sees_all
from sert.student.speed.quantized import is_rounded

WAYS: dict[str, tuple[StepperType, ...]] = {"fast": (LaneStepper, WholeStepper), "cache": (CacheStepper,)}
"""The ways to drive a student in the order in which they are tried, before `plain`, which is always right."""
LARGEST_DIFFERENCE = {True: 1e-3, False: 0.1}
"""How far log-probabilities of likely tokens may lie from those of plain forward passes, in float32 and in others."""
LARGE_DISTANCE = 0.02
"""Mean distance from float32, in nats, that people are warned of."""
_WORDS = {"fast": "the fast engine", "cache": "its own cache", "plain": "repeated forward passes"}
_REASON = 120
"""Characters of an error that are told."""
_PROMPTS, _SLOTS, _STEPS = 2, 2, 6
_WIDER = {"prompts": 8, "slots": 4, "steps": 12}
"""What the distance to float32 is measured on: some 400 places."""


@dataclass(frozen=True)
class Drive:
    """How a student is driven.

    Attributes:
        way: `fast` (our attention and cache), `cache` (the model's own cache) or `plain` (repeated forward passes).
        stepper: Who does it.
        difference: Largest difference of its log-probabilities from those of plain forward passes, in nats.
        refused: Why each faster way does not, by its name.
    """

    way: str
    stepper: StepperType
    difference: float
    refused: dict[str, str]

    def __str__(self) -> str:
        told = f"driven by {_WORDS[self.way]}"
        if self.way != "plain":
            told += f", within {self.difference:.1g} nats of plain forward passes"
        if not self.refused:
            return told
        slow = "the slowest way by far" if self.way == "plain" else "slower than the fast engine"
        return f"warning: {told}, {slow}. {'; '.join(refusal(way, why) for way, why in self.refused.items())}"

    def notes(self) -> dict[str, Any]:
        """Say it for manifests."""
        return {"driven_by": self.way} | ({"refused": self.refused} if self.refused else {})


def refusal(way: str, reason: str) -> str:
    """Say for people why a student is not driven in one of the ways."""
    return f"{_WORDS[way][0].upper()}{_WORDS[way][1:]} is refused: {reason}"


class Distance(NamedTuple):
    """How far a student lies from itself in float32, over the places of some texts.

    Attributes:
        mean: Mean difference of the log-probabilities of the likely tokens, in nats.
        p99: Their 99th percentile.
        kl: Mean Kullback-Leibler divergence from float32, in nats a token.
        same_greedy: Share of places whose most probable token is the same.
    """

    mean: float
    p99: float
    kl: float
    same_greedy: float

    @property
    def is_large(self) -> bool:
        """Whether people are warned of it."""
        return self.mean > LARGE_DISTANCE

    def rounded(self) -> dict[str, float]:
        """Say it in two digits, for manifests."""
        return {name: float(f"{value:.2g}") for name, value in self._asdict().items()}

    def __str__(self) -> str:
        return (
            f"log-probabilities of likely tokens lie {self.mean:.2g} nats from float32 on average, 99 % of them within "
            f"{self.p99:.2g}; KL {self.kl:.2g} nats a token; the most probable token is the same at "
            f"{self.same_greedy:.1%} of the places"
        )


class _Trace(NamedTuple):
    """Texts that a student went on with, the logits at some of their places, and these places (text, position)."""

    texts: list[list[int]]
    places: list[tuple[int, int]]
    logits_NV: Tensor


def find_drive(student: Student, prompts: Sequence[Sequence[int]], *, longest: int) -> Drive:
    """Choose the fastest way to drive a student that gives what plain forward passes give.

    Args:
        student: The student.
        prompts: Prompts that it is about to continue; the shortest and the longest one are tried.
        longest: Length of the longest text to come, in tokens: sliding windows must be as wide for the fast way.

    Raises:
        StudentError: If plain forward passes give no numbers.
    """
    chosen, refused = _spread(prompts, _PROMPTS), dict[str, str]()
    for way, steppers in WAYS.items():
        if way == "fast" and (known := known_refusal(student.model.config, longest)):
            refused[way] = known
            continue
        for stepper in steppers:
            found = _difference(student, stepper, chosen, steps=_steps(_STEPS, chosen, longest))
            if isinstance(found, float) and found <= LARGEST_DIFFERENCE[_is_exact(student)]:
                refused.pop(way, None)
                return Drive(way, stepper, found, refused)
            refused[way] = found if isinstance(found, str) else f"it differs by {found:.2g} nats"
    return Drive("plain", PlainStepper, 0.0, refused)


class Reference:
    """What a student in float32 says, for its coarser forms to be measured against; the student is not kept."""

    def __init__(self, exact: Student, drive: Drive, prompts: Sequence[Sequence[int]], *, longest: int) -> None:
        """Let it continue up to eight of the prompts, driven as it will be, to texts of at most `longest` tokens."""
        self._prompts, self._drive = _spread(prompts, _WIDER["prompts"]), drive
        self._steps = _steps(_WIDER["steps"], self._prompts, longest)
        self._expected = self._trace_of(exact)

    def distance_of(self, coarse: Student) -> Distance:
        """Measure how far the same student in other numbers lies from it, along its texts.

        Raises:
            StudentError: If the coarse student's logits are no numbers.
        """
        found = self._trace_of(coarse, along=self._expected.texts)
        check_numbers(coarse, found.logits_NV)
        return distance_between(self._expected.logits_NV, found.logits_NV)

    def _trace_of(self, student: Student, along: list[list[int]] | None = None) -> "_Trace":
        return _trace(
            student, self._drive.stepper, self._prompts, slots=_WIDER["slots"], steps=self._steps, along=along
        )


def distance_between(expected_NV: Tensor, found_NV: Tensor) -> Distance:
    """Compare logits of the same places."""
    expected_NV, found_NV = expected_NV.log_softmax(dim=-1), found_NV.log_softmax(dim=-1)
    differences = likely_differences(expected_NV, found_NV).flatten()
    kl = (expected_NV.exp() * (expected_NV - found_NV)).nansum(dim=-1).mean().clamp_min(0)
    same = expected_NV.argmax(dim=-1) == found_NV.argmax(dim=-1)
    return Distance(
        *(float(each) for each in (differences.mean(), differences.quantile(0.99), kl, same.float().mean()))
    )


def check_distance(distance: Distance, config: StudentConfig) -> str:
    """Say how far a student is from float32, as a warning where that is far.

    Raises:
        StudentError: If it is farther than the configuration allows.
    """
    told = f"student.dtype = {config.dtype!r}: {distance}"
    if not distance.mean <= config.max_distance:
        raise StudentError(
            f"{told}. That is another student than {config.path!r}: more than student.max_distance = "
            f"{config.max_distance} nats. Use a finer student.dtype (float32, bfloat16), or allow more."
        )
    return f"warning: {told}" if distance.is_large else told


def check_numbers(student: Student, logits_BV: Tensor) -> None:
    """Refuse logits that are no numbers.

    Raises:
        StudentError: If a row has nothing that could be drawn.
    """
    if bool(logits_BV.isnan().any() | logits_BV.isposinf().any()):
        dtype = str(student.model.dtype).removeprefix("torch.")
        mend = "Use student.dtype = 'float32' or 'bfloat16'." if dtype == "float16" else "Its weights may be damaged."
        raise StudentError(
            f"The student {student.name!r} gives no probabilities in {dtype}: its logits are no numbers. {mend}"
        )


def known_refusal(config: Any, longest: int) -> str | None:
    """Say why a model cannot be driven the fast way, as far as its configuration tells; a trial may be too short."""
    others = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if others:
        return f"it has layers that are not attention over the whole text ({', '.join(sorted(others))})"
    return None if sees_all(config, longest) else f"its attention does not see all of {longest} tokens"


def _difference(student: Student, stepper: StepperType, prompts: Sequence[Sequence[int]], *, steps: int) -> float | str:
    """Measure how far a stepper lies from forward passes of each text alone; or say why it cannot drive the student."""
    try:
        trace = _trace(student, stepper, prompts, slots=_SLOTS, steps=steps)
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):  # says nothing of the model, and another way to drive it rounds differently
            raise
        told = " ".join(str(error).split())[:_REASON] or type(error).__name__
        return f"the model does not take part in it: {told}"
    expected_NV = _alone(student, trace)
    check_numbers(student, expected_NV)
    if expected_NV.shape != trace.logits_NV.shape:
        return "the model does more than its head"
    largest = likely_differences(expected_NV.log_softmax(dim=-1), trace.logits_NV.log_softmax(dim=-1)).max()
    return math.inf if bool(largest.isnan()) else float(largest)


def _steps(wanted: int, prompts: Sequence[Sequence[int]], longest: int) -> int:
    """Count the steps that can be tried: no text may become longer than those to come, for which there is room."""
    return max(1, min(wanted, longest - max(map(len, prompts))))


def _is_exact(student: Student) -> bool:
    return student.model.dtype == torch.float32 and not is_rounded(student.model)


@torch.inference_mode()
def _trace(
    student: Student,
    stepper_type: StepperType,
    prompts: Sequence[Sequence[int]],
    *,
    slots: int,
    steps: int,
    along: list[list[int]] | None = None,
) -> _Trace:
    """Continue prompts greedily behind their most probable first tokens, or along given texts.

    After half of the steps the first lane of each question is left out, as lanes are that are over.
    """
    texts = [list(prompt) for prompt in prompts for _ in range(slots)]
    lengths, lanes_B = list(map(len, texts)), torch.arange(len(texts))
    with lent(student, stepper_type):
        stepper = stepper_type(student, prompts)
        rows, places = [stepper.prefill().float()], [(lane, lengths[lane] - 1) for lane in lanes_B[::slots].tolist()]
        tokens_B = _without_ends(student, rows[0]).topk(slots, dim=-1).indices.flatten()
        stepper.fork(slots, max_steps=steps)
        for step in range(1, steps):
            lanes = lanes_B.tolist()
            if along is not None:
                tokens_B = torch.tensor([along[lane][lengths[lane] + step - 1] for lane in lanes])
            for lane, token in zip(lanes, tokens_B.tolist(), strict=True):
                texts[lane].append(token)
            rows.append(stepper.logits(stepper.step(tokens_B.to(student.device))).float())
            places += [(lane, len(texts[lane]) - 1) for lane in lanes]
            tokens_B = _without_ends(student, rows[-1]).argmax(dim=-1)
            if step == steps // 2 and slots > 1:
                kept_B = stepper.keep((lanes_B % slots > 0).to(student.device))
                assert kept_B is not None, "half of the lanes are over"
                lanes_B, tokens_B = lanes_B[kept_B.cpu()], tokens_B[kept_B]
    return _Trace(texts, places, torch.cat(rows))


@torch.inference_mode()
def _alone(student: Student, trace: _Trace) -> Tensor:
    """Give the logits of the same places by one plain forward pass of each text, (N, V)."""
    of_texts = [
        student.model(input_ids=torch.tensor([text], device=student.device), use_cache=False).logits[0].float()
        for text in trace.texts
    ]
    return torch.stack([of_texts[text][position] for text, position in trace.places])


def _without_ends(student: Student, logits_BV: Tensor) -> Tensor:
    """Let no text end: behind its end a student knows nothing."""
    return logits_BV.index_fill(1, torch.tensor(student.eos_ids, device=logits_BV.device), -torch.inf)


def _spread(prompts: Sequence[Sequence[int]], number: int) -> list[Sequence[int]]:
    """Choose some prompts of all lengths, from the shortest to the longest."""
    by_length = sorted(prompts, key=len)
    chosen = dict.fromkeys(round(place) for place in torch.linspace(0, len(by_length) - 1, number).tolist())
    return [by_length[place] for place in chosen]
