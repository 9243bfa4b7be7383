"""The columns of results, of how outputs stand, and of held-out texts.

A measure of outputs is declared once, in `MEASURES`: its column stands on the page, in Markdown and on the terminal,
and its mean over seeds in `metrics.json`. It is computed by `sert.evaluation.grading.summarize`, or in
`sert.analysis.run_numbers` where that takes more than the predictions.
"""

from collections.abc import Callable
from typing import NamedTuple

from sert.config.grid import MAIN
from sert.report.comparing import BOTH_ANSWERED, DETECTABLE, DIFFERENCE, INTERVAL, P_HOLM, SIGNIFICANT
from sert.report.format import (
    LISTED,
    MISSING,
    by_seed,
    count,
    decimal,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
    spread,
)
from sert.report.names import Row, answered_by, epoch_name, flagged, method_name
from sert.report.table import Column
from sert.tasks.standing import STANDINGS


class Measure(NamedTuple):
    """One number of the outputs of a student.

    Attributes:
        key: Of it in the rows of `metrics.json`.
        heading: Of its column.
        write: Writes it.
        meaning: What the page says that it is.
        with_sd: Whether results show the standard deviation over seeds beside its mean.
        in_short: Whether the terminal shows it of several runs, too; of one run it shows all.
        optional: Whether the column is left out where nothing was measured.
        stands: Whether it says how outputs stand; of the results and of ablations on a terminal, these have a table of
            their own.
    """

    key: str
    heading: str
    write: Callable[[float | None], str]
    meaning: str
    with_sd: bool = False
    in_short: bool = True
    optional: bool = False
    stands: bool = False

    def column(self, *, with_sd: bool, on_terminal: bool = True) -> Column:
        """Make the column of its mean over seeds."""

        def cell(row: Row) -> str:
            measured = row[self.key]
            return spread(measured if with_sd or measured is None else {**measured, "sd": None}, self.write)

        return Column(self.heading, cell, self.key if self.optional else None, on_terminal)

    def column_of_seed(self) -> Column:
        """Make the column of one seed."""
        return Column(self.heading, lambda row: self.write(row[self.key]))


def _tenth(value: float | None) -> str:
    return decimal(value, 1)


MEASURES = (
    Measure(
        "accuracy",
        "Acc %",
        percent,
        "Share of test questions answered correctly, with k right of n. Reads the stated answer, else the first "
        "plausible one.",
        with_sd=True,
    ),
    Measure(
        "accuracy_strict",
        "Strict %",
        percent,
        "Accuracy when only answers count that the output states.",
        with_sd=True,
    ),
    Measure(
        "format",
        "Fmt",
        decimal,
        "Share (0 to 1) of outputs that state their answer, end by themselves and do not repeat severely.",
    ),
    Measure("mean_length", "Len", _tenth, "Mean number of student tokens before the conclusion."),
    Measure("repetition", "Rep", decimal, "Share (0 to 1) of the reasoning's words that repeat an earlier one."),
    Measure(
        "reasoned",
        "Reasoned %",
        percent,
        "Share of outputs that reason before they answer. It judges the form only: wrong reasoning counts too.",
        in_short=False,
    ),
    Measure(
        "true_paths",
        "True paths %",
        percent,
        "Share of outputs whose every step is true. Known only where the task comes with a verifier.",
        in_short=False,
        optional=True,
    ),
    Measure(
        "right",
        "Right %",
        percent,
        "Share of outputs that state the right answer, by the strict reading. With wrong, unread and cut it makes 100.",
        with_sd=True,
        stands=True,
    ),
    Measure("wrong", "Wrong %", percent, "Share of outputs that state another answer.", stands=True),
    Measure(
        "unread",
        "Unread %",
        percent,
        "Share of outputs that end without an answer that can be read; questions too long to be asked are among them.",
        stands=True,
    ),
    Measure("cut", "Cut %", percent, "Share of outputs that reach the longest length without an answer.", stands=True),
    Measure(
        "right_of_answered",
        "Right of answered %",
        percent,
        "How often an output is right where it states an answer. It says what a student knows; the share of all also "
        "how well it keeps to a form.",
        with_sd=True,
        stands=True,
    ),
)
_ACCURACY = MEASURES[0]
_OTHERS = [each for each in MEASURES[1:] if not each.stands]
_STANDINGS = [each for each in MEASURES if each.stands]


def result_columns(*, single: bool) -> list[Column]:
    """List the columns of the results, of one run or of means over several."""
    if single:
        right = [
            Column("k/n", lambda row: f"{row['correct'][0]}/{row['n']}"),
            Column("95 % interval", lambda row: percent_interval(row["interval"])),
        ]
    else:
        right = [
            Column("k by seed / n", right_by_seed),
            Column("95 %, questions", lambda row: percent_interval(row["interval"])),
            Column("95 %, seeds", lambda row: percent_interval((row["accuracy"] or {}).get("ci95")), on_terminal=False),
        ]
    return [
        Column("Method", lambda row: flagged(method_name(row["method"]), row)),
        _ACCURACY.column(with_sd=True),
        *right,
        *(each.column(with_sd=each.with_sd, on_terminal=single or each.in_short) for each in _OTHERS),
    ]


def standing_columns(name: str, cell: Callable[[Row], str], *, single: bool) -> list[Column]:
    """List the columns of how outputs stand, of rows that are named by their first column."""
    return [
        Column(name, cell),
        *(each.column(with_sd=each.with_sd) for each in _STANDINGS),
        Column("k/n" if single else "k/n of answered, by seed", _answered_by_seed, on_terminal=single),
        Column(
            "95 % interval" if single else "95 %, questions", lambda row: percent_interval(row["interval_answered"])
        ),
    ]


def _answered_by_seed(row: Row) -> str:
    """Write how many of the stated answers of each seed are right; of many seeds the fewest and the most."""
    right, answered = row["correct_strict"], row["answered"]
    if len(right) > LISTED:
        return f"{by_seed(right, str)} / {by_seed(answered, str)}"
    return ", ".join(f"{k}/{n}" for k, n in zip(right, answered, strict=True))


def share_columns(name: str, cell: Callable[[Row], str]) -> list[Column]:
    """List the columns of four numbers that are shares with intervals, of sampled paths for instance."""
    return [
        Column(name, cell),
        Column("Outputs", lambda row: count(row["paths"])),
        *(Column(f"{each.capitalize()} %", _share(each)) for each in STANDINGS),
        Column("Stopped %", _share("stopped"), "stopped"),
        Column("Right %, 95 %", _ends("right"), on_terminal=False),
        Column("Right of answered %", _share("right_of_answered")),
        Column("k/n", _hits("right_of_answered"), on_terminal=False),
        Column("95 %", _ends("right_of_answered")),
    ]


def share_in(row: Row, key: str) -> float | None:
    """Take one of four numbers of a row whose numbers are shares with intervals; None where it is none."""
    return (row[key] or {}).get("share")


def _share(key: str) -> Callable[[Row], str]:
    return lambda row: percent(share_in(row, key))


def _ends(key: str) -> Callable[[Row], str]:
    return lambda row: percent_interval(row[key]["ci95"])


def _hits(key: str) -> Callable[[Row], str]:
    return lambda row: f"{count(row[key]['hits'])}/{count(row[key]['of'])}"


def _plain(key: str) -> Callable[[Row], str]:
    return lambda row: percent(row[key])


PLAIN_SHARES = tuple(Column(f"{each.capitalize()} %", _plain(each)) for each in STANDINGS)
"""Four numbers without intervals."""


def right_by_seed(row: Row) -> str:
    """Write how many of n questions each seed got right; of many seeds the fewest and the most."""
    return f"{by_seed(row['correct'], str)} / {row['n']}"


ABLATIONS = (
    Column("Variant", lambda row: flagged(row["name"], row)),
    Column("Epoch", lambda row: epoch_name(row["epoch_choice"]), on_terminal=False),
    _ACCURACY.column(with_sd=True),
    Column("k by seed / n", right_by_seed, on_terminal=False),
    Column("To main, points", lambda row: points(row["difference"])),
    INTERVAL,
    P_HOLM,
    SIGNIFICANT,
    DETECTABLE._replace(on_terminal=False),
    Column("True among selected %", lambda row: percent(row["selected_true"]), "selected_true"),
    *(each.column(with_sd=each.write is percent, on_terminal=False) for each in [*_OTHERS, *_STANDINGS]),
    *(each._replace(on_terminal=False) for each in BOTH_ANSWERED),
)


LIKELIHOOD = (
    Column("Answers of", answered_by),
    _ACCURACY.column(with_sd=True),
    Column("k/n", lambda row: f"{by_seed(row['correct'], str)}/{row['n']}"),
    INTERVAL._replace(cell=lambda row: percent_interval(row["interval"])),
    Column("To written, points", lambda row: points(row["difference"])),
    Column("Its 95 % interval", lambda row: points_interval(row["ci95"])),
    P_HOLM,
)
"""Answers by likelihood, beside those that are written."""

_TRAINED = Column("Method", lambda row: method_name(row["method"]))
ENDINGS = (
    _TRAINED,
    Column("Right endings before %", lambda row: spread(row["accuracy_before"]), "choices"),
    Column("Before, k/n", lambda row: _right_endings(row, "before"), "choices", on_terminal=False),
    Column("Before, 95 %", lambda row: percent_interval(row["interval_before"]), "choices", on_terminal=False),
    Column("Right endings after %", lambda row: spread(row["accuracy_after"]), "choices"),
    Column("After, k/n", lambda row: _right_endings(row, "after"), "choices"),
    Column("After, 95 %", lambda row: percent_interval(row["interval_after"]), "choices"),
    DIFFERENCE._replace(key="choices", on_terminal=False),
    INTERVAL._replace(key="choices", on_terminal=False),
    P_HOLM._replace(key="choices"),
)
PERPLEXITIES = (
    _TRAINED,
    Column("Perplexity before", lambda row: spread(row["perplexity_before"], decimal), "texts"),
    Column("Perplexity after", lambda row: spread(row["perplexity_after"], decimal), "texts"),
    Column("Plain texts", lambda row: count(row["texts"]), "texts", on_terminal=False),
    Column("Perplexity: p, Holm", lambda row: p_value(row["nats_p_holm"]), "texts"),
)
"""What trainings cost on held-out texts: with endings to choose from, and plain ones."""


def _right_endings(row: Row, when: str) -> str:
    correct = row[f"correct_{when}"]
    return MISSING if correct is None else f"{by_seed(correct, str)}/{row['choices']}"


def _name_of_seed(row: Row) -> str:
    name = method_name(row["method"])
    return flagged(name if row["variant"] == MAIN else f"{row['variant']}: {name}", row)


SEEDS = (
    Column("Method", _name_of_seed),
    Column("Seed", lambda row: str(row["seed"])),
    Column("Epoch", lambda row: epoch_name(row["epoch_choice"])),
    _ACCURACY.column_of_seed(),
    Column("k/n", lambda row: f"{row['correct']}/{row['n']}"),
    Column("95 % interval", lambda row: percent_interval(row["ci95"])),
    *(each.column_of_seed() for each in [*_OTHERS, *_STANDINGS]),
    Column("Right of answered, 95 %", lambda row: percent_interval(row["right_of_answered_ci95"])),
    Column("Examples", lambda row: count(row["train_examples"])),
    Column("Steps", lambda row: count(row["train_steps"])),
    Column("Step tested", lambda row: count(row["step"])),
    Column("Votes", lambda row: count(row["votes"])),
)
