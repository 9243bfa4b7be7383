"""The figures of a grid with a line for each method: learning curves, and accuracy by length and repetition."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sert.report import cells
from sert.report.canvas import FONT_SIZE, INK, Style, blank, dress, legend, percent_tick, style_of
from sert.report.grid_rows import Row

Rows = Sequence[Row]

_HEIGHT = 3.2  # inches


class Curve(NamedTuple):
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
    curves = _curves(rows)
    for curve in curves:
        shown = sorted((row for row in curve.rows if row["accuracy"] is not None), key=lambda row: row["low"])
        middles = [row["low"] if row["high"] is None else (row["low"] + row["high"]) / 2 for row in shown]
        for middle, row in zip(middles, shown, strict=True):
            if row["ci95"] is not None:
                axes.plot([middle, middle], row["ci95"], color=curve.style.color, linewidth=1.2, solid_capstyle="butt")
        _line(axes, middles, [row["accuracy"] for row in shown], curve.style)
    return _named(figure, curves)


def steps_figure(rows: Rows) -> Figure:
    """Draw accuracy along the training: on test questions with one standard deviation over seeds, on dev dashed."""
    figure, axes = _frame("training steps")
    curves = _curves(rows)
    for curve in curves:
        for split in dict.fromkeys(row["split"] for row in curve.rows):
            shown = [row for row in curve.rows if row["split"] == split and row["mean"] is not None]
            shown.sort(key=lambda row: row["step"])
            steps, means = [row["step"] for row in shown], [row["mean"] for row in shown]
            if split == "dev":
                axes.plot(steps, means, color=curve.style.color, linewidth=1.2, linestyle=(0, (4, 2)))
                continue
            _spread(axes, steps, means, [row["sd"] for row in shown], curve.style)
            _line(axes, steps, means, curve.style)
    return _named(figure, curves)


def amounts_figure(rows: Rows) -> Figure:
    """Draw accuracy by the number of the teacher's rationales, with one standard deviation over seeds."""
    figure, axes = _frame("rationales of the teacher")
    curves = _curves(rows)
    for curve in curves:
        shown = sorted((row for row in curve.rows if row["accuracy"] is not None), key=lambda row: row["rationales"])
        amounts, means = [row["rationales"] for row in shown], [row["accuracy"]["mean"] for row in shown]
        _spread(axes, amounts, means, [row["accuracy"]["sd"] for row in shown], curve.style)
        _line(axes, amounts, means, curve.style)
    return _named(figure, curves)


def _curves(rows: Rows) -> list[Curve]:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    return [
        Curve(method, style_of(method, place), [row for row in rows if row["method"] == method])
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


def _named(figure: Figure, curves: Sequence[Curve]) -> Figure:
    entries: list[tuple[Any, str]] = [
        (
            Line2D([], [], color=curve.style.color, marker=curve.style.marker, markersize=5),
            cells.method_name(curve.method),
        )
        for curve in curves
    ]
    legend(figure, entries)
    return figure
