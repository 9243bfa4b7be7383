import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
from report_data import HOSTILE, make_hostile, make_metrics

from sert.report.figures.bars import accuracy_figure, funnel_figure, latent_figure
from sert.report.figures.style import svg
from sert.report.rows import pairs_of, reported_rows


def draw_all(metrics, name="x"):
    figures = (
        accuracy_figure(reported_rows(metrics, pairs_of(metrics)[0]), majority=0.5275),
        latent_figure(metrics["latent"]),
        funnel_figure(metrics["funnel"]),
    )
    return [svg(figure, name) for figure in figures]


def texts(drawn):
    return ["".join(node.itertext()) for node in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]


def test_accuracy_shows_every_method_with_its_value():
    accuracy, _, _ = draw_all(make_metrics())
    shown = texts(accuracy)
    assert [text for text in shown if text in ("Zero-shot", "Finetune", "SERT", "RD", "SERT+RD")] == [
        *("Zero-shot", "Finetune", "SERT", "RD", "SERT+RD"),
    ]
    assert [text for text in shown if text.endswith(" %")] == ["52.8 %", "54.8 %", "71.0 %", "65.5 %", "72.8 %"]


def test_latent_shows_outputs_and_questions():
    _, latent, _ = draw_all(make_metrics())
    assert [text for text in texts(latent) if text.endswith(" %")] == [
        *("1.5 %", "1.5 %", "8.9 %", "35.5 %", "31.0 %", "92.8 %", "98.5 %", "98.5 %"),
    ]


def test_funnel_shows_what_is_left_and_how_much_is_true():
    _, _, funnel = draw_all(make_metrics())
    assert "answers without reasoning" in texts(funnel)
    assert "6,310" in texts(funnel)
    unverified = make_metrics()
    for row in unverified["funnel"]:
        row["true_share"] = None
    assert "#d55e00" in funnel
    assert "#d55e00" not in draw_all(unverified)[2]


def test_ink_follows_the_page_and_nothing_is_painted_behind():
    for drawn in draw_all(make_metrics()):
        assert "currentColor" in drawn
        assert "#010203" not in drawn
        assert "#000000" not in drawn
        assert "width=" not in drawn.split(">")[0]


def test_equal_numbers_give_equal_bytes_and_leave_the_settings_alone():
    before = dict(matplotlib.rcParams)
    assert draw_all(make_metrics()) == draw_all(make_metrics())
    assert dict(matplotlib.rcParams) == before
    assert "<metadata" not in draw_all(make_metrics())[0]


def test_ids_of_two_figures_do_not_clash_and_all_references_are_met():
    first, second = (draw_all(make_metrics(), name=name)[0] for name in ("a", "b"))
    ids = [{node.get("id") for node in ElementTree.fromstring(each).iter()} - {None} for each in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for node in ElementTree.fromstring(first).iter():
        for key, value in node.items():
            if key.endswith("href"):
                assert value.removeprefix("#") in ids[0]
            if value.startswith("url(#"):
                assert value[5:-1] in ids[0]


@pytest.mark.parametrize("text", [HOSTILE, "$\\frac{1}$", "漢字 עברית", "W" * 4000])
def test_labels_are_short_inert_text(text):
    metrics = make_hostile(text)[0]
    for drawn in draw_all(metrics):
        assert "<script" not in drawn
        assert all(len(label) <= 28 and label.isascii() for label in texts(drawn) if "%" not in label)
