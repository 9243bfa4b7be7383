"""Sentences of the verdict, and what one says of a comparison: its difference, form, and chance."""

from typing import NamedTuple

from sert.report.comparing import points_by_seed
from sert.report.format import count, p_value, percent, points, points_interval, unsigned_points
from sert.report.names import Row, listed
from sert.report.rows import is_significant
from sert.tasks.standing import STANDINGS

CAUTION = "Caution"
ONLY_FORM, AT_CHANCE = DOUBTS = ("Only form", "At chance")
"""Labels of significant differences that are no evidence of better answers."""

NEARLY_ALL = 0.95
"""Share of the questions that both sides answered from which on nothing is said of these alone."""


class Statement(NamedTuple):
    """One sentence of the verdict, under a short label."""

    label: str
    text: str


def caution(text: str) -> Statement:
    """Say what not to conclude."""
    return Statement(CAUTION, text)


def compared(row: Row, *, a: str, b: str, about: Row) -> Statement:
    """Say whether the two of a comparison differ, which are called `a` and `b`, on the task of this row of `tasks`."""
    numbers = f"{_numbers(row)}{_by_seed(row)}"
    if row.get("untrained"):
        names = listed([name for name, label in ((a, row["a"]), (b, row["b"])) if label in row["untrained"]])
        text = f"{names} had no examples to train on, so {a} against {b} says nothing of methods ({numbers})."
        return Statement("Not trained", text)
    chance = " Neither is above chance." if row["within_chance"] else ""
    if not is_significant(row):
        found = "These outputs disagree on too few questions for any difference to be found."
        if row["detectable"] is not None:
            size = unsigned_points(row["detectable"])
            found = f"With one seed and before correction one of {size} points would be found four times of five."
        said = f"No difference between {a} and {b} is shown ({numbers}). {found}{_among(row)}{chance}"
        return Statement("Not significant", said)
    if chance:
        by = "over all or among its answers, by 95 % intervals"
        chance = f" Neither is above chance, {by}: {without_student(about)}."
    direction = "more" if row["difference"] > 0 else "less"
    said = f"{a} is right {direction} often than {b} ({numbers})"
    if row["only_form"]:
        return Statement(ONLY_FORM, f"{said}, but that is a difference of form: {_form(row, a=a, b=b)}{chance}")
    return Statement(AT_CHANCE if chance else "Significant", f"{said}.{_among(row)}{chance}")


def _numbers(row: Row) -> str:
    p = p_value(row["p_holm"])
    said = f"{points(row['difference'])} points, 95 % interval {points_interval(row['ci95'])}"
    return f"{said}, Holm-corrected p {p if p.startswith('<') else f'= {p}'}"


def _by_seed(row: Row) -> str:
    if len(row["by_seed"] or []) <= 1:
        return ""
    return f", by seed {points_by_seed(row)}, with other seeds {points_interval(row['ci95_seeds'])}"


def _form(row: Row, *, a: str, b: str) -> str:
    """Say what a difference of form is made of."""
    both = row["both_answered"]
    shares = "; ".join(
        f"{name} {', '.join(percent(row['standings'][side][each]) for each in STANDINGS)}"
        for name, side in ((a, "a"), (b, "b"))
    )
    among = "no question was answered by both."
    if both is not None:
        found = "it goes the other way" if is_significant(both) else "none is shown"
        among = f"among the {count(both['n'])} questions that both answered {found} ({_numbers(both)})."
    return f"{among} Right, wrong, unread and cut, in percent: {shares}."


def _among(row: Row) -> str:
    """Say what the difference is among the questions that both answered, where these are not nearly all."""
    both = row["both_answered"]
    hidden = both is not None and is_significant(both) and not is_significant(row)
    if both is None or (both["share"] >= NEARLY_ALL and not hidden):
        return ""
    said = f" Among the {count(both['n'])} questions that both answered it is {_numbers(both)}"
    return f"{said}; what is unread or cut hides it over all." if hidden else f"{said}."


def without_student(about: Row) -> str:
    """Say how often who knows nothing is right."""
    always = f"always answering “{about['majority_answer']}” scores {percent(about['majority_accuracy'])} %"
    guessing = about["chance_accuracy"]
    return always if guessing is None else f"{always}, guessing {percent(guessing)} %"
