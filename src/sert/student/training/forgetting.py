"""What a training costs elsewhere: held-out texts of another kind, scored before it and after it.

They are texts, not prompts: they stand as they are, also for students that are asked by a chat template.

Shapes: N supervised tokens.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy

from sert.student.load import Student
from sert.student.training.batching import EncodedExample, collate
from sert.student.training.held_out import HeldOut
from sert.student.training.loop import supervised_logits

TOGETHER = 8
"""Texts that are scored at a time."""


class Forgetting:
    """The scores of a student now, and a comparison with them later."""

    def __init__(self, student: Student, held_out: HeldOut, *, max_length: int) -> None:
        """Score the student; of longer texts the first `max_length` tokens count, of longer contexts the last."""
        self._student, self._held_out, self._max_length = student, held_out, max_length
        self._before = self._score()

    def compared(self) -> dict[str, Any]:
        """Score the student again: how many texts there are, and each score as before and after."""
        pairs = zip(Scores._fields, self._before, self._score(), strict=True)
        scored = {name: [was, now] for name, was, now in pairs if was is not None}
        return {"texts": len(self._held_out.texts), "choices": len(self._held_out.choices), **scored}

    def _score(self) -> "Scores":
        return score(self._student, self._held_out, max_length=self._max_length)


class Scores(NamedTuple):
    """How a student does on held-out texts; None where there are none of that kind.

    Attributes:
        perplexity: Of the plain texts, over all of their tokens but the first.
        right_ending: Mean log-probability of the right endings, in nats a token.
        accuracy: Share of choices whose right ending has the highest log-probability a character.
    """

    perplexity: float | None
    right_ending: float | None
    accuracy: float | None


def score(student: Student, held_out: HeldOut, *, max_length: int) -> Scores:
    """Score a student; of longer texts the first `max_length` tokens count, of longer contexts the last."""
    longest = min(max_length, student.max_positions or max_length)
    plain = [_plain(student, text, longest) for text in held_out.texts]
    ends = [_ending(student, choice.context, end, longest) for choice in held_out.choices for end in choice.endings]
    sums = _log_probabilities(student, [*plain, *ends])
    of_texts, of_ends = sums[: len(plain)], iter(zip(sums[len(plain) :], ends, strict=True))
    rights, hits = list[float](), 0
    for choice in held_out.choices:
        found = [next(of_ends) for _ in choice.endings]
        total, encoded = found[choice.right]
        rights.append(total / encoded.num_supervised)
        by_character = [each / len(end) for (each, _), end in zip(found, choice.endings, strict=True)]
        hits += by_character.index(max(by_character)) == choice.right
    tokens = sum(each.num_supervised for each in plain)
    return Scores(
        math.exp(-sum(of_texts) / tokens) if tokens else None,
        sum(rights) / len(rights) if rights else None,
        hits / len(rights) if rights else None,
    )


def _plain(student: Student, text: str, longest: int) -> EncodedExample:
    return EncodedExample(student.encode_text(text)[:longest], 0)


def _ending(student: Student, context: str, ending: str, longest: int) -> EncodedExample:
    end_ids = student.encode_completion(ending)[: longest - 1]
    context_ids = student.encode_text(context)[len(end_ids) - longest :]
    return EncodedExample([*context_ids, *end_ids], len(context_ids))


@torch.no_grad()
def _log_probabilities(student: Student, encoded: Sequence[EncodedExample]) -> list[float]:
    """Sum the log-probabilities of the supervised tokens of each text."""
    model, sums = student.model.eval(), [0.0] * len(encoded)
    scored = [number for number, each in enumerate(encoded) if each.num_supervised > 0]
    scored.sort(key=lambda number: len(encoded[number].token_ids))
    for start in range(0, len(scored), TOGETHER):
        numbers = scored[start : start + TOGETHER]
        batch = collate([encoded[number] for number in numbers], device=student.device)
        logits_NV = supervised_logits(model, batch, head=model.get_output_embeddings())
        losses_N = cross_entropy(logits_NV.float(), batch.targets_N, reduction="none")
        parts = torch.split(losses_N.double(), [encoded[number].num_supervised for number in numbers])
        for number, part in zip(numbers, parts, strict=True):
            sums[number] = -float(part.sum())
    return sums
