"""What a training costs elsewhere: held-out texts of another kind, scored before it and after it.

They are texts, not prompts: they stand as they are, also for students that are asked by a chat template.
"""

import math
from statistics import fmean
from typing import Any, NamedTuple

from sert.records import HeldOutScore
from sert.student.load import Student
from sert.student.training.batching import EncodedExample
from sert.student.training.held_out import HeldOut
from sert.student.training.scoring import log_probabilities


class Forgetting:
    """The scores of a student now, and a comparison with them later."""

    def __init__(self, student: Student, held_out: HeldOut, *, max_length: int) -> None:
        """Score the student; of longer texts the first `max_length` tokens count, of longer contexts the last."""
        self._student, self._held_out, self._max_length = student, held_out, max_length
        self._before = self._score()

    def compared(self) -> "Compared":
        """Score the student again."""
        after = self._score()
        pairs = zip(Scores._fields, summed(self._before), summed(after), strict=True)
        scored = {name: [was, now] for name, was, now in pairs if was is not None}
        rows = [
            HeldOutScore(kind, number, was.num_tokens, was.logprob, now.logprob, was.right, now.right)
            for kind, before, now_scored in (
                ("text", self._before.texts, after.texts),
                ("choice", self._before.choices, after.choices),
            )
            for number, (was, now) in enumerate(zip(before, now_scored, strict=True))
        ]
        return Compared(rows, {"texts": len(after.texts), "choices": len(after.choices), **scored})

    def _score(self) -> "EachScored":
        return score_each(self._student, self._held_out, max_length=self._max_length)


class Compared(NamedTuple):
    """Each text before and after, and what they come to: how many there are, and each score as before and after."""

    rows: list[HeldOutScore]
    counts: dict[str, Any]


class TextScore(NamedTuple):
    """One text: its scored tokens, the sum of their log-probabilities, and whether the right ending was chosen."""

    num_tokens: int
    logprob: float
    right: bool | None = None


class EachScored(NamedTuple):
    """The scores of plain texts, and of texts with endings to choose from."""

    texts: list[TextScore]
    choices: list[TextScore]


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
    return summed(score_each(student, held_out, max_length=max_length))


def summed(scored: EachScored) -> Scores:
    """Sum up the scores of single texts."""
    tokens, choices = sum(each.num_tokens for each in scored.texts), scored.choices
    return Scores(
        math.exp(-sum(each.logprob for each in scored.texts) / tokens) if tokens else None,
        fmean(each.logprob / each.num_tokens for each in choices) if choices else None,
        fmean(bool(each.right) for each in choices) if choices else None,
    )


def score_each(student: Student, held_out: HeldOut, *, max_length: int) -> EachScored:
    """Score each text; the same limits as for `score`."""
    longest = min(max_length, student.max_positions or max_length)
    plain = [_plain(student, text, longest) for text in held_out.texts]
    ends = [_ending(student, choice.context, end, longest) for choice in held_out.choices for end in choice.endings]
    sums = log_probabilities(student, [*plain, *ends])
    of_ends = iter(zip(sums[len(plain) :], ends, strict=True))
    of_texts = zip(plain, sums[: len(plain)], strict=True)
    choices = []
    for choice in held_out.choices:
        found = [next(of_ends) for _ in choice.endings]
        total, encoded = found[choice.right]
        by_character = [each / len(end) for (each, _), end in zip(found, choice.endings, strict=True)]
        is_right = by_character.index(max(by_character)) == choice.right
        choices.append(TextScore(encoded.num_supervised, total, is_right))
    return EachScored([TextScore(each.num_supervised, total) for each, total in of_texts], choices)


def _plain(student: Student, text: str, longest: int) -> EncodedExample:
    return EncodedExample(student.encode_text(text)[:longest], 0)


def _ending(student: Student, context: str, ending: str, longest: int) -> EncodedExample:
    end_ids = student.encode_completion(ending)[: longest - 1]
    context_ids = student.encode_text(context)[len(end_ids) - longest :]
    return EncodedExample([*context_ids, *end_ids], len(context_ids))
