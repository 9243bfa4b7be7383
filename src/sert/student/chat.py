"""Chat templates: the turns that a student is asked in, and the token that ends its own.

The template is rendered once, with marks in the place of the texts, so that no text has a say in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sert.errors import StudentError

_SYSTEM, _PROMPT, _ANSWER = "SYSTEMzqxjvk", "PROMPTzqxjvk", "ANSWERzqxjvk"
"""Marks that no template changes or writes itself."""
_MARKS = re.compile(f"({_SYSTEM}|{_PROMPT})")
_TODAY = "{%- macro strftime_now(format) -%}26 July 2024{%- endmacro +%}"
"""Some templates write the date; with that of the day a prompt would be another one tomorrow."""


class Part(NamedTuple):
    """A part of a text, and whether names of control tokens in it mean these tokens."""

    text: str
    trusted: bool = False


@dataclass(frozen=True)
class Chat:
    """How a student is asked by its chat template.

    Attributes:
        parts: The turns up to where the student writes, with a mark for each prompt.
        end_of_turn: The token that ends what the student writes.
        blank: What the template puts between that and the first word of the student: nothing, or a blank.
        system: The system text; None leaves it to the template.
        thinking: Whether templates that can switch thinking on have it on.
    """

    parts: tuple[Part, ...]
    end_of_turn: int
    blank: str = ""
    system: str | None = None
    thinking: bool = False

    def asked(self, prompt: str) -> list[Part]:
        """Put a prompt into its turn."""
        return [Part(prompt.strip()) if part.text == _PROMPT else part for part in self.parts]


def make_chat(tokenizer: Any, *, system: str | None, thinking: bool, name: str) -> Chat:
    """Render the chat template of a tokenizer.

    Raises:
        StudentError: If there is none, it cannot be used, or it has no place for the system text.
    """
    asked = [{"role": "user", "content": _PROMPT}]
    if system is not None:
        asked.insert(0, {"role": "system", "content": _SYSTEM})
    answered = [*asked, {"role": "assistant", "content": _ANSWER}]

    def rendered(messages: Sequence[dict[str, str]], *, opened: bool) -> str:
        try:
            return str(
                tokenizer.apply_chat_template(
                    messages,
                    chat_template=_TODAY + tokenizer.get_chat_template(),
                    tokenize=False,
                    add_generation_prompt=opened,
                    enable_thinking=thinking,
                    thinking=thinking,
                )
            )
        except Exception as error:  # templates raise what they like
            mend = " It may take no system text: leave student.system out." if system is not None else ""
            raise StudentError(
                f"The chat template of {name!r} cannot be used: {error}{mend} Or set student.prompt = 'plain'."
            ) from None

    opened = rendered(asked, opened=True)
    pieces = [piece for piece in _MARKS.split(opened) if piece]
    for mark, lost in ((_PROMPT, "the prompt"), (_SYSTEM, "student.system")):
        if mark not in pieces and any(message["content"] == mark for message in asked):
            raise StudentError(f"The chat template of {name!r} has no place for {lost}; leave it out, or use another.")
    parts = [Part(system or "") if piece == _SYSTEM else Part(piece, trusted=piece != _PROMPT) for piece in pieces]
    ahead, _, behind = rendered(answered, opened=False).rpartition(_ANSWER)
    between = ahead.removeprefix(opened)
    end = _end_of_turn(tokenizer, behind)
    if end is None:
        raise StudentError(f"The chat template of {name!r} ends no turn; use student.prompt = 'plain'.")
    return Chat(tuple(parts), end, between if between.isspace() else "", system, thinking)


def _end_of_turn(tokenizer: Any, behind: str) -> int | None:
    """Find the control token that stands right behind an answer, else take the end of a text."""
    named = control_names(tokenizer)
    found = [name for name in named if behind.lstrip().startswith(name)]
    end: int | None = named[max(found, key=len)] if found else tokenizer.eos_token_id
    return end


def templates_of(tokenizer: Any) -> list[str]:
    """List the chat templates of a tokenizer; there may be several, by names."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        return [str(each) for each in template.values()]
    return [] if template is None else [str(template)]


def control_names(tokenizer: Any) -> dict[str, int]:
    """Name the control tokens: special ones, and others that a chat template writes, such as `<think>`.

    A single character is text: it cannot be told from one.
    """
    written = "\n".join(templates_of(tokenizer))
    special = {*tokenizer.all_special_tokens}
    return {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if len(token.content.strip()) > 1 and (token.special or token.content in special or token.content in written)
    }
