"""How a dry run shows people what a student is asked first."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sert.config.tree import Config, StudentConfig
from sert.errors import StudentError
from sert.terminal.text import counted

if TYPE_CHECKING:
    from sert.records import Question

MOST_TOKENS = 400
"""Tokens of a prompt that people are shown."""


class ShownPrompt(NamedTuple):
    """A prompt as a student is asked it.

    Attributes:
        text: With the turns of the chat template around it.
        token_ids: What the student reads.
        tokens: The same by their names.
        notice: What is told of the way it is asked; None where nothing is.
    """

    text: str
    token_ids: list[int]
    tokens: list[str]
    notice: str | None

    def lines(self) -> Iterator[str]:
        """Write it for people."""
        if self.notice is not None:
            yield f"How it is asked: {self.notice}"
        yield f"The first prompt: {json.dumps(self.text, ensure_ascii=False)}"
        pairs = zip(self.token_ids, self.tokens, strict=True)
        named = [f"{number} {json.dumps(name, ensure_ascii=False)}" for number, name in pairs]
        if len(named) > MOST_TOKENS:
            half = MOST_TOKENS // 2
            named[half:-half] = [f"... {len(named) - MOST_TOKENS} more ..."]
        yield f"As {counted(len(self.token_ids), 'tokens')}: {', '.join(named)}"


def first_prompt(questions: Sequence["Question"], config: Config, section: str) -> ShownPrompt | None:
    """Show how a student is asked the first question that is not too long for it."""
    from sert.student.lengths import first_that_fits

    prompts, most = (question.prompt for question in questions), getattr(config, section).max_new_tokens
    first = first_that_fits(config.student, prompts, max_new_tokens=most)
    return None if first is None else shown_prompt(config.student, first)


def shown_prompt(student: StudentConfig, prompt: str) -> ShownPrompt | None:
    """Show how a student is asked; None where its tokenizer is not at hand."""
    from sert.student.folder import find_student
    from sert.student.form import form_of
    from sert.student.load import load_texts

    try:
        texts = load_texts(student, at_hand=True)
    except StudentError:
        return None
    token_ids = texts.encode_prompt(prompt)
    names = [str(name) for name in texts.tokenizer.convert_ids_to_tokens(token_ids)]
    return ShownPrompt(texts.shown(prompt), token_ids, names, form_of(student, find_student(student)).notice)
