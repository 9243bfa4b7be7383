"""The figures with a line for each method: learning drawn, and accuracy by length and repetition."""

from collections.abc import Callable, Sequence
from operator import itemgetter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sert.report.figures.style import FONT_SIZE, INK, Style, blank, dress, legend, percent_tick, style_of
from sert.report.names import Row, method_name

Rows = Sequence[Row]

_HEIGHT = 3.2  # inches


def binned_figure(rows: Rows, *, label: str) -> Figure:
    """Draw each method's accuracy with its interval over the middle of the bin that outputs fall into.

    Rows are those of `by_length` or `by_repetition`; methods may have bins of their own.
    """
    return _by_method(rows, _bins, label=label, whole=all(float(row["low"]).is_integer() for row in rows))


def _bins(axes: Axes, rows: Rows, style: Style) -> None:
    shown = sorted((row for row in rows if row["accuracy"] is not None), key=itemgetter("low"))
    middles = [row["low"] if row["high"] is None else (row["low"] + row["high"]) / 2 for row in shown]
    for middle, row in zip(middles, shown, strict=True):
        if row["ci95"] is not None:
            axes.plot([middle, middle], row["ci95"], color=style.color, linewidth=1.2, solid_capstyle="butt")
    _line(axes, middles, [row["accuracy"] for row in shown], style)


def steps_figure(rows: Rows) -> Figure:
    """Draw accuracy along the training: on test questions with one standard deviation over seeds, on dev dashed."""
    return _by_method(rows, _steps, label="training steps")


def _steps(axes: Axes, rows: Rows, style: Style) -> None:
    for split in dict.fromkeys(row["split"] for row in rows):
        of_split = {row["step"]: row for row in rows if row["split"] == split and row["mean"] is not None}
        _means(axes, of_split, style, dashed=split == "dev")


def amounts_figure(rows: Rows) -> Figure:
    """Draw accuracy by the number of the teacher's rationales, with one standard deviation over seeds."""
    return _by_method(rows, _amounts, label="rationales of the teacher")


def _amounts(axes: Axes, rows: Rows, style: Style) -> None:
    _means(axes, {row["rationales"]: row["accuracy"] for row in rows if row["accuracy"] is not None}, style)


def _means(axes: Axes, measured: dict[int, Row], style: Style, *, dashed: bool = False) -> None:
    """Draw means over seeds by a number: between one standard deviation less and more, or dashed without."""
    places = sorted(measured)
    means = [measured[place]["mean"] for place in places]
    if dashed:
        axes.plot(places, means, color=style.color, linewidth=1.2, linestyle=(0, (4, 2)))
        return
    sds = [measured[place]["sd"] or 0 for place in places]
    axes.fill_between(places, np.subtract(means, sds), np.add(means, sds), color=style.color, alpha=0.18, linewidth=0)
    _line(axes, places, means, style)


def _line(axes: Axes, places: Sequence[float], values: Sequence[float], style: Style) -> None:
    axes.plot(places, values, color=style.color, marker=style.marker, markersize=5, linewidth=1.6)


def _by_method(rows: Rows, draw: Callable[[Axes, Rows, Style], None], *, label: str, whole: bool = True) -> Figure:
    """Open axes of shares over a number, which is whole or not; draw each method's rows on them and name it."""
    figure = blank(height=_HEIGHT)
    axes = figure.add_subplot()
    dress(axes, sides=("bottom",), grid="y")
    axes.set_xlabel(label, color=INK, fontsize=FONT_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(percent_tick)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", length=0)
    methods = dict.fromkeys(row["method"] for row in rows)
    styles = {method: style_of(method, place) for place, method in enumerate(methods)}
    for method, style in styles.items():
        draw(axes, [row for row in rows if row["method"] == method], style)
    lines = [Line2D([], [], color=style.color, marker=style.marker, markersize=5) for style in styles.values()]
    legend(figure, lines, map(method_name, styles))
    return figure
