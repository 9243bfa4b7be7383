"""The tables of a prospect's page."""

from collections.abc import Mapping, Sequence
from typing import Any

from sert.report.columns import share_columns
from sert.report.format import MISSING, count, p_value, percent, percent_interval, points, points_interval
from sert.report.names import Row, rule_name
from sert.report.prospect.names import MEASURES, look_name, number
from sert.report.table import Table, build_table
from sert.tasks.standing import STANDINGS

Numbers = Mapping[str, Any]

_FINDINGS = {"better": "right more often", "worse": "right less often", None: "cannot be told"}


def decoding_table(numbers: Numbers, *, terminal: bool = False) -> Table:
    """Lay out how the outputs of each decoding stand."""
    rows = [{**row, "stopped": None} for row in numbers["decodings"]]
    return build_table(rows, share_columns("Decoding", lambda row: str(row["decoding"])), terminal=terminal)


_ANSWERED = ("Right of answered %", "k/n", "95 %")


def _answered(row: Row) -> tuple[str, str, str]:
    right = row["right_of_answered"]
    return percent(right["share"]), f"{count(right['hits'])}/{count(right['of'])}", percent_interval(right["ci95"])


def pass_table(numbers: Numbers) -> Table:
    """Lay out pass@k, a row for each k."""
    rows, names = numbers["pass_at_k"], list(dict.fromkeys(row["decoding"] for row in numbers["pass_at_k"]))
    cells = {(row["k"], row["decoding"]): row for row in rows}
    guessed = [name for name in names if any(row["guessing"] is not None for row in rows if row["decoding"] == name)]
    header = ["k"]
    for name in names:
        header += [f"{name.capitalize()} %", "95 %", *(["Guessing as often %"] if name in guessed else [])]
    lines = []
    for k in sorted({row["k"] for row in rows}):
        line = [str(k)]
        for name in names:
            row = cells.get((k, name), {"share": None, "ci95": None, "guessing": None})
            line += [percent(row["share"]), percent_interval(row["ci95"])]
            line += [percent(row["guessing"])] if name in guessed else []
        lines.append(tuple(line))
    return Table(tuple(header), lines)


def look_table(rows: Sequence[Row]) -> Table:
    """Lay out both sides of some looks and what can be told of them."""
    header = (
        "Paths",
        "Against the others",
        "Number",
        *(f"{each.capitalize()} %" for each in STANDINGS),
        *_ANSWERED,
        "Others: right of answered %",
        "Difference, points",
        "95 %",
        "p, Holm",
        "Over all paths, points",
        "p, Holm",
    )
    return Table(header, [_look(row) for row in rows])


def _look(row: Row) -> tuple[str, ...]:
    inside, answered, over_all = row["inside"], row["difference"]["right_of_answered"], row["difference"]["right"]
    return (
        look_name(row),
        _told(row) + (", within chance" if row["within_chance"] else ""),
        count(inside["paths"]),
        *(percent(inside[each]["share"]) for each in STANDINGS),
        *_answered(inside),
        percent(row["outside"]["right_of_answered"]["share"]),
        *_difference(answered),
        MISSING if answered is None else p_value(answered["p_holm"]),
        points(None if over_all is None else over_all["difference"]),
        MISSING if over_all is None else p_value(over_all["p_holm"]),
    )


def _told(row: Row) -> str:
    if row["finding"] == "stated":
        return "more answers" if row["difference"]["right"]["difference"] > 0 else "fewer answers"
    return _FINDINGS[row["finding"]]


def _difference(row: Row | None) -> tuple[str, str]:
    return (MISSING, MISSING) if row is None else (points(row["difference"]), points_interval(row["ci95"]))


def rule_table(numbers: Numbers) -> Table:
    """Lay out the part of each rule."""
    header = (
        "A path is dropped if it",
        "Setting",
        "Drops, alone",
        "% of paths",
        "Drops, as the first",
        "Only it drops",
    )
    paths = numbers["rules"]["paths"]
    rows: list[tuple[str, ...]] = [
        (
            {"length": "is too short", "repetition": "is too repetitive", "perplexity": "has too low a perplexity"}.get(
                row["rule"], rule_name(row["rule"])
            ),
            f"{row['setting']} = {str(row['value']).lower()}",
            count(row["dropped_alone"]),
            percent(row["dropped_alone"] / paths),
            count(row["dropped_first"]),
            count(row["dropped_only"]),
        )
        for row in numbers["rules"]["by_rule"]
    ]
    return Table(header, rows)


def threshold_table(numbers: Numbers) -> Table:
    """Lay out the percentiles of what the rules measure, and where their thresholds lie."""
    rows = numbers["thresholds"]
    names = list(rows[0]["percentiles"]) if rows else []
    header = (
        "Measured",
        "Threshold now",
        "Paths below %",
        "Paths above %",
        *(f"p{name}" for name in names),
        "Drops a quarter",
    )
    lines = [
        (
            MEASURES.get(row["measure"], row["measure"]),
            f"{row['setting']} = {row['value']:g}",
            percent(row["below"]),
            percent(row["above"]),
            *(number(row["measure"], value) if value is not None else MISSING for value in row["percentiles"].values()),
            MISSING if row["suggested"] is None else f"{row['setting']} = {_plain(row)}",
        )
        for row in rows
    ]
    return Table(header, lines)


def _plain(row: Row) -> str:
    return f"{row['suggested']:.0f}" if row["measure"] == "num_tokens" else f"{row['suggested']:.3g}"
