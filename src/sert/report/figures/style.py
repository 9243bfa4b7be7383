"""What all figures share: a row a label, inks, and writing as SVG (text stays text) and as PNG.

Ink follows the page's text colour, and equal figures give equal bytes. Colours are after the colour-blind-safe set of
M. Okabe and K. Ito, in shades that have at least 3:1 on white and on the page's dark background.
"""

import io
import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sert.terminal.text import printable

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
    dress(axes, sides=("bottom",), grid="x")
    label_rows(axes, labels)
    axes.xaxis.set_major_formatter(percent_tick)
    return figure, axes


def blank(*, height: float) -> Figure:
    """Open a figure without axes; its height is in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def dress(axes: Axes, *, sides: Sequence[str], grid: Literal["x", "y"] | None = None) -> None:
    """Give axes the look of all figures: no background, the named spines and lines of ticks only, ink of the page."""
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=FONT_SIZE)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=INK, alpha=0.15, linewidth=0.8)


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of axes, the first on top."""
    axes.set_yticks(range(len(labels)), [short(label) for label in labels], parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def percent_tick(share: float, _place: float | None = None) -> str:
    """Write a tick of an axis of shares, with as many decimals as it takes."""
    return f"{100 * share:.4g}%"


def margin(axes: Axes, place: float, text: str) -> None:
    """Write a short text at the right of a row."""
    axes.annotate(
        text, (1.02, place), xycoords=("axes fraction", "data"), va="center_baseline", color=INK, fontsize=FONT_SIZE
    )


def short(label: str) -> str:
    """Keep a label to one short line of ASCII: the font that sizes the figure does not know every script."""
    line = printable(label).encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\t", " ")
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 3]}..."


def svg(figure: Figure, name: str) -> str:
    """Write a figure as an SVG element without a size of its own; its ids begin with the name, unique within a page."""
    _lay_out(figure)
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            stream, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r' (width|height)="[^"]*"', "", text, count=2)  # those of the <svg> itself come first
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)


def _lay_out(figure: Figure) -> None:
    """Put everything in its place once: a layout left to `savefig` has all drawn twice, for each file."""
    if engine := figure.get_layout_engine():
        FigureCanvasSVG(figure)  # measures texts
        engine.execute(figure)
        figure.set_layout_engine(None)


class Images(NamedTuple):
    """A figure as an SVG element and as a PNG."""

    svg: str
    png: bytes


def images(figure: Figure, name: str) -> Images:
    """Write a figure as `svg` does, and as a PNG on white without a date or the name of the program that made it."""
    vector = svg(figure, name)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DOTS_AN_INCH, facecolor="white", metadata={"Software": None})
    return Images(vector, stream.getvalue())


class Style(NamedTuple):
    """How a method is drawn everywhere; its marker tells it where colours do not."""

    color: str
    marker: str


_STYLES = {
    "zero_shot": Style(GREY, "x"),
    "finetune": Style(PURPLE, "^"),
    "sert": Style(GREEN, "s"),
    "rd": Style(VERMILION, "D"),
    "sert+rd": Style(BLUE, "o"),
}
_OTHER_STYLES = tuple(Style(color, "v") for color in (GREY, PURPLE, GREEN, VERMILION, BLUE))


def style_of(method: str, place: int = 0) -> Style:
    """Find a method's style; unknown methods take turns by their place."""
    return _STYLES.get(method) or _OTHER_STYLES[place % len(_OTHER_STYLES)]


def legend(figure: Figure, handles: Sequence[Artist], labels: Iterable[str]) -> None:
    """Name what is drawn, above the axes."""
    made = figure.legend(
        handles,
        [short(label).lstrip("_") or "-" for label in labels],  # a leading underscore would hide an entry
        loc="outside upper center",
        ncols=min(5, len(handles)),
        frameon=False,
        fontsize=FONT_SIZE,
        labelcolor=INK,
        handlelength=1.2,
        handletextpad=0.4,
        columnspacing=1.2,
        borderaxespad=0.0,
    )
    for text in made.get_texts():
        text.set_parse_math(False)


def upper_end(values: Iterable[float | None]) -> float:
    """Find where an axis of shares ends so that the largest has some room; at most a little above 1."""
    return min(1.02, 1.12 * max((value for value in values if value is not None), default=1) or 1.02)
