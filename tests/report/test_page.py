import json
import math
import re

import pytest
from page_elements import Elements, assert_asks_for_nothing
from report_data import HOSTILE, UNBROKEN, make_hostile, make_metrics, make_paths, make_predictions

from sert.report.examples import ReportData
from sert.report.page import render_page, write_report


def render(**changes):
    arguments = {"examples": make_paths(), "predictions": make_predictions(), **changes}
    return render_page(arguments.pop("metrics", make_metrics()), **arguments)


def test_files_are_written_and_equal_arguments_give_equal_bytes(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        written = write_report(folder, ReportData(make_metrics(), make_paths(), make_predictions()))
        assert written == [folder / "index.html", folder / "table.md", folder / "metrics.json"]
    for name in ("index.html", "table.md", "metrics.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "metrics.json").read_text(encoding="utf-8")) == make_metrics()


def test_metrics_json_has_null_for_what_json_cannot_say(tmp_path):
    metrics = make_metrics()
    metrics["rows"][0]["repetition"] = math.nan
    metrics["rows"][1]["mean_length"] = math.inf
    write_report(tmp_path, ReportData(metrics))

    def refuse(constant):
        raise AssertionError(constant)

    rows = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"), parse_constant=refuse)["rows"]
    assert rows[0]["repetition"] is None
    assert rows[1]["mean_length"] is None
    assert rows[0]["accuracy"] == 0.5275


def test_the_verdict_comes_first_then_the_numbers_then_the_examples():
    assert re.findall(r'<h2 id="(\w+)"', render()) == [
        *(
            "verdict",
            "results",
            "judged",
            "figures",
            "funnel",
            "latent",
            "selection",
            "paths",
            "predictions",
            "settings",
        ),
    ]


def test_the_page_asks_for_nothing_and_runs_nothing():
    assert_asks_for_nothing(render())


def test_ids_are_unique():
    ids = [attributes["id"] for _, attributes in Elements(render()).elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20


def test_paths_are_grouped_by_task_and_by_what_became_of_them():
    texts = [text.strip() for text in Elements(render()).texts]
    kinds = [text for text in texts if text.startswith(("Kept", "Dropped:"))]
    assert kinds == [
        "Kept and selected",
        "Kept, not selected",
        "Dropped: imitates the question format",
        "Dropped: only lists the options",
        "Dropped: answers without reasoning",
        "Dropped: too short",
        "Dropped: too repetitive",
        "Dropped: perplexity too low",
    ]
    assert "perplexity –" in texts  # noqa: RUF001
    assert "perplexity 9.2" in texts
    assert texts.count("every step true") == 1
    assert texts.count("not true") == 7


def test_predictions_are_shown_right_ones_first():
    texts = [text.strip() for text in Elements(render()).texts]
    assert [text for text in texts if text in ("Right", "Wrong")] == ["Right", "Wrong", "Right", "Wrong"]
    assert texts.count("answer none read") == 2
    assert texts.count("answer “no”") == 2


@pytest.mark.parametrize("text", [HOSTILE, UNBROKEN, "\u202eabc\u2066 עברית \x00\x9b"])
def test_no_text_becomes_an_element(text):
    metrics, paths, predictions = make_hostile(text)
    page = render_page(metrics, examples=paths, predictions=predictions)
    parsed = Elements(page)
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert page.count("</style>") == page.count("<style") == 1 + page.count("<svg")
    assert all(character.isprintable() or character in "\n\t" for character in page)


def test_texts_are_shown_as_they_are_with_control_characters_written_out():
    page = render(examples=make_paths(text=HOSTILE))
    shown = (
        "<script>alert(1)</script></style>|`x`|\\x1b[31m\\u202etxt.exe\n# head $a_b$ [l](javascript:x) &amp; {{ 7*7 }}"
    )
    assert Elements(page).texts.count("\n" + shown) == 8  # a browser drops the line break that follows <pre>


def test_warnings_and_left_out_questions_are_shown():
    texts = [text.strip() for text in Elements(render()).texts]
    assert "lab_yes_no: 29 train questions have no surviving path and train nothing" in texts
    assert "3 questions left out on loading: no answer given" in texts


def test_what_was_not_measured_is_said():
    empty = {name: [] for name in ("rows", "comparisons", "funnel", "latent", "selection", "judged", "warnings")}
    texts = [
        text.strip() for text in Elements(render(metrics=make_metrics() | empty, examples=[], predictions=[])).texts
    ]
    for said in (
        "No student was tested on this task.",
        "Nothing was measured that could be drawn.",
        "Not measured in this run.",
        "No paths were selected.",
        "No predictions were made.",
        "No warnings.",
    ):
        assert said in texts
