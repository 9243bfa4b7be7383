"""What texts gain: how much they raise the likelihood of the gold answer, and which paths do."""

from collections.abc import Callable, Sequence

from sert.report.comparing import P_HOLM
from sert.report.format import MISSING, count, interval_of, p_value, percent, percent_interval, points, with_sign
from sert.report.names import Row, method_name
from sert.report.parts import ReportSection, TitledTable, by_pair
from sert.report.prospect.names import look_name
from sert.report.rows import Metrics, Pair, of_pair
from sert.report.table import Column, Table, build_table

_SOURCES = {"paths": "Mined paths", "rationales": "Rationales"}
_SELECTED = {"selected": "selected", "selected_by_gain": "selected by gain"}
_PARTS = {
    "all": "",
    "kept": ", kept",
    **{part: f", {name}" for part, name in _SELECTED.items()},
    "reasoned": ", that reason",
    "right": ", right ones",
}
_DIGITS = 3


def _texts(row: Row) -> str:
    source = _SOURCES.get(row["source"]) or f"Outputs of {method_name(row['source'])}"
    return f"{source}{_PARTS.get(row['part'], ', ' + str(row['part']))}"


def _nats(value: float | None) -> str:
    return with_sign(value, _DIGITS)


def _agreement(side: Row) -> str:
    agree = side["agree"]
    return f"{percent(agree['share'])} ({count(agree['hits'])}/{count(agree['of'])})" if agree["of"] else MISSING


PARTS = (
    Column("Texts", _texts),
    Column("Number", lambda row: count(row["texts"])),
    Column("Questions", lambda row: count(row["questions"]), on_terminal=False),
    Column("Gain, nats", lambda row: _nats(row["nats"])),
    Column("95 % interval", lambda row: interval_of(row["ci95"], _nats)),
    P_HOLM,
    Column("Gold most probable behind %", lambda row: percent(row["right"]["share"])),
    Column("Its 95 %", lambda row: percent_interval(row["right"]["ci95"]), on_terminal=False),
    Column("and without %", lambda row: percent(row["right_without"]["share"])),
    Column("Its p, Holm", lambda row: p_value(row["right_p_holm"]), on_terminal=False),
    Column("Stated answer is gold %", _agreement, on_terminal=False),
)
LOOKS = (
    Column("Paths", lambda row: _SELECTED.get(row["kind"]) or look_name(row)),
    Column("Number", lambda row: count(row["inside"]["texts"])),
    Column("Gain, nats", lambda row: _nats(row["inside"]["nats"])),
    Column("95 % interval", lambda row: interval_of(row["inside"]["ci95"], _nats)),
    Column("Others, nats", lambda row: _nats(row["outside"]["nats"])),
    Column("Difference within questions, nats", lambda row: _difference(row, "nats", _nats)),
    Column("p, Holm", lambda row: _p_holm(row, "nats")),
    Column("Gold most probable behind %", lambda row: percent(row["inside"]["right"]["share"])),
    Column("Stated answer is gold %", lambda row: _agreement(row["inside"])),
    Column("Others %", lambda row: percent(row["outside"]["agree"]["share"])),
    Column("Difference, points", lambda row: _difference(row, "agree", points)),
    Column("Its p, Holm", lambda row: _p_holm(row, "agree")),
)


def _difference(row: Row, measure: str, write: Callable[[float | None], str]) -> str:
    found = row["difference"][measure]
    return MISSING if found is None else f"{write(found['difference'])} ({interval_of(found['ci95'], write)})"


def _p_holm(row: Row, measure: str) -> str:
    found = row["difference"][measure]
    return MISSING if found is None else p_value(found["p_holm"])


def gain_table(metrics: Metrics, pair: Pair, *, terminal: bool = False) -> Table:
    """Lay out what paths, outputs and rationales gain."""
    return build_table(of_pair(metrics, "gain", pair), PARTS, terminal=terminal)


def gain_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out what texts gain, and the paths by rule, branch, band and selection."""
    notes = [
        "Gain: how much a text raises the log-probability of the gold answer behind it, in nats; a student scores its "
        "own paths and outputs, the first student the rationales. It looks at the gold answer, and a text that states "
        "an answer early raises that one. Most probable: of the possible answers, a character. Tested, question by "
        "question: is the mean gain 0, and is gold the most probable as often without the texts? Paths that were "
        "selected by gain are not, theirs is large by design. Beside it: how often the answer that a text states is "
        "gold, of those that state one.",
    ]
    folded = [
        TitledTable(
            f"{pair.title}: paths by rule, branch, band and selection",
            build_table(rows, LOOKS),
            [
                "Each line against all other paths with a gain, within questions that have both. Paths that were "
                "stopped early have none. Holm's correction is for all comparisons of these tables."
            ],
        )
        for pair in pairs
        if (rows := of_pair(metrics, "gain_looks", pair))
    ]
    tables = by_pair(pairs, lambda pair: gain_table(metrics, pair))
    return ReportSection("gain", "Gain", notes, tables=tables, folded=folded)
