import json
import math
import re

import pytest
from grid_data import EXHIBITS, make_grid, make_hostile_grid, make_shown
from page_elements import Elements, assert_asks_for_nothing
from report_data import HOSTILE, UNBROKEN

from sert.report.examples import ReportData
from sert.report.page import write_report


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report of a whole grid, written once for all tests here."""
    folder = tmp_path_factory.mktemp("report")
    paths, predictions = make_shown()
    return folder, write_report(folder, ReportData(make_grid(), paths, predictions))


@pytest.fixture(scope="module")
def page(written):
    return (written[0] / "index.html").read_text(encoding="utf-8")


def write(folder, metrics, paths=(), predictions=()):
    write_report(folder, ReportData(metrics, paths, predictions))
    return (folder / "index.html").read_text(encoding="utf-8")


def slim(metrics):
    """A grid without what is drawn."""
    return metrics | {"summary": [], **{name: [] for name in EXHIBITS}}


def lean(metrics):
    """A grid with few figures, which take the most time."""
    return metrics | {name: [] for name in EXHIBITS if name not in ("means", "selection", "judged")}


def texts_of(page):
    return [text.strip() for text in Elements(page).texts]


def test_every_file_that_is_written_is_returned(written):
    folder, files = written
    assert files[:3] == [folder / "index.html", folder / "table.md", folder / "metrics.json"]
    assert sorted(files) == sorted(file for file in folder.rglob("*") if file.is_file())
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == make_grid()


def test_the_verdict_comes_first_then_the_numbers_then_the_examples(page):
    assert re.findall(r'<h2 id="([\w-]+)"', page) == [
        *("verdict", "results", "standings", "likelihood", "gain", "forgetting", "comparisons", "epochs", "paper"),
        "ablations",
        *("latent", "first-tokens", "budget"),
        *("funnel", "filtering", "selection", "outputs", "curves", "judged", "seeds", "paths", "predictions"),
        "settings",
    ]


def test_the_contents_lead_to_every_section(page):
    links = [attributes["href"] for tag, attributes in Elements(page).elements if tag == "a"]
    assert links == [f"#{anchor}" for anchor in re.findall(r'<h2 id="([\w-]+)"', page)]


def test_the_page_asks_for_nothing_and_runs_nothing(page):
    assert_asks_for_nothing(page)


def test_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes in Elements(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_section_without_rows_is_left_out_and_said_where_nothing_was_tested(tmp_path):
    page = write(tmp_path, slim(make_grid()) | {"rows": []})
    assert re.findall(r'<h2 id="([\w-]+)"', page) == ["verdict", "settings"]
    assert "No student was tested." in page
    assert not (tmp_path / "figures").exists()


def test_pairs_are_folded_where_there_are_several(tmp_path):
    metrics = slim(make_grid()) | {"summary": make_grid(("gpt2", "lab"))["summary"], "rows": []}
    summaries = re.findall(r"<summary>([^<]*)</summary>", write(tmp_path, metrics))
    assert summaries[:2] == ["gpt2 on strategyqa", "lab on strategyqa"]


def test_examples_stand_by_student(tmp_path):
    (paths, predictions), others = make_shown("gpt2"), make_shown("lab")
    texts = texts_of(write(tmp_path, slim(make_grid()), [*paths, *others[0]], [*predictions, *others[1]]))
    assert [text for text in texts if text in ("gpt2 on strategyqa", "lab on strategyqa")] == [
        *("gpt2 on strategyqa", "lab on strategyqa") * 2,
    ]


def test_right_outputs_come_first_among_those_shown(page):
    assert re.findall(r'<span class="(?:right|wrong)">(\w+)</span>', page) == ["Right", "Wrong"] * 2


def test_warnings_left_out_questions_and_near_duplicates_are_shown(tmp_path, page):
    texts = texts_of(page)
    assert "gpt2 on strategyqa: 29 train questions have no surviving path and train nothing" in texts
    assert "2 questions left out on loading: also in the test split" in texts
    assert "1,443 train, 160 dev and 687 test questions." in texts
    title = "Train questions left out as nearly the same as another"
    assert title not in texts
    like = {"task": "strategyqa", "other_id": "t7", "split": "test", "similarity": 0.95}
    rows = [like | {"question_id": f"q{number}"} for number in range(14)]
    with_them = texts_of(write(tmp_path, slim(make_grid()) | {"near_duplicates": rows}))
    assert with_them[with_them.index(title) + 1] == "14 rows"
    assert "q13" in with_them


def test_numbers_that_json_cannot_say_become_null(tmp_path):
    metrics = slim(make_grid())
    metrics["rows"][0]["repetition"] = math.nan
    write(tmp_path, metrics)
    assert '"repetition": null' in (tmp_path / "metrics.json").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("text", [HOSTILE, UNBROKEN, "\u202eabc\u2066 עברית \x00\x9b"])
def test_no_text_becomes_an_element(text, tmp_path):
    metrics, paths, predictions = make_hostile_grid(text)
    page = write(tmp_path, metrics if text == HOSTILE else lean(metrics), paths, predictions)
    parsed = Elements(page)
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert page.count("</style>") == page.count("<style") == 1 + page.count("<svg")
    assert all(character.isprintable() or character in "\n\t" for character in page)
    assert all(re.fullmatch(r"[a-z0-9-]+\.(svg|png)", file.name) for file in tmp_path.glob("figures/*"))
    if text == HOSTILE:
        shown = "<script>alert(1)</script></style>|`x`|\\x1b[31m\\u202etxt.exe\n# head $a_b$ [l](javascript:x) &amp;"
        assert sum(each.startswith(f"\n{shown}") for each in parsed.texts) == len(paths) + len(predictions)


def test_equal_arguments_give_equal_bytes(tmp_path):
    metrics = lean(make_grid()) | {"bands": make_grid()["bands"]}
    paths, predictions = make_shown()
    first, second = (write_report(tmp_path / name, ReportData(metrics, paths, predictions)) for name in "ab")
    assert {file.suffix for file in first} == {".html", ".md", ".json", ".svg", ".png"}
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
