"""Comparisons over the seeds of a grid: methods with each other, variants with what they vary.

The comparisons of methods are one family for Holm's correction, those of variants another, those of means a third,
those at each number of rationales a fourth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sert.config.grid import MAIN
from sert.config.tree import Method
from sert.stats.counts import Row, grouped
from sert.stats.holm import holm
from sert.stats.means import averages_over_seeds, paired_bootstrap
from sert.stats.seeds import paired_over_seeds
from sert.stats.shares import smallest_detectable_difference

COMPARED: tuple[tuple[Method, Method], ...] = (
    ("sert", "zero_shot"),
    ("sert", "finetune"),
    ("rd", "finetune"),
    ("sert+rd", "rd"),
    ("sert+rd", "sert"),
)
TEST = "exact sign flips of the mean over seeds, paired by question"


@dataclass(frozen=True)
class Outcome:
    """What one student of one seed did on the test questions, in their order.

    Attributes:
        correct: Of the snapshot that is compared.
        correct_last: Of the last snapshot, which variants are compared by.
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
    lengths: Sequence[float | None]
    repetitions: Sequence[float | None]
    trained: bool = True


Cell = tuple[str, str, str, Method]
Seeds = dict[int, Outcome]


def compare_main(outcomes: Iterable[Outcome]) -> list[Row]:
    """Compare the methods with each other, each pair on the same seeds and questions."""
    found = _pairs_of_methods(_by_cell(outcomes))
    labels = {"group": None, "method": None}
    return corrected([_difference({**about, **labels}, ours, theirs, kept="correct") for about, ours, theirs in found])


def compare_variants(outcomes: Iterable[Outcome], groups: Mapping[str, str | None]) -> list[Row]:
    """Compare each variant with what it varies, at their last epochs, on the seeds that the variant was run with."""
    cells = _by_cell(outcomes)
    rows = []
    for (student, task, variant, method), ours in cells.items():
        main = cells.get((student, task, MAIN, method))
        if variant == MAIN or not main:
            continue
        labels = {"student": student, "task": task, "group": groups[variant], "a": variant, "b": MAIN, "method": method}
        rows.append(_difference(labels, ours, main, kept="correct_last"))
    return corrected(rows)


def compare_amounts(outcomes: Iterable[Outcome], amounts: Iterable[Row]) -> list[Row]:
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
            rows.append(_difference({**labels, "a": "sert+rd", "b": "rd"}, ours, theirs, kept="correct_last"))
    return corrected(rows)


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


def _difference(labels: Row, ours: Seeds, theirs: Seeds, *, kept: str) -> Row:
    seeds = sorted(ours.keys() & theirs.keys())
    a, b = ([getattr(side[seed], kept) for seed in seeds] for side in (ours, theirs))
    found = paired_over_seeds(a, b)
    disagree = fmean(fmean(x != y for x, y in zip(left, right, strict=True)) for left, right in zip(a, b, strict=True))
    sides = ((labels["a"], ours), (labels["b"], theirs))
    return {
        **labels,
        "difference": found.difference,
        "ci95": [found.low, found.high],
        "p_value": found.p_value,
        "seeds": len(seeds),
        "by_seed": [fmean(x - y for x, y in zip(left, right, strict=True)) for left, right in zip(a, b, strict=True)],
        "sd": found.by_seed.sd,
        "ci95_seeds": list(found.by_seed.interval) if found.by_seed.interval else None,
        "n": found.n,
        "detectable": smallest_detectable_difference(found.n, disagree) if disagree else None,
        "test": TEST if len(seeds) > 1 else "exact McNemar, paired by question",
        "untrained": [label for label, side in sides if not all(side[seed].trained for seed in seeds)],
    }


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
