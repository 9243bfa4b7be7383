"""The findings of a run in plain words. Differences are positive when the first method of a comparison is better."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sert.report import cells

SIGNIFICANCE = 0.05


class Finding(NamedTuple):
    """One sentence of the verdict, under a short label."""

    label: str
    text: str


def is_significant(comparison: Mapping[str, Any]) -> bool:
    """Tell whether a comparison's p-value, corrected for all comparisons of the run, is known and below 0.05.

    Never with a student that had no examples to train on: its numbers say nothing of its method.
    """
    known = comparison["p_holm"] is not None and not comparison.get("untrained")
    return known and bool(comparison["p_holm"] < SIGNIFICANCE)


def significance(comparison: Mapping[str, Any]) -> str:
    """Say in a cell whether a comparison is significant."""
    if comparison["p_holm"] is None:
        return cells.MISSING
    if comparison.get("untrained"):
        return "not trained"
    return "significant" if is_significant(comparison) else "not significant"


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
            Finding("Caution", f"The epoch of {listed(best_on_test)} was chosen on the test set; read it as too good.")
        )
    judged = (row for row in metrics.get("judged") or () if row["task"] == about["task"])
    found += [Finding("Caution", doubt) for doubt in doubts(judged)]
    if compat := [cells.method_name(row["method"]) for row in rows if row.get("harness") == "compat"]:
        text = (
            f"Tested as the earlier harness does, faults included (padding is attended to): {listed(compat)}. "
            "These numbers show what that does, not what the students can do."
        )
        found.append(Finding("Caution", text))
    return found


def _compare(row: Mapping[str, Any]) -> Finding:
    return compared(row, a=cells.method_name(row["a"]), b=cells.method_name(row["b"]))


def compared(row: Mapping[str, Any], *, a: str, b: str, more: str = "") -> Finding:
    """Say whether a and b differ.

    Args:
        row: The comparison.
        a: What the first is called.
        b: What the second is called.
        more: Further numbers.
    """
    numbers = (
        f"{cells.points(row['difference'])} points, 95 % interval {cells.points_interval(row['ci95'])}, "
        f"Holm-corrected p {_p_relation(row['p_holm'])}{more}"
    )
    if row.get("untrained"):
        names = listed([name for name, label in ((a, row["a"]), (b, row["b"])) if label in row["untrained"]])
        text = f"{names} had no examples to train on, so {a} against {b} says nothing of methods ({numbers})."
        return Finding("Not trained", text)
    if not is_significant(row):
        return Finding("Not significant", f"No difference between {a} and {b} is shown ({numbers}). {_detectable(row)}")
    direction = "more" if row["difference"] > 0 else "less"
    return Finding("Significant", f"{a} is right {direction} often than {b} ({numbers}).")


def doubts(summaries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Warn of judges that do not tell planted texts apart; takes the rows of `judged`."""
    judges = dict.fromkeys(str(each["judge"]) for each in summaries if not each["calibration"]["separates"])
    return [
        f"The judge {judge} does not tell planted good texts from bad ones; what it scores says little."
        for judge in judges
    ]


def _detectable(row: Mapping[str, Any]) -> str:
    if row["detectable"] is None:
        return "These outputs disagree on too few questions for any difference to be found."
    size = cells.unsigned_points(row["detectable"])
    return f"With one seed and before correction one of {size} points would be found four times of five."


def _p_relation(value: float) -> str:
    written = cells.p_value(value)
    return written if written.startswith("<") else f"= {written}"


def _against_majority(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> Finding:
    line = about["majority_accuracy"]
    above = [cells.method_name(row["method"]) for row in rows if row["ci95"][0] > line]
    below = [cells.method_name(row["method"]) for row in rows if row["ci95"][1] < line]
    within = [cells.method_name(row["method"]) for row in rows if row["ci95"][0] <= line <= row["ci95"][1]]
    judged = [
        f"{verb} {listed(names)}"
        for verb, names in (("above it:", above), ("not distinguishable from it:", within), ("below it:", below))
        if names
    ]
    return Finding(
        "Majority line",
        f"Always answering “{about['majority_answer']}” scores {cells.percent(line)} %. By their 95 % intervals, "
        f"{'; '.join(judged)}.",
    )


def _reasoning(rows: Sequence[Mapping[str, Any]]) -> Finding:
    measured = {
        key: [f"{cells.method_name(row['method'])} {cells.percent(row[key])} %" for row in rows if row[key] is not None]
        for key in ("reasoned", "true_paths")
    }
    return reasoned(measured["reasoned"], true=measured["true_paths"])


def reasoned(shares: Sequence[str], *, true: Sequence[str]) -> Finding:
    """Say how often outputs reason, and that this is not how often they are right.

    Args:
        shares: For each method its name and the share of its outputs that reason.
        true: The same of outputs whose every step is true; empty where nothing can verify that.
    """
    text = f"Outputs that reason before they answer: {listed(shares) if shares else 'not measured'}. "
    if not true:
        return Finding("Reasoned", text + "That says that they have the form of reasoning, not that it is right.")
    text += f"That is the form of reasoning only; outputs whose every step is true: {listed(true)}."
    return Finding("Reasoned", text)


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
