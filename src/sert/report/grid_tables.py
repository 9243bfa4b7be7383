"""The result tables of a grid: methods with their spread over seeds, epochs side by side, comparisons, single seeds."""

from collections.abc import Sequence
from typing import Any

from sert.report import cells
from sert.report.grid_rows import (
    MAIN,
    TEST_BEST,
    Metrics,
    Pair,
    Row,
    about_task,
    flagged,
    main_funnel,
    main_rows,
    method_comparisons,
    of_pair,
    pairs_of,
    points_by_seed,
    right_by_seed,
    section,
    seeds_of,
)
from sert.report.table import FUNNEL_COLUMNS, FUNNEL_TRUE, Column, Table, build_table, if_measured, selection_rows
from sert.report.verdict import significance

_MEASURES = {"mean_length": ("Len, tokens", 1), "repetition": ("Rep", 3)}


def _mean(row: Row, key: str) -> float | None:
    return None if row[key] is None else row[key]["mean"]


_RESULT_COLUMNS = (
    Column("Method", lambda row: flagged(cells.method_name(row["method"]), row)),
    Column("Acc %", lambda row: cells.spread(row["accuracy"])),
    Column("k by seed / n", right_by_seed),
    Column("95 %, questions", lambda row: cells.percent_interval(row["interval"])),
    Column("95 %, seeds", lambda row: cells.percent_interval((row["accuracy"] or {}).get("ci95"))),
    Column("Strict %", lambda row: cells.spread(row["accuracy_strict"])),
    Column("Fmt", lambda row: cells.decimal(_mean(row, "format"))),
    Column("Len", lambda row: cells.decimal(_mean(row, "mean_length"), 1)),
    Column("Rep", lambda row: cells.decimal(_mean(row, "repetition"))),
    Column("Reasoned %", lambda row: cells.percent(_mean(row, "reasoned"))),
)
_TRUE_PATHS = Column("True paths %", lambda row: cells.percent(_mean(row, "true_paths")))
FOUND_COLUMNS = (
    Column("p, Holm", lambda row: cells.p_value(row["p_holm"])),
    Column("At 0.05", significance),
    Column("Detectable, points", lambda row: cells.unsigned_points(row["detectable"])),
)
"""Whether a difference was found, and what could have been."""
_COMPARISON_COLUMNS = (
    Column("Comparison", lambda row: f"{cells.method_name(row['a'])} against {cells.method_name(row['b'])}"),
    Column("Difference, points", lambda row: cells.points(row["difference"])),
    Column("By seed", points_by_seed),
    Column("95 %, seeds", lambda row: cells.points_interval(row["ci95_seeds"])),
    Column("95 % interval", lambda row: cells.points_interval(row["ci95"])),
    Column("p", lambda row: cells.p_value(row["p_value"])),
    *FOUND_COLUMNS,
)
_MEAN_COLUMNS = (
    Column("Comparison", lambda row: f"{cells.method_name(row['a'])} against {cells.method_name(row['b'])}"),
    Column("Of", lambda row: _measure(row)[0]),
    Column("Difference", lambda row: cells.signed(row["difference"], _measure(row)[1])),
    Column("95 % interval", lambda row: _signed_interval(row)),
    Column("p", lambda row: cells.p_value(row["p_value"])),
    Column("p, Holm", lambda row: cells.p_value(row["p_holm"])),
    Column("At 0.05", significance),
    Column("Questions", lambda row: cells.count(row["n"])),
)
_SEED_COLUMNS = (
    Column("Method", lambda row: _seed_name(row)),
    Column("Seed", lambda row: str(row["seed"])),
    Column("Epoch", lambda row: cells.epoch_name(row["epoch_choice"])),
    Column("Acc %", lambda row: cells.percent(row["accuracy"])),
    Column("k/n", lambda row: f"{row['correct']}/{row['n']}"),
    Column("95 % interval", lambda row: cells.percent_interval(row["ci95"])),
    Column("Strict %", lambda row: cells.percent(row["accuracy_strict"])),
    Column("Fmt", lambda row: cells.decimal(row["format"])),
    Column("Len", lambda row: cells.decimal(row["mean_length"], 1)),
    Column("Rep", lambda row: cells.decimal(row["repetition"])),
    Column("Reasoned %", lambda row: cells.percent(row["reasoned"])),
    Column("True paths %", lambda row: cells.percent(row["true_paths"])),
    Column("Examples", lambda row: cells.count(row["train_examples"])),
    Column("Steps", lambda row: cells.count(row["train_steps"])),
    Column("Step tested", lambda row: cells.count(row["step"])),
    Column("Votes", lambda row: cells.count(row["votes"])),
)


def result_table(metrics: Metrics, pair: Pair) -> Table:
    """Build the result table of a student on a task: a row a method, then the lines that need no student."""
    rows = [{**row, "interval": interval_of(metrics, row)} for row in main_rows(metrics, pair)]
    table = build_table(rows, (*_RESULT_COLUMNS, *if_measured(rows, _TRUE_PATHS, key="true_paths")))
    about = about_task(metrics, pair.task)
    found = [row["detectable"] for row in method_comparisons(metrics, pair) if row["detectable"] is not None]
    lines = [
        (f"Majority class: {about['majority_answer']}", cells.percent(about["majority_accuracy"])),
        ("Chance", cells.percent(about["chance_accuracy"])),
    ]
    if found:
        lines.append(("Smallest detectable difference (one seed, uncorrected), points", points_range(found)))
    blanks = ("",) * (len(table.header) - 2)
    table.rows.extend((*line, *blanks) for line in lines)
    return table


def interval_of(metrics: Metrics, row: Row) -> Sequence[float] | None:
    """Find where the 95 % intervals over questions of all seeds that a row of the summary sums up begin and end."""
    intervals = [seed["ci95"] for seed in seeds_of(metrics, row) if seed["ci95"] is not None]
    return [min(low for low, _ in intervals), max(high for _, high in intervals)] if intervals else None


def overview_table(metrics: Metrics, task: str) -> Table:
    """Put the accuracies of all students on a task side by side; empty for a single student."""
    students = [pair for pair in pairs_of(metrics) if pair.task == task]
    if len(students) < 2:
        return Table((), [])
    by_student = [
        {flagged(cells.method_name(row["method"]), row): row for row in main_rows(metrics, pair)} for pair in students
    ]
    names = dict.fromkeys(name for rows in by_student for name in rows)
    table = Table(
        ("Acc %", *(pair.student for pair in students)),
        [
            (name, *(cells.spread(rows[name]["accuracy"]) if name in rows else "" for rows in by_student))
            for name in names
        ],
    )
    about = about_task(metrics, task)
    majority = f"Majority class: {about['majority_answer']}"
    for name, share in ((majority, about["majority_accuracy"]), ("Chance", about["chance_accuracy"])):
        table.rows.append((name, *(cells.percent(share) for _ in students)))
    return table


def choice_table(metrics: Metrics, pair: Pair) -> Table:
    """Put the choices of the epoch side by side, a row a method; empty where there is only one choice."""
    by_method: dict[str, dict[str, Row]] = {}
    for row in of_pair(metrics, "summary", pair):
        if row["variant"] == MAIN and row["epoch_choice"] is not None:
            name = flagged(cells.method_name(row["method"]), {**row, "epoch_choice": None})
            by_method.setdefault(name, {})[row["epoch_choice"]] = row
    found = {choice for rows in by_method.values() for choice in rows}
    choices = [*(each for each in cells.EPOCHS if each in found), *sorted(found - cells.EPOCHS.keys())]
    if len(choices) < 2:
        return Table((), [])
    headings = (cells.epoch_heading(choice) for choice in choices)
    table = Table(("Method", *headings, "Test-best above reported, points"), [])
    for name, rows in by_method.items():
        reported = next((row for row in rows.values() if row["primary"]), None)
        written = (_choice_cell(rows.get(choice)) for choice in choices)
        table.rows.append((name, *written, cells.points(gain_of_test_best(rows.get(TEST_BEST), reported))))
    return table


def gain_of_test_best(best: Row | None, reported: Row | None) -> float | None:
    """Subtract the reported mean accuracy from that of the best epoch on the test set."""
    if best is None or reported is None or best["accuracy"] is None or reported["accuracy"] is None:
        return None
    return float(best["accuracy"]["mean"] - reported["accuracy"]["mean"])


def _choice_cell(row: Row | None) -> str:
    if row is None:
        return cells.MISSING
    return f"{cells.spread(row['accuracy'])}, reported" if row["primary"] else cells.spread(row["accuracy"])


def comparison_table(metrics: Metrics, pair: Pair) -> Table:
    """Build the table of paired differences between methods."""
    return build_table(method_comparisons(metrics, pair), _COMPARISON_COLUMNS)


def mean_table(metrics: Metrics, pair: Pair) -> Table:
    """Build the table of differences between means of lengths, repetition and scores."""
    return build_table(of_pair(metrics, "means", pair), _MEAN_COLUMNS)


def funnel_table(metrics: Metrics, pair: Pair) -> Table:
    """Build the table of how many paths each rule left."""
    rows = main_funnel(metrics, pair)
    return build_table(rows, (*FUNNEL_COLUMNS, *if_measured(rows, FUNNEL_TRUE, key="true_share")))


def selection_table(metrics: Metrics, pair: Pair) -> Table:
    """Build the table of what was selected, a row a variant."""
    rows = of_pair(metrics, "selection", pair)
    return selection_rows(rows, Column("Variant", lambda row: str(row["variant"])))


def seed_table(metrics: Metrics, pair: Pair) -> Table:
    """Build the table of every student that was tested, a row a method, variant, seed and epoch."""
    return build_table(of_pair(metrics, "rows", pair), _SEED_COLUMNS)


def near_duplicate_table(metrics: Metrics) -> Table:
    """Lay out what was found of train questions that are nearly test questions; its columns are its keys."""
    rows = section(metrics, "near_duplicates")
    keys = dict.fromkeys(key for row in rows for key in row)
    return Table(
        tuple(key.replace("_", " ").capitalize() for key in keys),
        [tuple(_any_cell(row.get(key)) for key in keys) for row in rows],
    )


def points_range(values: Sequence[float]) -> str:
    """Write the smallest and the largest of some sizes in percentage points."""
    low, high = cells.unsigned_points(min(values)), cells.unsigned_points(max(values))
    return low if low == high else f"{low} to {high}"


def _measure(row: Row) -> tuple[str, int]:
    name = str(row["measure"])
    return _MEASURES.get(name, (name.replace("_", " ").capitalize(), 2))


def _signed_interval(row: Row) -> str:
    if row["ci95"] is None:
        return cells.MISSING
    low, high = (cells.signed(end, _measure(row)[1]) for end in row["ci95"])
    return f"{low} to {high}"


def _seed_name(row: Row) -> str:
    name = cells.method_name(row["method"])
    return flagged(name if row["variant"] == MAIN else f"{row['variant']}: {name}", row)


def _any_cell(value: Any) -> str:
    if value is None:
        return cells.MISSING
    if isinstance(value, int) and not isinstance(value, bool):
        return cells.count(value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
