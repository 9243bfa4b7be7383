"""What a student knows by likelihood beside what it writes, in words and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sert.report.format import MISSING, count, p_value, percent, percent_interval, points, points_interval
from sert.report.names import ANSWERED_BY, Row
from sert.report.statements import Statement
from sert.report.table import Table
from sert.tasks.possible import LETTER

Numbers = Mapping[str, Any]

_MOSTLY = 0.5
"""Share of greedy outputs that are cut, or state no answer, from which on that is what stands in the way."""
_SHOWING = "tasks.<name>.prompts.choices_as"
_OTHERWISE = {"lettered": "none", "listed": "none", "none": "listed"}


def knowledge_statement(numbers: Numbers) -> Iterator[Statement]:
    """Say whether the student knows more than it writes; nothing where that was not asked for."""
    rows = numbers["likelihood"]
    if rows is None:
        return
    if not rows:
        said = "Not scored: answers that are numbers or free texts are no closed set, among which one could be chosen."
        yield Statement("By likelihood", said)
        return
    written, *others = rows
    closed = written["right"]["of"]
    of = "" if closed == numbers["questions"]["asked"] else f" (of {count(closed)} with a closed set of answers)"
    shares = "; ".join(f"{ANSWERED_BY[row['measure']]} {_share(row)}" for row in (*others, written))
    said = f"Right{of}: {shares}; chance {percent(written['chance'])} %. {_meaning(numbers)}"
    yield Statement("By likelihood", said)


def more_than_written(numbers: Numbers) -> Iterator[str]:
    """Say for the verdict that the student knows more than it writes, where it does."""
    knows, rows = numbers["verdict"]["knows"], numbers["likelihood"]
    if knows is not None and knows["level"] == "more":
        known, written = (percent(row["right"]["share"]) for row in (rows[knows["place"]], rows[0]))
        yield f"But by likelihood {known} % are right, written {written} %: it knows more than it writes, see below."


def _meaning(numbers: Numbers) -> str:
    knows, rows = numbers["verdict"]["knows"], numbers["likelihood"]
    if knows["level"] == "more":
        best = rows[knows["place"]]
        gap = f"{points(best['difference']['difference'])} points ({points_interval(best['difference']['ci95'])})"
        return f"It knows more than it writes, by {gap}: {_advice(numbers)}."
    if knows["level"] == "written":
        return "What it writes is right more often than what it finds the most probable: writing helps it."
    if knows["level"] == "alike":
        return "By likelihood it is above chance, but not above what it writes, as far as can be told."
    if rows[0]["right"]["of"] < numbers["verdict"]["fewest_questions"]:
        return "These are too few questions to tell more."
    if rows[0]["above_chance"]:
        return "By likelihood it is not above chance, but what it writes is: writing helps it."
    shown = numbers["questions"]["choices_as"]
    otherwise = "" if shown is None else f'; before you give it up, ask with {_SHOWING} = "{_OTHERWISE[shown]}"'
    return f"Neither is above chance: as it is asked, nothing shows that it can do this task{otherwise}."


def _advice(numbers: Numbers) -> str:
    """Say what may bring out what it knows, by how its prompts show the choices and what its outputs lack."""
    greedy, rows = numbers["decodings"][-1], {row["measure"]: row for row in numbers["likelihood"]}
    if LETTER in rows and not rows[LETTER]["above_chance"]:
        return (
            f'it goes by the words, not by the letters; ask without letters or options ({_SHOWING} = "listed", "none")'
        )
    if numbers["questions"]["choices_as"] == "none":
        return f'it is shown no options, and so can hardly write one as it stands; show them ({_SHOWING} = "listed")'
    if (greedy["cut"]["share"] or 0.0) >= _MOSTLY:
        return "most outputs are cut before they state an answer; raise mining.max_new_tokens"
    why = "most outputs state no answer that can be read" if _is_silent(greedy) else "what it writes leads it astray"
    return f"{why}; look at the examples, and change how it is asked (tasks.<name>.prompts, student.prompt)"


def _is_silent(greedy: Row) -> bool:
    return 1 - (greedy["answered"]["share"] or 0.0) >= _MOSTLY


def _share(row: Row) -> str:
    right = row["right"]
    ends = "" if right["ci95"] is None else f" ({percent_interval(right['ci95'])} %)"
    return f"{percent(right['share'])} %{ends}"


def knowledge_table(rows: Sequence[Row]) -> Table:
    """Lay out how often the most probable answer is right, beside the written one and chance."""
    header = ("Answer", "Right %", "k/n", "95 %", "Chance %", "Against as written, points", "95 %", "p, Holm")
    return Table(header, [_line(row) for row in rows])


def _line(row: Row) -> tuple[str, ...]:
    right, difference = row["right"], row["difference"]
    return (
        ANSWERED_BY[row["measure"]],
        percent(right["share"]),
        f"{count(right['hits'])}/{count(right['of'])}",
        percent_interval(right["ci95"]),
        percent(row["chance"]),
        MISSING if difference is None else points(difference["difference"]),
        MISSING if difference is None else points_interval(difference["ci95"]),
        MISSING if difference is None else p_value(difference["p_holm"]),
    )
