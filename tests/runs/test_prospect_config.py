"""A prospect of what a configuration says: which task, what options change, and what they may."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sert.cli import cli
from sert.config.load import load_config
from sert.config.prospect import Prospect, prospect_of
from sert.config.tree import Config, EvaluationConfig
from sert.errors import ConfigError

RUN = """
name = "two"
seed = 3
[student]
path = "lab"
num_threads = 1
[mining]
branches = 2
samples = 2
max_new_tokens = 16
[rules]
min_tokens = 7
[tasks.lab-choice]
kind = "lab_choice"
[tasks.own]
kind = "table"
hub = "nobody/nothing"
hub_config = "main"
test_split = "test"
columns = {question = "ask", answer = "gold"}
prompts = {student = "Q: {question}\\nA:"}
[evaluation]
max_new_tokens = 99
"""


@pytest.fixture(autouse=True)
def quick(quick_estimates: None) -> None:
    """Estimates take a moment only."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration of a run with two tasks, one of them on the hub."""
    (tmp_path / "run.toml").write_text(RUN, encoding="utf-8")
    return tmp_path / "run.toml"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"ask": f"Is {number} even?", "gold": ("yes", "no")[number % 2]} for number in range(4)]
    (tmp_path / "own.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path / "own.jsonl"


def prospect(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["prospect", *map(str, arguments)], catch_exceptions=False)


def test_what_a_configuration_says_is_kept_and_what_it_leaves_open_is_a_prospects(file: Path) -> None:
    config = load_config(file)
    asked = prospect_of(config, task="own", questions=5)
    assert (asked.name, asked.questions, list(asked.tasks)) == ("two-own", 5, ["own"])
    for section in ("student", "mining", "rules", "training", "seed"):
        assert getattr(asked, section) == getattr(config, section)
    assert asked.tasks["own"] == config.tasks["own"]
    assert asked.evaluation.likelihood and not config.evaluation.likelihood
    off = config.model_copy(update={"evaluation": EvaluationConfig(likelihood=False)})
    assert not prospect_of(off, task="own").evaluation.likelihood


def test_a_prospect_of_a_prospect_is_the_same() -> None:
    asked = Prospect(name="x", questions=7, tasks={"lab": {"kind": "lab_choice"}}, evaluation={"likelihood": False})
    assert prospect_of(asked) == asked


def test_of_several_tasks_one_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match="choose one of lab-choice, own by --task"):
        prospect(file, "--dry-run")
    with pytest.raises(ConfigError, match="two has no task 'lab'; its tasks: lab-choice, own"):
        prospect(file, "--task", "lab", "--dry-run")
    only = Config(name="one", tasks={"lab": {"kind": "lab_choice"}})
    assert prospect_of(only).name == "one"


def test_a_dry_run_plans_the_task_as_the_configuration_has_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    said = prospect(file, "--task", "lab-choice", "--limit", "5", "--dry-run").stdout
    assert "to do     lab-choice mine: 20 paths of at most 16 tokens" in said
    assert "Would be written to prospects/two-lab-choice" in said
    assert list(file.parent.iterdir()) == [file]


def test_options_change_what_the_configuration_says(file: Path, data: Path) -> None:
    changed = [file, "--task", "own", "--data", data, "--max-new-tokens", "8", "--set", "mining.samples=1"]
    done = prospect(*changed, "--set", "evaluation.likelihood=false", "--dry-run", "--out", file.parent / "out")
    assert "to do     own mine: 8 paths of at most 8 tokens" in done.stdout
    assert "likelihood" not in done.stdout
    assert 'The first prompt: "Q: Is 0 even?\\nA:"' in done.stdout


def test_what_it_asks_is_written_beside_it_with_the_options(file: Path, data: Path) -> None:
    out = file.parent / "out"
    changed = [file, "--task", "own", "--data", data, "--seed", "5", "--limit", "2", "--set", "rules.min_tokens=9"]
    done = prospect(*changed, "--out", out, "--json")
    assert json.loads(done.stdout)["metrics"]["seed"] == 5
    written = load_config_of(out)
    assert (written.seed, written.questions, written.rules.min_tokens) == (5, 2, 9)
    own = written.tasks["own"]
    assert (own.data, own.hub, own.hub_config, own.test_split) == (data, None, None, None)


def load_config_of(out: Path) -> Prospect:
    import tomllib

    return Prospect.model_validate(tomllib.loads((out / "prospect.toml").read_text(encoding="utf-8")))


def test_what_a_prospect_does_not_read_is_refused(file: Path) -> None:
    for setting in ("judge.limit=3", "evaluation.votes=3", "evaluation=3", "selection.order=random"):
        with pytest.raises(ConfigError, match=r"this command reads only tasks, .*, seed, evaluation\.likelihood\."):
            prospect(file, "--task", "lab-choice", "--set", setting, "--dry-run")
    with pytest.raises(ConfigError, match=r"unknown key 'prompts'; did you mean 'tasks\.<name>\.prompts'\?"):
        prospect(file, "--task", "lab-choice", "--set", "prompts.choices_as=none", "--dry-run")


def test_a_configuration_that_cannot_be_used_is_told_with_its_line(file: Path) -> None:
    file.write_text(RUN.replace("samples = 2", "sample = 2"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 9: .*sample"):
        prospect(file, "--task", "lab-choice", "--student", "gpt2", "--dry-run")
    file.write_text('name = "x"\nstudent = "gpt2"\ntasks = 3\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="line 3"):
        prospect(file, "--task", "lab-choice", "--student", "gpt2", "--dry-run")


def test_something_must_be_asked() -> None:
    done = CliRunner().invoke(cli, ["prospect", "--dry-run"])
    assert done.exit_code == click.UsageError.exit_code and "--task with a kind of question set" in done.output


def test_without_a_configuration_a_prospect_is_called_by_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = prospect("--task", "lab_yes_no", "--limit", "2", "--max-new-tokens", "8", "--dry-run")
    assert "Would be written to prospects/lab_yes_no" in done.stdout
