"""Odd texts through a whole run, on its page, and on the command line: kept exactly, and nothing drives a terminal."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from transformers import GPT2Config, GPT2LMHeadModel

from hostile_support import is_whole, odd_texts, sert, unprintable
from sert.config.load import load_config
from sert.config.tree import StudentConfig, TrainingConfig
from sert.records import Example, Question, Rationale
from sert.report.examples import ReportData
from sert.report.page import write_report
from sert.runs.folder import RunResult
from sert.runs.run import run
from sert.store.tables import read_table
from sert.student.training.model_card import write_model_card
from sert.terminal.progress import Terminal
from sert.terminal.text import printable
from shown_examples import shown_path, shown_prediction
from tests_support import make_tokenizer

COLUMNS = {"question_id": "id", "question": "q", "choices": "c", "answer": "a"}


@pytest.fixture(scope="module")
def texts(full: bool) -> list[str]:
    return odd_texts(500 if full else 60)


def write_jsonl(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


class Seen(HTMLParser):
    """Reads a page as a browser does: its elements, and the texts of questions and outputs."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.links: list[str | None] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [value for name, value in attrs if name == "href"]
        if tag == "pre" or ("class", "question") in attrs:
            self.texts.append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("pre", "p")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[-1] += data


def see(page: Path) -> Seen:
    seen = Seen()
    seen.feed(page.read_text(encoding="utf-8"))
    return seen


@pytest.fixture(scope="module")
def student_of_odd_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny student whose context takes all but the longest of the texts."""
    folder = tmp_path_factory.mktemp("student")
    tokenizer = make_tokenizer()
    size = {"n_positions": 640, "n_embd": 32, "n_layer": 2, "n_head": 4}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **size)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rows(texts: list[str]) -> list[dict[str, Any]]:
    """Questions that hold the texts as id, question and choice, where all of it fits into a prompt."""
    fitting = [text for text in texts if is_whole(text) and text.strip() and len(text.encode()) < 200]
    distinct = list({text.strip(): text for text in fitting}.values())
    return [
        {
            "id": text,
            "q": text + (" held out" if number >= len(distinct) * 3 // 4 else "?" if number % 2 else ""),
            "c": [text if number % 3 else "x", "none"],
            "a": "(B)",
        }
        for number, text in enumerate(distinct)
    ]


@pytest.fixture(scope="module")
def finished(
    rows: list[dict[str, Any]], student_of_odd_texts: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunResult:
    folder = tmp_path_factory.mktemp("run")
    write_jsonl(folder / "train.jsonl", rows[: len(rows) * 3 // 4])
    write_jsonl(folder / "test.jsonl", rows[len(rows) * 3 // 4 :])
    write_jsonl(folder / "rationales.jsonl", [{"question_id": row["id"].strip(), "text": row["id"]} for row in rows])
    tree = {
        "name": "odd",
        "methods": ["zero_shot", "sert", "rd"],
        "student": {"path": str(student_of_odd_texts), "device": "cpu"},
        "tasks": {
            "own": {
                "kind": "table",
                "data": str(folder / "train.jsonl"),
                "test_data": str(folder / "test.jsonl"),
                "rationales": str(folder / "rationales.jsonl"),
                "columns": COLUMNS,
                "prompts": {
                    "choices": "{question} {choices}",
                    "student": "{question}\x1b[0m{{7*7}}",
                    "teacher": "{question}\u2028",
                },
            }
        },
        "mining": {"branches": 2, "samples": 1, "max_new_tokens": 4, "keep_all": True},
        "rules": {"min_tokens": 0, "max_rep_2": 1.0, "min_perplexity": 0.0, "direct_response": False},
        "training": {"max_steps": 2, "max_length": 640},
        "evaluation": {"max_new_tokens": 4, "probe_samples": 0},
    }
    (folder / "c.toml").write_bytes(tomli_w.dumps(tree).encode())
    return run(load_config(folder / "c.toml"), out=folder / "out", reporter=Terminal())


def test_a_run_keeps_every_text_through_every_stage(finished: RunResult, rows: list[dict[str, Any]]) -> None:
    stages = json.loads((finished.folder / "manifest.json").read_text())["stages"]
    train, test = rows[: len(rows) * 3 // 4], rows[len(rows) * 3 // 4 :]
    mined = read_table(finished.folder / stages["own mine"] / "questions.parquet", Question)
    asked = read_table(finished.folder / stages["own evaluate-zero_shot"] / "questions.parquet", Question)
    for questions, expected in ((mined, train), (asked, test)):
        assert [each.question_id for each in questions] == [row["id"].strip() for row in expected]
        assert [each.question for each in questions] == [row["q"].strip() for row in expected]
        assert [each.choices[0] for each in questions] == [row["c"][0].strip() for row in expected]
        assert all(each.prompt.endswith("\x1b[0m{{7*7}}") for each in questions)
    rationales = read_table(finished.folder / stages["own teach"] / "rationales.parquet", Rationale)
    assert {each.question_id: each.text for each in rationales} == {
        row["id"].strip(): row["id"].strip() for row in train
    }
    trained = read_table(finished.folder / stages["own train-rd"] / "examples.parquet", Example)
    texts = {row["id"].strip(): row["id"].strip() for row in train}
    # The teacher's template ends a line, so nothing stands a completion off from it.
    expected_completions = {f"{text} So the answer is B." for text in texts.values() if "So the answer" not in text}
    assert expected_completions <= {each.completion for each in trained}


def test_what_a_run_writes_for_people_holds_no_control_character(finished: RunResult) -> None:
    written = [
        *(file for file in finished.folder.glob("report/*") if file.is_file()),
        *finished.folder.glob("report/figures/*.svg"),
        *finished.folder.glob("*/model/README.md"),
        finished.folder / "manifest.json",
    ]
    assert len(written) == 8 + len(list(finished.folder.glob("report/figures/*.png"))) > 8
    for file in written:
        assert unprintable(file.read_text(encoding="utf-8")) == [], file
    seen = see(finished.report)
    assert not seen.elements & {"script", "img", "iframe", "object", "embed", "base", "form", "input", "link"}
    assert not any(name.startswith("on") or name in ("src", "srcdoc") for name in seen.attributes)
    assert all(link == "explore.html" or (link and link.startswith("#")) for link in seen.links)


@pytest.mark.soak
def test_the_page_shows_every_text_as_it_is(finished: RunResult, texts: list[str], tmp_path: Path) -> None:
    shown = [text for text in texts if is_whole(text)]
    paths = [
        shown_path("own", text, question=text, text=text, reason="length" if number % 2 else None)
        for number, text in enumerate(shown)
    ]
    predictions = [
        shown_prediction(
            "own", text, method="sert", question=text, completion=text, gold=text, answer=text, correct=True
        )
        for text in shown
    ]
    write_report(tmp_path, ReportData(finished.metrics, paths, predictions))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert unprintable(page) == []
    seen = see(tmp_path / "index.html")
    assert seen.elements == see(finished.report).elements
    # A browser drops the line break behind <pre>; the parser does not.
    pairs = list(zip(seen.texts[0::2], seen.texts[1::2], strict=True))
    assert all(output == f"\n{question}" for question, output in pairs)
    assert {question for question, _ in pairs} == {printable(text) for text in shown}
    assert len(pairs) == 2 * len(shown)


def test_a_model_card_holds_no_control_character(texts: list[str], tmp_path: Path) -> None:
    student = StudentConfig(path="owner/name")
    write_model_card(tmp_path / "card.md", label="own train", student=student, config=TrainingConfig(), counts={"n": 1})
    assert unprintable((tmp_path / "card.md").read_text()) == []


# ---- the terminal


def command_lines(text: str, tmp_path: Path) -> list[list[str]]:
    """Every place on the command line where a text can stand."""
    return [
        ["run", text],
        ["run", str(tmp_path / "c.toml"), "--set", f"name={text}"],
        ["run", str(tmp_path / "c.toml"), "--set", text],
        ["run", str(tmp_path / "c.toml"), "--dry-run", "--set", f"student.path=/{text}"],
        ["mine", "--task", text, "--out", str(tmp_path / "o")],
        ["mine", "--task", "table", "--data", text, "--out", str(tmp_path / "o")],
        ["filter", text, "--out", str(tmp_path / "o")],
        ["train", "--examples", text, "--out", str(tmp_path / "o")],
        ["mine", "--task", "lab_choice", "--dry-run", "--out", text],
        ["mine", "--task", "lab_choice", "--dry-run", "--json", "--limit", "1", "--out", text],
        ["mine", "--task", "lab_choice", "--samples", text, "--out", str(tmp_path / "o")],
        [text],
        ["tasks", f"--{text}"],
        ["tasks", text],
        ["verify", text],
    ]


@pytest.mark.soak
def test_nothing_drives_the_terminal(
    texts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "c.toml").write_text('name = "x"\n[tasks.t]\nkind = "table"\ndata = "no.jsonl"\n')
    # A command line holds no NUL, and a lone half only where a byte was no UTF-8.
    given = [text.replace("\0", "\x01").replace("\ud83d", "\udc80") for text in texts if len(text) < 100_000]
    given = ["".join("\udc80" if "\ud800" <= each <= "\udfff" else each for each in text) for text in given]
    for number, text in enumerate(given):
        # In full each text in each place, else in every third.
        for arguments in command_lines(text, tmp_path)[0 if full else number % 3 :: 1 if full else 3]:
            ended = sert(arguments, capsys=capsys)
            assert ended.code in (0, 1, 2, 3, 4, 5), (arguments, ended)
            assert unprintable(ended.out + ended.err) == [], arguments
            assert ended.code == 0 or ended.err.strip(), arguments
    assert list((tmp_path / "cwd").iterdir()) == [] and not (tmp_path / "o").exists()


def test_a_bar_takes_no_markup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # the console takes itself for a terminal
    with Terminal().track("[red]a\x07\x9b[/nothing]", 2, "units") as advance:
        advance(1, "[/b]\x07")
    said = capsys.readouterr().err
    assert "[red]a\\x07\\x9b[/nothing]" in said and "\x07" not in said and "\x9b" not in said
