"""What the report calls methods, rules, epochs, bands and scorers. A name that is not known is kept as it is."""

from collections.abc import Mapping
from typing import Any

from sert.report.format import MISSING

Row = Mapping[str, Any]

LAST, DEV, TEST_BEST, COMPAT = "last", "dev", "test-best", "compat"

METHODS = {
    "zero_shot": "Zero-shot",
    "finetune": "Finetune",
    "sert": "SERT",
    "rd": "RD",
    "sert+rd": "SERT+RD",
}
RULES = {
    "mined": "mined",
    "imitation": "imitates the question format",
    "option_repetition": "only lists the options",
    "direct_response": "answers without reasoning",
    "length": "too short",
    "repetition": "too repetitive",
    "perplexity": "perplexity too low",
    "high_perplexity": "perplexity too high",
    "unfinished": "breaks off within a sentence",
    "outrun": "stopped: another path was better",
    "rejected": "cut short while mining",
    "selected": "selected",
}
AFTER = {
    "mined": "mined",
    "imitation": "+ imitation",
    "option_repetition": "+ option lists",
    "direct_response": "+ direct answers",
    "length": "+ length",
    "repetition": "+ repetition",
    "perplexity": "+ perplexity",
    "high_perplexity": "+ high perplexity",
    "selected": "selected",
}
EPOCHS = {LAST: "last epoch", DEV: "chosen on dev", TEST_BEST: "best on test"}
PATH_MEASURES = {
    "true_share": "share that is true",
    "questions_true": "at least one is true",
    "questions_kept": "at least one is kept",
}
ANSWERED_BY = {
    "generated": "as written",
    "cloze": "most probable words, a character",
    "cloze_raw": "most probable words, their sum",
    "letter": "most probable letter",
}
GROUPS = {"all": "mined", "kept": "mined, kept", "dropped": "mined, dropped", "selected": "mined, selected"}
SCORERS = {"verifier": "the verifier", "judge": "the judge"}


def method_name(method: str) -> str:
    """Name a method for people."""
    return METHODS.get(method, method)


def answered_by(row: Row) -> str:
    """Name a method with the way in which its answers are found."""
    return f"{method_name(row['method'])}, {ANSWERED_BY.get(row['measure'], row['measure'])}"


def comparison_name(row: Row) -> str:
    """Name a comparison by its two methods."""
    return f"{method_name(row['a'])} against {method_name(row['b'])}"


def variants_name(row: Row) -> str:
    """Name a comparison by its two variants and their method."""
    return f"{row['a']} against {row['b']}, {method_name(str(row['method']))}"


def rule_name(rule: str) -> str:
    """Say in words why a rule drops a path."""
    return RULES.get(rule, rule)


def group_name(row: Row) -> str:
    """Name a group of outputs whose standing is told."""
    kind, name = row["of"], str(row["name"])
    if kind == "mined":
        return GROUPS.get(name, name)
    if kind == "rule":
        return f"dropped: {rule_name(name)}"
    return f"branch {name}" if kind == "branch" else name


def after_name(rule: str) -> str:
    """Name a step of the filter as what it adds to those before it."""
    return AFTER.get(rule, f"+ {rule}")


def epoch_name(choice: str | None) -> str:
    """Name a way of choosing the epoch; an untrained student has none."""
    return MISSING if choice is None else EPOCHS.get(choice, choice)


def epoch_heading(choice: str) -> str:
    """Name what a way of choosing the epoch comes to, as a heading over accuracies."""
    return f"{epoch_name(choice)} %{' (too good)' if choice == TEST_BEST else ''}"


def band_name(band: str) -> str:
    """Write a band of scores with a dash."""
    return band.replace("-", "–")  # noqa: RUF001


def bin_name(low: float, high: float | None, *, in_percent: bool = False) -> str:
    """Write a bin's ends, as they are or in percent; one without an upper end is open."""
    scale, unit = (100, " %") if in_percent else (1, "")
    if high is None:
        return f"{scale * low:g}{unit} or more"
    return f"{scale * low:g} to {scale * high:g}{unit}"


def scored_by(row: Row) -> str:
    """Say who gave a score, and by which criterion; a verifier has none."""
    name = SCORERS.get(row["scorer"], str(row["scorer"]))
    criterion = row.get("criterion")
    return f"{name}, {criterion.replace('_', ' ')}" if criterion else name


def marks_of(row: Row) -> str:
    """Name what sets a row's numbers apart; empty for others.

    That is a student without examples to train on, an epoch chosen on the test set, the earlier harness.
    """
    reasons = [TEST_BEST] * (row["epoch_choice"] == TEST_BEST) + [COMPAT] * (row["harness"] == COMPAT)
    if untrained := row.get("untrained"):
        some = f" with {untrained} of {row['seeds']} seeds" if untrained < row["seeds"] else ""
        reasons.insert(0, f"not trained{some}")
    return ", ".join(reasons)


def flagged(name: str, row: Row) -> str:
    """Write a name with how many outputs a question vote, if several, and with what sets its numbers apart.

    Those of an epoch chosen on the test set are too good.
    """
    votes, marks = row.get("votes") or 1, marks_of(row)
    name = f"{name} [{votes} votes]" if votes > 1 else name
    return f"{name} ({marks}{': too good' if TEST_BEST in marks else ''})" if marks else name


def listed(names: list[str]) -> str:
    """Join names as a sentence does."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
