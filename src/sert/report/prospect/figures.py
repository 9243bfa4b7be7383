"""The figures of a prospect: how outputs stand, and pass@k."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sert.report.figures.style import (
    BLUE,
    FONT_SIZE,
    GREEN,
    GREY,
    INK,
    PURPLE,
    ROW_HEIGHT,
    VERMILION,
    blank,
    dress,
    legend,
    margin,
    panel,
    percent_tick,
)
from sert.report.format import count
from sert.report.names import Row

STANDING_COLORS = {"right": BLUE, "wrong": VERMILION, "unread": "#b8b8b8", "cut": GREY}
_CURVES = ((BLUE, "o"), (PURPLE, "s"), (GREEN, "^"))
_HEIGHT = 3.2  # inches
_MIN_WRITTEN = 0.08


def standing_figure(groups: Mapping[str, Row]) -> Figure:
    """Draw the four shares of each named group as one bar, with the number of its outputs at the right."""
    figure, axes = panel(list(groups))
    figure.set_figheight(figure.get_figheight() + ROW_HEIGHT)
    for place, row in enumerate(groups.values()):
        left = 0.0
        for standing, color in STANDING_COLORS.items():
            width = row[standing]["share"] or 0.0
            axes.barh(place, width, left=left, height=0.7, color=color)
            if width >= _MIN_WRITTEN:
                ink = "black" if standing == "unread" else "white"
                look: dict[str, Any] = {"ha": "center", "va": "center", "color": ink, "fontsize": FONT_SIZE - 1}
                axes.text(left + width / 2, place, f"{100 * width:.0f}", **look)
            left += width
        margin(axes, place, count(row["paths"]))
    axes.set_xlim(0, 1)
    legend(figure, [Patch(color=color) for color in STANDING_COLORS.values()], STANDING_COLORS)
    return figure


def pass_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw pass@k over k with its intervals, a line a decoding; dashed, who guesses as often."""
    figure = blank(height=_HEIGHT)
    axes = figure.add_subplot()
    dress(axes, sides=("bottom",), grid="y")
    handles, names = [], list(dict.fromkeys(row["decoding"] for row in rows))
    for name, (color, marker) in zip(names, _CURVES, strict=False):
        own = [row for row in rows if row["decoding"] == name]
        ks = [row["k"] for row in own]
        axes.plot(ks, [row["share"] for row in own], color=color, marker=marker, markersize=5, linewidth=1.6)
        for row in own:
            if row["ci95"] is not None:
                axes.plot([row["k"]] * 2, row["ci95"], color=color, linewidth=1.2, solid_capstyle="butt")
        if len(own) > 1 and own[0]["guessing"] is not None:
            axes.plot(ks, [row["guessing"] for row in own], color=color, linewidth=1.2, linestyle=(0, (4, 2)))
        handles.append(Line2D([], [], color=color, marker=marker, markersize=5))
    axes.set_xlabel("k outputs of a question", color=INK, fontsize=FONT_SIZE)
    axes.yaxis.set_major_formatter(percent_tick)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0, 1.02)
    legend(figure, handles, names)
    return figure
