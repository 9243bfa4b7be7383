"""Every command and example in the docs works as written."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import sert as sert_package
from commands import sert
from fault_server import FaultServer
from recorded_log import log_of, make_block
from sert.cli import cli
from sert.student.load import Student

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1"}
ENDPOINT = "http://127.0.0.1:8000/v1"  # of the examples
# A student with random weights never ends by itself; unless `--soak` is given, its outputs are cut short.
SHORTER = ["--set", "evaluation.max_new_tokens=24", "--set", "mining.max_new_tokens=48"]
DOCUMENTS = ["README.md", *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md"))]


WORDS = "ice sea bird stone river fire moon wolf tree lamp road hand snow gold wind salt".split()
# Of the even ones, which are trained on, the seventh falls into a dev split of a tenth.
STEMS = [f"Does {one} ever like {WORDS[place - 3]} near {WORDS[place - 7]}?" for place, one in enumerate(WORDS)]


def commands_of(document: str, *, fence: str = "sh") -> list[str]:
    """List the commands of a page that are run; in a fence of `bash` stand those that need a network."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{fence}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.startswith("sert ")]


def make_data(folder: Path) -> None:
    """Small files of our own where the configurations expect the real ones."""
    targets = [{"Yes": 1 - i % 2, "No": i % 2} for i in range(len(STEMS))]
    examples = [{"input": q, "target_scores": t} for q, t in zip(STEMS, targets, strict=True)]
    train, test = range(0, len(STEMS), 2), range(1, len(STEMS), 2)
    (folder / "data/strategyqa").mkdir(parents=True)
    (folder / "data/strategyqa/task.json").write_text(json.dumps({"examples": examples}))
    (folder / "data/strategyqa/split.json").write_text(json.dumps({"train": list(train), "test": list(test)}))
    (folder / "data/commonsenseqa").mkdir()
    for name, numbers in (("train", train), ("dev", test)):
        rows = (json.dumps(_choice_row(number)) + "\n" for number in numbers)
        (folder / f"data/commonsenseqa/{name}_rand_split.jsonl").write_text("".join(rows))
    (folder / "data/arc-easy").mkdir()
    for name, numbers in (("train", train), ("test", test)):
        arc = (json.dumps({**_choice_row(number), **_arc_columns(number)}) + "\n" for number in numbers)
        (folder / f"data/arc-easy/{name}.jsonl").write_text("".join(arc))
    (folder / "data/multiarith").mkdir()
    sums = [{"iIndex": number, "sQuestion": STEMS[number], "lSolutions": [float(number)]} for number in (*train, *test)]
    (folder / "data/multiarith/MultiArith.json").write_text(json.dumps(sums))
    (folder / "data/teacher").mkdir()
    blocks = (make_block(stem, " They may. They do.") for stem in STEMS)
    (folder / "data/teacher/strategyqa_zero_shot_cot.log").write_text(log_of(*blocks))
    (folder / "configs").symlink_to(ROOT / "configs")
    _write_own_questions(folder)


def _choice_row(number: int) -> dict[str, Any]:
    choices = [{"label": letter, "text": f"{letter.lower()} thing"} for letter in "ABCDE"]
    question = {"stem": STEMS[number], "question_concept": "thing", "choices": choices}
    return {"id": f"c{number}", "answerKey": "ABCDE"[number % 5], "question": question}


def _arc_columns(number: int) -> dict[str, Any]:
    choices = _choice_row(number)["question"]["choices"]
    return {"question": STEMS[number], "choices": {key: [each[key] for each in choices] for key in ("text", "label")}}


def _write_own_questions(folder: Path) -> None:
    """The files of docs/questions.md: its configuration, question with choices for both splits, rationale, CSV file."""
    text = (ROOT / "docs/questions.md").read_text(encoding="utf-8")
    rows = re.findall(r'^\{"id".*\}$', text, re.MULTILINE)
    assert len(rows) == 2
    (folder / "train.jsonl").write_text(rows[1] + "\n")
    (folder / "test.jsonl").write_text(rows[1].replace('"2"', '"3"').replace("What barks?", "Who barks?") + "\n")
    (rationale,) = re.findall(r'^\{"question_id".*\}$', text, re.MULTILINE)  # it answers the other question
    (folder / "rationales.jsonl").write_text(rationale.replace('"1"', '"2"').replace('"no"', '"A"') + "\n")
    for name, kind in (("own.toml", "toml"), ("quiz.csv", "csv")):
        block = re.search(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert block is not None, kind
        (folder / name).write_text(block[1])


@pytest.fixture(scope="module")
def random_student(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `examples/random_student.py` makes, smaller."""
    folder = tmp_path_factory.mktemp("random")
    student.tokenizer.save_pretrained(folder / "tokenizer")
    command = [sys.executable, str(ROOT / "examples/random_student.py"), "tokenizer", "student"]
    shape = ["--layers", "1", "--width", "16", "--heads", "2"]
    done = subprocess.run([*command, *shape], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "student"


WITH_COMMANDS = [document for document in DOCUMENTS if commands_of(document)]
TAKE_LONG = {f"docs/{name}.md" for name in ("explorer", "grids", "lab", "reliability", "stages", "teachers")}


@pytest.mark.parametrize("document", WITH_COMMANDS)
def test_commands_and_their_options_are_known(document: str) -> None:
    for line in (*commands_of(document), *commands_of(document, fence="bash")):
        _, *arguments = shlex.split(line)
        command: click.Command = cli
        while isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
        command.make_context(line, arguments)


@pytest.mark.soak
@pytest.mark.parametrize(
    "document",
    [pytest.param(name, marks=[pytest.mark.slow] if name in TAKE_LONG else []) for name in WITH_COMMANDS],
)
def test_commands_run_as_written(document: str, request: pytest.FixtureRequest, tmp_path: Path, full: bool) -> None:
    make_data(tmp_path)
    if any("models/random-gpt2" in command for command in commands_of(document)):
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "random-gpt2").symlink_to(request.getfixturevalue("random_student"))
    with FaultServer(variant="honest", models=("NAME",)) as server:
        for command in commands_of(document):
            _, *arguments = shlex.split(command.replace(ENDPOINT, server.base_url))
            shorter = [] if full or "random-gpt2" not in command else SHORTER
            done = sert(*arguments, *shorter, cwd=tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stderr}"


def shown_features() -> list[tuple[str, int]]:
    """List the commands of docs/features.md in their order, each with the exit code that it is to end with."""
    text = (ROOT / "docs/features.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| ") and "`sert " in line]
    found = [(cell, re.findall(r"`(sert [^`]+)`", cell), re.search(r"\(exit (\d+)\)", cell)) for cell in cells]
    return [(command, int(code[1]) if code else 0) for _, commands, code in found for command in commands]


@pytest.mark.slow
def test_each_feature_is_shown_by_its_command(tmp_path: Path) -> None:
    make_data(tmp_path)
    with FaultServer(variant="honest", models=("NAME",)) as server:
        for command, code in shown_features():
            _, *arguments = shlex.split(command.replace(ENDPOINT, server.base_url))
            done = sert(*arguments, cwd=tmp_path, environment={**ENVIRONMENT, "MY_KEY": "no-secret"})
            assert done.returncode == code, f"{command}\n{done.stderr}"


def test_the_tests_that_show_a_feature_are_there() -> None:
    text = (ROOT / "docs/features.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 5 and len(shown_features()) > 25
    for file, test in named:
        assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def python_example() -> str:
    return (ROOT / "examples/python_api.py").read_text(encoding="utf-8")


def test_the_python_example_is_the_one_shown_and_names_what_is_there() -> None:
    example = python_example()
    assert f"```python\n{example}```" in (ROOT / "docs/stages.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\bsert\.(\w+)", example))
    assert len(names) > 10 and all(hasattr(sert_package, name) for name in names)


@pytest.mark.slow
def test_the_python_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", python_example()],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^sert: \d+/40 right, \d+ % reason$", done.stdout, re.MULTILINE)


def test_the_python_of_the_prospect_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_estimates: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/prospect.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(example.replace("questions=24", "questions=3"), {})
    said = capsys.readouterr().out
    assert said.startswith("lab-choice: 3 of 240 train questions") and said.endswith(" too few\n")


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*DOCUMENTS, "CONTRIBUTING.md", "CHANGELOG.md"]:
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"
