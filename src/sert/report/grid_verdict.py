"""The findings of a grid in plain words: first over everything, then of each student on each task."""

from collections.abc import Callable, Sequence
from statistics import fmean

from sert.report import cells
from sert.report.grid_ablations import ablated, ablation_groups
from sert.report.grid_rows import (
    COMPAT,
    MAIN,
    TEST_BEST,
    Metrics,
    Pair,
    Row,
    ablation_comparisons,
    about_task,
    main_rows,
    marks_of,
    method_comparisons,
    of_pair,
    pairs_of,
    points_by_seed,
    section,
)
from sert.report.grid_tables import gain_of_test_best, interval_of, points_range
from sert.report.verdict import Finding, compared, doubts, is_significant, listed, reasoned


def grid_findings(metrics: Metrics) -> list[Finding]:
    """Say what is significant over the whole grid; where there are several pairs, of which of them that is so."""
    pairs = pairs_of(metrics)
    methods = [(pair, row) for pair in pairs for row in method_comparisons(metrics, pair)]
    ablations = [(pair, row) for pair in pairs for row in ablation_comparisons(metrics, pair)]
    found = []
    if methods:
        rows = [row for _, row in methods]
        found.append(Finding("Methods", f"{_counted(rows, 'comparisons between methods')}{_all_detectable(rows)}"))
    if len(pairs) > 1:
        found += _by_name(methods, _method_names)
    if ablations:
        rows = [row for _, row in ablations]
        found.append(Finding("Ablations", f"{_counted(rows, 'comparisons of ablations')}{_all_detectable(rows)}"))
    if len(pairs) > 1:
        told = [each for each in ablations if is_significant(each[1]) or each[1].get("untrained")]
        found += _by_name(told, _ablation_names)
        found += _grid_cautions(metrics, pairs)
    found += [Finding("Caution", doubt) for doubt in doubts(section(metrics, "judged"))]
    if len(metrics["seeds"]) == 1 and pairs:
        text = "The grid has one seed: how far another training would move a number is unknown."
        found.append(Finding("Caution", text))
    return found


def _method_names(row: Row) -> str:
    return f"{cells.method_name(row['a'])} against {cells.method_name(row['b'])}"


def _ablation_names(row: Row) -> str:
    return f"{row['a']} against {row['b']}, {cells.method_name(str(row['method']))}"


def _by_name(rows: Sequence[tuple[Pair, Row]], name_of: Callable[[Row], str]) -> list[Finding]:
    """Say of each comparison on which student and task it is significant, and where other seeds might undo that."""
    found = []
    for name in dict.fromkeys(name_of(row) for _, row in rows):
        places: dict[str, list[str]] = {"Better": [], "Worse": [], "No difference shown": [], "Not trained": []}
        for pair, row in rows:
            if name_of(row) == name:
                is_better = row["difference"] is not None and row["difference"] > 0
                place = "Better" if is_better else "Worse"
                if not is_significant(row):
                    place = "Not trained" if row.get("untrained") else "No difference shown"
                doubt = f"; with other seeds {cells.points_interval(row['ci95_seeds'])}" if _may_vanish(row) else ""
                places[place].append(f"{pair.title} ({cells.points(row['difference'])}{doubt})")
        parts = [f"{place}: {listed(where)}." for place, where in places.items() if where]
        found.append(Finding(name, " ".join(parts)))
    return found


def _may_vanish(row: Row) -> bool:
    """Whether a difference is significant over questions, but its interval over seeds holds 0."""
    interval = row["ci95_seeds"]
    return is_significant(row) and interval is not None and interval[0] <= 0 <= interval[1]


def _grid_cautions(metrics: Metrics, pairs: Sequence[Pair]) -> list[Finding]:
    rows = [row for pair in pairs for row in of_pair(metrics, "summary", pair)]
    reported = [row for row in rows if row["primary"] and row["epoch_choice"] == TEST_BEST]
    found = []
    if reported:
        names = dict.fromkeys(f"{_name(row)} ({marks_of(row)})" for row in reported)
        found.append(Finding("Caution", f"Read as too good: {listed(list(names))}."))
    gains = [gain for pair in pairs for gain in _gains(of_pair(metrics, "summary", pair)).values()]
    if gains:
        found.append(
            Finding(
                "Caution",
                f"Choosing epochs on the test set would report {cells.points(fmean(gains))} points on average "
                f"({cells.points(min(gains))} to {cells.points(max(gains))}); these are too good.",
            )
        )
    return found


def pair_findings(metrics: Metrics, pair: Pair) -> list[Finding]:
    """Say what the numbers of a student on a task show and what they do not."""
    comparisons = sorted(method_comparisons(metrics, pair), key=is_significant, reverse=True)
    found = [
        compared(row, a=cells.method_name(row["a"]), b=cells.method_name(row["b"]), more=_by_seed(row))
        for row in comparisons
    ]
    rows = main_rows(metrics, pair)
    if rows:
        found += [_against_majority(metrics, pair), _reasoning(rows)]
    return [*found, *_ablation_findings(metrics, pair), *_cautions(metrics, pair)]


def _counted(rows: Sequence[Row], what: str) -> str:
    significant = sum(is_significant(row) for row in rows)
    what = what.replace("comparisons", "comparison", 1) if len(rows) == 1 else what
    verb = "is" if significant == 1 else "are"
    said = f"Of {len(rows)} {what}, {significant} {verb} significant after Holm's correction."
    untrained = sum(bool(row.get("untrained")) for row in rows)
    return f"{said} {untrained} say nothing, of students that had no examples to train on." if untrained else said


def _all_detectable(rows: Sequence[Row]) -> str:
    sizes = [row["detectable"] for row in rows if row["detectable"] is not None]
    if not sizes:
        return ""
    return (
        " The smallest difference that would be found four times of five, with one seed and before correction: "
        f"{points_range(sizes)} points."
    )


def _by_seed(row: Row) -> str:
    if len(row["by_seed"] or []) < 2:
        return ""
    return f", by seed {points_by_seed(row)}, with other seeds {cells.points_interval(row['ci95_seeds'])}"


def _against_majority(metrics: Metrics, pair: Pair) -> Finding:
    about = about_task(metrics, pair.task)
    line = about["majority_accuracy"]
    places: dict[str, list[str]] = {"above": [], "not distinguishable from": [], "below": []}
    for row in main_rows(metrics, pair):
        interval = interval_of(metrics, row)
        if interval is not None:
            place = "above" if interval[0] > line else "below" if interval[1] < line else "not distinguishable from"
            places[place].append(cells.method_name(row["method"]))
    judged = "; ".join(f"{verb} it: {listed(names)}" for verb, names in places.items() if names)
    return Finding(
        "Majority line",
        f"Always answering “{about['majority_answer']}” scores {cells.percent(line)} %. By the 95 % intervals of every "
        f"seed, {judged or 'nothing is known'}.",
    )


def _reasoning(rows: Sequence[Row]) -> Finding:
    measured = {
        key: [
            f"{cells.method_name(row['method'])} {cells.percent(row[key]['mean'])} %"
            for row in rows
            if row[key] is not None
        ]
        for key in ("reasoned", "true_paths")
    }
    return reasoned(measured["reasoned"], true=measured["true_paths"])


def _ablation_findings(metrics: Metrics, pair: Pair) -> list[Finding]:
    """Name each significant difference to the main student; of the others say together what could have been found."""
    found: list[Finding] = []
    unshown: list[Row] = []
    names: list[str] = []
    for group in ablation_groups(metrics, pair):
        for each in ablated(metrics, pair, group=group):
            if each.comparison is None:
                continue
            name = f"“{each.name}” ({group})"
            if is_significant(each.comparison) or each.comparison.get("untrained"):
                found.append(compared(each.comparison, a=name, b="the main student", more=_by_seed(each.comparison)))
            else:
                unshown.append(each.comparison)
                names.append(name)
    if unshown:
        text = f"No difference to the main student is shown for {listed(names)}.{_all_detectable(unshown)}"
        found.append(Finding("Not significant", text))
    return found


def _cautions(metrics: Metrics, pair: Pair) -> list[Finding]:
    rows = of_pair(metrics, "summary", pair)
    best = dict.fromkeys(_name(row) for row in rows if row["epoch_choice"] == TEST_BEST and row["primary"])
    compat = dict.fromkeys(_name(row) for row in rows if row["harness"] == COMPAT)
    found = []
    if best:
        text = f"Epoch chosen on the test set: {listed(list(best))}. Read it as too good."
        found.append(Finding("Caution", text))
    if compat:
        text = (
            f"Tested as the earlier harness does, faults included: {listed(list(compat))}. The numbers show what these "
            "faults do, not how good the students are."
        )
        found.append(Finding("Caution", text))
    gains = [f"{cells.method_name(method)} {cells.points(gain)}" for method, gain in _gains(rows).items()]
    if gains:
        text = (
            f"Choosing the epoch on the test set would report, in points: {listed(gains)}. Such numbers are too good."
        )
        found.append(Finding("Caution", text))
    return found


def _name(row: Row) -> str:
    return cells.method_name(row["method"]) if row["variant"] == MAIN else f"“{row['variant']}”"


def _gains(rows: Sequence[Row]) -> dict[str, float]:
    """Find by how much the best epoch on the test set is above the reported one, method by method."""
    main = [row for row in rows if row["variant"] == MAIN and row["harness"] != COMPAT]
    reported = {row["method"]: row for row in main if row["primary"] and row["epoch_choice"] != TEST_BEST}
    best = {row["method"]: row for row in main if row["epoch_choice"] == TEST_BEST}
    gains = {method: gain_of_test_best(row, reported.get(method)) for method, row in best.items()}
    return {method: gain for method, gain in gains.items() if gain is not None}
