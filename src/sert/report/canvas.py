"""What all figures share: a row a label, inks, and writing as SVG (text stays text) and as PNG.

Ink follows the page's text colour, and equal figures give equal bytes. Colours are after the colour-blind-safe set of
M. Okabe and K. Ito, in shades that have at least 3:1 on white and on the page's dark background.
"""

import io
import re
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sert.progress import printable

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#b05a94", "#808080"
INK = "#010203"  # stands for the page's text colour until the SVG is written
FONT_SIZE = 10
WIDTH, ROW_HEIGHT, FRAME_HEIGHT = 5.0, 0.32, 0.5  # inches; narrow, so that text stays legible on a phone
LONGEST_LABEL = 28
_DOTS_AN_INCH = 200


def panel(labels: Sequence[str], *, row_height: float = ROW_HEIGHT) -> tuple[Figure, Axes]:
    """Open a figure with a horizontal row for each label, the first on top, over an axis of percentages."""
    figure = blank(height=FRAME_HEIGHT + row_height * len(labels))
    axes = figure.add_subplot()
    dress(axes, sides=("bottom",))
    label_rows(axes, labels)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="x", color=INK, alpha=0.15, linewidth=0.8)
    return figure, axes


def blank(*, height: float, width: float = WIDTH) -> Figure:
    """Open a figure without axes; its size is in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def dress(axes: Axes, *, sides: Sequence[str]) -> None:
    """Give axes the look of all figures: nothing behind them, spines on the named sides only, ink of the page."""
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=FONT_SIZE)
    axes.set_axisbelow(True)


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of axes, the first on top."""
    axes.set_yticks(range(len(labels)), [short(label) for label in labels], parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def margin(axes: Axes, place: float, text: str) -> None:
    """Write a short text at the right of a row."""
    axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", color=INK, fontsize=FONT_SIZE)


def short(label: str, longest: int = LONGEST_LABEL) -> str:
    """Keep a label to one short line of ASCII: the font that sizes the figure does not know every script."""
    line = printable(label).encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\t", " ")
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def svg(figure: Figure, name: str) -> str:
    """Write a figure as an SVG element without a size of its own.

    Args:
        figure: The figure.
        name: Prefix of the SVG's ids; unique within a page.
    """
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            stream, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)


def png(figure: Figure) -> bytes:
    """Write a figure as a PNG on white, without a date or the name of the program that made it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DOTS_AN_INCH, facecolor="white", metadata={"Software": None})
    return stream.getvalue()
