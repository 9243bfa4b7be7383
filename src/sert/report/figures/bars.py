"""The figures that have a row for each thing compared: dots with intervals, bars, stacked bars."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from sert.config.grid import MAIN
from sert.judge.prompt import CRITERIA
from sert.report.figures.style import (
    BLUE,
    FONT_SIZE,
    FRAME_HEIGHT,
    GREEN,
    GREY,
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
from sert.report.rows import is_significant

Rows = Sequence[Row]

_LIGHT_BLUE = "#6aaed6"
_SOURCES = {"all branches": BLUE, "raw sampling": VERMILION, "raw sampling, SERT student": GREEN}
_SHORT_SOURCES = {"raw sampling, SERT student": "raw, SERT student"}
# From low scores to high ones; each with the text colour that has the higher contrast on it.
_BANDS = ((VERMILION, "black"), ("#e8a26b", "black"), ("#a0a0a0", "black"), (_LIGHT_BLUE, "black"), (BLUE, "white"))
_STANDINGS = {
    "right": (BLUE, "white"),
    "wrong": (VERMILION, "white"),
    "unread": ("#b8b8b8", "black"),
    "cut": (GREY, "white"),
    "stopped": ("#e3e3e3", "black"),
}
_BESIDE = 0.27  # rows from a value to what is drawn beside it
_MIN_WRITTEN = 0.07  # narrower segments have no room for their number


def accuracy_figure(rows: Rows, *, majority: float | None) -> Figure:
    """Draw each method's mean accuracy with its `interval` over questions, its seeds as small dots below.

    A diamond above shows how often its answers are right, with their interval. A line shows the accuracy of always
    giving the most frequent answer.
    """
    figure, axes = panel([_name(row) for row in rows], row_height=1.25 * ROW_HEIGHT)
    ends = [] if majority is None else [majority]
    for place, row in enumerate(rows):
        seeds = [correct / row["n"] for correct in row["correct"]]
        axes.plot(seeds, [place + _BESIDE] * len(seeds), color=BLUE, linestyle="none", marker="o", markersize=3)
        ends += seeds
        if row["accuracy"] is not None:
            ends += _dot(axes, place, row["accuracy"]["mean"], row["interval"])
            margin(axes, place, f"{percent(row['accuracy']['mean'])} %")
    for place, row in enumerate(rows):
        if row["right_of_answered"] is not None:
            right = row["right_of_answered"]["mean"]
            ends += _dot(axes, place - _BESIDE, right, row["interval_answered"], color=GREEN, marker="D")
    if majority is not None:
        axes.axvline(majority, color=VERMILION, linestyle=(0, (5, 3)), linewidth=1.5)
    if ends:
        axes.set_xlim(max(min(ends) - 0.02, -0.02), min(max(ends) + 0.02, 1.02))
    return figure


def _name(row: Row) -> str:
    name = method_name(row["method"])
    return f"{name} ({marks_of(row)})" if marks_of(row) else name


def difference_figure(comparisons: Sequence[tuple[str, Row]]) -> Figure:
    """Draw differences, each with its name, with their intervals around 0; what is not significant is hollow.

    A diamond below shows the difference among the questions that both sides answered.
    """
    figure, axes = panel([name for name, _ in comparisons], row_height=1.25 * ROW_HEIGHT)
    axes.axvline(0, color=INK, linewidth=1)
    for place, (_, row) in enumerate(comparisons):
        if row["difference"] is not None:
            _dot(axes, place, row["difference"], row["ci95"], filled=is_significant(row))
        if (both := row["both_answered"]) is not None and both["difference"] is not None:
            value, ends = both["difference"], both["ci95"]
            _dot(axes, place + _BESIDE, value, ends, filled=is_significant(both), color=GREEN, marker="D")
        margin(axes, place, points(row["difference"]))
    axes.xaxis.set_major_formatter(_points_tick)
    return figure


def _points_tick(difference: float, _place: float | None = None) -> str:
    return f"{round(100 * difference, 4):+.4g}".replace("-", MINUS) if difference else "0"


def _dot(
    axes: Axes,
    place: float,
    value: float,
    interval: Sequence[float] | None,
    *,
    filled: bool = True,
    color: str = BLUE,
    marker: str = "o",
) -> list[float]:
    """Draw a value and its interval, small ones as diamonds; return what has to be in sight."""
    size = 7 if marker == "o" else 4.5
    if interval is not None:
        axes.plot(interval, [place, place], color=color, linewidth=2 * size / 7, solid_capstyle="butt")
        axes.plot(interval, [place, place], color=color, linestyle="none", marker="|", markersize=9 * size / 7)
    face = color if filled else "white"
    axes.plot(value, place, color=color, marker=marker, markersize=size, markerfacecolor=face, markeredgewidth=1.5)
    return [value, *(interval or ())]


class StandingBar(NamedTuple):
    """How the outputs of a group stand: its name, the shares, and the text at the right of its bar."""

    name: str
    shares: Mapping[str, float | None]
    margin: str


def standing_figure(groups: Sequence[StandingBar]) -> Figure:
    """Draw how the outputs of some groups stand."""
    figure, axes = panel([group.name for group in groups])
    figure.set_figheight(figure.get_figheight() + ROW_HEIGHT)
    for place, (_, shares, text) in enumerate(groups):
        _stack(axes, place, [(shares.get(name) or 0.0, *look) for name, look in _STANDINGS.items()])
        margin(axes, place, text)
    axes.set_xlim(0, 1)
    shown = [name for name in _STANDINGS if name != "stopped" or any(each.shares.get(name) for each in groups)]
    legend(figure, [Patch(color=_STANDINGS[name][0]) for name in shown], shown)
    return figure


def _stack(axes: Axes, place: float, segments: Sequence[tuple[float, str, str]]) -> None:
    """Draw shares side by side as one bar, each with its colour and that of its number, where that has room."""
    left = 0.0
    for width, fill, ink in (each for each in segments if each[0]):
        axes.barh(place, width, left=left, height=0.72, color=fill)
        if width >= _MIN_WRITTEN:
            middle, text = left + width / 2, f"{100 * width:.0f}"
            axes.text(middle, place, text, ha="center", va="center", color=ink, fontsize=FONT_SIZE - 1)
        left += width


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
            text = MISSING if value is None else f"{100 * value:.0f}"
            at_the_end = {"xytext": (3, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(text, (value or 0, place), **at_the_end, color=INK, fontsize=FONT_SIZE - 1)
        axes.set_xlim(0, 1.4 * upper_end(share.values()))
        axes.xaxis.set_major_locator(NullLocator())
        axes.tick_params(axis="y", length=0)
    label_rows(columns[0], [_SHORT_SOURCES.get(source, source) for source in sources])
    return figure


def filtering_figure(rows: Rows) -> Figure:
    """Draw how the scores of the paths that are left are spread over the bands, a bar a step of the filter."""
    steps = list(dict.fromkeys(row["after"] for row in rows))
    bands = dict(zip(dict.fromkeys(row["band"] for row in rows), _BANDS, strict=False))
    figure, axes = panel([after_name(step) for step in steps])
    figure.set_figheight(figure.get_figheight() + ROW_HEIGHT)
    for place, step in enumerate(steps):
        of_step = {row["band"]: row for row in rows if row["after"] == step}
        shares = {band: of_step[band]["share"] if band in of_step else None for band in bands}
        _stack(axes, place, [(shares[band] or 0.0, *look) for band, look in bands.items()])
        margin(axes, place, decimal(next(iter(of_step.values()))["mean_score"], 1))
    axes.set_xlim(0, 1)
    legend(figure, [Patch(color=color) for color, _ in bands.values()], bands)
    return figure


def funnel_figure(rows: Rows) -> Figure:
    """Draw the share of mined paths left after each rule (bars) and the share of those that is true (diamonds)."""
    labels = [rule_name(row["rule"]) for row in rows]
    return _share_bars(rows, labels, "share", [count(row["remaining"]) for row in rows])


def first_token_figure(rows: Rows) -> Figure:
    """Draw the share of each branch's paths that is kept (bars) and that is true (diamonds)."""
    labels = [f"branch {row['branch']} ({percent(row['mean_probability'])} %)" for row in rows]
    kept = [f"{percent(row['kept_share'])} %" for row in rows]
    return _share_bars(rows, labels, "kept_share", kept)


def first_token_bins_figure(rows: Rows) -> Figure:
    """Draw the share of paths that is kept by the probability of their first token, and the number of paths."""
    labels = [bin_name(row["low"], row["high"], in_percent=True) for row in rows]
    return _share_bars(rows, labels, "kept_share", [count(row["paths"]) for row in rows])


def _share_bars(rows: Rows, labels: Sequence[str], key: str, margins: Sequence[str]) -> Figure:
    """Draw a share of each row as a bar, and the share that is true as a diamond where it is known."""
    figure, axes = panel(labels)
    for place, (row, text) in enumerate(zip(rows, margins, strict=True)):
        axes.barh(place, row[key] or 0, height=0.62, color=BLUE)
        if row.get("true_share") is not None:
            axes.plot(row["true_share"], place, color=VERMILION, marker="D", markersize=7, markeredgecolor="white")
        margin(axes, place, text)
    axes.set_xlim(0, upper_end(row.get(each) for row in rows for each in (key, "true_share")))
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


def judged_figure(scores: Mapping[tuple[str, str], Rows]) -> Figure:
    """Draw the mean score by each criterion, given of each (student, method) the scores of each seed."""
    height = FRAME_HEIGHT + 0.2 + 1.15 * ROW_HEIGHT * len(scores)
    figure = blank(height=2 * height)
    for axes, criterion in zip(figure.subplots(2, 2, sharey=True).flat, CRITERIA, strict=True):
        dress(axes, sides=("bottom",), grid="x")
        axes.set_title(criterion.capitalize().replace("_", " "), color=INK, fontsize=FONT_SIZE, loc="left")
        for place, ((_, method), seeds) in enumerate(scores.items()):
            _scores(axes, place, [row[criterion] for row in seeds], color=style_of(method, place).color)
        axes.set_xlim(-0.3, 10.3)
        axes.set_xticks([0, 2, 4, 6, 8, 10])
        label_rows(axes, [f"{student} {method_name(method)}" for student, method in scores])
    return figure


def _scores(axes: Axes, place: float, seeds: Rows, *, color: str) -> None:
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
