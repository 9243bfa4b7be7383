import io
import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
from grid_data import EXHIBITS, make_grid, make_hostile_grid
from page_elements import report_sections
from PIL import Image
from report_data import HOSTILE

from sert.report.figures import style
from sert.report.figures.bars import (
    StandingBar,
    accuracy_figure,
    bands_figure,
    budget_figure,
    difference_figure,
    filtering_figure,
    first_token_bins_figure,
    first_token_figure,
    judged_figure,
    standing_figure,
)
from sert.report.figures.curves import amounts_figure, binned_figure, steps_figure
from sert.report.format import MINUS
from sert.report.parts import file_names
from sert.report.rows import Pair, main_rows

PAIR = Pair("gpt2", "strategyqa")


def texts(figure):
    return texts_of(style.svg(figure, "x"))


def texts_of(svg):
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def widths(axes):
    return [round(bar.get_width(), 4) for bar in axes.patches]


def lines(axes):
    """Each line's points, without what only legends hold."""
    return [[(float(x), round(float(y), 4)) for x, y in line.get_xydata()] for line in axes.lines]


def drawings(metrics):
    return [figure for section in report_sections(metrics) for figure in section.figures]


@pytest.fixture(scope="module")
def metrics():
    return make_grid()


def test_accuracy_shows_the_mean_the_interval_the_seeds_and_the_majority(metrics):
    rows = [{**row, "interval": [0.5, 0.6], "interval_answered": [0.45, 0.65]} for row in main_rows(metrics, PAIR)]
    figure = accuracy_figure(rows, majority=0.525)
    assert [text for text in texts(figure) if text.endswith(" %")] == ["50.8 %", "53.6 %", "54.7 %", "52.6 %", "57.4 %"]
    drawn = lines(figure.axes[0])
    assert drawn[8][0] == (371 / 687, 2.27)  # SERT's first seed
    assert len(drawn[8]) == 3
    assert drawn[9] == [(0.5, 2.0), (0.6, 2.0)]
    # Of each method's answers an interval, its ends and a diamond; SERT's are the last but two. 370 of 670 in the mean.
    ends = [(0.45, 1.73), (0.65, 1.73)]
    assert drawn[-10:-8] == [ends, ends] and drawn[-8] == [(pytest.approx(369 / 670), 1.73)]
    assert [x for x, _ in drawn[-1]] == [0.525, 0.525]
    for row in rows:
        row |= {"epoch_choice": "test-best", "harness": "compat"}
    assert "Finetune (test-best, compat)" in texts(accuracy_figure(rows, majority=None))


def test_an_accuracy_without_interval_or_mean_leaves_these_out(metrics):
    rows = [{**row, "interval": None, "interval_answered": None} for row in main_rows(metrics, PAIR)[:2]]
    rows[1] |= {"accuracy": None, "right_of_answered": None}
    figure = accuracy_figure(rows, majority=None)
    assert [text for text in texts(figure) if text.endswith(" %")] == ["50.8 %"]
    # Seeds and mean of the first, seeds of the second, and how often the first one's answers are right.
    assert len(lines(figure.axes[0])) == 4


def test_differences_that_are_not_significant_are_hollow(metrics):
    rows = metrics["comparisons"][:2]
    figure = difference_figure([("first", rows[0]), ("second", rows[1])])
    assert {"first", "second", "+3.9", "+1.2"} <= set(texts(figure))
    faces = [line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert faces == [style.BLUE, "white"]
    assert [line.get_marker() for line in figure.axes[0].lines].count("D") == 2
    rows[0]["both_answered"] = None
    rows[1]["both_answered"] |= {"difference": -0.02, "ci95": [-0.03, -0.01], "p_holm": 0.01}
    again = difference_figure([("a", rows[0]), ("b", rows[1])])
    (answered,) = [line for line in again.axes[0].lines if line.get_marker() == "D"]
    assert (list(answered.get_xdata()), list(answered.get_ydata())) == ([-0.02], [1.27])
    assert (answered.get_markerfacecolor(), answered.get_color()) == (style.GREEN, style.GREEN)
    assert "0" in texts(figure)
    assert "+0" not in texts(figure)


def test_standings_are_stacked_to_the_whole_and_named():
    shares = {"right": 0.5, "wrong": 0.25, "unread": 0.2, "cut": 0.05}
    figure = standing_figure([StandingBar("SERT", shares, "66.7 %"), StandingBar("SERT", shares | {"cut": None}, "1")])
    assert widths(figure.axes[0]) == [0.5, 0.25, 0.2, 0.05, 0.5, 0.25, 0.2]
    shown = texts(figure)
    assert shown.count("SERT") == 2 and {"66.7 %", "50", "25", "20", "right", "wrong", "unread", "cut"} <= set(shown)
    assert "5" not in shown and "stopped" not in shown
    stopped = standing_figure([StandingBar("mined", shares | {"right": 0.4, "stopped": 0.1}, "100")])
    assert "stopped" in texts(stopped) and widths(stopped.axes[0])[-1] == 0.1


def test_bands_have_a_column_each_and_a_bar_for_every_source(metrics):
    figure = bands_figure(metrics["bands"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["0-2", "2-4", "4-6", "6-8", "8-10"]
    assert widths(figure.axes[4]) == [0.12, 0.14, 0.15, 0.13, 0.16, 0.46, 0.14, 0.17]
    shown = texts(figure)
    assert {"branch 0", "all branches", "raw sampling", "raw, SERT student"} <= set(shown)
    assert shown.count("46") == 1
    rows = [row for row in metrics["bands"] if (row["source"], row["band"]) != ("all branches", "8-10")]
    assert "–" in texts(bands_figure(rows))  # noqa: RUF001


def test_scores_after_each_rule_are_stacked_to_the_whole(metrics):
    rows = [row for row in metrics["filtering"] if row["scorer"] == "verifier"]
    figure = filtering_figure(rows)
    bars = figure.axes[0].patches
    # 62 % of the mined paths are below 2; of the other 38 %, shares of 0.3, 0.25, 0.25 and 0.2.
    assert widths(figure.axes[0])[:5] == [0.62, 0.114, 0.095, 0.095, 0.076]
    assert [round(bar.get_x(), 4) for bar in bars[:5]] == [0.0, 0.62, 0.734, 0.829, 0.924]
    shown = texts(figure)
    assert [text for text in shown if text.startswith(("mined", "+"))] == [
        *("mined", "+ imitation", "+ option lists", "+ direct answers", "+ length", "+ repetition", "+ perplexity"),
    ]
    assert {"62", "2.5", "0-2", "8-10"} <= set(shown)


def test_first_tokens_show_what_is_kept_and_true(metrics):
    figure = first_token_figure(metrics["first_tokens"])
    assert widths(figure.axes[0]) == [0.09, 0.15, 0.21, 0.27, 0.33]
    assert lines(figure.axes[0])[0] == [(0.04, 0.0)]
    assert {"branch 0 (31.0 %)", "9.0 %"} <= set(texts(figure))
    unverified = [row | {"true_share": None} for row in metrics["first_tokens"]]
    assert lines(first_token_figure(unverified).axes[0]) == []
    figure = first_token_bins_figure(metrics["first_token_bins"])
    assert widths(figure.axes[0])[:2] == [0.36, 0.31]
    assert {"0 to 1 %", "50 to 100 %", "9,000"} <= set(texts(figure))


def test_budgets_show_paths_and_questions(metrics):
    figure = budget_figure(metrics["budget"])
    assert widths(figure.axes[0]) == [0.22, 0.93, 0.12, 0.71, 0.25, 0.95, 0.11, 0.66]
    assert [text for text in texts(figure) if text in ("5x5", "1x25", "25x1", "raw")] == ["5x5", "1x25", "25x1", "raw"]


def test_scores_of_several_seeds_are_averaged_and_those_of_one_have_an_interval():
    first, second, failed = (
        dict.fromkeys(("coherence", "relevance", "logical_consistency", "completeness"), scores)
        for scores in (
            {"mean": 5.0, "interval": [4.0, 6.0]},
            {"mean": 6.0, "interval": [5.0, 7.0]},
            {"mean": None, "interval": None},
        )
    )
    figure = judged_figure({("a", "rd"): [first, second], ("b", "sert+rd"): [first], ("c", "rd"): [failed]})
    assert [axes.get_title(loc="left") for axes in figure.axes][2:] == ["Logical consistency", "Completeness"]
    assert lines(figure.axes[0]) == [
        [(5.0, 0.32), (6.0, 0.32)],
        [(5.5, 0.0)],
        [(4.0, 1.0), (6.0, 1.0)],
        [(5.0, 1.0)],
    ]
    assert {line.get_color() for line in figure.axes[0].lines} == {style.VERMILION, style.BLUE}


def test_planted_texts_are_not_drawn(metrics):
    (judged,) = [drawing for drawing in drawings(metrics) if drawing.name.startswith("judged")]
    assert [text for text in texts(judged.figure) if text.startswith("gpt2")] == ["gpt2 RD", "gpt2 SERT+RD"] * 2


def test_accuracy_by_length_has_a_line_a_method_over_the_middle_of_its_bins(metrics):
    figure = binned_figure(metrics["by_length"], label="tokens")
    assert {"tokens", "SERT", "RD", "SERT+RD"} <= set(texts(figure))
    means = [points for points in lines(figure.axes[0]) if len(points) == 5]
    assert means[0] == [(10.0, 0.6), (30.0, 0.57), (60.0, 0.54), (120.0, 0.51), (208.5, 0.48)]
    assert lines(figure.axes[0])[0] == [(10.0, 0.57), (10.0, 0.63)]
    # A method may have bins of its own, in any order; one without an upper end is drawn at its lower one.
    own = [metrics["by_length"][0] | {"method": "own", "low": low, "high": high} for low, high in ((9, None), (3, 5))]
    assert [x for x, _ in lines(binned_figure(own, label="tokens").axes[0])[-1]] == [4.0, 9.0]


def test_learning_curves_show_test_and_dev_and_the_spread(metrics):
    figure = steps_figure(metrics["steps"])
    dev, test = lines(figure.axes[0])[:2]
    # 0.5 + 0.05 * 180 / 780, and 0.01 less on test questions.
    assert dev[0] == (180.0, 0.5115)
    assert test[0] == (180.0, 0.5015)
    assert len(figure.axes[0].collections) == 4
    figure = amounts_figure(list(reversed(metrics["amounts"])))
    assert {line.get_marker() for line in figure.axes[0].lines} == {"D", "o"}
    assert lines(figure.axes[0])[1] == [(100.0, 0.5), (200.0, 0.512), (400.0, 0.524), (800.0, 0.536), (1443.0, 0.548)]
    band = figure.axes[0].collections[1].get_datalim(figure.axes[0].transData)
    assert (round(band.y0, 3), round(band.y1, 3)) == (0.488, 0.56)


def test_every_pair_has_its_own_figures_and_names_are_safe():
    metrics = make_grid(("gpt2", "../GPT2"), ("strategyqa",))
    names = [drawing.name for drawing in drawings(metrics)]
    assert len(names) == len(set(names)) == 2 * 17 + 1
    assert {"accuracy-gpt2-on-strategyqa", "accuracy-gpt2-on-strategyqa-2"} <= set(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert file_names(["漢字", "עברית", "a" * 90]) == {"漢字": "student", "עברית": "student-2", "a" * 90: "a" * 40}


def test_images_are_inert_and_equal_numbers_give_equal_bytes():
    def images():
        figure = bands_figure(make_grid()["bands"])
        return style.images(figure, "bands")

    before = dict(matplotlib.rcParams)
    first = images()
    assert first == images()
    assert dict(matplotlib.rcParams) == before
    assert "currentColor" in first.svg
    assert style.INK not in first.svg
    assert "<metadata" not in first.svg
    picture = Image.open(io.BytesIO(first.png))
    assert set(picture.info) == {"dpi"}
    assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert picture.width == 1000


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        (HOSTILE, EXHIBITS),
        *((text, ("bands", "steps", "judged")) for text in ("$\\frac{1}$ $x$", "漢字 _", "_hidden", "W" * 4000)),
    ],
)
def test_labels_are_short_inert_text(text, sections):
    hostile = make_hostile_grid(text)[0]
    metrics = hostile | {name: [] for name in EXHIBITS if name not in sections}
    for drawing in drawings(metrics):
        svg = style.svg(drawing.figure, "x")
        assert "<script" not in svg
        labels = [label.replace(MINUS, "-") for label in texts_of(svg)]
        assert all(len(label) <= 28 and label.isascii() for label in labels if "%" not in label)


@pytest.mark.parametrize(
    ("values", "end"), [([0.5, None], 0.56), ([0.95], 1.02), ([], 1.02), ([None], 1.02), ([0.0], 1.02)]
)
def test_an_axis_ends_a_little_behind_the_largest_share(values, end):
    assert style.upper_end(values) == pytest.approx(end)


def test_ticks_are_not_rounded_away():
    assert [style.percent_tick(share) for share in (0.525, 0.55, 1.0, 0.0)] == ["52.5%", "55%", "100%", "0%"]
