"""The figures that have a row for each thing compared: dots with intervals, bars, stacked bars."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from sert.config.grid import MAIN
from sert.judge.prompt import CRITERIA
from sert.report.figures.style import (
    BLUE,
    FONT_SIZE,
    FRAME_HEIGHT,
    GREEN,
    INK,
    ROW_HEIGHT,
    VERMILION,
    blank,
    dress,
    label_rows,
    legend,
    margin,
    panel,
    short,
    style_of,
    upper_end,
)
from sert.report.format import MINUS, MISSING, count, decimal, percent, points
from sert.report.names import Row, after_name, bin_name, marks_of, method_name, rule_name

Rows = Sequence[Row]

_LIGHT_BLUE = "#6aaed6"
_SOURCES = {"all branches": BLUE, "raw sampling": VERMILION, "raw sampling, SERT student": GREEN}
_SHORT_SOURCES = {"raw sampling, SERT student": "raw, SERT student"}
# From low scores to high ones; each with the text colour that has the higher contrast on it.
_BANDS = ((VERMILION, "black"), ("#e8a26b", "black"), ("#a0a0a0", "black"), (_LIGHT_BLUE, "black"), (BLUE, "white"))
_MIN_WRITTEN = 0.07  # narrower segments have no room for their number


def accuracy_figure(rows: Rows, *, majority: float | None) -> Figure:
    """Draw each method's mean accuracy with its interval, its seeds as small dots below, and the majority line.

    Args:
        rows: Rows of the summary, each with its `interval` over questions.
        majority: Accuracy of always giving the most frequent answer.
    """
    figure, axes = panel([_name(row) for row in rows], row_height=1.25 * ROW_HEIGHT)
    ends = [] if majority is None else [majority]
    for place, row in enumerate(rows):
        seeds = [correct / row["n"] for correct in row["correct"]]
        axes.plot(seeds, [place + 0.27] * len(seeds), color=BLUE, linestyle="none", marker="o", markersize=3)
        ends += seeds
        if row["accuracy"] is not None:
            ends += _dot(axes, place, row["accuracy"]["mean"], row["interval"])
            margin(axes, place, f"{percent(row['accuracy']['mean'])} %")
    if majority is not None:
        axes.axvline(majority, color=VERMILION, linestyle=(0, (5, 3)), linewidth=1.5)
    if ends:
        axes.set_xlim(max(min(ends) - 0.02, -0.02), min(max(ends) + 0.02, 1.02))
    return figure


def _name(row: Row) -> str:
    name = method_name(row["method"])
    return f"{name} ({marks_of(row)})" if marks_of(row) else name


def difference_figure(rows: Rows, *, names: Sequence[str], significant: Iterable[bool]) -> Figure:
    """Draw differences with their intervals around 0; those that are not significant are hollow.

    Args:
        rows: Comparisons.
        names: What each is called.
        significant: Whether each is.
    """
    figure, axes = panel(names)
    axes.axvline(0, color=INK, linewidth=1)
    for place, (row, filled) in enumerate(zip(rows, significant, strict=True)):
        if row["difference"] is not None:
            _dot(axes, place, row["difference"], row["ci95"], filled=filled)
        margin(axes, place, points(row["difference"]))
    axes.xaxis.set_major_formatter(FuncFormatter(_points_tick))
    return figure


def _points_tick(difference: float, _place: int | None = None) -> str:
    return f"{round(100 * difference, 4):+.4g}".replace("-", MINUS) if difference else "0"


def _dot(
    axes: Axes, place: float, value: float, interval: Sequence[float] | None, *, filled: bool = True
) -> list[float]:
    """Draw a value and its interval; return what has to be in sight."""
    if interval is not None:
        axes.plot(interval, [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
        axes.plot(interval, [place, place], color=BLUE, linestyle="none", marker="|", markersize=9)
    face = BLUE if filled else "white"
    axes.plot(value, place, color=BLUE, marker="o", markersize=7, markerfacecolor=face, markeredgewidth=1.5)
    return [value, *(interval or ())]


def bands_figure(rows: Rows) -> Figure:
    """Draw the percentage of questions with a path in each band of scores (columns), by source of the paths (rows)."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    bands = list(dict.fromkeys(row["band"] for row in rows))
    share = {(row["source"], row["band"]): row["share"] for row in rows}
    figure = blank(height=FRAME_HEIGHT + 0.27 * len(sources))
    columns = figure.subplots(1, len(bands), sharey=True, squeeze=False)[0]
    for axes, band in zip(columns, bands, strict=True):
        dress(axes, sides=())
        axes.set_title(short(band), color=INK, fontsize=FONT_SIZE, loc="left", parse_math=False)
        for place, source in enumerate(sources):
            value = share.get((source, band))
            axes.barh(place, value or 0, height=0.66, color=_SOURCES.get(source, _LIGHT_BLUE))
            _beside(axes, value, place)
        axes.set_xlim(0, 1.4 * upper_end(share.values()))
        axes.xaxis.set_major_locator(NullLocator())
        axes.tick_params(axis="y", length=0)
    label_rows(columns[0], [_SHORT_SOURCES.get(source, source) for source in sources])
    return figure


def _beside(axes: Axes, value: float | None, place: float) -> None:
    """Write a share at the end of its bar."""
    text = MISSING if value is None else f"{100 * value:.0f}"
    axes.annotate(
        text, (value or 0, place), (3, 0), textcoords="offset points", va="center", color=INK, fontsize=FONT_SIZE - 1
    )


def filtering_figure(rows: Rows) -> Figure:
    """Draw how the scores of the paths that are left are spread over the bands, a bar a step of the filter."""
    steps = list(dict.fromkeys(row["after"] for row in rows))
    bands = list(dict.fromkeys(row["band"] for row in rows))
    figure, axes = panel([after_name(step) for step in steps])
    figure.set_figheight(figure.get_figheight() + ROW_HEIGHT)
    for place, step in enumerate(steps):
        of_step = {row["band"]: row for row in rows if row["after"] == step}
        left = 0.0
        for number, band in enumerate(bands):
            width = of_step[band]["share"] if band in of_step else None
            fill, ink = _BANDS[min(number, len(_BANDS) - 1)]
            axes.barh(place, width or 0, left=left, height=0.72, color=fill)
            if width is not None and width >= _MIN_WRITTEN:
                middle = left + width / 2
                axes.annotate(
                    f"{100 * width:.0f}", (middle, place), ha="center", va="center", color=ink, fontsize=FONT_SIZE - 1
                )
            left += width or 0
        margin(axes, place, decimal(next(iter(of_step.values()))["mean_score"], 1))
    axes.set_xlim(0, 1)
    colors = [_BANDS[min(number, len(_BANDS) - 1)][0] for number in range(len(bands))]
    legend(figure, [(Patch(color=color), band) for color, band in zip(colors, bands, strict=True)])
    return figure


def funnel_figure(rows: Rows) -> Figure:
    """Draw the share of mined paths left after each rule (bars) and the share of those that is true (diamonds)."""
    labels = [rule_name(row["rule"]) for row in rows]
    return _share_bars(rows, labels, "share", [count(row["remaining"]) for row in rows], end=1.02)


def first_token_figure(rows: Rows) -> Figure:
    """Draw the share of each branch's paths that is kept (bars) and that is true (diamonds)."""
    labels = [f"branch {row['branch']} ({percent(row['mean_probability'])} %)" for row in rows]
    kept = [f"{percent(row['kept_share'])} %" for row in rows]
    return _share_bars(rows, labels, "kept_share", kept)


def first_token_bins_figure(rows: Rows) -> Figure:
    """Draw the share of paths that is kept by the probability of their first token, and the number of paths."""
    labels = [bin_name(row["low"], row["high"], in_percent=True) for row in rows]
    return _share_bars(rows, labels, "kept_share", [count(row["paths"]) for row in rows])


def _share_bars(
    rows: Rows, labels: Sequence[str], key: str, margins: Sequence[str], *, end: float | None = None
) -> Figure:
    """Draw a share of each row as a bar, and the share that is true as a diamond where it is known."""
    figure, axes = panel(labels)
    for place, (row, text) in enumerate(zip(rows, margins, strict=True)):
        axes.barh(place, row[key] or 0, height=0.62, color=BLUE)
        if row.get("true_share") is not None:
            axes.plot(row["true_share"], place, color=VERMILION, marker="D", markersize=7, markeredgecolor="white")
        margin(axes, place, text)
    axes.set_xlim(0, end or upper_end(row.get(each) for row in rows for each in (key, "true_share")))
    return figure


def budget_figure(rows: Rows) -> Figure:
    """Draw, for each way to spend a budget, the share of paths kept (upper) and of questions with one (lower)."""
    return _pairs_of_bars(rows, [_budget_name(row) for row in rows], "kept_share", "questions_kept_share")


def latent_figure(rows: Rows) -> Figure:
    """Draw how often each decoding reasons: of all outputs (upper), of questions with at least one such (lower)."""
    labels = [str(row["decoding"]) for row in rows]
    return _pairs_of_bars(rows, labels, "reasoned_share", "questions_reasoned_share")


def _pairs_of_bars(rows: Rows, labels: Sequence[str], upper: str, lower: str) -> Figure:
    figure, axes = panel(labels, row_height=2 * ROW_HEIGHT)
    for place, row in enumerate(rows):
        for offset, key, color in ((-0.19, upper, BLUE), (0.19, lower, VERMILION)):
            axes.barh(place + offset, row[key] or 0, height=0.34, color=color)
            margin(axes, place + offset, f"{percent(row[key])} %")
    axes.set_xlim(0, 1.02)
    return figure


def _budget_name(row: Row) -> str:
    return f"{MAIN}, {row['branches']}x{row['samples']}" if row["variant"] == MAIN else str(row["variant"])


def judged_figure(scores: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], methods: Sequence[str]) -> Figure:
    """Draw the mean score of each student and method by each criterion.

    Args:
        scores: Name of a row -> criterion -> the summary of each seed.
        methods: The method of each row, for its colour.
    """
    height = FRAME_HEIGHT + 0.2 + 1.15 * ROW_HEIGHT * len(scores)
    figure = blank(height=2 * height)
    for axes, criterion in zip(figure.subplots(2, 2, sharey=True).flat, CRITERIA, strict=True):
        dress(axes, sides=("bottom",))
        axes.set_title(criterion.capitalize().replace("_", " "), color=INK, fontsize=FONT_SIZE, loc="left")
        for place, (method, by_criterion) in enumerate(zip(methods, scores.values(), strict=True)):
            _scores(axes, place, by_criterion[criterion], color=style_of(method, place).color)
        axes.set_xlim(-0.3, 10.3)
        axes.set_xticks([0, 2, 4, 6, 8, 10])
        axes.grid(axis="x", color=INK, alpha=0.15, linewidth=0.8)
        label_rows(axes, list(scores))
    return figure


def _scores(axes: Axes, place: float, seeds: Sequence[Mapping[str, Any]], *, color: str) -> None:
    """Draw the mean over seeds; of one seed its interval, of several each one's mean as a small dot below."""
    means = [each["mean"] for each in seeds if each["mean"] is not None]
    if not means:
        return
    if len(means) > 1:
        axes.plot(means, [place + 0.32] * len(means), color=color, linestyle="none", marker="o", markersize=3)
    elif seeds[0]["interval"] is not None:
        axes.plot(seeds[0]["interval"], [place, place], color=color, linewidth=2, solid_capstyle="butt")
    axes.plot(fmean(means), place, color=color, marker="o", markersize=7)
    margin(axes, place, decimal(fmean(means), 1))
