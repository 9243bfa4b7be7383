"""A first configuration from options or from answers: it is shown, it runs, and no file is lost to it."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands import sert
from sert.cli import cli
from sert.errors import SertError
from sert.lab import DEMO_CONFIG

ROWS = [{"text": f"Can a {one} bark?", "gold": gold} for one, gold in (("cat", "no"), ("dog", "yes"), ("cod", "no"))]


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("pets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def answer(*arguments: str, answers: str) -> Result:
    return CliRunner().invoke(cli, ["init", *arguments, "--ask"], input=answers, catch_exceptions=False)


def written(file: str) -> dict[str, Any]:
    return tomllib.loads(Path(file).read_text(encoding="utf-8"))


def test_it_is_written_shown_and_runs(pets: Path) -> None:
    done = sert("init", "pets.toml", "--questions", "pets.jsonl", "--student", "lab", cwd=pets)
    assert done.returncode == 0, done.stderr
    assert "  question  text\n" in done.stdout and "  answer    gold\n" in done.stdout
    assert "The first question: Can a cat bark?\nIts gold answer: no\n" in done.stdout
    tree = written("pets.toml")
    assert tree["tasks"] == {
        "pets": {
            "kind": "table",
            "data": "pets.jsonl",
            "test_share": 0.3,
            "columns": {"question": "text", "answer": "gold"},
        }
    }
    assert tree["methods"] == ["zero_shot", "finetune", "sert"]
    assert tree["rules"] == {name: tomllib.loads(DEMO_CONFIG.read_text())["rules"][name] for name in tree["rules"]}
    planned = sert("run", "pets.toml", "--set", "tasks.pets.test_share=0.5", "--dry-run", cwd=pets)
    assert planned.returncode == 0 and "pets train-sert" in planned.stdout, planned.stderr


@pytest.mark.parametrize(
    ("student", "rules", "training"),
    [
        ("gpt2", None, None),
        ("openai-community/gpt2-medium", None, None),
        (
            "HuggingFaceTB/SmolLM2-135M",
            {"min_perplexity": "p25", "unfinished": "trim"},
            {"learning_rate": 1e-4, "epochs": 3},
        ),
    ],
)
def test_settings_are_the_papers_for_its_students_and_such_as_fit_any_for_others(
    student: str, rules: dict[str, str] | None, training: dict[str, float] | None, pets: Path
) -> None:
    done = sert("init", "pets.toml", "--questions", "pets.jsonl", "--student", student, cwd=pets)
    assert done.returncode == 0, done.stderr
    tree = written("pets.toml")
    assert (tree.get("rules"), tree.get("training")) == (rules, training)
    assert tree["student"] == {"path": student, "dtype": "auto"}
    assert ("The limits fit any student" in Path("pets.toml").read_text()) == (rules is not None)


def test_a_file_that_is_there_stays(pets: Path) -> None:
    Path("pets.toml").write_text("mine")
    done = sert("init", "pets.toml", "--questions", "pets.jsonl", cwd=pets)
    assert done.returncode == 3 and "is there already and stays as it is" in done.stderr
    assert Path("pets.toml").read_text() == "mine"


def test_a_recorded_teacher_makes_it_distil(pets: Path) -> None:
    Path("test.jsonl").write_text(json.dumps({"text": "Can a fox bark?", "gold": "yes"}) + "\n")
    given = ["--questions", "pets.jsonl", "--test-questions", "test.jsonl", "--rationales", "said.jsonl"]
    assert sert("init", "a b.toml", *given, "--json", cwd=pets).returncode == 0
    tree = written("a b.toml")
    assert tree["teacher"] == {"kind": "recorded"} and "rd" in tree["methods"] and tree["name"] == "a-b"
    assert (tree["tasks"]["pets"]["test_data"], tree["tasks"]["pets"]["rationales"]) == ("test.jsonl", "said.jsonl")
    assert "sert run 'a b.toml' --dry-run" in Path("a b.toml").read_text()


def test_what_is_not_given_is_asked_for(pets: Path) -> None:
    teacher = "http://127.0.0.1:1/v1\nNAME\nn\n2.5\n0.5,1.5\n"
    done = answer("asked.toml", answers=f"pets.jsonl\nlab\n{teacher}y\n")
    assert done.exit_code == 0, done.output
    tree = written("asked.toml")
    assert tree["student"] == {"path": "lab"}
    assert tree["teacher"]["endpoint"] == {"url": "http://127.0.0.1:1/v1", "model": "NAME"}
    assert tree["teacher"]["calls"] == {"max_cost": "2.5", "price": ["0.5", "1.5"]}


def test_wrong_guesses_are_asked_for_until_they_are_right(pets: Path) -> None:
    wrong, right = "text\nnone\nnot there\nauto\n", "text\nnone\ngold\ntext\n"
    done = answer("own.toml", "--questions", "pets.jsonl", "--student", "lab", answers=f"none\nn\n{wrong}{right}y\n")
    assert done.exit_code == 0 and "there is no column 'not there'" in done.output
    assert written("own.toml")["tasks"]["pets"]["columns"] == {
        "question": "text",
        "answer": "gold",
        "answer_is": "text",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give --questions, or answer at a terminal"),
        (["--endpoint", "http://x/v1"], "Give --model, or answer at a terminal"),
        (["--endpoint", "http://x/v1", "--model", "m"], "Calls cost money: give --max-cost DOLLARS"),
        (["--endpoint", "http://x/v1", "--rationales", "r"], "--rationales and --endpoint exclude each other"),
    ],
)
def test_what_is_missing_is_named(pets: Path, arguments: list[str], says: str) -> None:
    given = ["--questions", "pets.jsonl"] if arguments else []
    done = CliRunner().invoke(cli, ["init", *given, *arguments, "--no-ask"])
    assert done.exit_code == 2 and says in done.output
    assert not list(pets.glob("*.toml"))


def test_columns_that_are_not_there_leave_no_file(pets: Path) -> None:
    given = ["init", "--questions", "pets.jsonl", "--answer-column", "none", "--no-ask"]
    with pytest.raises(SertError, match="there is no column 'none'"):
        CliRunner().invoke(cli, given, catch_exceptions=False)
    assert not list(pets.glob("*.toml"))


@pytest.mark.parametrize(
    ("answers", "option"),
    [
        ("", "--rationales, --endpoint or --no-ask"),
        ("http://x/v1\n", "--model"),
        ("none\n", "--no-ask"),
        ("none\nn\ntext\nnone\n", "--answer-column"),
    ],
)
def test_answers_that_end_are_told(pets: Path, answers: str, option: str) -> None:
    done = answer("own.toml", "--questions", "pets.jsonl", "--student", "lab", answers=answers)
    assert done.exit_code == 2 and "nothing was written" in done.output and f"Give {option}, or" in done.output
    assert not list(pets.glob("*.toml"))


def test_what_is_offered_are_columns_of_the_file(pets: Path) -> None:
    given = ["--questions", "pets.jsonl", "--student", "lab", "--answer-column", "gould"]
    done = answer("own.toml", *given, answers="none\ntext\nnone\ngold\nauto\ny\n")
    assert done.exit_code == 0 and "did you mean 'gold'?" in done.output
    assert "[question]" not in done.output and "[answer]" not in done.output and "[gould]" not in done.output


def test_its_folder_is_made(pets: Path) -> None:
    done = sert("init", "new/own.toml", "--questions", "pets.jsonl", "--no-ask", cwd=pets)
    assert done.returncode == 0 and (pets / "new" / "own.toml").exists(), done.stderr
