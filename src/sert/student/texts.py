"""From text to tokens and back, for prompts, completions and plain texts alike.

Questions, answers, rationales, paths and system texts come from files and from models. Whatever they hold, it stays
text: a control token, such as the one that ends a text or a turn, only ever comes from the tokenizer (which puts it in
front of a text) or from the chat template. Text without the name of one is tokenized as ever; a name is cut in two.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from sert.errors import StudentError
from sert.student.chat import Chat, Part, control_names, templates_of

_HARMLESS = "x"
_STARTS = ("\n", ".", "0", "a", "~")
"""Texts that another one is put behind, to see its tokens within a text."""
_EACH_CHARACTER = re.compile("(?s)(?=.)")

_Encode = Callable[[Iterable[str]], list[int]]
"""Tokenizes a text that comes in stretches."""


class _Controls(NamedTuple):
    """The control tokens of a tokenizer.

    Attributes:
        ids: The tokens; the one for what is unknown is not among them, if it is another one.
        names: Finds where the name of one begins, that of an unknown one too.
    """

    ids: frozenset[int]
    names: re.Pattern[str]


@dataclass(frozen=True)
class Texts:
    """A student's tokenizer: from text to tokens and back.

    Attributes:
        tokenizer: That of transformers.
        chat: The turns that prompts are put into; None where they stand as they are.
    """

    tokenizer: Any
    chat: Chat | None = field(default=None, kw_only=True)

    def encode_prompt(self, prompt: str) -> list[int]:
        """Tokenize a prompt as the student is asked it: in a user's turn of its chat template, or as it stands.

        In a turn, blanks around the prompt are dropped.

        Raises:
            StudentError: If a part of it cannot be kept from becoming a control token.
        """
        return self.encode_text(prompt) if self.chat is None else self._encode(self.chat.asked(prompt), whole=False)

    def encode_text(self, text: str) -> list[int]:
        """Tokenize a text that begins by itself: with the special tokens that the tokenizer puts in front, no end.

        Raises:
            StudentError: As `encode_prompt` does.
        """
        return self._encode([Part(text)], whole=True)

    def encode_completion(self, completion: str) -> list[int]:
        """Tokenize a text that stands behind another one: nothing is put in front of it, no blank either.

        Raises:
            StudentError: As `encode_prompt` does.
        """
        return self._checked([Part(completion)], (), self._within)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Turn tokens that stand behind others into text for people; special tokens stay visible."""
        if not self._eats_blanks:
            return self._decode(token_ids)
        start = self._plain(_STARTS[0])
        return self._decode([*start, *token_ids])[len(self._decode(start)) :]

    def shown(self, prompt: str) -> str:
        """Write a prompt as the student is asked it, for people."""
        return prompt if self.chat is None else "".join(part.text for part in self.chat.asked(prompt))

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a text."""
        return frozenset({self.tokenizer.eos_token_id} - {None})

    @cached_property
    def _controls(self) -> _Controls:
        named = control_names(self.tokenizer)
        first = "".join(map(re.escape, sorted({name[0] for name in named})))
        name = "|".join(map(re.escape, named))
        ids = frozenset(named.values())
        own = {self.tokenizer.eos_token_id, self.tokenizer.bos_token_id}
        if self.tokenizer.unk_token_id not in own:
            ids -= {self.tokenizer.unk_token_id}
        return _Controls(ids, re.compile(f"(?=[{first}])(?={name})" if named else "(?!)"))

    def control_in(self, text: str) -> str | None:
        """Name the first control token whose name a text holds."""
        found = self._controls.names.search(text)
        if found is None:
            return None
        return max((name for name in control_names(self.tokenizer) if text.startswith(name, found.start())), key=len)

    def _encode(self, parts: Sequence[Part], *, whole: bool) -> list[int]:
        """Tokenize a text of several parts; a whole one gets the tokenizer's own special tokens in front."""

        def encode(stretches: Iterable[str]) -> list[int]:
            first, *others = stretches
            token_ids = list(self.tokenizer(first, add_special_tokens=whole, verbose=False)["input_ids"])
            if whole and len(token_ids) > 1 and token_ids[-1] in self.ends:
                token_ids.pop()
            return token_ids + self._within(others)

        harmless = [part if part.trusted else Part(_HARMLESS) for part in parts]
        return self._checked(parts, self._controls_in(encode(_stretches(harmless, self._controls.names))), encode)

    def _checked(self, parts: Sequence[Part], wanted: Sequence[int], encode: _Encode) -> list[int]:
        """Tokenize, so that there are no control tokens but those that are wanted."""
        for cut in (self._controls.names, _EACH_CHARACTER):
            token_ids = encode(_stretches(parts, cut))
            if self._controls_in(token_ids) == tuple(wanted):
                return token_ids
        stray = next((each for each in self._controls_in(token_ids) if each not in wanted), token_ids[0])
        raise StudentError(
            f"A text becomes the control token {self._decode([stray])!r} of this tokenizer, however it is cut. Take it "
            "out of the text: " + repr("".join(part.text for part in parts if not part.trusted)[:200])
        )

    def _controls_in(self, token_ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(each for each in token_ids if each in self._controls.ids)

    def _within(self, stretches: Iterable[str]) -> list[int]:
        """Tokenize texts that stand behind another one."""
        return [token for text in stretches for token in self._behind(text)]

    def _behind(self, text: str) -> list[int]:
        if self._adds_blanks:
            for start in _STARTS:
                before, together = self._plain(start), self._plain(start + text)
                if together[: len(before)] == before:
                    return together[len(before) :]
        return self._plain(text)

    @cached_property
    def _adds_blanks(self) -> bool:
        """Whether a text that begins by itself gets a blank in front, as tokenizers of Llama 2's kind do it."""
        start = _STARTS[0]
        return self._plain(start + _HARMLESS) != self._plain(start) + self._plain(_HARMLESS)

    @cached_property
    def _eats_blanks(self) -> bool:
        """Whether a text that is decoded by itself loses the blank in front."""
        start, blank = self._plain(_STARTS[0]), self._behind(f" {_HARMLESS}")
        return self._decode([*start, *blank]) != self._decode(start) + self._decode(blank)

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(token_ids), clean_up_tokenization_spaces=False))


def _stretches(parts: Iterable[Part], cut: re.Pattern[str]) -> Iterator[str]:
    """Join the parts of a text, and cut it behind each character of a part not trusted where the pattern begins."""
    held = ""
    for text, trusted in parts:
        start = 0
        for found in () if trusted else cut.finditer(text):
            end = found.start() + 1
            yield held + text[start:end]
            held, start = "", end
        held += text[start:]
    yield held


def refuse_control_tokens(texts: Texts, templates: Iterable[tuple[str, str]]) -> None:
    """Refuse templates of prompts, (setting, text), that are written with control tokens.

    Raises:
        StudentError: Naming the first one.
    """
    for setting, template in templates:
        if (name := texts.control_in(template)) is not None:
            turns = any(name in written for written in templates_of(texts.tokenizer))
            mend = (
                "Leave the turns out of it: student.prompt = 'chat' puts prompts into the chat template."
                if turns
                else "Leave it out: the tokenizer puts such tokens where they belong."
            )
            raise StudentError(f"{setting} holds {name!r}, which would be read as text, not as a control token. {mend}")
