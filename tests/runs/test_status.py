"""How far a run is, told from its folder while others work in it, and what it holds of one question."""

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from commands import sert
from sert.config.load import load_config
from sert.errors import DataError
from sert.lab import DEMO_CONFIG
from sert.records import Example, Prediction, Verdict
from sert.records import Path as MinedPath
from sert.runs.plan import read_plan
from sert.runs.run import run
from sert.runs.showing import show_question
from sert.runs.status import StageStatus, status_of
from sert.store.artifacts import MANIFEST, SPENT, open_artifact
from sert.store.journal import Journal
from sert.store.lock import OWNER
from sert.store.tables import read_table, write_table

TASK = "lab-choice"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    methods = "methods=['finetune', 'sert', 'rd']"
    changed = [methods, "training.max_steps=4", "mining.max_new_tokens=24", "evaluation.probe_samples=0"]
    config = load_config(DEMO_CONFIG, overrides=[*changed, "student.device=cpu"], limit=3)
    return run(config, out=tmp_path_factory.mktemp("runs") / "small").folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def folder_of(run: Path, stage: str) -> Path:
    return run / str(read_plan(run)[f"{TASK} {stage}"]["folder"])


def status_in(run: Path, stage: str) -> StageStatus:
    (found,) = [each for each in status_of(run).stages if each.stage == f"{TASK} {stage}"]
    return found


def test_a_finished_run_is_told_with_what_its_stages_took(finished: Path) -> None:
    status = status_of(finished)
    took = open_artifact(folder_of(finished, "mine")).manifest["wall_seconds"]
    assert {stage.state for stage in status.stages} == {"finished"} and status.holder is None
    assert status_in(finished, "mine").seconds == took
    assert status.seconds == pytest.approx(sum(stage.seconds or 0 for stage in status.stages))
    assert status.spent == {"requests": 0, "answers": 0, "dollars": "0", "dollars_in_doubt": "0"}


@pytest.fixture
def gone() -> int:
    """A process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_units_of_unfinished_work_are_counted(copied: Path, gone: int) -> None:
    folder = folder_of(copied, "evaluate-sert")
    shutil.rmtree(folder)
    (work,) = copied.glob(f".{folder.name}.*.work")
    found = status_in(copied, "evaluate-sert")
    assert (found.state, found.done, found.total, found.unit) == ("stopped", 1, 1, "parts")
    (work / OWNER).write_text(f"process {gone} on {platform.node()}\n")
    assert status_in(copied, "evaluate-sert").state == "stopped"
    (work / OWNER).write_text(f"process {os.getpid()} on {platform.node()}\n")
    (work / SPENT).write_text("6.0")
    found = status_in(copied, "evaluate-sert")
    assert (found.state, found.seconds, found.seconds_left) == ("in work", 6.0, 0.0)


def test_steps_of_a_training_are_those_of_its_last_checkpoint(copied: Path) -> None:
    folder = folder_of(copied, "train-sert")
    shutil.rmtree(folder)
    assert status_in(copied, "train-sert") == StageStatus(f"{TASK} train-sert", "to do")
    work = copied / f".{folder.name}.x.work"
    for step in (1, 3):
        (work / f"checkpoints/step-{step:08d}").mkdir(parents=True)
    (work / OWNER).write_text("process 7 on another-machine\n")
    (work / SPENT).write_text("6.0")
    found = status_in(copied, "train-sert")
    assert (found.state, found.done, found.total, found.unit) == ("in work", 3, 4, "steps")
    assert found.seconds_left == pytest.approx(2.0)


def test_without_its_settings_no_totals_are_known(copied: Path) -> None:
    folder = folder_of(copied, "evaluate-sert")
    shutil.rmtree(folder)
    (copied / "config.toml").write_text("spoilt")
    found = status_in(copied, "evaluate-sert")
    assert (found.state, found.done, found.total) == ("stopped", 1, None)


def test_what_endpoints_cost_is_added_up(copied: Path) -> None:
    for number, name in enumerate(("teacher", "judge")):
        with Journal(copied / "calls" / name / "calls.journal") as journal:
            for call in range(2):
                key = f"{name}-{call}"
                journal.append({"type": "intent", "number": call, "key": key, "label": "x", "reserved": "0.5"})
            end = {"number": 0, "key": f"{name}-0", "spent": f"0.{number + 1}", "in_doubt": "0", "usage": [1, 2]}
            journal.append({"type": "answer", **end})
    assert status_of(copied).spent == {"requests": 4, "answers": 2, "dollars": "0.3", "dollars_in_doubt": "1.0"}


def test_the_command_tells_it_from_another_terminal(copied: Path, tmp_path: Path) -> None:
    (copied / OWNER).write_text("process 7 on another-machine\n")
    shutil.rmtree(folder_of(copied, "evaluate-rd"))
    done = sert("status", "run", cwd=tmp_path)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("run: ") and " s; process 7 on another-machine is at work" in last
    assert f"stopped   {TASK} evaluate-rd: 1 of 1 parts done" in done.stdout
    told = json.loads(sert("status", "run", "--json", cwd=tmp_path).stdout)
    assert told["holder"] == "process 7 on another-machine"
    assert {stage["state"] for stage in told["stages"]} == {"finished", "stopped"}


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no plan\.json that can be read; give the folder of a run"):
        status_of(tmp_path)
    with pytest.raises(DataError, match=r"has no plan\.json that can be read; give the folder of a run"):
        show_question(tmp_path, "q")


# ---- one question


def test_of_a_train_question_paths_verdicts_and_examples_are_shown(finished: Path) -> None:
    (shown,) = show_question(finished, "train-0001", task=TASK)
    (mined,) = shown.mined
    paths = read_table(folder_of(finished, "mine") / "paths.parquet", MinedPath)
    verdicts = read_table(folder_of(finished, "filter") / "verdicts.parquet", Verdict)
    assert mined.paths == [path for path in paths if path.question_id == "train-0001"] and len(mined.paths) == 25
    judged = {each.key: each for each in verdicts if each.question_id == "train-0001"}
    assert mined.verdicts == {f"{TASK} filter": judged}
    assert shown.question.task == TASK and list(shown.rationales) == [f"{TASK} teach"]
    labels = read_table(folder_of(finished, "train-finetune") / "examples.parquet", Example)
    assert shown.trained[f"{TASK} train-finetune"] in labels
    assert shown.trained[f"{TASK} train-rd"].source == "rationale"
    assert shown.answered == {}


def test_of_a_test_question_every_answer_is_shown(finished: Path) -> None:
    (shown,) = show_question(finished, "test-0001", task=TASK)
    assert (shown.mined, shown.rationales, shown.trained) == ([], {}, {})
    assert list(shown.answered) == [f"{TASK} evaluate-{method}" for method in ("finetune", "sert", "rd")]
    predictions = read_table(folder_of(finished, "evaluate-sert") / "predictions.parquet", Prediction)
    assert shown.answered[f"{TASK} evaluate-sert"] == predictions[0]


def test_a_question_of_each_task_is_shown_where_none_is_named(finished: Path) -> None:
    assert {shown.question.task for shown in show_question(finished, "train-0001")} == {"lab-yes-no", TASK}


def test_a_question_that_is_not_there_is_told_with_the_nearest(finished: Path) -> None:
    with pytest.raises(DataError, match=r"holds no question 'train-0009'; it has 6 questions, such as 'train-000"):
        show_question(finished, "train-0009")
    with pytest.raises(DataError, match=r"no question 'train-0001' of the task 'other'"):
        show_question(finished, "train-0001", task="other")


def test_the_command_shows_one_line_a_text_and_no_control_characters(copied: Path, tmp_path: Path) -> None:
    folder = folder_of(copied, "evaluate-sert")
    predictions = read_table(folder / "predictions.parquet", Prediction)
    spoilt = replace(predictions[0], completion="\x1b[2Jhid\nden " + "x" * 500)
    write_table(folder / "predictions.parquet", [spoilt, *predictions[1:]], Prediction)
    done = sert("show", "run", "test-0001", "--task", TASK, cwd=tmp_path)
    assert done.returncode == 0 and "\x1b" not in done.stdout and "\\x1b[2Jhid den xx" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 200
    assert "x" * 500 in sert("show", "run", "test-0001", "--task", TASK, "--full", cwd=tmp_path).stdout
    (told,) = json.loads(sert("show", "run", "train-0001", "--task", TASK, "--json", cwd=tmp_path).stdout)
    assert len(told["mined"][0]["paths"]) == 25 and told["question"]["split"] == "train"
    assert (folder / MANIFEST).is_file()
