import json
import math
import re

import pytest
from page_elements import Elements, assert_asks_for_nothing
from report_data import HOSTILE, UNBROKEN, make_hostile, make_metrics, make_paths, make_predictions

from sert.report.examples import ReportData
from sert.report.page import write_report

WHOLE = ReportData(make_metrics(), make_paths(), make_predictions())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report of a run, written once for all tests that change nothing of it."""
    folder = tmp_path_factory.mktemp("report")
    return folder, write_report(folder, WHOLE)


@pytest.fixture(scope="module")
def page(written):
    return (written[0] / "index.html").read_text(encoding="utf-8")


def render(folder, **changes):
    write_report(folder, WHOLE._replace(**changes))
    return (folder / "index.html").read_text(encoding="utf-8")


def test_files_are_written_and_equal_arguments_give_equal_bytes(tmp_path, written):
    folder, files = written
    assert files[:3] == [folder / "index.html", folder / "table.md", folder / "metrics.json"]
    again = write_report(tmp_path, WHOLE)
    assert [file.relative_to(tmp_path) for file in again] == [file.relative_to(folder) for file in files]
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == make_metrics()


@pytest.mark.usefixtures("no_figures")
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


def test_the_verdict_comes_first_then_the_numbers_then_the_examples(page):
    assert re.findall(r'<h2 id="([\w-]+)"', page) == [
        *("verdict", "results", "standings", "comparisons", "latent", "funnel", "selection", "judged", "seeds"),
        *("paths", "predictions", "settings"),
    ]


def test_the_page_asks_for_nothing_and_runs_nothing(page):
    assert_asks_for_nothing(page)


def test_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes in Elements(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20


def test_paths_are_grouped_by_task_and_by_what_became_of_them(page):
    texts = [text.strip() for text in Elements(page).texts]
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


def test_predictions_are_shown_right_ones_first(page):
    texts = [text.strip() for text in Elements(page).texts]
    assert re.findall(r'<span class="(?:right|wrong)">(\w+)</span>', page) == ["Right", "Wrong", "Right", "Wrong"]
    assert texts.count("answer none read") == 2
    assert texts.count("answer “no”") == 2


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("text", [HOSTILE, UNBROKEN, "\u202eabc\u2066 עברית \x00\x9b"])
def test_no_text_becomes_an_element(text, tmp_path):
    metrics, paths, predictions = make_hostile(text)
    page = render(tmp_path, metrics=metrics, paths=paths, predictions=predictions)
    parsed = Elements(page)
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert page.count("</style>") == page.count("<style") == 1 + page.count("<svg")
    assert all(character.isprintable() or character in "\n\t" for character in page)


@pytest.mark.usefixtures("no_figures")
def test_texts_are_shown_as_they_are_with_control_characters_written_out(tmp_path):
    page = render(tmp_path, paths=make_paths(text=HOSTILE))
    shown = (
        "<script>alert(1)</script></style>|`x`|\\x1b[31m\\u202etxt.exe\n# head $a_b$ [l](javascript:x) &amp; {{ 7*7 }}"
    )
    assert Elements(page).texts.count("\n" + shown) == 8  # a browser drops the line break that follows <pre>


def test_warnings_and_left_out_questions_are_shown(page):
    texts = [text.strip() for text in Elements(page).texts]
    assert "lab_yes_no: 29 train questions have no surviving path and train nothing" in texts
    assert "3 questions left out on loading: no answer given" in texts


@pytest.mark.usefixtures("no_figures")
def test_what_was_not_measured_is_said(tmp_path):
    sections = ("rows", "summary", "comparisons", "funnel", "latent", "selection", "judged", "warnings")
    metrics = make_metrics() | {name: [] for name in sections}
    page = render(tmp_path, metrics=metrics, paths=[], predictions=[])
    texts = [text.strip() for text in Elements(page).texts]
    assert "No student was tested." in texts
    assert "No warnings." in texts
    (said,) = [text for text in texts if text.startswith("Not measured, so not in this report: ")]
    for section in ("Results", "Latent reasoning", "Filter", "Selection", "Example paths", "Example predictions"):
        assert section in said
