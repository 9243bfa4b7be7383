"""The findings of a run in plain words. Differences are positive when the first method of a comparison is better."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sert.report import cells

SIGNIFICANCE = 0.05


class Finding(NamedTuple):
    """One sentence of the verdict, under a short label."""

    label: str
    text: str


def is_significant(comparison: Mapping[str, Any]) -> bool:
    """Tell whether a comparison's p-value, corrected for all comparisons of the run, is below 0.05."""
    return bool(comparison["p_holm"] < SIGNIFICANCE)


def findings(metrics: Mapping[str, Any], about: Mapping[str, Any]) -> list[Finding]:
    """Say what the numbers of one task show and what they do not.

    Args:
        metrics: The run's numbers.
        about: The task's row of `metrics["tasks"]`.
    """
    rows = [row for row in metrics["rows"] if row["task"] == about["task"] and row.get("primary", True)]
    comparisons = [row for row in metrics["comparisons"] if row["task"] == about["task"]]
    found = [_compare(row) for row in sorted(comparisons, key=is_significant, reverse=True)]
    if rows:
        found += [_against_majority(rows, about), _reasoning(rows)]
    best_on_test = [cells.method_name(row["method"]) for row in rows if row["epoch_choice"] == "test-best"]
    if best_on_test:
        found.append(
            Finding("Caution", f"The epoch of {_listed(best_on_test)} was chosen on the test set; read it as too good.")
        )
    return found


def _compare(row: Mapping[str, Any]) -> Finding:
    a, b = cells.method_name(row["a"]), cells.method_name(row["b"])
    numbers = (
        f"{cells.points(row['difference'])} points, 95 % interval {cells.points_interval(row['ci95'])}, "
        f"Holm-corrected p {_p_relation(row['p_holm'])}"
    )
    if not is_significant(row):
        return Finding("Not significant", f"No difference between {a} and {b} is shown ({numbers}). {_detectable(row)}")
    direction = "more" if row["difference"] > 0 else "less"
    return Finding("Significant", f"{a} is right {direction} often than {b} ({numbers}).")


def _detectable(row: Mapping[str, Any]) -> str:
    if row["detectable"] is None:
        return "These outputs disagree on too few questions for any difference to be found."
    return f"One of {cells.points(row['detectable']).lstrip('+')} points would be found four times of five."


def _p_relation(value: float) -> str:
    written = cells.p_value(value)
    return written if written.startswith("<") else f"= {written}"


def _against_majority(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> Finding:
    line = about["majority_accuracy"]
    above = [cells.method_name(row["method"]) for row in rows if row["ci95"][0] > line]
    below = [cells.method_name(row["method"]) for row in rows if row["ci95"][1] < line]
    within = [cells.method_name(row["method"]) for row in rows if row["ci95"][0] <= line <= row["ci95"][1]]
    judged = [
        f"{verb} {_listed(names)}"
        for verb, names in (("above it:", above), ("not distinguishable from it:", within), ("below it:", below))
        if names
    ]
    return Finding(
        "Majority line",
        f"Always answering “{about['majority_answer']}” scores {cells.percent(line)} %. By their 95 % intervals, "
        f"{'; '.join(judged)}.",
    )


def _reasoning(rows: Sequence[Mapping[str, Any]]) -> Finding:
    shares = [
        f"{cells.method_name(row['method'])} {cells.percent(row['reasoned'])} %"
        for row in rows
        if row["reasoned"] is not None
    ]
    text = f"Outputs that reason before they answer: {_listed(shares) if shares else 'not measured'}. "
    true = [
        f"{cells.method_name(row['method'])} {cells.percent(row['true_paths'])} %"
        for row in rows
        if row["true_paths"] is not None
    ]
    if not true:
        return Finding("Reasoned", text + "That says that they have the form of reasoning, not that it is right.")
    text += f"That is the form of reasoning only; outputs whose every step is true: {_listed(true)}."
    return Finding("Reasoned", text)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
