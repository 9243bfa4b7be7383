"""The rules that keep or drop a mined path: pure functions of its text, tokens and log-probabilities.

Source: paper, section 2, filters 1 to 4. The paper names the patterns of filter 1 but does not define them; ours are
written out here, one constant a pattern.
"""

import math
import re
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

from sert.config.tree import RULES, RulesConfig
from sert.records import LETTERS, Path, Question, Verdict
from sert.tasks.answers import extract_strict, is_correct, reasoning_of

REJECTED = "rejected"
"""Reason of a path that was cut short while mining and that no rule drops: it was mined under stricter rules."""

OUTRUN = "outrun"
"""Reason of a path that was cut short while mining because another path of its question was certain to be preferred."""

MIN_OWN_WORDS = 3
"""A text with fewer words of its own (answers and options taken away) does not reason."""

# The two halves of the question format. Only text to their left is looked at, so that once both were seen no
# continuation can take them away again.
_QUESTION_HEAD = re.compile(r"\bquestion\s*:", re.IGNORECASE)
_ANSWER_HEAD = re.compile(r"\banswer\s*:", re.IGNORECASE)

# A lettered option: "(B) ", "B) ", "B. " or "B: ", in lower-cased text.
_LETTERED = re.compile(r"(?:\(([a-j])\)|\b([a-j])[).:](?!\w))\s*")

# What only announces or states an answer, in lower-cased text: "so the answer is", "answer:", "answer choices",
# "(b)", "b.", "yes", "no".
_ANSWER_WORDS = re.compile(
    r"\b(?:so )?(?:the )?answer(?: is\b| choices\b|:)|\b(?:yes|no)\b|\([a-j]\)|\b[a-j][).:](?!\w)"
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # noqa: RUF001 - typographic apostrophes are meant


class Measures(NamedTuple):
    """What the rules look at; lengths and rep-2 are in `RulesConfig.unit`."""

    num_tokens: int
    rep_2: float
    perplexity: float
    imitation: bool
    option_repetition: bool
    direct_response: bool


def words_of(text: str) -> list[str]:
    """Split into lower-cased whitespace words, the unit of Rep."""
    return text.lower().split()


def rep_n(items: Sequence[Hashable], n: int) -> float:
    """Measure repetition: 1 - distinct n-grams / n-grams, 0 when there are none.

    The quotient is rounded once, so that exactly 20 % compares equal to the literal 0.2.
    """
    total = len(items) - n + 1
    return _num_repeated(items, n) / total if total > 0 else 0.0


def perplexity(logprobs: Sequence[float]) -> float:
    """Exponentiate the mean negative log-probability (nats); infinite for an empty path or beyond float range."""
    if not logprobs:
        return math.inf
    try:
        return math.exp(-math.fsum(logprobs) / len(logprobs))
    except OverflowError:
        return math.inf


def imitates_format(text: str) -> bool:
    """Tell whether the text holds the prompt's format: `Question:` and, anywhere behind it, `Answer:`.

    Case and blanks before the colons do not matter. One half alone is no imitation. A text that imitates still does
    so with anything appended.
    """
    head = _QUESTION_HEAD.search(text)
    return head is not None and _ANSWER_HEAD.search(text, head.end()) is not None


def repeats_options(text: str, question: Question) -> bool:
    """Tell whether the text lists the options and says next to nothing else.

    It lists them when all but at most one (and at least two) stand behind their letter, in any order; it says next to
    nothing else when fewer than `MIN_OWN_WORDS` words are left without options, letters and announcements of an answer.
    A text that lists the options and then reasons is not meant.
    """
    if not question.choices:
        return False
    return _lists_options(text.lower(), question.choices) and responds_directly(text, question)


def responds_directly(text: str, question: Question) -> bool:
    """Tell whether the text answers without reasoning, or is empty.

    Taken away are announcements (`So the answer is`, `The answer is`, `Answer:`), yes and no, option letters, the
    options' texts (one that the text breaks off inside too) and punctuation; fewer than `MIN_OWN_WORDS` words are left.
    """
    return _count_own_words(text.lower(), question.choices) < MIN_OWN_WORDS


def measure(path: Path, question: Question, config: RulesConfig) -> Measures:
    """Measure a path for all rules, those that are switched off too."""
    units: Sequence[Hashable] = path.token_ids if config.unit == "tokens" else words_of(path.text)
    counted = path.logprobs[1:] if config.perplexity_over == "continuation" else path.logprobs
    direct = responds_directly(path.text, question)
    return Measures(
        num_tokens=path.num_tokens if config.unit == "tokens" else len(units),
        rep_2=rep_n(units, 2),
        perplexity=perplexity(counted),
        imitation=imitates_format(path.text),
        option_repetition=direct and _lists_options(path.text.lower(), question.choices),
        direct_response=direct,
    )


def drop_imitation(measures: Measures, config: RulesConfig) -> str | None:
    """Paper, filter 1: the question format is imitated."""
    return "imitation" if config.imitation and measures.imitation else None


def drop_option_repetition(measures: Measures, config: RulesConfig) -> str | None:
    """Paper, filter 1: the options are repeated."""
    return "option_repetition" if config.option_repetition and measures.option_repetition else None


def drop_direct_response(measures: Measures, config: RulesConfig) -> str | None:
    """Paper, filter 1: the answer comes without reasoning."""
    return "direct_response" if config.direct_response and measures.direct_response else None


def drop_short(measures: Measures, config: RulesConfig) -> str | None:
    """Paper, filter 2: shorter than 25; 25 itself is kept."""
    return "length" if measures.num_tokens < config.min_tokens else None


def drop_repetition(measures: Measures, config: RulesConfig) -> str | None:
    """Paper, filter 3: rep-2 above 20 %; exactly 20 % is kept."""
    return "repetition" if measures.rep_2 > config.max_rep_2 else None


def drop_perplexity(measures: Measures, config: RulesConfig) -> str | None:
    """Paper, filter 4: perplexity below 5; 5 itself is kept."""
    return "perplexity" if measures.perplexity < config.min_perplexity else None


_ORDERED: tuple[Callable[[Measures, RulesConfig], str | None], ...] = (
    drop_imitation,
    drop_option_repetition,
    drop_direct_response,
    drop_short,
    drop_repetition,
    drop_perplexity,
)


def find_reason(measures: Measures, config: RulesConfig, *, asked: Collection[str] = RULES) -> str | None:
    """Name the first of the asked rules that drops a path with these measures, None when all keep it."""
    dropping = (reason for rule in _ORDERED if (reason := rule(measures, config)))
    return next((reason for reason in dropping if reason in asked), None)


def judge(path: Path, question: Question, config: RulesConfig, *, asked: Collection[str] = RULES) -> Verdict:
    """Ask the rules in order, of them those that are to be `asked`. Nothing is selected yet.

    A path that was cut short is never kept: with `finish == "rejected"` its reason is `REJECTED` when no rule drops it,
    with `finish == "outrun"` it is `OUTRUN`, since a rule that drops the stump says nothing of the path.
    """
    measures = measure(path, question, config)
    reason = OUTRUN if path.finish == "outrun" else find_reason(measures, config, asked=asked)
    if reason is None and path.finish == "rejected":
        reason = REJECTED
    conclusion = extract_strict(path.text, question)
    return Verdict(
        question_id=path.question_id,
        branch=path.branch,
        sample=path.sample,
        reason=reason,
        **measures._asdict(),
        conclusion=conclusion,
        agrees=None if conclusion is None else is_correct(conclusion, question),
        selected=False,
    )


def is_reasoned(text: str, num_tokens: int, question: Question, config: RulesConfig) -> bool:
    """Tell whether an output reasons before it answers: no pattern of filter 1, and at least `min_tokens`.

    The length is that of the whole output, as for a mined path; what stands before the last `So the answer is` must be
    more than a direct response. The patterns count even where the filter switches them off: switching a filter off must
    not turn bare answers into reasoning. With `unit = "words"` the text's words are counted instead of `num_tokens`.
    """
    length = num_tokens if config.unit == "tokens" else len(words_of(text))
    # Texts that repeat the options respond directly too, so the second pattern needs no test of its own.
    direct = responds_directly(reasoning_of(text), question)
    return length >= config.min_tokens and not imitates_format(text) and not direct


def certain_reason(text: str, token_ids: Sequence[int], config: RulesConfig, *, max_new_tokens: int) -> str | None:
    """Name a rule that will drop an unfinished path whatever follows; None only means that none is certain yet.

    Certain are: an imitation that was seen, and more repeated bigrams than `max_rep_2` allows a path of
    `max_new_tokens` tokens, branch token included (with `unit = "tokens"` and once the path is long enough for the
    length rule). Such a path is dropped as it stands as well.
    """
    if config.imitation and imitates_format(text):
        return "imitation"
    if len(token_ids) < max(2, config.min_tokens):
        return None
    repeats = least_rep_2(token_ids, config, max_new_tokens=max_new_tokens) > config.max_rep_2
    return "repetition" if repeats else None


def least_rep_2(token_ids: Sequence[int], config: RulesConfig, *, max_new_tokens: int) -> float:
    """Bound from below the rep-2 that an unfinished path will have at its end, in `RulesConfig.unit`.

    Continuing only adds repeats, and no path has more bigrams than `max_new_tokens` tokens have. Words are not known
    before the end, so nothing is known of their repeats.
    """
    if config.unit != "tokens" or len(token_ids) < 2:
        return 0.0
    # The same division as in rep_n: rounding is monotone, so this can never exceed the rep-2 of the full path.
    return _num_repeated(token_ids, 2) / (max_new_tokens - 1)


def _num_repeated(items: Sequence[Hashable], n: int) -> int:
    distinct = set(zip(*(items[start:] for start in range(n)), strict=False))
    return max(len(items) - n + 1, 0) - len(distinct)


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
