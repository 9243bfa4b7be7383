"""Counts of several seeds added up, and made into the shares that tables and figures show."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from sert.analysis.comparisons import Outcome
from sert.analysis.run_numbers import selection_shares
from sert.stats.counts import added, share_of
from sert.stats.seeds import OverSeeds, over_seeds
from sert.stats.shares import wilson_interval

Row = dict[str, Any]

MOST_BINS = 5
"""Ranges that lengths and repetition are cut into, so that each holds about as many outputs."""


def spread_of(values: OverSeeds) -> Row:
    """Write a number over seeds as a row."""
    row = {"mean": values.mean, "sd": values.sd, "lowest": values.lowest, "highest": values.highest}
    return {**row, "ci95": list(values.interval) if values.interval else None}


def pool_funnel(rows: Iterable[Row]) -> list[Row]:
    """Add up the funnels of several seeds."""
    pooled = []
    mined: dict[tuple[Any, ...], int] = {}
    for key, group in _grouped(rows, "student", "task", "rule"):
        remaining, place = added(group, "remaining"), (key["student"], key["task"])
        mined.setdefault(place, remaining)
        known = all(row["true_share"] is not None or not row["remaining"] for row in group)
        true = sum((row["true_share"] or 0.0) * row["remaining"] for row in group)
        pooled.append(
            {
                **key,
                "remaining": remaining,
                "share": share_of(remaining, mined[place]) or 0.0,
                "dropped": added(group, "dropped"),
                "true_share": share_of(true, remaining) if known else None,
            }
        )
    return pooled


def pool_selection(rows: Iterable[Row]) -> list[Row]:
    """Add up what was selected, in main and in each variant."""
    return [{**key, **selection_shares(group)} for key, group in _grouped(rows, "student", "task", "variant", "group")]


def pool_budget(rows: Iterable[Row]) -> list[Row]:
    """Add up what mining of each shape is worth."""
    pooled = []
    for key, group in _grouped(rows, "student", "task", "variant", "branches", "samples"):
        paths, questions = added(group, "paths"), added(group, "questions")
        pooled.append(
            {
                **key,
                "paths": paths,
                "questions": questions,
                "reasoned_share": share_of(added(group, "reasoned"), paths),
                "questions_reasoned_share": share_of(added(group, "questions_reasoned"), questions),
                "kept_share": share_of(added(group, "kept"), paths),
                "questions_kept_share": share_of(added(group, "questions_kept"), questions),
                "true_share": share_of(added(group, "true"), paths),
                "questions_true_share": share_of(added(group, "questions_true"), questions),
            }
        )
    return pooled


def pool_bands(rows: Iterable[Row]) -> list[Row]:
    """Share the questions with a path in each band (figure 1); questions of several seeds are added up."""
    return [
        {
            **key,
            "share": share_of(added(group, "hits"), added(group, "questions")),
            "questions": group[0]["questions"],
            "samples": group[0]["samples"],
        }
        for key, group in _grouped(rows, "student", "task", "scorer", "source", "band")
    ]


def pool_filtering(rows: Iterable[Row]) -> list[Row]:
    """Share the paths in each band that are left after each rule (figure 4)."""
    return [
        {
            **key,
            "share": share_of(added(group, "hits"), added(group, "paths")),
            "paths": added(group, "paths"),
            "mean_score": share_of(added(group, "score"), added(group, "paths")),
        }
        for key, group in _grouped(rows, "student", "task", "scorer", "criterion", "after", "band")
    ]


def pool_first_tokens(rows: Iterable[Row]) -> list[Row]:
    """Share the kept and the true paths by the rank of their first token, and give its mean probability."""
    return [
        {
            **key,
            "mean_probability": share_of(added(group, "probability"), added(group, "paths")),
            "paths": added(group, "paths"),
            "kept_share": share_of(added(group, "kept"), added(group, "paths")),
            "true_share": share_of(added(group, "true"), added(group, "paths")),
        }
        for key, group in _grouped(rows, "student", "task", "branch")
    ]


def pool_first_token_bins(rows: Iterable[Row]) -> list[Row]:
    """Share the kept paths by the probability of their first token."""
    return sorted(
        (
            {**key, "paths": added(group, "paths"), "kept_share": share_of(added(group, "kept"), added(group, "paths"))}
            for key, group in _grouped(rows, "student", "task", "low", "high")
        ),
        key=lambda row: (row["student"], row["task"], row["low"]),
    )


def pool_steps(rows: Iterable[Row]) -> list[Row]:
    """Average the accuracy after each step over seeds."""
    return _averaged(
        rows, ("student", "task", "method", "step", "split"), lambda found: {**spread_of(found), "seeds": found.n}
    )


def pool_amounts(rows: Iterable[Row]) -> list[Row]:
    """Average the accuracy at each number of rationales over seeds.

    Several variants were trained on as many where no more questions or rationales are there; the first counts.
    """
    keys = ("student", "task", "method", "rationales")
    distinct: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        distinct.setdefault(tuple(row[key] for key in (*keys, "seed")), row)
    averaged = _averaged(distinct.values(), keys, lambda found: {"accuracy": spread_of(found), "seeds": found.n})
    return sorted(averaged, key=lambda row: (row["student"], row["task"], row["method"], row["rationales"]))


def accuracy_by(outcomes: Iterable[Outcome], kept: str) -> list[Row]:
    """Share the right answers by length or repetition of the reasoning; outputs of all seeds, with rough intervals."""
    rows = []
    cells: dict[tuple[str, str, str], list[tuple[float, bool]]] = defaultdict(list)
    for outcome in outcomes:
        cell = cells[outcome.student, outcome.task, outcome.method]
        cell += [
            (value, right)
            for value, right in zip(getattr(outcome, kept), outcome.correct, strict=True)
            if value is not None
        ]
    for (student, task, method), pairs in cells.items():
        ranges = _ranges([value for value, _ in pairs])
        for low, high in ranges:
            last = high == ranges[-1][1]
            inside = [right for value, right in pairs if low <= value < high or (last and value == high)]
            if inside:
                labels = {"student": student, "task": task, "method": method, "low": low, "high": high}
                ci95 = list(wilson_interval(sum(inside), len(inside)))
                rows.append({**labels, "n": len(inside), "accuracy": fmean(inside), "ci95": ci95})
    return rows


def _ranges(values: Sequence[float]) -> list[tuple[float, float]]:
    """Cut values into ranges that hold about as many each; equal values stay together."""
    if not values:
        return []
    edges = sorted({float(edge) for edge in np.quantile(values, np.linspace(0, 1, MOST_BINS + 1))})
    return list(pairwise(edges)) or [(edges[0], edges[0])]


def _averaged(rows: Iterable[Row], keys: tuple[str, ...], write: Callable[[OverSeeds], Row]) -> list[Row]:
    return [{**key, **write(over_seeds([row["accuracy"] for row in group]))} for key, group in _grouped(rows, *keys)]


def _grouped(rows: Iterable[Row], *keys: str) -> list[tuple[Row, list[Row]]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return [(dict(zip(keys, place, strict=True)), group) for place, group in groups.items()]
