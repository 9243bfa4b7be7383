"""What the numbers say in plain words: first over everything, then of each student on each task.

Differences are positive when the first of a comparison is better.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from sert.config.grid import MAIN
from sert.report.format import count, decimal, percent, points, points_interval, points_range
from sert.report.judging import judge_warnings
from sert.report.names import COMPAT, TEST_BEST, Row, comparison_name, listed, marks_of, method_name, variants_name
from sert.report.rows import (
    SIGNIFICANCE,
    Metrics,
    Pair,
    ablation_comparisons,
    about_task,
    gain_of_test_best,
    is_significant,
    method_comparisons,
    of_pair,
    pairs_of,
    reported_rows,
    section,
)
from sert.report.sections.ablations import ablated, ablation_groups
from sert.report.statements import Statement, caution, compared


def overall_findings(metrics: Metrics) -> list[Statement]:
    """Say what is significant over everything; where there are several pairs, of which of them that is so."""
    pairs, found = pairs_of(metrics), list[Statement]()
    told_by_name = len(pairs) > 1
    for label, what, comparisons, name_of in (
        ("Methods", "comparisons between methods", method_comparisons, comparison_name),
        ("Ablations", "comparisons of ablations", ablation_comparisons, variants_name),
    ):
        rows = [(pair, row) for pair in pairs for row in comparisons(metrics, pair)]
        if rows:
            found.append(Statement(label, _counted([row for _, row in rows], what)))
        if label == "Ablations":
            rows = [(pair, row) for pair, row in rows if is_significant(row) or row.get("untrained")]
        found += _by_name(rows, name_of) if told_by_name else ()
    found += _cautions_over_all(metrics, pairs) if told_by_name else ()
    found += [caution(warning) for warning in judge_warnings(section(metrics, "judged"))]
    if len(metrics["seeds"]) == 1 and pairs:
        found.append(caution("There is one seed: how far another training would move a number is unknown."))
    return found


def _by_name(rows: Sequence[tuple[Pair, Row]], name_of: Callable[[Row], str]) -> Iterator[Statement]:
    """Say of each comparison on which student and task it is significant, and where other seeds might undo that."""
    for name in dict.fromkeys(name_of(row) for _, row in rows):
        places: dict[str, list[str]] = {"Better": [], "Worse": [], "No difference shown": [], "Not trained": []}
        for pair, row in rows:
            if name_of(row) == name:
                place = "Not trained" if row.get("untrained") else "No difference shown"
                if is_significant(row):
                    place = "Better" if row["difference"] > 0 else "Worse"
                interval = row["ci95_seeds"]
                may_vanish = is_significant(row) and interval is not None and interval[0] <= 0 <= interval[1]
                vanishing = f"; with other seeds {points_interval(interval)}" if may_vanish else ""
                places[place].append(f"{pair.title} ({points(row['difference'])}{vanishing}{_doubts(row)})")
        yield Statement(name, " ".join(f"{place}: {listed(where)}." for place, where in places.items() if where))


def _doubts(row: Row) -> str:
    """Say why a significant difference is no evidence of better answers."""
    form, chance = _is_form(row), _is_at_chance(row)
    return "; only form" * form + "; neither is above chance" * chance


def _is_form(row: Row) -> bool:
    return is_significant(row) and bool(row["only_form"])


def _is_at_chance(row: Row) -> bool:
    return is_significant(row) and bool(row["within_chance"])


def _cautions_over_all(metrics: Metrics, pairs: Sequence[Pair]) -> Iterator[Statement]:
    rows = [row for pair in pairs for row in of_pair(metrics, "summary", pair)]
    if reported := [row for row in rows if row["primary"] and row["epoch_choice"] == TEST_BEST]:
        names = dict.fromkeys(f"{_name(row)} ({marks_of(row)})" for row in reported)
        yield caution(f"Read as too good: {listed(list(names))}.")
    if gains := [gain for pair in pairs for gain in _gains(of_pair(metrics, "summary", pair)).values()]:
        yield caution(
            f"Choosing epochs on the test set would report {points(fmean(gains))} points on average "
            f"({points(min(gains))} to {points(max(gains))}); these are too good."
        )


def pair_findings(metrics: Metrics, pair: Pair) -> list[Statement]:
    """Say what the numbers of a student on a task show and what they do not."""
    comparisons = sorted(method_comparisons(metrics, pair), key=is_significant, reverse=True)
    about = about_task(metrics, pair.task)
    found = [compared(row, a=method_name(row["a"]), b=method_name(row["b"]), about=about) for row in comparisons]
    if rows := reported_rows(metrics, pair):
        found += [_against_majority(metrics, pair, rows), _answered(about, rows), _reasoning(rows)]
    found += likelihood_findings(metrics, pair)
    found += forgetting_findings(metrics, pair)
    return [*found, *_ablation_findings(metrics, pair), *_cautions(metrics, pair)]


def activation_finding(metrics: Metrics, pair: Pair) -> Statement | None:
    """Say what self-training did to the student, which most people ask first; None where it was not tested."""
    rows = (row for row in method_comparisons(metrics, pair) if (row["a"], row["b"]) == ("sert", "zero_shot"))
    names, about = (method_name("sert"), method_name("zero_shot")), about_task(metrics, pair.task)
    return next((compared(row, a=names[0], b=names[1], about=about) for row in rows), None)


def _counted(rows: Sequence[Row], what: str) -> str:
    significant = sum(is_significant(row) for row in rows)
    what = what.replace("comparisons", "comparison", 1) if len(rows) == 1 else what
    verb = "is" if significant == 1 else "are"
    said = f"Of {len(rows)} {what}, {significant} {verb} significant after Holm's correction."
    if form := sum(map(_is_form, rows)):
        said += f" Of these {form} {'is' if form == 1 else 'are'} of form alone."
    if chance := sum(map(_is_at_chance, rows)):
        said += f" In {chance} of them neither side is above chance."
    if untrained := sum(bool(row.get("untrained")) for row in rows):
        said += f" {untrained} say nothing, of students that had no examples to train on."
    return said + _all_detectable(rows)


def _all_detectable(rows: Sequence[Row]) -> str:
    sizes = [row["detectable"] for row in rows if row["detectable"] is not None]
    what = " The smallest difference that would be found four times of five, with one seed and before correction: "
    return f"{what}{points_range(sizes)} points." if sizes else ""


def _against_majority(metrics: Metrics, pair: Pair, rows: Sequence[Row]) -> Statement:
    about = about_task(metrics, pair.task)
    judged = _placed(rows, "interval", about["majority_accuracy"])
    of_seeds = "their 95 % intervals" if len(metrics["seeds"]) == 1 else "the 95 % intervals of every seed"
    return Statement(
        "Majority line",
        f"Always answering “{about['majority_answer']}” scores {percent(about['majority_accuracy'])} %. By {of_seeds}, "
        f"{judged or 'nothing is known'}.",
    )


def _placed(rows: Sequence[Row], key: str, line: float) -> str:
    """Name the methods whose interval lies above a line, holds it, or lies below."""
    places: dict[str, list[str]] = {"above": [], "not distinguishable from": [], "below": []}
    for row in rows:
        interval = row[key]
        if interval is not None:
            place = "above" if interval[0] > line else "below" if interval[1] < line else "not distinguishable from"
            places[place].append(method_name(row["method"]))
    return "; ".join(f"{verb} it: {listed(names)}" for verb, names in places.items() if names)


def _answered(about: Row, rows: Sequence[Row]) -> Statement:
    """Say how many outputs state an answer, how often these are right, and whether knowing nothing gets as much."""
    if all(row["unread"]["mean"] == row["cut"]["mean"] == 0 for row in rows):
        return Statement("Answered", "Every output states an answer.")
    said = listed([f"{method_name(row['method'])} {_right_where_answered(row)}" for row in rows])
    text = f"Right where they state an answer: {said}."
    if judged := _placed(rows, "interval_answered", about["chance_best"]):
        best = percent(about["chance_best"])
        is_constant = about["chance_best"] == about["majority_accuracy"]
        who = f"always answering “{about['majority_answer']}”" if is_constant else "guessing"
        text += f" By the 95 % intervals of these answers, against {who} ({best} %), {judged}."
    return Statement("Answered", text)


def _right_where_answered(row: Row) -> str:
    unread, cut, right = row["unread"]["mean"], row["cut"]["mean"], row["right_of_answered"]
    answered = percent(row["right"]["mean"] + row["wrong"]["mean"])
    do = f"{answered} % do, {percent(unread)} % are unread and {percent(cut)} % cut" if unread or cut else "all do"
    return f"{percent(None if right is None else right['mean'])} % ({do})"


def _reasoning(rows: Sequence[Row]) -> Statement:
    """Say how often outputs reason, and that this is not how often they are right."""
    reasoned, true = (
        [f"{method_name(row['method'])} {percent(row[key]['mean'])} %" for row in rows if row[key] is not None]
        for key in ("reasoned", "true_paths")
    )
    text = f"Outputs that reason before they answer: {listed(reasoned) if reasoned else 'not measured'}. "
    if not true:
        return Statement("Reasoned", text + "That says that they have the form of reasoning, not that it is right.")
    text += f"That is the form of reasoning only; outputs whose every step is true: {listed(true)}."
    return Statement("Reasoned", text)


def likelihood_findings(metrics: Metrics, pair: Pair) -> Iterator[Statement]:
    """Put what each student writes beside its most probable answers, and say where these are better beyond chance."""
    by_method: dict[str, dict[str, Row]] = {}
    for row in of_pair(metrics, "likelihood", pair):
        if row["variant"] == MAIN and row["accuracy"] is not None:
            by_method.setdefault(row["method"], {})[row["measure"]] = row
    for method, rows in by_method.items():
        if (words := rows.get("cloze")) is None or "generated" not in rows:
            continue
        right = {measure: f"{percent(row['accuracy']['mean'])} %" for measure, row in rows.items()}
        letters = f", its most probable letters {right['letter']}" if "letter" in right else ""
        gap = f"{points(words['difference'])} points, 95 % interval {points_interval(words['ci95'])}"
        said = (
            f"{method_name(method)} writes {right['generated']} right answers; its most probable words are right in "
            f"{right['cloze']} ({gap}){letters}."
        )
        if (words["difference"] or 0) > 0 and words["p_holm"] is not None and words["p_holm"] < SIGNIFICANCE:
            said += " It does better where it has to choose than where it has to write."
        yield Statement("By likelihood", said)


def forgetting_findings(metrics: Metrics, pair: Pair) -> Iterator[Statement]:
    """Say of each trained student what it lost on held-out texts, where that is beyond chance; of the others so."""
    unshown: list[str] = []
    for row in of_pair(metrics, "forgetting", pair):
        name, lost = method_name(row["method"]), list[str]()
        if _is_loss(row["difference"], row["p_holm"]):
            was, now = (percent(row[f"accuracy_{when}"]["mean"]) for when in ("before", "after"))
            lost.append(
                f"the right one of several endings was the most probable in {was} % of {count(row['choices'])}, and is "
                f"in {now} % ({points(row['difference'])} points, 95 % interval {points_interval(row['ci95'])})"
            )
        if _is_loss(row["nats"], row["nats_p_holm"]):
            was, now = (decimal(row[f"perplexity_{when}"]["mean"]) for when in ("before", "after"))
            lost.append(f"the perplexity of {count(row['texts'])} plain texts was {was}, and is {now}")
        if lost:
            yield Statement("Forgetting", f"{name} lost beyond chance on held-out texts: {'; '.join(lost)}.")
        else:
            unshown.append(name)
    if unshown:
        yield Statement("Forgetting", f"No loss on held-out texts is shown for {listed(unshown)}.")


def _is_loss(difference: float | None, p_holm: float | None) -> bool:
    return difference is not None and p_holm is not None and difference < 0 and p_holm < SIGNIFICANCE


def _ablation_findings(metrics: Metrics, pair: Pair) -> Iterator[Statement]:
    """Name each significant difference to the main student; of the others say together what could have been found."""
    unshown: dict[str, Row] = {}
    for group in ablation_groups(metrics, pair):
        for each in ablated(metrics, pair, group=group):
            name, row = f"“{each.name}” ({group})", each.comparison
            if row is not None and (is_significant(row) or row.get("untrained")):
                yield compared(row, a=name, b="the main student", about=about_task(metrics, pair.task))
            elif row is not None:
                unshown[name] = row
    if unshown:
        said = f"No difference to the main student is shown for {listed(list(unshown))}."
        yield Statement("Not significant", f"{said}{_all_detectable(list(unshown.values()))}")


def _cautions(metrics: Metrics, pair: Pair) -> Iterator[Statement]:
    rows = of_pair(metrics, "summary", pair)
    if best := dict.fromkeys(_name(row) for row in rows if row["epoch_choice"] == TEST_BEST and row["primary"]):
        yield caution(f"Epoch chosen on the test set: {listed(list(best))}. Read it as too good.")
    if compat := dict.fromkeys(_name(row) for row in rows if row["harness"] == COMPAT):
        yield caution(
            f"Tested as the earlier harness does, faults included: {listed(list(compat))}. The numbers show what these "
            "faults do, not how good the students are."
        )
    if gains := [f"{method_name(method)} {points(gain)}" for method, gain in _gains(rows).items()]:
        said = f"Choosing the epoch on the test set would report, in points: {listed(gains)}."
        yield caution(f"{said} Such numbers are too good.")


def _name(row: Row) -> str:
    return method_name(row["method"]) if row["variant"] == MAIN else f"“{row['variant']}”"


def _gains(rows: Sequence[Row]) -> dict[str, float]:
    """Find by how much the best epoch on the test set is above the reported one, method by method."""
    main = [row for row in rows if row["variant"] == MAIN and row["harness"] != COMPAT]
    reported = {row["method"]: row for row in main if row["primary"] and row["epoch_choice"] != TEST_BEST}
    best = {row["method"]: row for row in main if row["epoch_choice"] == TEST_BEST}
    gains = {method: gain_of_test_best(row, reported.get(method)) for method, row in best.items()}
    return {method: gain for method, gain in gains.items() if gain is not None}
