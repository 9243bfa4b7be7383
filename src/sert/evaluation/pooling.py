"""Counts of several seeds added up, and made into the shares that tables and figures show."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from sert.evaluation.grid_comparisons import Outcome
from sert.evaluation.several_seeds import OverSeeds, over_seeds
from sert.evaluation.statistics import wilson_interval
from sert.grid import MAIN

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
        remaining, place = _sum(group, "remaining"), (key["student"], key["task"])
        mined.setdefault(place, remaining)
        known = all(row["true_share"] is not None or not row["remaining"] for row in group)
        true = sum((row["true_share"] or 0.0) * row["remaining"] for row in group)
        pooled.append(
            {
                **key,
                "remaining": remaining,
                "share": _share(remaining, mined[place]) or 0.0,
                "dropped": _sum(group, "dropped"),
                "true_share": _share(true, remaining) if known else None,
            }
        )
    return pooled


def pool_selection(rows: Iterable[Row], mined: Iterable[Row]) -> list[Row]:
    """Add up what was selected, in main and in each variant; `mined` knows how much of all paths is true."""
    true_of_mined = {
        _place(key): _share(_sum(group, "true"), _sum(group, "paths"))
        for key, group in _grouped(mined, "student", "task", "variant")
        if all(row["verified"] for row in group)
    }
    pooled = []
    for key, group in _grouped(rows, "student", "task", "variant", "group"):
        selected, known = _sum(group, "with_selected"), all(row["selected_true"] is not None for row in group)
        main = (key["student"], key["task"], MAIN)
        pooled.append(
            {
                **key,
                "questions": _sum(group, "questions"),
                "with_selected": selected,
                "selected_agree": _sum(group, "selected_agree"),
                "selected_true_share": _share(_sum(group, "selected_true"), selected) if known else None,
                "mined_true_share": true_of_mined.get(_place(key), true_of_mined.get(main)),
            }
        )
    return pooled


def pool_budget(rows: Iterable[Row]) -> list[Row]:
    """Add up what mining of each shape is worth."""
    pooled = []
    for key, group in _grouped(rows, "student", "task", "variant", "branches", "samples"):
        paths, questions, known = _sum(group, "paths"), _sum(group, "questions"), all(row["verified"] for row in group)
        pooled.append(
            {
                **key,
                "paths": paths,
                "questions": questions,
                "reasoned_share": _share(_sum(group, "reasoned"), paths),
                "questions_reasoned_share": _share(_sum(group, "questions_reasoned"), questions),
                "kept_share": _share(_sum(group, "kept"), paths),
                "questions_kept_share": _share(_sum(group, "questions_kept"), questions),
                "true_share": _share(_sum(group, "true"), paths) if known else None,
                "questions_true_share": _share(_sum(group, "questions_true"), questions) if known else None,
            }
        )
    return pooled


def pool_bands(rows: Iterable[Row]) -> list[Row]:
    """Share the questions with a path in each band (figure 1); questions of several seeds are added up."""
    return [
        {
            **key,
            "share": _share(_sum(group, "hits"), _sum(group, "questions")),
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
            "share": _share(_sum(group, "hits"), _sum(group, "paths")),
            "paths": _sum(group, "paths"),
            "mean_score": _share(_sum(group, "score"), _sum(group, "paths")),
        }
        for key, group in _grouped(rows, "student", "task", "scorer", "criterion", "after", "band")
    ]


def pool_first_tokens(rows: Iterable[Row]) -> list[Row]:
    """Share the kept and the true paths by the rank of their first token, and give its mean probability."""
    return [
        {
            **key,
            "mean_probability": _share(_sum(group, "probability"), _sum(group, "paths")),
            "paths": _sum(group, "paths"),
            "kept_share": _share(_sum(group, "kept"), _sum(group, "paths")),
            "true_share": _share(_sum(group, "true"), _sum(group, "verified")),
        }
        for key, group in _grouped(rows, "student", "task", "branch")
    ]


def pool_first_token_bins(rows: Iterable[Row]) -> list[Row]:
    """Share the kept paths by the probability of their first token."""
    return sorted(
        (
            {**key, "paths": _sum(group, "paths"), "kept_share": _share(_sum(group, "kept"), _sum(group, "paths"))}
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
    """Average the accuracy at each number of rationales over seeds."""
    keys = ("student", "task", "method", "rationales")
    averaged = _averaged(rows, keys, lambda found: {"accuracy": spread_of(found), "seeds": found.n})
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


def _place(row: Row) -> tuple[str, str, str]:
    return row["student"], row["task"], row["variant"]


def _sum(rows: Iterable[Row], key: str) -> Any:
    return sum(row[key] for row in rows)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
