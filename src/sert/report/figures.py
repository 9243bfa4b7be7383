"""Figures as SVG texts: text stays text, ink follows the page's text colour, equal numbers give equal bytes.

Colours are from the colour-blind-safe set of M. Okabe and K. Ito, in two that can be read on white and on black.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sert.progress import printable
from sert.report import cells

BLUE, VERMILION = "#0072b2", "#d55e00"
_INK = "#010203"  # stands for the page's text colour until the SVG is written
_FONT_SIZE = 10
_WIDTH, _ROW_HEIGHT, _FRAME_HEIGHT = 5.0, 0.32, 0.5  # inches; narrow, so that text stays legible on a phone
_LONGEST_LABEL = 28

Rows = Sequence[Mapping[str, Any]]


def draw_accuracy(rows: Rows, *, majority: float, name: str) -> str:
    """Draw the accuracy of each method with its 95 % interval (blue), and the majority line (dashed).

    Args:
        rows: Result rows of one task.
        majority: Accuracy of always giving the most frequent answer.
        name: Prefix of the SVG's ids; unique within a page.
    """
    figure, axes = _panel([cells.method_name(row["method"]) for row in rows])
    for place, row in enumerate(rows):
        low, high = row["ci95"]
        axes.plot([low, high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
        axes.plot([low, high], [place, place], color=BLUE, linestyle="none", marker="|", markersize=9)
        axes.plot(row["accuracy"], place, color=BLUE, marker="o", markersize=7)
        _margin(axes, place, f"{cells.percent(row['accuracy'])} %")
    axes.axvline(majority, color=VERMILION, linestyle=(0, (5, 3)), linewidth=1.5)
    ends = [majority, *(end for row in rows for end in row["ci95"])]
    axes.set_xlim(max(min(ends) - 0.05, 0), min(max(ends) + 0.05, 1))
    return _svg(figure, name)


def draw_funnel(rows: Rows, *, name: str) -> str:
    """Draw the share of mined paths left after each rule (bars) and the share of those that is true (diamonds).

    Args:
        rows: Funnel rows of one task, in their order.
        name: Prefix of the SVG's ids; unique within a page.
    """
    figure, axes = _panel([cells.rule_name(row["rule"]) for row in rows])
    for place, row in enumerate(rows):
        axes.barh(place, row["share"], height=0.62, color=BLUE)
        if row["true_share"] is not None:
            axes.plot(row["true_share"], place, color=VERMILION, marker="D", markersize=7, markeredgecolor="white")
        _margin(axes, place, cells.count(row["remaining"]))
    axes.set_xlim(0, 1.02)
    return _svg(figure, name)


def draw_latent(rows: Rows, *, name: str) -> str:
    """Draw how often each decoding reasons: of all outputs (blue), of questions with at least one such (vermilion).

    Args:
        rows: Latent rows of one task.
        name: Prefix of the SVG's ids; unique within a page.
    """
    figure, axes = _panel([str(row["decoding"]) for row in rows], row_height=2 * _ROW_HEIGHT)
    for place, row in enumerate(rows):
        for offset, key, color in ((-0.19, "reasoned_share", BLUE), (0.19, "questions_reasoned_share", VERMILION)):
            axes.barh(place + offset, row[key], height=0.34, color=color)
            _margin(axes, place + offset, f"{cells.percent(row[key])} %")
    axes.set_xlim(0, 1.02)
    return _svg(figure, name)


def _panel(labels: Sequence[str], *, row_height: float = _ROW_HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, _FRAME_HEIGHT + row_height * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_INK)
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels], parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(colors=_INK, labelsize=_FONT_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="x", color=_INK, alpha=0.15, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _margin(axes: Axes, place: float, text: str) -> None:
    axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", color=_INK, fontsize=_FONT_SIZE)


def _short(label: str) -> str:
    """Keep a label to one short line of ASCII: the font that sizes the figure does not know every script."""
    line = printable(label).encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\t", " ")
    return line if len(line) <= _LONGEST_LABEL else f"{line[: _LONGEST_LABEL - 3]}..."


def _svg(figure: Figure, name: str) -> str:
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            stream, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
