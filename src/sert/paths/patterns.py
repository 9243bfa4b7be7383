"""The pattern rules: what a text that does not reason looks like.

Source: paper, section 2, filter 1, which names imitation, repetition of options and direct response but defines none of
them; the definitions here are ours. To add a pattern, write its function here and a row in `PATTERNS`, its switch into
`RulesConfig` and its name into `RuleName` (`config/rules.py`), and its column into `Verdict` (`records.py`).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from sert.config.rules import RuleName
from sert.records import LETTERS, Question
from sert.tasks.markers import markers_of

MIN_OWN_WORDS = 3
"""A text with fewer words of its own (answers and options taken away) does not reason."""

# A lettered option: "(B) ", "B) ", "B. " or "B: ", in lower-cased text.
_LETTERED = re.compile(r"(?:\(([a-j])\)|\b([a-j])[).:](?!\w))\s*")

# What only announces or states an answer, in lower-cased text: "so the answer is", "answer:", "answer choices",
# "(b)", "b.", "yes", "no".
_ANSWER_WORDS = re.compile(
    r"\b(?:so )?(?:the )?answer(?: is\b| choices\b|:)|\b(?:yes|no)\b|\([a-j]\)|\b[a-j][).:](?!\w)"
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # noqa: RUF001 - typographic apostrophes are meant


def imitates_format(text: str, question: Question) -> bool:
    """Tell whether the text holds the form of a prompt: what begins a question and, anywhere behind it, an answer.

    These are the words around the question in its own prompt, `Question:` or `Q:` and `Answer:` or `A:`, and turns of
    chat templates (`sert.tasks.markers`). One half alone is no imitation. A text that imitates still does so with
    anything appended.
    """
    markers = markers_of(question)
    asked = markers.question.search(text)
    return asked is not None and markers.answer.search(text, asked.end()) is not None


def repeats_options(text: str, question: Question) -> bool:
    """Tell whether the text lists the options and says next to nothing else.

    It lists them when all but at most one (and at least two) stand behind their letter, in any order; it says next to
    nothing else when fewer than `MIN_OWN_WORDS` words are left without options, letters and announcements of an answer.
    A text that lists the options and then reasons is not meant.
    """
    return _lists_options(text.lower(), question.choices) and responds_directly(text, question)


def responds_directly(text: str, question: Question) -> bool:
    """Tell whether the text answers without reasoning, or is empty.

    Taken away are announcements (`So the answer is`, `The answer is`, `Answer:`), yes and no, option letters, the
    options' texts (one that the text breaks off inside too) and punctuation; fewer than `MIN_OWN_WORDS` words are left.
    """
    return _count_own_words(text.lower(), question.choices) < MIN_OWN_WORDS


class Pattern(NamedTuple):
    """A pattern that a text has or has not.

    Attributes:
        name: Its reason and column in `verdicts.parquet`, and its switch in `RulesConfig`.
        found: Tells whether the text that answers a question has it.
        lasts: Whether a text that has it keeps it whatever follows, so that a path may be stopped early.
    """

    name: RuleName
    found: Callable[[str, Question], bool]
    lasts: bool = False


PATTERNS = (
    Pattern("imitation", imitates_format, lasts=True),
    Pattern("option_repetition", repeats_options),
    Pattern("direct_response", responds_directly),
)
"""The pattern rules in the order in which they are asked."""


def _lists_options(lowered: str, choices: tuple[str, ...]) -> bool:
    listed = set()
    for marker in _LETTERED.finditer(lowered):
        index = _option_index(marker)
        if index < len(choices):
            option = choices[index].lower()
            end = marker.end() + len(option)
            if lowered.startswith(option, marker.end()) and not lowered[end : end + 1].isalnum():
                listed.add(index)
    return len(listed) >= max(2, len(choices) - 1)


def _count_own_words(lowered: str, choices: tuple[str, ...]) -> int:
    plain = _ANSWER_WORDS.sub(" ", _cut_unfinished_option(lowered, choices) if choices else lowered)
    # A blank on both sides of each word lets replace() take whole words only, also where two options are neighbours.
    spaced = "".join(f" {word} " for word in _WORD.findall(plain))
    for option in _spaced_options(choices):
        spaced = spaced.replace(option, "\n")
    return len(spaced.split())


def _cut_unfinished_option(lowered: str, choices: tuple[str, ...]) -> str:
    markers = list(_LETTERED.finditer(lowered))
    if not markers or (index := _option_index(markers[-1])) >= len(choices):
        return lowered
    unfinished = choices[index].lower().startswith(lowered[markers[-1].end() :])
    return lowered[: markers[-1].start()] if unfinished else lowered


def _option_index(marker: re.Match[str]) -> int:
    return LETTERS.lower().index(marker[1] or marker[2])


@lru_cache(maxsize=1024)
def _spaced_options(choices: tuple[str, ...]) -> tuple[str, ...]:
    # Longest first, so that "dark room" goes as a whole before "dark" does.
    options = {"".join(f" {word} " for word in _WORD.findall(choice.lower())) for choice in choices}
    return tuple(sorted(options - {""}, key=lambda option: (-len(option), option)))
