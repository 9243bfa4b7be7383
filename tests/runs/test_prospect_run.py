"""A prospect from beginning to end on the lab: its folder is that of a run, and nothing is trained."""

import inspect
import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner

import sert
from listening import Listening
from prospect_data import make_path, make_questions
from sert.cli import cli
from sert.config.prospect import Prospect
from sert.config.tree import Config, EvaluationConfig, StudentConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.prediction import evaluate
from sert.runs.folder import RunResult
from sert.runs.prospect import plan_prospect, prospect, shown_paths
from sert.runs.prospect_graph import build_prospect
from sert.runs.run import report_run, run
from sert.runs.verify import find_removable, verify
from sert.store.artifacts import MANIFEST, open_artifact

TASK = {"lab-choice": {"kind": "lab_choice"}}
MINING = {"max_new_tokens": 24, "branches": 2, "samples": 2}
STAGES = ("likelihood", "mine", "filter", "mine-raw", "greedy")


def small(**changes: object) -> Prospect:
    asked = {"name": "prospect", "questions": 6, "tasks": TASK, "mining": MINING, "student": {"path": "lab"}}
    return Prospect.model_validate({**asked, "rules": {"min_tokens": 12, "min_perplexity": 1.2}, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sert.runs.estimate.MEASURED_SECONDS", 0.001)
        return prospect(small(), out=tmp_path_factory.mktemp("prospects") / "lab")


@pytest.fixture(autouse=True)
def quick(quick_estimates: None) -> None:
    """Estimates take a moment only."""


def copy_of(finished: RunResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.folder, tmp_path / "lab"))


def test_it_mines_filters_and_asks_and_trains_nothing(finished: RunResult) -> None:
    stages = {
        each.parent.name.rpartition("-")[0]: open_artifact(each.parent)
        for each in finished.folder.glob(f"*/{MANIFEST}")
    }
    assert stages.keys() == {f"lab-choice-{step}" for step in STAGES}
    assert {name: stages[f"lab-choice-{name}"].counts["paths"] for name in ("mine", "mine-raw")} == {
        "mine": 24,
        "mine-raw": 24,
    }
    assert stages["lab-choice-mine"].counts["stopped_early"] == {}
    assert stages["lab-choice-greedy"].manifest["config"]["evaluation"]["max_new_tokens"] == 24
    numbers = json.loads((finished.folder / "report/prospect.json").read_text(encoding="utf-8"))
    assert numbers == finished.metrics
    assert (numbers["questions"]["asked"], numbers["questions"]["drawn_from"]) == (6, 240)
    assert finished.report.is_file() and numbers["cost"]["train_questions"] == 240
    assert numbers["verdict"]["level"] == "too few"  # six questions tell nothing
    assert finished.summary.startswith("lab-choice: 6 of 240 train questions, student lab")


def test_the_same_command_finds_everything_and_a_changed_rule_mines_nothing_anew(
    finished: RunResult, tmp_path: Path
) -> None:
    folder = copy_of(finished, tmp_path)
    assert prospect(small(), out=folder).stages_made == 0
    listening = Listening()
    changed = prospect(small(rules={"min_tokens": 11, "min_perplexity": 1.2}), out=folder, reporter=listening)
    assert changed.stages_made == 2  # the filter, and the greedy outputs, which say whether they reason
    assert any("rules.min_tokens: 12 -> 11" in line for line in listening.said)


def test_it_goes_on_where_it_was_stopped(finished: RunResult, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    (greedy,) = folder.glob("lab-choice-greedy-*")
    shutil.rmtree(greedy)
    with pytest.raises(DataError, match="is not finished: 1 stage to do"):
        report_run(folder)
    again = prospect(small(), out=folder)
    assert again.stages_made == 1
    assert {key: value for key, value in again.metrics.items() if key not in ("created", "cost", "findings")} == {
        key: value for key, value in finished.metrics.items() if key not in ("created", "cost", "findings")
    }


def test_its_page_is_written_again(finished: RunResult, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    shutil.rmtree(folder / "report")
    again = report_run(folder)
    assert again.report.is_file() and again.report.name == "prospect.html"
    assert again.metrics["looks"] == finished.metrics["looks"]
    assert not [each for each in verify(folder) if each.broken]


@pytest.mark.parametrize("name", ["prospect.toml", "report/prospect.json", "mine"])
def test_what_is_damaged_is_found_and_made_again(finished: RunResult, tmp_path: Path, name: str) -> None:
    folder = copy_of(finished, tmp_path)
    assert not [each for each in verify(folder) if each.broken]
    assert not [each for each in find_removable(folder) if not each.folder.name.startswith(".")]
    file = next(folder.glob("lab-choice-mine-[0-9a-f]*/paths.parquet")) if name == "mine" else folder / name
    before = file.read_bytes()
    file.write_bytes(before[:-1] + b"\0")
    assert [each for each in verify(folder) if each.broken]
    assert all(each.mended for each in verify(folder, repair=True) if each.damage)
    assert not [each for each in verify(folder) if each.broken]
    if name != "report/prospect.json":  # which says when it was written
        assert file.read_bytes() == before


def test_a_folder_of_another_kind_is_refused(finished: RunResult) -> None:
    config = Config(name="run", tasks=TASK, student={"path": "lab"}, methods=("sert",))
    with pytest.raises(DataError, match="is the folder of a prospect; give a run with one configuration another"):
        run(config, out=finished.folder)
    with pytest.raises(DataError, match="folder of a run, a grid or a prospect"):
        open_artifact(finished.folder)


def test_a_plan_writes_nothing(finished: RunResult, tmp_path: Path) -> None:
    planned = plan_prospect(small(), out=tmp_path / "lab", reporter=Listening())
    assert [stage.stage for stage in planned.stages] == [f"lab-choice {step}" for step in STAGES]
    assert planned.estimate.tokens_decoded == 6 * 24 * (4 + 4 + 1) and planned.estimate.tokens_trained == 0
    assert not list(tmp_path.iterdir())
    done = plan_prospect(small(), out=finished.folder, reporter=Listening())
    assert all(stage.finished for stage in done.stages)


def test_branching_needs_branches_and_one_task(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mining.branches = 0 is raw sampling"):
        prospect(small(mining={"branches": 0}), out=tmp_path / "lab")
    with pytest.raises(ConfigError, match="one task at a time; choose one of lab-choice, lab-yes-no by --task"):
        prospect(small(tasks=TASK | {"lab-yes-no": {"kind": "lab_yes_no"}}), out=tmp_path / "lab")


def test_fewer_questions_are_a_part_of_more_and_no_first_ones(finished: RunResult, tmp_path: Path) -> None:
    planned = plan_prospect(small(questions=3), out=tmp_path / "lab", reporter=Listening())
    assert planned.stages[1].work == "12 paths of at most 24 tokens"
    everything = plan_prospect(small(questions=1000), out=tmp_path / "lab", reporter=Listening())
    assert everything.stages[1].work == "960 paths of at most 24 tokens"


def test_shown_paths_are_drawn_at_most_one_a_question() -> None:
    pairs = [
        make_path(f"q{place}", standing, sample=sample)
        for place in range(20)
        for sample, standing in enumerate(("right", "wrong", "right", "cut"))
    ]
    drawn = {each.standing: each.shown for each in shown_paths("t", make_questions(20), pairs, seed=1)}
    assert {standing: len(shown) for standing, shown in drawn.items()} == {
        "right": 5,
        "wrong": 5,
        "unread": 0,
        "cut": 5,
    }
    right = [(each.path.question_id, each.path.sample) for each in drawn["right"]]
    assert len({name for name, _ in right}) == 5 and {sample for _, sample in right} == {0, 2}
    again = shown_paths("t", make_questions(20), pairs[::-1], seed=1)[0].shown
    assert [(each.path.question_id, each.path.sample) for each in again] == right
    assert shown_paths("t", make_questions(20), pairs, seed=2)[0].shown != drawn["right"]


def test_what_it_knows_by_likelihood_is_what_an_evaluation_finds(finished: RunResult, tmp_path: Path) -> None:
    asked = build_prospect(small(), out=tmp_path / "lab").questions
    config = EvaluationConfig(max_new_tokens=24, likelihood=True)
    evaluated = evaluate(asked, StudentConfig(path="lab"), out=tmp_path / "evaluated", config=config)
    rows = {row["measure"]: row["right"]["hits"] for row in finished.metrics["likelihood"]}
    measures = ("cloze", "cloze_raw", "letter")
    expected = {measure: evaluated.counts[f"likelihood_{measure}"]["correct"] for measure in measures}
    assert rows == {"generated": evaluated.counts["correct_strict"], **expected}
    assert "By likelihood: Right: most probable words" in finished.summary


def test_without_likelihood_nothing_is_scored_and_all_else_stays(finished: RunResult, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    without = prospect(small(evaluation={"likelihood": False}), out=folder)
    assert (without.stages_made, without.stages_skipped) == (0, 4)
    assert without.metrics["likelihood"] is None and "By likelihood" not in without.summary


def test_answers_that_are_numbers_are_left_out_with_a_word(tmp_path: Path) -> None:
    rows = [{"question": f"What is {number} and 1?", "answer": str(number + 1)} for number in range(3)]
    (tmp_path / "sums.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = small(tasks={"sums": {"kind": "table", "data": tmp_path / "sums.jsonl"}})
    planned = plan_prospect(config, out=tmp_path / "sums", reporter=Listening())
    assert [stage.stage for stage in planned.stages] == [f"sums {step}" for step in STAGES[1:]]
    found = prospect(config, out=tmp_path / "sums")
    assert found.metrics["likelihood"] == []
    assert "By likelihood: Not scored: answers that are numbers" in found.summary.replace("\n", " ")


def test_choices_are_shown_as_the_setting_says(tmp_path: Path) -> None:
    task = {"lab-choice": {**TASK["lab-choice"], "prompts": {"choices_as": "none"}}}
    found = prospect(small(questions=2, tasks=task), out=tmp_path / "lab").metrics
    assert found["questions"]["choices_as"] == "none"
    assert [row["measure"] for row in found["likelihood"]] == ["generated", "cloze", "cloze_raw"]


def test_a_folder_of_an_earlier_version_has_no_likelihoods_and_is_finished(finished: RunResult, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    settings = tomllib.loads((folder / "prospect.toml").read_text(encoding="utf-8"))
    settings["evaluation"]["likelihood"] = False  # as its file says
    (folder / "prospect.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
    assert report_run(folder).metrics["likelihood"] is None


def test_the_first_prompt_that_is_shown_is_not_too_long(tmp_path: Path) -> None:
    long = " ".join(f"Does stone {number} float?" for number in range(300))
    rows = [{"question": text, "answer": "yes"} for text in (long, "Is ice cold?", "Is fire cold?")]
    (tmp_path / "q.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config, told = small(tasks={"own": {"kind": "table", "data": tmp_path / "q.jsonl"}}), Listening()
    planned = plan_prospect(config, out=tmp_path / "out", reporter=told)
    assert [prompt for _, prompt in planned.asked] == ["Question: Is ice cold?\nAnswer:"]
    assert len([line for line in told.said if "Too long for 'lab': 1 of 3 questions" in line]) == 1


def test_the_example_of_the_public_function_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = re.findall(r"^    (.*)$", inspect.getdoc(sert.prospect) or "", re.MULTILINE)
    code = "\n".join(line for line in example if line.startswith(("config =", "found =", "print(")))
    names: dict[str, Any] = {"sert": sert}
    exec(code, names)
    assert names["found"].report == Path("prospects/look/report/prospect.html") and names["found"].report.is_file()
    assert names["found"].metrics["questions"]["asked"] == 8


def test_the_command_says_what_it_would_do_and_refuses_what_it_does_not_read(tmp_path: Path) -> None:
    arguments = ["prospect", "--task", "lab_choice", "--out", str(tmp_path / "lab"), "--limit", "4"]
    done = CliRunner().invoke(
        cli, [*arguments, "--max-new-tokens", "24", "--dry-run", "--json"], catch_exceptions=False
    )
    planned = json.loads(done.stdout)
    assert [stage["stage"] for stage in planned["stages"]] == [f"lab_choice {step}" for step in STAGES]
    assert planned["students"][0]["notes"]["driven_by"] and not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="this command reads only tasks, student, mining, rules, training"):
        CliRunner().invoke(cli, [*arguments, "--set", "judge.limit=3"], catch_exceptions=False)
