"""The sampled paths of a prospect as columns, and counts of them by question: what all its numbers are made of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sert.analysis.four_numbers import Array
from sert.config.rules import RuleName, RulesConfig
from sert.paths.patterns import PATTERNS
from sert.paths.rules import RULE_TABLE
from sert.records import Path, Question, Verdict
from sert.stats.counts import Row
from sert.stats.means import paired_bootstrap
from sert.tasks.standing import STANDINGS, standing_of

MEASURES = ("perplexity", "num_tokens", "rep_2")
"""What the rules measure of a path as a number, as `verdicts.parquet` calls it."""
PATTERN_NAMES = frozenset(pattern.name for pattern in PATTERNS)


class Sample(NamedTuple):
    """Sampled paths, one value of each column a path.

    Attributes:
        questions: Number of questions that were asked.
        question: Whose path it is, by its place among them.
        standing: Place of its standing in `STANDINGS`.
        branch: Rank of its first token.
        passes: Rule -> whether it would keep the path if it were the only one.
        reason: The first rule that drops it; empty where it is kept.
        measured: Measure -> its value, in the rules' unit.
    """

    questions: int
    question: Array
    standing: Array
    branch: Array
    passes: Mapping[RuleName, Array]
    reason: Array
    measured: Mapping[str, Array]

    @property
    def kept(self) -> Array:
        """Whether no rule drops it."""
        return np.asarray(self.reason == "")

    @property
    def reasoned(self) -> Array:
        """Whether no pattern of filter 1 drops it: a direct answer, a list of options, an imitated question."""
        patterns = [passes for rule, passes in self.passes.items() if rule in PATTERN_NAMES]
        return np.asarray(np.logical_and.reduce([np.ones(len(self.reason), dtype=bool), *patterns]))

    def counts(self, chosen: Array | None = None) -> Array:
        """Count the chosen paths (all, when not given) of each question by their standings: (questions, 4)."""
        counts = np.zeros((self.questions, len(STANDINGS)), dtype=int)
        where = slice(None) if chosen is None else chosen
        np.add.at(counts, (self.question[where], self.standing[where]), 1)
        return counts


def sample_of(questions: Sequence[Question], judged: Iterable[tuple[Path, Verdict]], rules: RulesConfig) -> Sample:
    """Take paths with their verdicts apart; each rule that is on is asked alone, too."""
    places = {question.question_id: place for place, question in enumerate(questions)}
    asked = [rule for rule in RULE_TABLE if rule.name in rules.names]
    rows = list[tuple[Any, ...]]()
    for path, verdict in judged:
        standing = standing_of(verdict.agrees, path.finish)
        rows.append(
            (
                places[path.question_id],
                STANDINGS.index(standing),
                path.branch,
                verdict.reason or "",
                *(getattr(verdict, measure) for measure in MEASURES),
                *(not rule.drops(getattr(verdict, rule.column), rules) for rule in asked),
            )
        )
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    question, standing_column, branch, reason = columns[:4]
    measured = dict(zip(MEASURES, columns[4:], strict=False))
    passes = {rule.name: column for rule, column in zip(asked, columns[4 + len(MEASURES) :], strict=True)}
    return Sample(len(questions), question, standing_column, branch, passes, reason, measured)


def difference_row(a: Sequence[float | None], b: Sequence[float | None]) -> Row | None:
    """Compare two numbers of each question, where it has both; None with fewer than two such questions."""
    found = paired_bootstrap(a, b, seed=0)
    if found.p_value is None or found.n < 2:
        return None
    ends = [found.low, found.high]
    return {"difference": found.difference, "ci95": ends, "p_value": found.p_value, "questions": found.n}
