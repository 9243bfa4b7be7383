"""The figures of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from sert.report import cells
from sert.report.canvas import BLUE, ROW_HEIGHT, VERMILION, margin, panel, svg

Rows = Sequence[Mapping[str, Any]]


def draw_accuracy(rows: Rows, *, majority: float, name: str) -> str:
    """Draw the accuracy of each method with its 95 % interval (blue), and the majority line (dashed).

    Args:
        rows: Result rows of one task.
        majority: Accuracy of always giving the most frequent answer.
        name: Prefix of the SVG's ids; unique within a page.
    """
    figure, axes = panel([cells.row_name(row) for row in rows])
    for place, row in enumerate(rows):
        low, high = row["ci95"]
        axes.plot([low, high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
        axes.plot([low, high], [place, place], color=BLUE, linestyle="none", marker="|", markersize=9)
        axes.plot(row["accuracy"], place, color=BLUE, marker="o", markersize=7)
        margin(axes, place, f"{cells.percent(row['accuracy'])} %")
    axes.axvline(majority, color=VERMILION, linestyle=(0, (5, 3)), linewidth=1.5)
    ends = [majority, *(end for row in rows for end in row["ci95"])]
    axes.set_xlim(max(min(ends) - 0.05, 0), min(max(ends) + 0.05, 1))
    return svg(figure, name)


def draw_funnel(rows: Rows, *, name: str) -> str:
    """Draw the share of mined paths left after each rule (bars) and the share of those that is true (diamonds).

    Args:
        rows: Funnel rows of one task, in their order.
        name: Prefix of the SVG's ids; unique within a page.
    """
    return svg(funnel_figure(rows), name)


def funnel_figure(rows: Rows) -> Figure:
    """Make the figure of `draw_funnel`."""
    figure, axes = panel([cells.rule_name(row["rule"]) for row in rows])
    for place, row in enumerate(rows):
        axes.barh(place, row["share"] or 0, height=0.62, color=BLUE)
        if row["true_share"] is not None:
            axes.plot(row["true_share"], place, color=VERMILION, marker="D", markersize=7, markeredgecolor="white")
        margin(axes, place, cells.count(row["remaining"]))
    axes.set_xlim(0, 1.02)
    return figure


def draw_latent(rows: Rows, *, name: str) -> str:
    """Draw how often each decoding reasons: of all outputs (blue), of questions with at least one such (vermilion).

    Args:
        rows: Latent rows of one task.
        name: Prefix of the SVG's ids; unique within a page.
    """
    figure, axes = panel([str(row["decoding"]) for row in rows], row_height=2 * ROW_HEIGHT)
    for place, row in enumerate(rows):
        for offset, key, color in ((-0.19, "reasoned_share", BLUE), (0.19, "questions_reasoned_share", VERMILION)):
            axes.barh(place + offset, row[key], height=0.34, color=color)
            margin(axes, place + offset, f"{cells.percent(row[key])} %")
    axes.set_xlim(0, 1.02)
    return svg(figure, name)
