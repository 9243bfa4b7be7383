"""One look at each mined path: kept, selected, reasoned, true, scored. Tables and figures of paths are made of these.

Whole numbers are counted, so that runs with several seeds can be added up. Paths come some at a time and are not kept,
so memory grows with the questions only. What nobody knows is None: whether a path is true where nothing verifies it,
and all that a path would have become that was stopped early.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Any, NamedTuple, Protocol

from sert.config.tree import RULES, RulesConfig
from sert.paths.rules import OUTRUN, REJECTED, is_reasoned
from sert.records import Path, Question, Verdict

BANDS = ("0-2", "2-4", "4-6", "6-8", "8-10")
"""Ranges of scores, each with its lower end and without its upper one; 10 is in the last."""
PROBABILITIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Edges of the ranges of first tokens' probabilities, the last one included."""
SHOWN_PATHS = 20
"""Paths of each end that a report shows."""
SELECTED, KEPT = "selected", "kept"
"""Ends of paths that no rule dropped; others are named by their rule."""

Row = dict[str, Any]


class Verification(Protocol):
    """What a verifier says of a text."""

    @property
    def true(self) -> bool:
        """Whether every step of it is true."""

    @property
    def score(self) -> float:
        """Its grade from 0 to 10."""


Verifier = Callable[[Question, str], Verification]


def band_of(score: float) -> str:
    """Name the band of a score of 0 to 10."""
    return BANDS[min(int(score // 2), len(BANDS) - 1)]


def end_of(verdict: Verdict) -> str:
    """Name what became of a path: selected, kept, or the rule that dropped it."""
    return SELECTED if verdict.selected else verdict.reason or KEPT


class Look(NamedTuple):
    """What is known of one mined path; `true` and `score` are None where nobody knows."""

    question: Question
    path: Path
    verdict: Verdict
    reasoned: bool
    true: bool | None
    score: float | None


@dataclass
class Tally:
    """Counts of some paths; `probability` and `score` are sums."""

    paths: int = 0
    kept: int = 0
    reasoned: int = 0
    true: int = 0
    stopped: int = 0
    probability: float = 0.0

    def add(self, look: Look, probability: float = 0.0) -> None:
        """Count one more path."""
        self.paths += 1
        self.kept += look.verdict.reason is None
        self.reasoned += look.reasoned
        self.true += look.true is True
        self.stopped += look.path.stopped_early
        self.probability += probability


class Scores:
    """The scores of paths by what became of them."""

    def __init__(self) -> None:
        self._bands: dict[str, Counter[str]] = defaultdict(Counter)
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, end: str, score: float | None) -> None:
        """Count the score of one more path, if it has one."""
        if score is not None:
            self._bands[end][band_of(score)] += 1
            self._sums[end] += score

    def rows(self, scorer: str, criterion: str | None = None) -> Iterator[Row]:
        """Count the paths in each band that are left after each rule (figure 4)."""
        for after, ends in left_after_rules(self._bands):
            bands = sum((self._bands[end] for end in ends), Counter[str]())
            for band in BANDS:
                yield {
                    "scorer": scorer,
                    "criterion": criterion,
                    "after": after,
                    "band": band,
                    "hits": bands[band],
                    "paths": bands.total(),
                    "score": sum(self._sums[end] for end in ends),
                }


def left_after_rules(ends: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Say which ends are left after each step of the filter: `mined`, the rules in order, `selected`.

    Where paths were cut short while mining, that is a step as well, before the last. Nothing where there are no paths.
    """
    left = list(ends)
    cuts = [cut for cut in (OUTRUN, REJECTED) if cut in ends]
    for after in ("mined", *RULES, *cuts, SELECTED) if left else ():
        left = [end for end in left if end == SELECTED or after not in (end, SELECTED)]
        yield after, left


@dataclass
class PathCounts:
    """What one pass over the paths of a mining and their verdicts found.

    Attributes:
        questions: Those that were mined, by their ids.
        verified: Whether something can say if a path is true.
        ends: What became of paths -> their counts.
        selected: Counts of the selected paths.
        shown: The first few paths of each end, so that nobody picks them.
    """

    questions: Mapping[str, Question]
    verified: bool
    all: Tally = field(default_factory=Tally)
    ends: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    selected: dict[str, Look] = field(default_factory=dict)
    shown: list[Look] = field(default_factory=list)
    _by_question: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    _by_branch: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    _by_bin: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    _scores: Scores = field(default_factory=Scores)

    def add(self, look: Look) -> None:
        """Count one more path."""
        end = end_of(look.verdict)
        for tally in (self.all, self.ends[end], self._by_question[look.path.question_id]):
            tally.add(look)
        if look.path.first_token_logprob is not None:
            probability = exp(look.path.first_token_logprob)
            self._by_branch[look.path.branch].add(look, probability)
            self._by_bin[_bin_of(probability)].add(look)
        self._scores.add(end, look.score)
        if look.verdict.selected:
            self.selected[look.path.question_id] = look
        if self.ends[end].paths <= SHOWN_PATHS:
            self.shown.append(look)

    def _true(self, tallies: Iterable[Tally]) -> int | None:
        """Add up the true paths; None if that is not known of all."""
        tallies = list(tallies)
        return sum(each.true for each in tallies) if self.verified and not any(t.stopped for t in tallies) else None

    def funnel_rows(self) -> Iterator[Row]:
        """Count what is left after each rule."""
        before = self.all.paths
        for rule, ends in left_after_rules(self.ends):
            tallies = [self.ends[end] for end in ends]
            remaining = sum(each.paths for each in tallies)
            true = self._true(tallies)
            yield {
                "rule": rule,
                "mined": self.all.paths,
                "remaining": remaining,
                "dropped": before - remaining,
                "true": true,
            }
            before = remaining

    def filtering_rows(self) -> Iterator[Row]:
        """Count the paths in each band of the verifier's scores that are left after each rule (figure 4)."""
        return iter(()) if self.all.stopped else self._scores.rows("verifier")

    def selection_row(self) -> Row:
        """Count the questions with a selected path, of these paths the true ones and those that agree with gold.

        Also all the paths that were mined for it, and the true ones.
        """
        return {
            "questions": len(self.questions),
            "with_selected": len(self.selected),
            "selected_agree": sum(look.verdict.agrees is True for look in self.selected.values()),
            "selected_true": sum(look.true is True for look in self.selected.values()) if self.verified else None,
            "mined": self.all.paths,
            "mined_true": self._true([self.all]),
        }

    def budget_row(self) -> Row:
        """Count what the paths are worth: who reasons, what is true, what is kept."""
        of_questions = self._by_question.values()
        known, decoded = self._true([self.all]) is not None, not self.all.stopped
        return {
            **self._counts(self.all),
            "reasoned": self.all.reasoned if decoded else None,
            "questions": len(self.questions),
            "questions_reasoned": sum(each.reasoned > 0 for each in of_questions) if decoded else None,
            "questions_kept": sum(each.kept > 0 for each in of_questions),
            "questions_true": sum(each.true > 0 for each in of_questions) if known else None,
        }

    def branch_rows(self) -> Iterator[Row]:
        """Count the kept and the true paths by the rank of their first token."""
        for branch, tally in sorted(self._by_branch.items()):
            yield {"branch": branch, **self._counts(tally), "probability": tally.probability}

    def bin_rows(self) -> Iterator[Row]:
        """Count the kept paths by the probability of their first token."""
        for place, tally in sorted(self._by_bin.items()):
            ends = {"low": PROBABILITIES[place], "high": PROBABILITIES[place + 1]}
            yield {**ends, "paths": tally.paths, "kept": tally.kept}

    def _counts(self, tally: Tally) -> Row:
        return {
            "paths": tally.paths,
            "kept": tally.kept,
            "true": tally.true if self._true([self.all]) is not None else None,
        }

    def questions_kept(self) -> list[float]:
        """Say of each question whether a path of it is kept, 0 or 1."""
        return [float(self._by_question[name].kept > 0) for name in self.questions]

    def true_shares(self) -> list[float]:
        """Share the true paths of each question; empty where nobody can say of all."""
        if self._true([self.all]) is None:
            return []
        return [tally.true / tally.paths for tally in map(self._by_question.__getitem__, self.questions)]

    def selected_true(self) -> list[float | None]:
        """Say of each question whether its selected path is true; None where none is, empty where nobody can say."""
        if self._true([self.all]) is None:
            return []
        chosen = (self.selected.get(name) for name in self.questions)
        return [None if look is None else float(look.true is True) for look in chosen]


def count_paths(
    paths: Iterable[Path],
    verdicts: Iterable[Verdict],
    *,
    questions: Iterable[Question],
    rules: RulesConfig,
    verifier: Verifier | None,
) -> PathCounts:
    """Look at each path of a mining once.

    Args:
        paths: The mined paths.
        verdicts: What the rules say of them, in the same order.
        questions: What they answer.
        rules: Say what counts as reasoning.
        verifier: Says what is true, where something can.
    """
    counts = PathCounts({question.question_id: question for question in questions}, verifier is not None)
    for path, verdict in zip(paths, verdicts, strict=True):
        question = counts.questions[path.question_id]
        said = verifier(question, path.text) if verifier and not path.stopped_early else None
        reasoned = is_reasoned(path.text, path.num_tokens, question, rules)
        true, score = (said.true, said.score) if said else (None, None)
        counts.add(Look(question, path, verdict, reasoned, true, score))
    return counts


def _bin_of(probability: float) -> int:
    return next(place for place, high in enumerate(PROBABILITIES[1:]) if probability < high or high == 1.0)
