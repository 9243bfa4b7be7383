"""Right, wrong, unread, cut: how the outputs of every method stand, and the paths that were sampled."""

from collections.abc import Mapping, Sequence

from sert.report.columns import share_columns, share_in, standing_columns
from sert.report.figures.bars import StandingBar, standing_figure
from sert.report.format import count, percent
from sert.report.names import GROUPS, RULES, Row, flagged, group_name, method_name
from sert.report.parts import CaptionedFigure, ReportSection, TitledTable, by_pair, captioned, filled
from sert.report.rows import Metrics, Pair, about_task, is_single, of_pair, reported_rows, section
from sert.report.sections.results import lines_without_student, overview_table
from sert.report.table import Table, build_table
from sert.tasks.standing import STANDINGS

_SAMPLED = ("decoding", "mined")
_FOLDED = {"rule": "by rule", "branch": "by branch", "budget": "by budget"}
_ORDER = [*GROUPS, *RULES]
_SHARED_OUT = (*STANDINGS, "stopped")


def standing_table(metrics: Metrics, pair: Pair, *, terminal: bool = False) -> Table:
    """Build the table of how outputs stand: a row a method, then the lines that need no student."""
    columns = standing_columns("Method", _method, single=is_single(metrics))
    table = build_table(reported_rows(metrics, pair), columns, terminal=terminal)
    place = table.header.index("Right of answered %")
    for name, share in lines_without_student(about_task(metrics, pair.task)):
        line = [name, share, *[""] * (len(table.header) - 2)]
        line[place] = share
        table.rows.append(tuple(line))
    return table


def _method(row: Row) -> str:
    return flagged(method_name(row["method"]), row)


def sampled_table(metrics: Metrics, pair: Pair, *kinds: str) -> Table:
    """Build the table of how the paths of some groups stand."""
    return build_table(_groups(metrics, pair, *kinds), share_columns("Outputs of", group_name))


def _groups(metrics: Metrics, pair: Pair, *kinds: str) -> list[Row]:
    """Pick the groups of some kinds, in their order. A single budget is that of all paths."""
    rows = [row for row in of_pair(metrics, "standings", pair) if row["of"] in kinds]
    if kinds == ("budget",) and len(rows) < 2:
        return []
    return sorted(rows, key=lambda row: (kinds.index(row["of"]), _rank(row["name"])))


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else 0


def standings_section(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    """Lay out the four numbers of everything that was decoded."""
    notes = [
        "Every output states the right answer, a wrong one, or none that can be read; of these some are cut at their "
        "longest. What an output states is read strictly, while accuracy takes the first plausible answer where none "
        "is stated. A student can be right less often because it knows less, or because it states fewer answers: right "
        "of answered tells the two apart. Intervals are over questions.",
    ]
    if section(metrics, "standings"):
        notes.append("Decodings are of test questions, mined paths of train questions; all seeds are added up.")
    if any(row["stopped"] is not None for pair in pairs for row in of_pair(metrics, "standings", pair)):
        notes.append(
            "Stopped: while mining, since a rule was certain to drop the path, or another one was certain to be "
            "preferred; nobody knows what it would have stated."
        )
    answered = [
        TitledTable(f"{about['task']}: right of answered", overview_table(metrics, about["task"], "right_of_answered"))
        for about in metrics["tasks"]
    ]
    tables = [*filled(answered), *by_pair(pairs, lambda pair: standing_table(metrics, pair))]
    sampled = by_pair(pairs, lambda pair: sampled_table(metrics, pair, *_SAMPLED))
    tables += [each._replace(title=f"{each.title}: sampled") for each in sampled]
    folded = [
        TitledTable(f"{pair.title}: mined paths, {name}", sampled_table(metrics, pair, kind))
        for kind, name in _FOLDED.items()
        for pair in pairs
    ]
    return ReportSection(
        "standings",
        "Right, wrong, unread, cut",
        notes,
        tables=tables,
        figures=[*_of_methods(metrics, pairs), *_of_paths(metrics, pairs)],
        folded=filled(folded),
    )


def _of_methods(metrics: Metrics, pairs: Sequence[Pair]) -> list[CaptionedFigure]:
    bars = {
        pair: [
            StandingBar(_method(row), {each: row[each]["mean"] for each in STANDINGS}, f"{_right_of_answered(row)} %")
            for row in reported_rows(metrics, pair)
        ]
        for pair in pairs
    }
    caption = "Right, wrong, unread and cut, in percent; at the right how often what states an answer is right."
    return _drawn(pairs, bars, name="standings", caption=caption)


def _right_of_answered(row: Row) -> str:
    right = row["right_of_answered"]
    return percent(None if right is None else right["mean"])


def _of_paths(metrics: Metrics, pairs: Sequence[Pair]) -> list[CaptionedFigure]:
    bars = {
        pair: [
            StandingBar(group_name(row), {each: share_in(row, each) for each in _SHARED_OUT}, count(row["paths"]))
            for row in _groups(metrics, pair, *_SAMPLED, "rule", "branch")
        ]
        for pair in pairs
    }
    caption = "The same of what was sampled; at the right the number of outputs."
    return _drawn(pairs, bars, name="sampled", caption=caption)


def _drawn(
    pairs: Sequence[Pair], bars: Mapping[Pair, Sequence[StandingBar]], *, name: str, caption: str
) -> list[CaptionedFigure]:
    figures = {pair: standing_figure(groups) for pair, groups in bars.items() if groups}
    return captioned(pairs, figures, name=name, caption=caption)
