"""The figure of a prospect: pass@k."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sert.report.figures.style import BLUE, FONT_SIZE, GREEN, INK, PURPLE, blank, dress, legend, percent_tick

_CURVES = ((BLUE, "o"), (PURPLE, "s"), (GREEN, "^"))
_HEIGHT = 3.2  # inches


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
