"""What the paths show: latent reasoning, first tokens, budgets, the filter and the selection."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from sert.config.grid import MAIN
from sert.report.figures.bars import (
    bands_figure,
    budget_figure,
    filtering_figure,
    first_token_bins_figure,
    first_token_figure,
    funnel_figure,
    latent_figure,
)
from sert.report.judging import judge_warnings
from sert.report.names import Row, scored_by
from sert.report.parts import CaptionedFigure, ReportSection, drawn_section, file_names, joined
from sert.report.rows import Metrics, Pair, of_pair, section
from sert.report.sections.numbers import number_table, numbers_behind

_BARS = "Upper, blue bars: share of {}; lower, orange bars: share of questions with at least one such {}."


def path_sections(metrics: Metrics, pairs: Sequence[Pair]) -> list[ReportSection]:
    """Lay out these sections, the empty ones too."""
    made = (_latent, _first_tokens, _budget, _funnel, _filtering, _selection)
    return [make(metrics, pairs) for make in made]


def _scored(
    metrics: Metrics, pairs: Sequence[Pair], rows: str, *, caption: str, draw: Callable[[list[Row]], Figure]
) -> list[CaptionedFigure]:
    """Draw the rows of each pair, a figure for each who scored and each criterion."""
    parts: dict[tuple[str, str], list[Row]] = {}
    for pair in pairs:
        for row in of_pair(metrics, rows, pair):
            parts.setdefault((pair.title, scored_by(row)), []).append(row)
    names = file_names(f"{title} {scorer}" for title, scorer in parts)
    return [
        CaptionedFigure(f"{rows}-{names[f'{title} {scorer}']}", f"{title}, scored by {scorer}", caption, draw(each))
        for (title, scorer), each in parts.items()
    ]


def _judge_warnings(metrics: Metrics, rows: str) -> list[str]:
    """Warn of judges whose scores a section shows."""
    judged = any(row["scorer"] == "judge" for row in section(metrics, rows))
    return judge_warnings(section(metrics, "judged")) if judged else []


def _diamonds(metrics: Metrics, rows: str) -> str:
    known = any(row["true_share"] is not None for row in section(metrics, rows))
    return " Diamonds: the share of them that is true." if known else ""


def _latent(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    about = {
        "latent": "How often the untrained student reasons when it is decoded greedily, sampled, or branched on its "
        "first token, and how often the SERT student does under greedy decoding.",
        "bands": "Share of questions with at least one path in each band of scores (0 to 10), by where the paths come "
        "from: one branch of the first token, all branches together, or sampling without branches. The paper's "
        "figure 1.",
    }
    notes = [note for rows, note in about.items() if section(metrics, rows)]
    caption = f"Reasoning before the answer. {_BARS.format('all outputs', 'output')}"
    figures = drawn_section(metrics, pairs, "latent", caption=caption, draw=latent_figure)
    caption = "Percentage of questions; a column is a band of scores."
    figures += _scored(metrics, pairs, "bands", caption=caption, draw=bands_figure)
    tables = numbers_behind(metrics, pairs, latent="")
    folded = numbers_behind(metrics, pairs, bands=": scores")
    notes += _judge_warnings(metrics, "bands")
    return ReportSection("latent", "Latent reasoning", notes, tables=tables, figures=figures, folded=folded)


def _first_tokens(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    notes = ["How many paths the filter keeps, by the student's probability of the token that the path begins with."]
    caption = "Share of each branch's paths that is kept; in brackets the mean probability of its first token."
    caption += _diamonds(metrics, "first_tokens")
    figures = drawn_section(metrics, pairs, "first_tokens", caption=caption, draw=first_token_figure)
    caption = "Share of paths that is kept, by the probability of their first token; at the right the number of paths."
    figures += drawn_section(metrics, pairs, "first_token_bins", caption=caption, draw=first_token_bins_figure)
    folded = numbers_behind(metrics, pairs, first_tokens=": branches", first_token_bins=": probabilities")
    return ReportSection("first-tokens", "First tokens", notes, figures=figures, folded=folded)


def _budget(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    title, note = "Mined paths", "What the mined paths are worth."
    if any(row["variant"] != MAIN for row in section(metrics, "budget")):
        title, note = "Equal budgets", "The same number of paths a question, spent on branches or on samples."
    tables = joined(pairs, lambda pair: number_table(metrics, pair, "budget"))
    tables += joined(pairs, lambda pair: number_table(metrics, pair, "paths", a="main"))
    caption = _BARS.format("paths kept", "path")
    figures = drawn_section(metrics, pairs, "budget", caption=caption, draw=budget_figure)
    return ReportSection("budget", title, [note], tables=tables, figures=figures)


def _funnel(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    notes = ["What is left of the mined paths of all seeds after each rule, in the order in which the rules are asked."]
    caption = f"Paths that are left: their number, and their share as bars.{_diamonds(metrics, 'funnel')}"
    figures = drawn_section(metrics, pairs, "funnel", caption=caption, draw=funnel_figure)
    tables = joined(pairs, lambda pair: number_table(metrics, pair, "limits"))
    folded = numbers_behind(metrics, pairs, funnel="")
    return ReportSection("funnel", "Filter", notes, tables=tables, figures=figures, folded=folded)


def _filtering(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    notes = ["Scores of the paths that are left as the rules are added. The paper's figure 4."]
    notes += _judge_warnings(metrics, "filtering")
    caption = "Share of the paths in each band of scores, in percent; at the right their mean score."
    figures = _scored(metrics, pairs, "filtering", caption=caption, draw=filtering_figure)
    folded = numbers_behind(metrics, pairs, filtering="")
    return ReportSection("filtering", "Scores after each rule", notes, figures=figures, folded=folded)


def _selection(metrics: Metrics, pairs: Sequence[Pair]) -> ReportSection:
    notes = [
        "One of each question's surviving paths is trained on, the least repetitive unless selection.order says "
        "otherwise, followed by the gold answer, whatever the path itself concludes. Counted over all seeds.",
    ]
    tables = joined(pairs, lambda pair: number_table(metrics, pair, "selection"))
    tables += joined(pairs, lambda pair: number_table(metrics, pair, "paths", a="selected"))
    return ReportSection("selection", "Selection", notes, tables=tables)
