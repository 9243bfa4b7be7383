"""The explorer's page of whole runs: in their reports, by the function, and by the command."""

import json
import re
from pathlib import Path

import pytest

from commands import sert
from explored_data import make_mined, make_paths, make_questions
from explorer_file import Page
from sert.config.load import load_config
from sert.config.prospect import prospect_of
from sert.config.tree import Config, StudentConfig
from sert.errors import ConfigError, DataError
from sert.lab import DEMO_CONFIG
from sert.records import Prediction, Verdict
from sert.runs import explore as exploring
from sert.runs.explore import explore
from sert.runs.folder import RunResult
from sert.runs.prospect import prospect
from sert.runs.run import report_run, run
from sert.runs.verify import verify
from sert.store.artifacts import open_artifact
from sert.store.tables import read_table
from sert.terminal.progress import Silent

SMALL = (
    "training.max_steps=2",
    "mining.max_new_tokens=32",
    "evaluation.probe_samples=0",
    "evaluation.max_new_tokens=24",
    "student.device=cpu",
    "methods=['zero_shot', 'sert']",
)


def small(*overrides: str) -> Config:
    return load_config(DEMO_CONFIG, overrides=[*SMALL, *overrides], limit=6)


def read(file: Path) -> bytes:
    return file.read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(small(), out=tmp_path_factory.mktemp("explore") / "small")


@pytest.fixture(scope="module")
def page(finished: RunResult) -> Page:
    return Page(finished.folder / "report" / "explore.html")


def test_a_run_has_the_page_in_its_report_unless_it_is_off(finished: RunResult, tmp_path: Path) -> None:
    report = finished.folder / "report"
    assert 'href="explore.html"' in (report / "index.html").read_text()
    assert "explore.html" in json.loads((report / ".written.json").read_text())
    assert not any(each.damage for each in verify(finished.folder, reporter=Silent()))
    off = run(small("report.explore=false", "methods=['zero_shot']"), out=tmp_path / "off")
    assert not (off.folder / "report" / "explore.html").exists()
    assert "explore.html" not in (off.folder / "report" / "index.html").read_text()


def test_switching_it_off_makes_nothing_anew(finished: RunResult) -> None:
    before = read(finished.folder / "report" / "explore.html")
    again = run(small("report.explore=false"), out=finished.folder)
    assert again.stages_made == 0 and not (finished.folder / "report" / "explore.html").exists()
    assert run(small(), out=finished.folder).stages_made == 0
    assert read(finished.folder / "report" / "explore.html") == before


def test_the_same_run_gives_the_same_bytes(finished: RunResult, tmp_path: Path) -> None:
    before = read(finished.folder / "report" / "explore.html")
    report_run(finished.folder)
    assert read(finished.folder / "report" / "explore.html") == before
    assert read(explore(finished.folder, out=tmp_path / "page.html")) == before


def test_it_holds_the_arms_of_the_run_with_their_paths_and_outputs(finished: RunResult, page: Page) -> None:
    arms = page.header["arms"]
    assert [(arm["task"], arm["variant"], list(arm["methods"])) for arm in arms] == [
        (task, "main", ["zero_shot", "sert"]) for task in ("lab-yes-no", "lab-choice")
    ]
    for arm in arms:
        view = page.header["views"][arm["rounds"][0]]
        pool = page.header["pools"][view["pool"]]
        verdicts = read_table(finished.folder / view["folder"] / "verdicts.parquet", Verdict)
        assert page.columns("view", arm["rounds"][0])["selected"].tolist() == [each.selected for each in verdicts]
        assert pool["path"] == f"{finished.folder}/{pool['folder']}" and pool["verified"] and pool["tokens"] == "kept"
        assert open_artifact(Path(pool["path"])).counts["paths"] == pool["paths"] == 6 * 5 * 5
        for method, number in arm["methods"].items():
            folder = page.header["outputs"][number]["folder"]
            outputs = read_table(finished.folder / folder / "predictions.parquet", Prediction)
            assert page.json(f"outputs-{number}")["completion"] == [each.completion for each in outputs]
            assert page.header["outputs"][number]["method"] == method


def test_tokens_of_kept_paths_spell_their_texts(page: Page) -> None:
    flags, rows = page.columns("paths", 0)["flags"], page.columns("view", 0)["reason"]
    numbers = page.columns("paths", 0)["num_tokens"]
    assert ((flags & 64 > 0) == (rows == 0)).all() and (rows == 0).any()
    assert len(page.data("tokens-0-0")) == 3 * int(numbers[rows == 0].sum())
    firsts = [piece for question in page.questions_of(0) for _, piece in question["first"]]
    assert all(re.fullmatch(r" ?\S+", piece) for piece in firsts)


def test_a_run_whose_page_would_be_too_large_shows_a_sample_and_says_so(
    finished: RunResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = (finished.folder / "report" / "explore.html").stat().st_size
    bare = len("".join(exploring.page_parts(exploring.Explored({}, [], []))))
    monkeypatch.setattr("sert.analysis.explored.room.LARGEST_PAGE", (whole - bare) * 2 // 3)
    lines: list[str] = []

    class Listener(Silent):
        def say(self, line: str) -> None:
            lines.append(line)

    again = run(small(), out=finished.folder, reporter=Listener())
    shown = Page(again.folder / "report" / "explore.html").header["sampled"]["questions"]
    assert 0 < shown < 6
    assert any(re.search(rf"explore\.html shows {shown} questions? of each set", line) for line in lines)
    monkeypatch.setattr("sert.analysis.explored.room.LARGEST_PAGE", 10)
    run(small(), out=finished.folder, reporter=Listener())
    assert "explore.html is left out" in lines[-1]
    assert not (finished.folder / "report" / "explore.html").exists()
    assert "explore.html" not in (finished.folder / "report" / "index.html").read_text()
    monkeypatch.undo()
    run(small(), out=finished.folder)


# ---- the function


def test_two_runs_share_a_page(finished: RunResult, tmp_path: Path) -> None:
    other = run(small("seed=1", "tasks.lab-choice.limit=2"), out=tmp_path / "other")
    shown = Page(explore(finished.folder, compare=other.folder, out=tmp_path / "both.html")).header
    assert [each["folder"] for each in shown["runs"]] == [str(finished.folder), str(other.folder)]
    assert [arm["run"] for arm in shown["arms"]] == [0, 0, 1, 1]
    assert [arm["seed"] for arm in shown["arms"]] == [0, 0, 1, 1]
    assert {pool["run"] for pool in shown["pools"]} == {0, 1} and len(shown["pools"]) == 4
    # The same questions are one set; the shorter ones of the second run are sets of their own.
    assert [(each["task"], each["questions"]) for each in shown["sets"]].count(("lab-yes-no", 6)) == 2


def test_a_prospect_has_its_paths_and_its_greedy_outputs(tmp_path: Path) -> None:
    config = prospect_of(small(), task="lab-choice", questions=4)
    found = prospect(config, out=tmp_path / "look")
    shown = Page(explore(found.folder, out=tmp_path / "page.html"))
    (arm,) = shown.header["arms"]
    assert arm["methods"] == {"zero_shot": 0} and shown.header["pools"][0]["paths"] == 100
    assert shown.header["outputs"][0]["set"] == shown.header["pools"][0]["set"]


def test_a_mined_folder_is_looked_at_alone(tmp_path: Path) -> None:
    questions = make_questions(3)
    make_mined(tmp_path / "mined", questions, make_paths(questions, branches=1, samples=2, seed=0))
    page = explore(tmp_path / "mined")
    assert page == tmp_path / "mined-explore.html"
    shown = Page(page)
    assert shown.header["pools"][0]["path"] == str(tmp_path / "mined") and shown.header["views"][0]["own"]
    named = Page(explore(tmp_path / "mined", student=StudentConfig(path="lab"), logprobs="all"))
    assert named.header["arms"][0]["student"] == "lab" and named.header["pools"][0]["tokens"] == "all"


def test_a_student_is_named_for_mined_folders_alone(finished: RunResult, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave out --student"):
        explore(finished.folder, out=tmp_path / "page.html", student=StudentConfig(path="lab"))


def test_another_file_is_not_overwritten(finished: RunResult, tmp_path: Path) -> None:
    other = tmp_path / "notes.html"
    other.write_text("<p>mine</p>")
    for taken in (other, tmp_path):
        with pytest.raises(DataError, match="is there already and is no page of `sert explore`"):
            explore(finished.folder, out=taken)
    assert other.read_text() == "<p>mine</p>"
    page = explore(finished.folder, out=tmp_path / "new" / "page.html")
    assert explore(finished.folder, out=page, sample=2) == page and Page(page).header["sampled"] == {"questions": 2}
    assert [each.name for each in page.parent.iterdir()] == ["page.html"]


def test_what_is_not_finished_or_no_run_is_refused(finished: RunResult, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        explore(tmp_path / "nothing")
    (tmp_path / "questions.csv").write_text("question,answer\n")
    with pytest.raises(DataError, match=r"questions.csv is a file. Give the folder of a run"):
        explore(tmp_path / "questions.csv")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.toml").write_bytes((finished.folder / "config.toml").read_bytes())
    with pytest.raises(DataError, match="is not finished"):
        explore(unfinished, out=tmp_path / "page.html")
    filtered = next(finished.folder.glob("*-filter-*"))
    with pytest.raises(DataError, match="made by the step 'filter'"):
        explore(filtered, out=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


# ---- the command


def test_the_command_says_where_the_page_is(finished: RunResult, tmp_path: Path) -> None:
    said = sert("explore", finished.folder, "--out", "page.html", cwd=tmp_path)
    assert said.returncode == 0 and re.fullmatch(r"Page: page\.html \(\d+\.\d MB\)\n", said.stdout)
    as_json = sert("explore", finished.folder, "--sample", "1", "--logprobs", "none", "--json", cwd=tmp_path)
    told = json.loads(as_json.stdout)
    assert told == {"page": str(finished.folder) + "-explore.html", "bytes": Path(told["page"]).stat().st_size}


def test_the_command_ends_in_the_documented_code(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    for arguments, code in ((["gone"], 4), (["gone", "--out", "page.html"], 4), (["gone", "--sample", "0"], 2)):
        assert sert("explore", *arguments, cwd=tmp_path).returncode == code
