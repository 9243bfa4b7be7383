"""Where a text begins a question or an answer of its own, as a student does that goes on with the form of its prompt.

Three kinds of markers are known: those of the prompt that the question was asked with, the common ones (`Question:`,
`Q:`, `User:`, and `Answer:`, `A:`, `Assistant:`), and those of chat templates (`<|im_start|>user`, `[INST]`,
`<start_of_turn>model`, ...). A marker that was found stays found whatever follows it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from sert.records import Question
from sert.tasks.duplicates import fold

# What chat templates put between turns: `<|im_end|>`, `<end_of_turn>`, `[INST]`, `</s>`.
_BAR = "[|｜]"  # noqa: RUF001 - some templates write the wide bar
_NAMED = rf"<{_BAR}[^<>|｜\n]{{1,30}}{_BAR}>"  # noqa: RUF001
_CONTROL = rf"{_NAMED}|<(?:start|end)_of_turn>|<</?SYS>>|\[/?INST\]|</?s>"
_LINE = r"(?:\A|(?<=\n))[ \t#>*]*"


def _word(word: str, letter: str) -> str:
    """Match a word with its colon, numbered (`Question 2:`) or emphasized (`**Question**:`), or its capital (`Q:`).

    The capital begins a line or a sentence; `vitamin A: carrots` is none.
    """
    whole = rf"(?i:\b{word}\b(?:\s?#?\d{{1,3}})?[*_]{{0,3}}\s*:)"
    return rf"{whole}|(?:{_LINE}|(?<=[0-9.!?)\"'] )){letter} ?\d{{0,3}}:"


def _role(names: str, control: str) -> str:
    """Match a role as a control token, behind one, or at the start of a line: with a colon, or as all of the line."""
    inside = rf"<{_BAR}[^<>|｜\n]{{0,20}}(?:{names})[^<>|｜\n]{{0,20}}{_BAR}>"  # noqa: RUF001
    behind = rf"(?:{_NAMED}|<start_of_turn>)\s{{0,2}}(?:{names})(?=[\s<])"
    return rf"(?i:{inside}|{behind}|{control}|{_LINE}(?:{names})(?:[*_]{{0,3}}[ \t]?:|[ \t]*\n))"


# `Problem 2:`, or `Problem:` where a later paragraph begins and asks something.
_ANOTHER = r"(?<=\S\n\n)problem\s*:(?=\s{0,3}[^\n]*\?)"
_FURTHER = rf"(?i:\b(?:problem|exercise|example|puzzle|task)\s?#?(?:[2-9]|[1-9]\d)\s*:|{_ANOTHER})"
_QUESTION = f"{_word('question', 'Q')}|{_FURTHER}|" + _role("user|human", r"\[INST\]")
_ANSWER = _word("answer", "A") + "|" + _role("assistant|model|bot|ai", r"\[/INST\]")
_SENTENCE_START = re.compile(r"(?:\A|[0-9.!?…:\"'”’)\]*]\s|\n)\s*[#>*_]*\s*\Z")  # noqa: RUF001
_SENTENCE_END = re.compile(r"[.!?]\s+|\n")
_CONTROLS = re.compile(_CONTROL, re.IGNORECASE)
_MOST_WORDS = 12
_LAST_PARAGRAPH = re.compile(r"\n[^\S\n]*+\n(?=\S)")
_LEAST_ASKED = 12
"""Words from which on a last paragraph can be a question of its own."""
_LOOK_BACK = 16
"""Characters before a marker in which the end of the sentence before it is looked for."""


class Markers(NamedTuple):
    """What begins a question, what begins an answer, and what may end an answer, in texts that answer one question."""

    question: re.Pattern[str]
    answer: re.Pattern[str]
    cuts: re.Pattern[str]


def markers_of(question: Question) -> Markers:
    """Take what stands around the stem in the question's prompt, and the markers that any prompt may have.

    Where a prompt has no words before the stem but some behind it, a line that ends with a question mark, and has these
    words behind it, begins a question.
    """
    before, stem, behind = question.prompt.rpartition(question.question.strip())
    return _markers(_last_line(before), _last_line(behind)) if stem else _markers("", "")


def own_part(text: str, question: Question) -> str:
    """Cut a text where it begins a next question, or where a chat template would end its turn.

    A marker within a sentence begins no question, nor does one before the question that was asked, or a part of it: a
    text may repeat it before it answers. Without a marker a last paragraph is a next question that ends with a question
    mark, has twelve words or more, and takes fewer than half of them from the question that was asked.
    """
    end = 0
    for found in markers_of(question).cuts.finditer(text):
        before, end = text[end : found.start()], found.end()
        if _CONTROLS.match(found[0]):
            begins = any(each.isalnum() for each in before)
        else:
            begins = _SENTENCE_START.search(text[max(0, found.start() - _LOOK_BACK) : found.start()]) is not None
        if begins and not _repeats(text[end : end + 2 * len(question.question) + _LOOK_BACK], question):
            return text[: found.start()]
    return text[: _start_of_last_question(text, question)]


def _start_of_last_question(text: str, question: Question) -> int:
    """Find where a last paragraph begins that asks something else; the text's end where there is none."""
    if not text.rstrip().endswith("?"):
        return len(text)
    *_, start = (0, *(found.end() for found in _LAST_PARAGRAPH.finditer(text)))
    words, given = fold(text[start:]).split(), set(fold(question.question).split())
    asks = start > 0 and len(words) >= _LEAST_ASKED and sum(word in given for word in words) < len(words) / 2
    return start if asks else len(text)


def _repeats(asked: str, question: Question) -> bool:
    """Tell whether the question that is asked there is the given one, or made of its words alone."""
    given, first = fold(question.question), _SENTENCE_END.split(asked.strip())[0]
    return fold(asked).startswith(given) or (bool(first) and set(fold(first).split()) <= set(given.split()))


@lru_cache(maxsize=1024)
def _markers(before: str, behind: str) -> Markers:
    """Make the patterns of a prompt whose question stands between these two lines, either of which may be empty."""
    answer = _either(_ANSWER, _own_marker(behind[: behind.rfind(":") + 1] or behind))
    asks = _own_marker(before)
    if behind and not before:
        asks = rf"(?:\A|(?<=\n))[^\n]*\?(?=[^\S\n]*+\n\s*+(?:{answer}))"
    question = _either(_QUESTION, asks)
    return Markers(re.compile(question), re.compile(answer), re.compile(_either(question, f"(?i:{_CONTROL})")))


def _either(*patterns: str) -> str:
    return "|".join(filter(None, patterns))


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")


def _own_marker(line: str) -> str:
    """Match the last sentence of a line of the prompt, in any case and spacing; a single letter where a line begins.

    Empty where the line holds nothing that would mark anything: no words, or a whole paragraph.
    """
    words = _SENTENCE_END.split(line)[-1].split()
    letters = sum(map(str.isalpha, "".join(words)))
    if not letters or len(words) > _MOST_WORDS:
        return ""
    marker = r"\s+".join(map(re.escape, words))
    start = _LINE if letters == 1 else r"(?<!\w)"
    end = r"(?=\W)" if words[-1][-1].isalnum() else ""
    return rf"(?i:{start}{marker}{end})"
