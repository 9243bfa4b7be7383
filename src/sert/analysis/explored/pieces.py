"""Which characters of a path each of its tokens spells."""

import re
from collections.abc import Sequence

import numpy as np

from sert.config.tree import StudentConfig
from sert.errors import SertError
from sert.report.explorer.elements import utf_16_length
from sert.student.load import load_texts
from sert.student.texts import Texts

LONGEST_CHARACTER = 16
"""Tokens that are tried together where single ones spell no whole character."""
_USUAL = re.compile(r" ?[A-Za-z]+|.", re.DOTALL)
"""What most tokens spell: a word with the blank in front of it, or one character."""


class Pieces:
    """Cuts texts where tokens end, by the tokenizer that wrote them."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._known: dict[int, tuple[str, int]] = {}

    def piece(self, token_id: int) -> str:
        """Spell one token that stands behind others."""
        return self._look_up(token_id)[0]

    def lengths(self, token_ids: Sequence[int], text: str) -> list[int] | None:
        """Count the UTF-16 units that each token spells of a text; None where the tokens do not spell it.

        Where several tokens spell one character, the last one of them has it.
        """
        found = [self._look_up(token_id) for token_id in token_ids]
        if "".join([piece for piece, _ in found]) == text:
            return [length for _, length in found]
        return self._lengths_of_parts(token_ids, text)

    def _look_up(self, token_id: int) -> tuple[str, int]:
        if token_id not in self._known:
            piece = self._texts.decode([token_id])
            self._known[token_id] = piece, utf_16_length(piece)
        return self._known[token_id]

    def _lengths_of_parts(self, token_ids: Sequence[int], text: str) -> list[int] | None:
        """Go along the text, with as many tokens at a time as spell whole characters."""
        lengths, place, end = list[int](), 0, 0
        while place < len(token_ids) and end < len(text):
            for number in range(1, LONGEST_CHARACTER + 1):
                together = token_ids[place : place + number]
                part = self.piece(together[0]) if number == 1 else self._texts.decode(together)
                if text.startswith(part, end):
                    break
            else:
                return None
            lengths += [0] * (len(together) - 1) + [utf_16_length(part)]
            place, end = place + len(together), end + len(part)
        return lengths + [0] * (len(token_ids) - place) if end == len(text) else None


def border_codes(text: str, lengths: Sequence[int]) -> list[int]:
    """Write the lengths of tokens, in UTF-16 units, so that they take little room: 0 for a usual one, else one more."""
    units = text if text.isascii() else _units_of(text)
    codes, place = list[int](), 0
    for length in lengths:
        usual = _USUAL.match(units, place)
        codes.append(0 if length == (usual.end() - place if usual else 0) else length + 1)
        place += length
    return codes


def _units_of(text: str) -> str:
    """Write each UTF-16 unit of a text as a character of its own."""
    return "".join(map(chr, np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")))


def find_pieces(student: StudentConfig | None) -> Pieces | str:
    """Load the tokenizer of a student without fetching anything, or say in a sentence why there is none."""
    if student is None:
        return "No student was named, so that nobody knows where its tokens end."
    try:
        return Pieces(load_texts(student, at_hand=True))
    except (SertError, OSError):
        return f"The tokenizer of {student.path} is not on this machine, so that nobody knows where its tokens end."
