"""The prompts of questions as a student reads them, and which of them are too long for it."""

from collections.abc import Sequence
from typing import NamedTuple

from sert.records import Question
from sert.student.decoding.schedule import Decoding, DecodingPrompt, check_lengths, is_too_long, tell_too_long
from sert.student.outline import Outline


class Encoded(NamedTuple):
    """Tokenized prompts.

    Attributes:
        fitting: Row -> prompt, of those that fit into the student's positions with their continuations.
        warning: Which do not, and what mends it; None where all do.
    """

    fitting: dict[int, DecodingPrompt]
    warning: str | None

    @property
    def told(self) -> list[str]:
        """What people are told."""
        return [] if self.warning is None else [f"warning: {self.warning} Nothing is decoded of them."]


def encode_prompts(student: Outline, questions: Sequence[Question], decoding: Decoding) -> Encoded:
    """Tokenize and check all prompts.

    Raises:
        StudentError: If all prompts and their continuations exceed the student's positions.
    """
    prompts = [DecodingPrompt(each.question_id, student.encode_prompt(each.prompt)) for each in questions]
    fitting = {row: each for row, each in enumerate(prompts) if not is_too_long(student, each, decoding)}
    check_lengths(student, [*fitting.values()] or prompts, decoding)
    return Encoded(fitting, tell_too_long(student, prompts, decoding))
