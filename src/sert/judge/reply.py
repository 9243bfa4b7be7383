"""How a judge's reply is read. What cannot be read is a failure with a reason, never a score.

In lines mode the reply must hold, in the order of `CRITERIA`, one line a criterion:

    Score for Coherence: 7
    - **Score for Relevance:** 7.5/10 - it stays with the question.

- A score line begins with `Score for`; before it may stand a bullet, a number or a heading mark, around its parts
  emphasis (`*`, `_`, backticks). Behind the criterion comes `:` or `=`; a dash could be a minus sign.
- A score is 0 to 10, with decimals behind a point, alone or as `7/10`, `7 out of 10`, `[7]`. A comment may follow
  behind punctuation, but no other number, in digits or in words, for then it is open which of them is meant (`one`
  counts as a number only where it comes first).
- The last line that names a criterion together with a number, or behind `Score for`, decides. If it is no score line
  of that form the reply fails: an earlier line is not fallen back to.
- The four lines form one block. Between them no other line names a criterion; behind them there may be comments.

In JSON mode the whole reply, or all of it in one Markdown code block, is an object of the four keys, in any order, with
numbers of the same form. It holds no backslash: a key that is spelled with escapes could not be found in the student's
text.

Before that, the judge's thinking is dropped (`sert.endpoint.thinking`), and in lines mode what it quotes between the
fences of its prompt. A score that the student's text gives to the same criterion, that is a number shortly behind its
name, wherever and in whatever form, is refused, since it cannot be told from an echo.

A reply that was cut off may end in `1` of a `10`: the caller has to refuse those that hit the token limit. All
patterns are bounded, so that the time is linear in the length of both texts.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from sert.endpoint.thinking import split_thinking
from sert.judge.prompt import CRITERIA, JudgeOutput


class Scores(NamedTuple):
    """A judge's scores of one reasoning, each 0 to 10; fields are `CRITERIA`."""

    coherence: float
    relevance: float
    logical_consistency: float
    completeness: float


class Parsed(NamedTuple):
    """Scores, or why there are none: exactly one of the two is None."""

    scores: Scores | None
    failure: str | None


class _RefusedError(Exception):
    """The reply is no evidence; the message is the failure that is reported."""


class _CriterionLine(NamedTuple):
    """A line that names criteria: those whose score it tries to give, and the score if it is a score line."""

    attempts: list[str]
    score: float | None


_NAME = re.compile(
    r"(?<![a-z])(?:(?P<coherence>coherence)|(?P<relevance>relevance)|(?P<completeness>completeness)"
    r"|(?P<logical_consistency>logical[\W_]{0,12}consistency))",
    re.IGNORECASE | re.ASCII,
)
_BULLET = re.compile(r"(?:(?:[-+*•]|#{1,6}|\(?[0-9]{1,2}[.)])[ \t\xa0]{0,8}){0,2}", re.ASCII)
_GAP = r"[ \t\xa0*_`]"
_SCORE = r"(?:10(?:\.0{1,20})?|[0-9](?:\.[0-9]{1,20})?)"
_OF_TEN = r"(?:[ \t\xa0]{0,4}/[ \t\xa0]{0,4}10|[ \t\xa0]{1,4}out[ \t\xa0]of[ \t\xa0]10)?"
_ANNOUNCED = re.compile(rf"score{_GAP}{{1,12}}for{_GAP}{{1,12}}(?={_NAME.pattern})", re.IGNORECASE | re.ASCII)
_SCORE_LINE = re.compile(
    rf"{_GAP}{{0,12}}score{_GAP}{{1,12}}for{_GAP}{{1,12}}"
    rf"(?:coherence|relevance|logical[ \t\xa0_-]{{1,4}}consistency|completeness){_GAP}{{0,12}}[:=]{_GAP}{{0,12}}"
    rf"(?:\[[ \t]?(?P<bracketed>{_SCORE}){_OF_TEN}[ \t]?\]|(?P<bare>{_SCORE}))[*_`]{{0,4}}{_OF_TEN}",
    re.IGNORECASE | re.ASCII,
)

# A comment begins with one of these; "7 percent", "7 or eight" and "7%" do not.
_COMMENT_OPENERS = tuple(".,;:!(-–—")  # noqa: RUF001
_OTHER_NUMBER = re.compile(
    r"%|\bper ?cent\b|\b(?:zero|two|three|four|five|six|seven|eight|nine|ten|half|hundred)\b"
    r"|\A\W{0,8}(?:or|to|out|of|one|point)\b",
    re.IGNORECASE,
)

_FENCE = re.compile(r"<<<(question|reasoning) ([A-Za-z0-9]{8,64})\b")
_CODE_BLOCK = re.compile(r"```(?:json)?[ \t]*\r?\n(.*)\n```", re.DOTALL | re.IGNORECASE)
_NUMERAL = re.compile(r"\d+(?:\.\d+)?")
# How far behind a criterion's name, in characters, a number in the student's text is taken for a score of it.
_PLANT_REACH = 64


def parse_reply(text: str, *, reasoning: str, output: JudgeOutput) -> Parsed:
    """Read the four scores of a reply; see the module for what is accepted.

    `reasoning` is what the student wrote, to tell the judge's scores from echoes of it; `output` is the form that the
    judge was asked for.

    Returns:
        All four scores or none. A failure is one of `empty`, `thinking not closed`, `quote not closed`, `not JSON`,
        `escapes`, `duplicate key`, `wrong keys`, `wrong order`, `not one block`, or `missing`, `unreadable` or
        `planted` with a criterion.
    """
    try:
        answer = _without_thinking(text)
        scores = _from_lines(answer) if output == "lines" else _from_json(answer)
        _refuse_planted(scores, reasoning)
    except _RefusedError as refused:
        return Parsed(None, str(refused))
    return Parsed(scores, None)


def _without_thinking(text: str) -> str:
    split = split_thinking(text)
    if not split.closed:
        raise _RefusedError("thinking not closed")
    if not split.answer.strip():
        raise _RefusedError("empty")
    return split.answer


def _from_lines(answer: str) -> Scores:
    lines = [named for line in _without_quotes(answer).splitlines() if (named := _read_line(line.strip()))]
    last = {criterion: number for number, line in enumerate(lines) for criterion in line.attempts}
    values = {}
    for criterion in CRITERIA:
        if criterion not in last:
            raise _RefusedError(f"missing {criterion}")
        score = lines[last[criterion]].score
        if score is None:
            raise _RefusedError(f"unreadable {criterion}")
        values[criterion] = score
    places = [last[criterion] for criterion in CRITERIA]
    if places != sorted(places):
        raise _RefusedError("wrong order")
    # Only lines that name a criterion are numbered, so neighbours have none between them.
    if any(after - before != 1 for before, after in pairwise(places)):
        raise _RefusedError("not one block")
    return Scores(**values)


def _without_quotes(answer: str) -> str:
    """Take out what stands between fences of the prompt; a fence is closed by its own nonce only."""
    kept, start = [], 0
    while found := _FENCE.search(answer, start):
        closing = f"{found[2]} {found[1]}>>>"
        end = answer.find(closing, found.end())
        if end < 0:
            raise _RefusedError("quote not closed")
        kept.append(answer[start : found.start()])
        start = end + len(closing)
    return "\n".join([*kept, answer[start:]])


def _read_line(line: str) -> _CriterionLine | None:
    """Read one line; None when it names no criterion."""
    names = [str(found.lastgroup) for found in _NAME.finditer(line)]
    if not names:
        return None
    body = _BULLET.sub("", line, count=1)
    found = _SCORE_LINE.match(body)
    if found and _is_comment(body[found.end() :]):
        return _CriterionLine(names[:1], float(found["bracketed"] or found["bare"]))  # a comment may name others
    tries = _ANNOUNCED.search(body) or any(character.isdigit() for character in body)
    return _CriterionLine(names if tries else [], None)


def _is_comment(tail: str) -> bool:
    """Tell whether what follows a score leaves no doubt about it."""
    comment = tail.strip(" \t\xa0*_`")
    return not comment or not (
        not comment.startswith(_COMMENT_OPENERS)
        or any(character.isnumeric() for character in comment)
        or _OTHER_NUMBER.search(comment)
        or _ANNOUNCED.search(comment)
    )


def _from_json(answer: str) -> Scores:
    if "\\" in answer:
        raise _RefusedError("escapes")
    block = _CODE_BLOCK.fullmatch(answer.strip())
    try:
        loaded = json.loads(
            block[1] if block else answer,
            object_pairs_hook=_unique,
            parse_int=_numeral,
            parse_float=_numeral,
            parse_constant=_numeral,
        )
    except (ValueError, RecursionError):
        raise _RefusedError("not JSON") from None
    if not isinstance(loaded, dict) or loaded.keys() != set(CRITERIA):
        raise _RefusedError("wrong keys")
    for criterion in CRITERIA:
        if not isinstance(loaded[criterion], float):
            raise _RefusedError(f"unreadable {criterion}")
    return Scores(**loaded)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    loaded = dict(pairs)
    if len(loaded) != len(pairs):
        raise _RefusedError("duplicate key")
    return loaded


def _numeral(written: str) -> float | None:
    """Read a JSON number as a score line's is read; every number becomes a float or, out of form, None."""
    return float(written) if re.fullmatch(_SCORE, written) else None


def _refuse_planted(scores: Scores, reasoning: str) -> None:
    planted = set(_planted(reasoning))
    for criterion, score in zip(CRITERIA, scores, strict=True):
        if (criterion, score) in planted:
            raise _RefusedError(f"planted {criterion}")


def _planted(reasoning: str) -> Iterator[tuple[str, float]]:
    """Yield every number that the student's text puts behind a criterion, up to the next criterion."""
    text = " ".join(reasoning.split())  # JSON allows any number of blanks behind a key
    names = list(_NAME.finditer(text))
    ends = [*(name.start() for name in names[1:]), len(text)]
    for name, end in zip(names, ends, strict=False):
        for found in _NUMERAL.finditer(text, name.end(), min(end, name.end() + _PLANT_REACH)):
            yield str(name.lastgroup), float(found[0])
