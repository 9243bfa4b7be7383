"""Comparisons over the seeds of a grid: methods with each other, variants with what they vary.

The comparisons of methods are one family for Holm's correction, those of variants another, those of means a third,
those at each number of rationales a fourth. The comparisons among the questions that both sides answered are families
of their own, as many.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import NamedTuple, TypeVar

from sert.analysis.chance import is_above
from sert.config.grid import MAIN
from sert.config.tree import Method
from sert.report.rows import is_significant
from sert.stats.clusters import clustered_share
from sert.stats.counts import Row, grouped
from sert.stats.holm import holm
from sert.stats.means import averages_over_seeds, paired_bootstrap
from sert.stats.seeds import paired_over_seeds, paired_where
from sert.stats.shares import Interval, smallest_detectable_difference, wilson_interval
from sert.tasks.standing import ANSWERED, Standing, standing_shares

COMPARED: tuple[tuple[Method, Method], ...] = (
    ("sert", "zero_shot"),
    ("sert", "finetune"),
    ("rd", "finetune"),
    ("sert+rd", "rd"),
    ("sert+rd", "sert"),
)
TEST = "exact sign flips of the mean over seeds, paired by question"
MOSTLY = 0.5
"""Share of a difference that has to come from questions that one side did not answer, for it to be one of form."""


@dataclass(frozen=True)
class Outcome:
    """What one student of one seed did on the test questions, in their order.

    Attributes:
        correct: Of the snapshot that is compared; the stated answer counts, else the first plausible one.
        correct_last: Of the last snapshot, which variants are compared by.
        standings, standings_last: How the same outputs stand.
        lengths: Tokens of the reasoning.
        repetitions: Unigram repetition of the reasoning, None where there is none.
        trained: False where there were no examples to train it on.
    """

    student: str
    task: str
    variant: str
    method: Method
    seed: int
    correct: Sequence[bool]
    correct_last: Sequence[bool]
    standings: Sequence[Standing]
    standings_last: Sequence[Standing]
    lengths: Sequence[float | None]
    repetitions: Sequence[float | None]
    trained: bool = True


Key = TypeVar("Key")
Cell = tuple[str, str, str, Method]
Seeds = dict[int, Outcome]
Chances = Mapping[str, float]
"""Task -> how often who knows nothing is right (`Chance.best`)."""


class Side(NamedTuple):
    """One side of a comparison, seed by seed: whether each question was answered rightly, and how its output stands."""

    correct: Sequence[Sequence[bool]]
    standings: Sequence[Sequence[Standing]]

    @property
    def answered(self) -> list[list[bool]]:
        """Whether each output states an answer."""
        return [[each in ANSWERED for each in seed] for seed in self.standings]

    @property
    def shares(self) -> dict[str, float]:
        """Its four numbers, over all seeds."""
        return standing_shares(chain.from_iterable(self.standings))


def compare_main(outcomes: Iterable[Outcome], *, chances: Chances) -> list[Row]:
    """Compare the methods with each other, each pair on the same seeds and questions."""
    found = _pairs_of_methods(_by_cell(outcomes))
    labels = {"group": None, "method": None}
    return _told([_difference({**about, **labels}, ours, theirs, chances) for about, ours, theirs in found])


def compare_variants(outcomes: Iterable[Outcome], groups: Mapping[str, str | None], *, chances: Chances) -> list[Row]:
    """Compare each variant with what it varies, at their last epochs, on the seeds that the variant was run with."""
    cells = _by_cell(outcomes)
    rows = []
    for (student, task, variant, method), ours in cells.items():
        main = cells.get((student, task, MAIN, method))
        if variant == MAIN or not main:
            continue
        labels = {"student": student, "task": task, "group": groups[variant], "a": variant, "b": MAIN, "method": method}
        rows.append(_difference(labels, ours, main, chances, last=True))
    return _told(rows)


def compare_amounts(outcomes: Iterable[Outcome], amounts: Iterable[Row], *, chances: Chances) -> list[Row]:
    """Compare SERT+RD with RD at each number of rationales, after the last epoch.

    `amounts` says how many `rationales` each `student`, `task` and `variant` was trained on, main first. Of variants
    with as many the first is compared.
    """
    cells = _by_cell(outcomes)
    rows = []
    of_amounts = grouped(amounts, "student", "task", "rationales")
    for labels, (first, *_) in sorted(of_amounts, key=lambda each: tuple(each[0].values())):
        of_variant = labels["student"], labels["task"], first["variant"]
        ours, theirs = cells.get((*of_variant, "sert+rd")), cells.get((*of_variant, "rd"))
        if ours and theirs:
            rows.append(_difference({**labels, "a": "sert+rd", "b": "rd"}, ours, theirs, chances, last=True))
    return _told(rows)


def compare_means(outcomes: Iterable[Outcome]) -> list[Row]:
    """Compare lengths and repetition between methods; the unit is the question, averaged over seeds."""
    rows: list[Row] = []
    for about, ours, theirs in _pairs_of_methods(_by_cell(outcomes)):
        for measure, kept in (("mean_length", "lengths"), ("repetition", "repetitions")):
            both = [(getattr(ours[seed], kept), getattr(theirs[seed], kept)) for seed in ours if seed in theirs]
            rows += mean_difference({**about, "measure": measure}, both)
    return corrected(rows)


def _by_cell(outcomes: Iterable[Outcome]) -> dict[Cell, Seeds]:
    cells: dict[Cell, Seeds] = {}
    for outcome in outcomes:
        cell = (outcome.student, outcome.task, outcome.variant, outcome.method)
        cells.setdefault(cell, {})[outcome.seed] = outcome
    return cells


def _pairs_of_methods(cells: Mapping[Cell, Seeds]) -> Iterator[tuple[Row, Seeds, Seeds]]:
    for student, task in dict.fromkeys((student, task) for student, task, _, _ in cells):
        for a, b in COMPARED:
            ours, theirs = cells.get((student, task, MAIN, a)), cells.get((student, task, MAIN, b))
            if ours and theirs:
                yield {"student": student, "task": task, "a": a, "b": b}, ours, theirs


def _difference(labels: Row, ours: Seeds, theirs: Seeds, chances: Chances, *, last: bool = False) -> Row:
    seeds = sorted(ours.keys() & theirs.keys())
    a, b = (_side([side[seed] for seed in seeds], last=last) for side in (ours, theirs))
    found = paired_over_seeds(a.correct, b.correct)
    both = list(zip(a.correct, b.correct, strict=True))
    disagree = fmean(fmean(x != y for x, y in zip(left, right, strict=True)) for left, right in both)
    sides = ((labels["a"], ours), (labels["b"], theirs))
    return {
        **labels,
        "difference": found.difference,
        "ci95": [found.low, found.high],
        "p_value": found.p_value,
        "seeds": len(seeds),
        "by_seed": [fmean(x - y for x, y in zip(left, right, strict=True)) for left, right in both],
        "sd": found.by_seed.sd,
        "ci95_seeds": list(found.by_seed.interval) if found.by_seed.interval else None,
        "n": found.n,
        "detectable": smallest_detectable_difference(found.n, disagree) if disagree else None,
        "test": TEST if len(seeds) > 1 else "exact McNemar, paired by question",
        "untrained": [label for label, side in sides if not all(side[seed].trained for seed in seeds)],
        "standings": {"a": a.shares, "b": b.shares},
        "both_answered": _both_answered(a, b),
        "within_chance": not any(_is_above_chance(side, chances[labels["task"]]) for side in (a, b)),
    }


def _side(outcomes: Sequence[Outcome], *, last: bool) -> Side:
    if last:
        return Side([each.correct_last for each in outcomes], [each.standings_last for each in outcomes])
    return Side([each.correct for each in outcomes], [each.standings for each in outcomes])


def _both_answered(a: Side, b: Side) -> Row | None:
    """Compare only where both outputs state an answer; None where that is nowhere so."""
    both = zip(a.answered, b.answered, strict=True)
    counted = [[x and y for x, y in zip(left, right, strict=True)] for left, right in both]
    found = paired_where(a.correct, b.correct, counted=counted)
    if found is None:
        return None
    ends = {"difference": found.difference, "ci95": [found.low, found.high], "p_value": found.p_value}
    return {**ends, "n": found.n, "share": found.share}


def _is_above_chance(side: Side, chance: float) -> bool:
    """Tell whether a side is right more often than by chance, over all or among its answers, by the 95 % interval."""
    over_all = [(sum(seeds), len(seeds)) for seeds in zip(*side.correct, strict=True)]
    answered = [
        (seeds.count("right"), seeds.count("right") + seeds.count("wrong"))
        for seeds in zip(*side.standings, strict=True)
    ]
    return any(is_above(_interval(counts, seeds=len(side.correct)), chance) for counts in (over_all, answered))


def _interval(counts: Sequence[tuple[int, int]], *, seeds: int) -> Interval | None:
    """Find the interval of a share over questions, each with how many of its answers are right: Wilson's for one seed.

    Over several seeds it is that of all of them together; the unit is the question. None where nothing was answered.
    """
    right, answered = (sum(column) for column in zip(*counts, strict=True))
    if seeds > 1:
        return clustered_share(*zip(*counts, strict=True)).interval
    return wilson_interval(right, answered) if answered else None


def _told(rows: list[Row]) -> list[Row]:
    """Correct the p-values of one family, over all and among what both answered, and say which differ in form alone.

    A difference is one of form (`only_form`) if it is significant over all, but not among the questions that both
    sides answered, and these make up less than half of it.
    """
    rows = corrected(rows)
    among = corrected_by_key({place: row["both_answered"] for place, row in enumerate(rows)})
    for place, row in enumerate(rows):
        row["both_answered"] = among.get(place)
        row["only_form"] = is_significant(row) and _is_form(row)
    return rows


def _is_form(row: Row) -> bool:
    both = row["both_answered"]
    if both is None:
        return True
    from_both = both["difference"] * both["share"]
    same_way = from_both * row["difference"] > 0
    if same_way and is_significant(both):
        return False
    return not same_way or abs(from_both) < MOSTLY * abs(row["difference"])


def mean_difference(
    about: Row, seeds: Sequence[tuple[Sequence[float | None], Sequence[float | None]]]
) -> Iterator[Row]:
    """Compare the means of two numbers of each question, which stand here for each seed; nothing if none has both."""
    found = paired_bootstrap(*averages_over_seeds(seeds), seed=0)
    if found.p_value is not None:
        ends = {"difference": found.difference, "ci95": [found.low, found.high]}
        yield {**about, **ends, "p_value": found.p_value, "n": found.n}


def corrected(rows: list[Row]) -> list[Row]:
    """Correct the p-values of one family of comparisons."""
    return [{**row, "p_holm": p} for row, p in zip(rows, holm([row["p_value"] for row in rows]), strict=True)]


def corrected_by_key(tests: Mapping[Key, Row | None]) -> dict[Key, Row]:
    """Correct the p-values of one family whose comparisons have keys; what could not be compared is left out."""
    known = {key: test for key, test in tests.items() if test is not None}
    return dict(zip(known, corrected([*known.values()]), strict=True))
