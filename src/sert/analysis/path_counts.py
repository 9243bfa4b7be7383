"""One look at each mined path: kept, selected, reasoned, true, scored. Tables and figures of paths are made of these.

Whole numbers are counted, so that runs with several seeds can be added up. Paths come some at a time and are not kept,
so memory grows with the questions only. What nobody knows is None: whether a path is true where nothing verifies it,
and all that a path would have become that was stopped early.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import exp
from typing import NamedTuple

from sert.analysis.four_numbers import Group, Standings
from sert.config.rules import USUAL, RulesConfig
from sert.paths.rules import OUTRUN, REJECTED, is_reasoned
from sert.records import Path, Question, Verdict
from sert.stats.counts import Row
from sert.tasks.standing import standing_of

Counts = Counter[str]
Verifier = Callable[[Question, str], tuple[bool, float]]
"""Says of a text whether every step of it is true, and grades it from 0 to 10."""

BANDS = ("0-2", "2-4", "4-6", "6-8", "8-10")
"""Ranges of scores, each with its lower end and without its upper one; 10 is in the last."""
PROBABILITIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Edges of the ranges of first tokens' probabilities, the last one included."""
SHOWN_PATHS = 20
"""Paths of each end that a report shows."""


class Look(NamedTuple):
    """A path, its verdict, and whether it is true: None where nobody knows."""

    question: Question
    path: Path
    verdict: Verdict
    true: bool | None


def band_of(score: float) -> str:
    """Name the band of a score of 0 to 10."""
    return BANDS[min(int(score // 2), len(BANDS) - 1)]


def counted_score(score: float | None) -> Row:
    """Say what a score adds to counts of paths: nothing where there is none."""
    return {} if score is None else {"scored": 1, "score": score, band_of(score): 1}


def texts_and_questions(by_question: Collection[Counts], *whats: str, unknown: Collection[str]) -> Row:
    """Count the texts of which something is so, and the questions with such a text; None where nobody knows."""
    row: Row = {}
    for what in whats:
        of_each = [counts[what] for counts in by_question]
        row[what] = None if what in unknown else sum(of_each)
        row[f"questions_{what}"] = None if what in unknown else sum(number > 0 for number in of_each)
    return row


def end_of(verdict: Verdict) -> str:
    """Name what became of a path: `selected`, `kept`, or the rule that dropped it."""
    return "selected" if verdict.selected else verdict.reason or "kept"


def left_after_rules(ends: Mapping[str, Counts], rules: Sequence[str] = USUAL) -> Iterator[tuple[str, Counts]]:
    """Add up what is left after each step of the filter: `mined`, these rules in order, `selected`.

    `ends` are the counts by what became of paths. Where paths were cut short while mining, that is a step as well,
    before the last. Nothing where there are no paths.
    """
    left = dict(ends)
    cuts = [cut for cut in (OUTRUN, REJECTED) if cut in ends]
    for after in ("mined", *rules, *cuts, "selected") if left else ():
        left = {end: each for end, each in left.items() if end == "selected" or after not in (end, "selected")}
        yield after, sum(left.values(), Counts())


def filtering_rows(
    ends: Mapping[str, Counts], scorer: str, criterion: str | None = None, *, rules: Sequence[str] = USUAL
) -> Iterator[Row]:
    """Count the paths in each band of scores that are left after each rule (figure 4)."""
    about = {"scorer": scorer, "criterion": criterion}
    for after, left in left_after_rules({end: each for end, each in ends.items() if each["scored"]}, rules):
        for band in BANDS:
            counts = {"hits": left[band], "paths": left["scored"], "score": left["score"]}
            yield {**about, "after": after, "band": band, **counts}


class PathCounts:
    """What one pass over the paths of a mining and their verdicts found.

    Attributes:
        questions: Those that were mined, by their ids.
        verified: Whether something can say if a path is true.
        all: Counts of all paths.
        ends: Counts by what became of the paths.
        by_question: Counts of the paths of each question.
        standings: How they stand: all, kept, dropped and selected ones, by the rule that dropped them, and by branch.
        shown: The first few paths of each end, so that nobody picks them.
    """

    def __init__(self, questions: Mapping[str, Question], *, verified: bool, rules: Sequence[str] = USUAL) -> None:
        self.questions, self.verified, self._rules = questions, verified, rules
        self.all = Counts()
        self.ends: dict[str, Counts] = defaultdict(Counts)
        self.by_question: dict[str, Counts] = {name: Counts() for name in questions}
        self.standings = Standings()
        self.shown: list[Look] = []
        self._by_branch: dict[int, Counts] = defaultdict(Counts)
        self._by_bin: dict[int, Counts] = defaultdict(Counts)

    @property
    def truth_is_known(self) -> bool:
        """Whether it is known of every path whether it is true."""
        return self.verified and not self.all["stopped"]

    def add(self, look: Look, *, reasoned: bool, score: float | None) -> None:
        """Count one more path."""
        question, path, verdict, true = look
        is_true, chosen, end = true is True, verdict.selected, end_of(verdict)
        standing = None if path.stopped_early else standing_of(verdict.agrees, path.finish)
        counts: Row = {
            "paths": 1,
            "cut": standing == "cut",
            "kept": verdict.reason is None,
            "reasoned": reasoned,
            "true": is_true,
            "stopped": path.stopped_early,
            "selected": chosen,
            "selected_agree": chosen and verdict.agrees is True,
            "selected_true": chosen and is_true,
            "selected_unfinished": chosen and verdict.whole_characters is not None,
            **({f"selected_{standing}": 1} if chosen else {}),
        }
        for group in (self.all, self.by_question[question.question_id]):
            group.update(counts)
        self.ends[end].update({**counts, **counted_score(score)})
        if path.first_token_logprob is not None:
            probability = exp(path.first_token_logprob)
            self._by_branch[path.branch].update({**counts, "probability": probability})
            self._by_bin[_bin_of(probability)].update(counts)
        if self.ends[end]["paths"] <= SHOWN_PATHS:
            self.shown.append(look)
        for kind, name in _groups(path, verdict):
            self.standings.add(kind, name, question.question_id, standing)

    def funnel_rows(self) -> Iterator[Row]:
        """Count what is left after each rule."""
        before = mined = self.all["paths"]
        for rule, left in left_after_rules(self.ends, self._rules):
            true = left["true"] if self.verified and not left["stopped"] else None
            remaining = left["paths"]
            yield {"rule": rule, "mined": mined, "remaining": remaining, "dropped": before - remaining, "true": true}
            before = remaining

    def filtering_rows(self) -> Iterator[Row]:
        """Count the paths in each band of the verifier's scores that are left after each rule (figure 4)."""
        return filtering_rows(self.ends if self.truth_is_known else {}, "verifier", rules=self._rules)

    @property
    def questions_with_selected(self) -> int:
        """How many questions have a selected path."""
        return sum(counts["selected"] > 0 for counts in self.by_question.values())

    def selection_row(self) -> Row:
        """Count the questions with a selected path, all selected ones, the true ones of these, and how they stand.

        Those that agree with the gold answer are right. Also all the paths that were mined for it, and the true ones.
        """
        return {
            "questions": len(self.questions),
            "with_selected": self.questions_with_selected,
            "selected": self.all["selected"],
            "selected_agree": self.all["selected_agree"],
            **{f"selected_{name}": self.all[f"selected_{name}"] for name in ("wrong", "unread", "cut")},
            "selected_true": self.all["selected_true"] if self.verified else None,
            "mined": self.all["paths"],
            "mined_true": self.all["true"] if self.truth_is_known else None,
        }

    def budget_row(self) -> Row:
        """Count what the paths are worth: who reasons, what is true, what is kept."""
        unknown = [] if self.truth_is_known else ["true"]
        unknown += ["reasoned"] if self.all["stopped"] else []
        counts = texts_and_questions(self.by_question.values(), "reasoned", "kept", "true", unknown=unknown)
        return {"paths": self.all["paths"], "questions": len(self.questions), **counts}

    def branch_rows(self) -> Iterator[Row]:
        """Count the kept and the true paths by the rank of their first token."""
        unknown = {} if self.truth_is_known else {"true": None}
        for branch, counts in sorted(self._by_branch.items()):
            yield {**counts, **unknown, "branch": branch}

    def bin_rows(self) -> Iterator[Row]:
        """Count the kept paths by the probability of their first token."""
        for place, counts in sorted(self._by_bin.items()):
            yield {**counts, "low": PROBABILITIES[place], "high": PROBABILITIES[place + 1]}


def count_paths(
    paths: Iterable[Path],
    verdicts: Iterable[Verdict],
    *,
    questions: Mapping[str, Question],
    rules: RulesConfig,
    verifier: Verifier | None,
) -> PathCounts:
    """Look at each path of a mining once; the verdicts come in the same order, questions by their ids.

    The rules say what counts as reasoning, the verifier what is true, where something can.
    """
    counts = PathCounts(questions, verified=verifier is not None, rules=rules.names)
    for path, verdict in zip(paths, verdicts, strict=True):
        question = questions[path.question_id]
        true, score = verifier(question, path.text) if verifier and not path.stopped_early else (None, None)
        reasoned = is_reasoned(path.text, path.num_tokens, question, rules)
        counts.add(Look(question, path, verdict, true), reasoned=reasoned, score=score)
    return counts


def _groups(path: Path, verdict: Verdict) -> Iterator[Group]:
    """Name the groups of mined paths that one is in."""
    yield "mined", "all"
    yield "mined", "kept" if verdict.reason is None else "dropped"
    if verdict.selected:
        yield "mined", "selected"
    if verdict.reason is not None:
        yield "rule", verdict.reason
    yield "branch", str(path.branch)


def _bin_of(probability: float) -> int:
    return next(place for place, high in enumerate(PROBABILITIES[1:]) if probability < high or high == 1.0)
