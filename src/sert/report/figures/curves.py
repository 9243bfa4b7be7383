"""The figures with a line for each method: learning drawn, and accuracy by length and repetition."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sert.report.figures.style import FONT_SIZE, INK, Style, blank, dress, legend, percent_tick, style_of
from sert.report.names import Row, method_name

Rows = Sequence[Row]

_HEIGHT = 3.2  # inches


class MethodLine(NamedTuple):
    """A method's points, from left to right."""

    method: str
    style: Style
    rows: list[Row]


def binned_figure(rows: Rows, *, label: str) -> Figure:
    """Draw each method's accuracy with its interval over the middle of the bin that outputs fall into.

    Args:
        rows: Rows of `by_length` or `by_repetition`; methods may have bins of their own.
        label: What is binned.
    """
    figure, axes = _frame(label, whole=all(float(row["low"]).is_integer() for row in rows))
    drawn = _lines_of(rows)
    for each in drawn:
        shown = sorted((row for row in each.rows if row["accuracy"] is not None), key=lambda row: row["low"])
        middles = [row["low"] if row["high"] is None else (row["low"] + row["high"]) / 2 for row in shown]
        for middle, row in zip(middles, shown, strict=True):
            if row["ci95"] is not None:
                axes.plot([middle, middle], row["ci95"], color=each.style.color, linewidth=1.2, solid_capstyle="butt")
        _line(axes, middles, [row["accuracy"] for row in shown], each.style)
    return _named(figure, drawn)


def steps_figure(rows: Rows) -> Figure:
    """Draw accuracy along the training: on test questions with one standard deviation over seeds, on dev dashed."""
    figure, axes = _frame("training steps")
    drawn = _lines_of(rows)
    for each in drawn:
        for split in dict.fromkeys(row["split"] for row in each.rows):
            shown = [row for row in each.rows if row["split"] == split and row["mean"] is not None]
            shown.sort(key=lambda row: row["step"])
            steps, means = [row["step"] for row in shown], [row["mean"] for row in shown]
            if split == "dev":
                axes.plot(steps, means, color=each.style.color, linewidth=1.2, linestyle=(0, (4, 2)))
                continue
            _spread(axes, steps, means, [row["sd"] for row in shown], each.style)
            _line(axes, steps, means, each.style)
    return _named(figure, drawn)


def amounts_figure(rows: Rows) -> Figure:
    """Draw accuracy by the number of the teacher's rationales, with one standard deviation over seeds."""
    figure, axes = _frame("rationales of the teacher")
    drawn = _lines_of(rows)
    for each in drawn:
        shown = sorted((row for row in each.rows if row["accuracy"] is not None), key=lambda row: row["rationales"])
        amounts, means = [row["rationales"] for row in shown], [row["accuracy"]["mean"] for row in shown]
        _spread(axes, amounts, means, [row["accuracy"]["sd"] for row in shown], each.style)
        _line(axes, amounts, means, each.style)
    return _named(figure, drawn)


def _lines_of(rows: Rows) -> list[MethodLine]:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    return [
        MethodLine(method, style_of(method, place), [row for row in rows if row["method"] == method])
        for place, method in enumerate(methods)
    ]


def _frame(label: str, *, whole: bool = True) -> tuple[Figure, Axes]:
    """Open axes of shares over a number, which is whole or not."""
    figure = blank(height=_HEIGHT)
    axes = figure.add_subplot()
    dress(axes, sides=("bottom",))
    axes.set_xlabel(label, color=INK, fontsize=FONT_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(percent_tick))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.8)
    return figure, axes


def _line(axes: Axes, places: Sequence[float], values: Sequence[float], style: Style) -> None:
    axes.plot(places, values, color=style.color, marker=style.marker, markersize=5, linewidth=1.6)


def _spread(
    axes: Axes, places: Sequence[float], means: Sequence[float], sds: Sequence[float | None], style: Style
) -> None:
    low = [mean - (sd or 0) for mean, sd in zip(means, sds, strict=True)]
    high = [mean + (sd or 0) for mean, sd in zip(means, sds, strict=True)]
    axes.fill_between(places, low, high, color=style.color, alpha=0.18, linewidth=0)


def _named(figure: Figure, drawn: Sequence[MethodLine]) -> Figure:
    entries: list[tuple[Any, str]] = [
        (
            Line2D([], [], color=each.style.color, marker=each.style.marker, markersize=5),
            method_name(each.method),
        )
        for each in drawn
    ]
    legend(figure, entries)
    return figure
