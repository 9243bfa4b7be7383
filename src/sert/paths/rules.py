"""The rules that keep or drop a mined path, and what they measure. Source: paper, section 2, filters 1 to 4."""

import math
import operator
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple

from sert.config.rules import RULES, RuleName, RulesConfig
from sert.paths.patterns import PATTERNS, Pattern, responds_directly
from sert.records import Path, Question, Verdict
from sert.student.decoding.lanes import Lane
from sert.student.texts import Texts
from sert.tasks.answers import extract_strict, is_correct, reasoning_of
from sert.tasks.sentences import end_of_sentences

REJECTED = "rejected"
"""Finish of a path that was cut short while mining since a rule was certain to drop it; its reason where no rule drops
it as it stands: it was mined under stricter rules."""

OUTRUN = "outrun"
"""Finish and reason of a path that was cut short while mining because another path of its question was certain to be
preferred."""


class Stump(NamedTuple):
    """An unfinished path: its text and tokens so far, what was asked, and how many tokens it can get."""

    text: str
    token_ids: Sequence[int]
    question: Question
    max_new_tokens: int


class Rule(NamedTuple):
    """One rule.

    Attributes:
        name: The reason of what it drops.
        column: Where `verdicts.parquet` holds what it measures.
        measure: Measures a path, also where the rule is switched off.
        setting: Field of `RulesConfig`: its limit (None is no limit), or its switch.
        compare: Compares what was measured with the setting; where this holds the path is dropped.
        early: Measures an unfinished path; if that drops it, so it does whatever follows. None: the rule stops no path
            early.
    """

    name: RuleName
    column: str
    measure: Callable[[Path, Question, RulesConfig], float | None]
    setting: str
    compare: Callable[[Any, Any], bool]
    early: Callable[[Stump, RulesConfig], float] | None = None

    def drops(self, measured: float | None, config: RulesConfig) -> bool:
        """Tell whether a path that measures so is dropped; a limit that is a percentile is a number by now."""
        limit = getattr(config, self.setting)
        return limit is not None and self.compare(measured, limit)


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


def perplexity_of(path: Path, config: RulesConfig) -> float:
    """Measure what the perplexity rules do: of the whole path, or of what follows its first token."""
    return path.perplexity if config.perplexity_over == "path" else perplexity(path.logprobs[1:])


def least_rep_2(token_ids: Sequence[int], config: RulesConfig, *, max_new_tokens: int) -> float:
    """Bound from below the rep-2 that an unfinished path will have at its end, in `RulesConfig.unit`.

    Continuing only adds repeats, and no path has more bigrams than `max_new_tokens` tokens have. Words are not known
    before the end, so nothing is known of their repeats.
    """
    if config.unit != "tokens" or len(token_ids) < 2:
        return 0.0
    # The same division as in rep_n: rounding is monotone, so this can never exceed the rep-2 of the full path.
    return _num_repeated(token_ids, 2) / (max_new_tokens - 1)


def path_of(lane: Lane, question: Question, texts: Texts, *, eos_id: int) -> Path:
    """Make the path of a decoded lane, measured in the student's tokens.

    `eos_id` stands for the first token of a lane that has none.
    """
    token_ids, logprobs = lane.token_ids, lane.logprobs
    return Path(
        question_id=question.question_id,
        branch=lane.branch,
        sample=lane.sample,
        first_token_id=token_ids[0] if token_ids else eos_id,
        first_token_logprob=logprobs[0] if logprobs else None,
        token_ids=tuple(token_ids),
        logprobs=tuple(logprobs),
        text=texts.decode(token_ids),
        finish=lane.finish,
        num_tokens=len(token_ids),
        perplexity=perplexity(logprobs),
        rep_2=rep_n(token_ids, 2),
    )


def _num_repeated(items: Sequence[Hashable], n: int) -> int:
    distinct = set(zip(*(items[start:] for start in range(n)), strict=False))
    return max(len(items) - n + 1, 0) - len(distinct)


def _length(path: Path, question: Question, config: RulesConfig) -> int:
    return path.num_tokens if config.unit == "tokens" else len(words_of(path.text))


def _rep_2(path: Path, question: Question, config: RulesConfig) -> float:
    return path.rep_2 if config.unit == "tokens" else rep_n(words_of(path.text), 2)


def _perplexity(path: Path, question: Question, config: RulesConfig) -> float:
    return perplexity_of(path, config)


def _whole_characters(path: Path, question: Question, config: RulesConfig) -> int | None:
    """Measure how much is left of a path if it is cut back to its last whole sentence (`Verdict.whole_characters`)."""
    reasoning = reasoning_of(path.text, question)
    if path.finish != "length" or reasoning != path.text:
        return None
    end = end_of_sentences(reasoning)
    if not reasoning[end:].strip():
        return None
    return 0 if responds_directly(reasoning_of(reasoning[:end], question), question) else end


def _breaks_off(whole_characters: int | None, unfinished: str) -> bool:
    if whole_characters is None or unfinished == "keep":
        return False
    return unfinished == "drop" or whole_characters == 0


def _early_rep_2(stump: Stump, config: RulesConfig) -> float:
    """Count no repeats while the path is too short: as it stands the length rule would drop it."""
    if len(stump.token_ids) < config.min_tokens:
        return 0.0
    return least_rep_2(stump.token_ids, config, max_new_tokens=stump.max_new_tokens)


def _rule_of(pattern: Pattern) -> Rule:
    def measure(path: Path, question: Question, config: RulesConfig) -> bool:
        return pattern.found(path.text, question)

    def early(stump: Stump, config: RulesConfig) -> bool:
        return pattern.found(stump.text, stump.question)

    return Rule(pattern.name, pattern.name, measure, pattern.name, operator.and_, early if pattern.lasts else None)


RULE_TABLE = (
    # Filter 1.
    *map(_rule_of, PATTERNS),
    # Filter 2: shorter than 25; 25 itself is kept.
    Rule("length", "num_tokens", _length, "min_tokens", operator.lt),
    # Filter 3: rep-2 above 20 %; exactly 20 % is kept.
    Rule("repetition", "rep_2", _rep_2, "max_rep_2", operator.gt, early=_early_rep_2),
    # Filter 4: perplexity below 5; 5 itself is kept.
    Rule("perplexity", "perplexity", _perplexity, "min_perplexity", operator.lt),
    # Ours.
    Rule("high_perplexity", "perplexity", _perplexity, "max_perplexity", operator.gt),
    Rule("unfinished", "whole_characters", _whole_characters, "unfinished", _breaks_off),
)
"""The rules in the order in which they are asked, that of `RULES`."""


def apply_rules(path: Path, question: Question, config: RulesConfig, *, asked: Collection[str] = RULES) -> Verdict:
    """Ask the rules in order, of them those that are to be `asked`. Nothing is selected yet.

    A path that was cut short is never kept: with `finish == "rejected"` its reason is `REJECTED` when no rule drops it,
    with `finish == "outrun"` it is `OUTRUN`, since a rule that drops the stump says nothing of the path.
    """
    measured: dict[str, Any] = {rule.column: rule.measure(path, question, config) for rule in RULE_TABLE}
    dropping = (rule.name for rule in RULE_TABLE if rule.drops(measured[rule.column], config))
    kept = REJECTED if path.finish == REJECTED else None
    reason = next((name for name in dropping if name in asked), kept)
    conclusion = extract_strict(path.text, question)
    return Verdict(
        question_id=path.question_id,
        branch=path.branch,
        sample=path.sample,
        reason=OUTRUN if path.finish == OUTRUN else reason,
        **measured,
        conclusion=conclusion,
        agrees=None if conclusion is None else is_correct(conclusion, question),
        selected=False,
    )


def certain_reason(stump: Stump, config: RulesConfig) -> str | None:
    """Name a rule that will drop an unfinished path whatever follows; None only means that none is certain yet.

    Certain are: a pattern that lasts, and more repeated bigrams than `max_rep_2` allows a path of `max_new_tokens`
    tokens, branch token included (with `unit = "tokens"` and once the path is long enough for the length rule). Such a
    path is dropped as it stands as well.
    """
    measured = ((rule, rule.early(stump, config)) for rule in RULE_TABLE if rule.early is not None)
    return next((rule.name for rule, early in measured if rule.drops(early, config)), None)


def is_reasoned(text: str, num_tokens: int, question: Question, config: RulesConfig) -> bool:
    """Tell whether an output reasons before it answers: no pattern of filter 1, and at least `min_tokens`.

    The length is that of the whole output, as for a mined path. Patterns that last are looked for in all of it, the
    others in what stands before the conclusion. They count even where the filter switches them off:
    switching a filter off must not turn bare answers into reasoning. With `unit = "words"` the text's words are counted
    instead of `num_tokens`.
    """
    length = num_tokens if config.unit == "tokens" else len(words_of(text))
    reasoning = reasoning_of(text, question)
    patterned = any(each.found(text if each.lasts else reasoning, question) for each in PATTERNS)
    return length >= config.min_tokens and not patterned
