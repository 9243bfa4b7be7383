"""Counts of several seeds added up, and made into the shares that tables and figures show."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from statistics import fmean

import numpy as np

from sert.analysis.comparisons import Outcome
from sert.stats.counts import Row, added, grouped, share_of
from sert.stats.seeds import over_seeds
from sert.stats.shares import wilson_interval
from sert.tasks.standing import STANDINGS, Standing, standing_shares

MOST_BINS = 5
"""Ranges that lengths and repetition are cut into, so that each holds about as many outputs."""


def spread_of(values: Sequence[float]) -> Row:
    """Write a number over seeds, at least one, as a row."""
    found = over_seeds(values)
    row = {"mean": found.mean, "sd": found.sd, "lowest": found.lowest, "highest": found.highest}
    return {**row, "ci95": list(found.interval) if found.interval else None}


@dataclass(frozen=True)
class Pool:
    """How the rows of a section are added up over seeds, for each student and task.

    Attributes:
        keys: What else tells rows apart.
        sums: Counts that are kept.
        shares: Name of a share -> the counts that it divides.
        same: What is as it is with the first seed.
    """

    keys: tuple[str, ...]
    sums: tuple[str, ...]
    shares: Mapping[str, tuple[str, str]]
    same: tuple[str, ...] = ()


POOLED: Mapping[str, Pool] = {
    "funnel": Pool(
        ("rule",), ("remaining", "dropped"), {"share": ("remaining", "mined"), "true_share": ("true", "remaining")}
    ),
    "latent": Pool(
        ("decoding",),
        ("questions", "questions_reasoned"),
        {
            "reasoned_share": ("reasoned", "outputs"),
            "questions_reasoned_share": ("questions_reasoned", "questions"),
            "true_share": ("true", "outputs"),
            "questions_true_share": ("questions_true", "questions"),
        },
        same=("samples",),
    ),
    "selection": Pool(
        ("variant", "group"),
        (
            *("questions", "with_selected", "selected", "selected_agree", "selected_wrong", "selected_unread"),
            "selected_cut",
        ),
        {"selected_true_share": ("selected_true", "selected"), "mined_true_share": ("mined_true", "mined")},
    ),
    "bands": Pool(
        ("scorer", "source", "band"), (), {"share": ("hits", "questions")}, same=("questions", "samples")
    ),  # figure 1
    "filtering": Pool(
        ("scorer", "criterion", "after", "band"),
        ("paths",),
        {"share": ("hits", "paths"), "mean_score": ("score", "paths")},
    ),  # figure 4
    "first_tokens": Pool(
        ("branch",),
        ("paths",),
        {
            "mean_probability": ("probability", "paths"),
            "kept_share": ("kept", "paths"),
            "true_share": ("true", "paths"),
        },
    ),
    "first_token_bins": Pool(("low", "high"), ("paths",), {"kept_share": ("kept", "paths")}),
    "budget": Pool(
        ("variant", "branches", "samples"),
        ("paths", "questions"),
        {
            f"{questions}{what}_share": (f"{questions}{what}", of)
            for questions, of in (("", "paths"), ("questions_", "questions"))
            for what in ("reasoned", "kept", "true")
        },
    ),
}
"""The sections of `metrics.json` that are counts added up."""


def pool(section: str, rows: Iterable[Row]) -> list[Row]:
    """Add up the counts of several seeds, and make shares of them."""
    how = POOLED[section]
    pooled = [
        {
            **key,
            **{name: group[0][name] for name in how.same},
            **{name: added(group, name) for name in how.sums},
            **{share: share_of(added(group, part), added(group, whole)) for share, (part, whole) in how.shares.items()},
        }
        for key, group in grouped(rows, "student", "task", *how.keys)
    ]
    if section == "first_token_bins":  # a bin that the first seed lacks stands in its place
        pooled.sort(key=itemgetter("student", "task", "low"))
    return pooled


def average_steps(rows: Iterable[Row]) -> list[Row]:
    """Average the accuracy and the four numbers after each step over seeds."""
    found = grouped(rows, "student", "task", "method", "step", "split")
    return [
        {**key, **spread_of([row["accuracy"] for row in group]), **_mean_standings(group), "seeds": len(group)}
        for key, group in found
    ]


def _mean_standings(rows: Sequence[Row]) -> Row:
    return {name: fmean(row[name] for row in rows) for name in STANDINGS}


def average_amounts(rows: Iterable[Row]) -> list[Row]:
    """Average the accuracy and the four numbers at each number of rationales over seeds.

    Several variants were trained on as many where no more questions or rationales are there; the first counts.
    """
    keys = ("student", "task", "method", "rationales")
    distinct = (group[0] for _, group in grouped(rows, *keys, "seed"))
    averaged = [
        {
            **key,
            "accuracy": spread_of([row["accuracy"] for row in group]),
            **_mean_standings(group),
            "seeds": len(group),
        }
        for key, group in grouped(distinct, *keys)
    ]
    return sorted(averaged, key=itemgetter(*keys))


def accuracy_by(outcomes: Iterable[Outcome], kept: str) -> list[Row]:
    """Share the right answers by length or repetition of the reasoning; outputs of all seeds, with rough intervals.

    Beside them the four numbers of the same outputs.
    """
    rows = []
    cells: dict[tuple[str, str, str], list[tuple[float, bool, Standing]]] = defaultdict(list)
    for outcome in outcomes:
        outputs = zip(getattr(outcome, kept), outcome.correct, outcome.standings, strict=True)
        cells[outcome.student, outcome.task, outcome.method] += [each for each in outputs if each[0] is not None]
    for (student, task, method), measured in cells.items():
        ranges = _ranges([value for value, _, _ in measured])
        for low, high in ranges:
            last = high == ranges[-1][1]
            inside = [each for each in measured if low <= each[0] < high or (last and each[0] == high)]
            if inside:
                labels = {"student": student, "task": task, "method": method, "low": low, "high": high}
                right = [correct for _, correct, _ in inside]
                ci95 = list(wilson_interval(sum(right), len(inside)))
                shares = standing_shares(standing for _, _, standing in inside)
                rows.append({**labels, "n": len(inside), "accuracy": fmean(right), "ci95": ci95, **shares})
    return rows


def _ranges(values: Sequence[float]) -> list[tuple[float, float]]:
    """Cut values into ranges that hold about as many each; equal values stay together."""
    if not values:
        return []
    edges = sorted({float(edge) for edge in np.quantile(values, np.linspace(0, 1, MOST_BINS + 1))})
    return list(pairwise(edges)) or [(edges[0], edges[0])]
