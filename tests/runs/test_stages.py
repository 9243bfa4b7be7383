"""What a changed configuration means to the stages of a run, and what a run took in all."""

import json
import re
import shutil
from pathlib import Path

import pytest

from listening import Listening
from sert.cli import cli
from sert.config.load import load_config
from sert.config.tree import Config
from sert.errors import DataError
from sert.lab import DEMO_CONFIG
from sert.runs.folder import RunResult
from sert.runs.plan import read_plan
from sert.runs.run import plan, run
from sert.store.artifacts import MANIFEST, open_artifact

SMALL = (
    "training.max_steps=2",
    "mining.max_new_tokens=24",
    "evaluation.probe_samples=0",
    "student.device=cpu",
    "methods=['sert']",
)


def small(*overrides: str) -> Config:
    return load_config(DEMO_CONFIG, overrides=[*SMALL, *overrides], limit=3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(small(), out=tmp_path_factory.mktemp("runs") / "small")


def because(finished: RunResult, *overrides: str) -> dict[str, list[str]]:
    planned = plan(small(*overrides), out=finished.folder).stages
    return {stage.stage: stage.because for stage in planned if stage.because}


def test_an_unchanged_configuration_changes_nothing(finished: RunResult) -> None:
    assert because(finished) == {}
    # Who does the work is no part of any result.
    assert (
        because(finished, "execution.workers=2", "execution.checkpoint_seconds=1", "execution.keep_units=false") == {}
    )


def test_a_changed_setting_is_named_with_its_values_and_what_follows_from_it(finished: RunResult) -> None:
    assert because(finished, "rules.min_tokens=11", "training.learning_rate=1e-3") == {
        f"{task} {stage}": reasons
        for task in ("lab-yes-no", "lab-choice")
        for stage, reasons in {
            "filter": ["rules.min_tokens: 12 -> 11"],
            "train-sert": ["training.learning_rate: 0.0003 -> 0.001", "filter changed"],
            "evaluate-sert": ["rules.min_tokens: 12 -> 11", "train-sert changed"],
        }.items()
    }


def test_changed_questions_are_named(finished: RunResult) -> None:
    fewer = load_config(DEMO_CONFIG, overrides=SMALL, limit=2)
    stages = {stage.stage: stage.because for stage in plan(fewer, out=finished.folder).stages}
    assert stages["lab-choice mine"] == ["train questions changed"]
    assert stages["lab-choice evaluate-sert"] == ["test questions changed", "train-sert changed"]


def test_the_seed_is_a_reason_everywhere(finished: RunResult) -> None:
    assert because(finished, "seed=5")["lab-choice filter"] == ["seed: 0 -> 5", "mine changed"]


def test_what_was_there_stays_and_is_found_again(finished: RunResult, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    before = {each.parent.name: each.read_bytes() for each in folder.glob(f"*/{MANIFEST}")}
    listening = Listening()
    changed = run(small("rules.min_tokens=11"), out=folder, reporter=listening)
    assert changed.stages_made == 6
    kept = next(name for name in before if "lab-choice-filter" in name)
    line = f"lab-choice filter: is made anew, because rules.min_tokens: 12 -> 11. What was there stays in {kept}."
    assert line in listening.said
    assert {name: (folder / name / MANIFEST).read_bytes() for name in before} == before
    listening = Listening()
    assert run(small(), out=folder, reporter=listening).stages_made == 0
    assert any(
        line.startswith("lab-choice filter: is there already, because rules.min_tokens: 11 -> 12")
        for line in listening.said
    )


def test_only_what_is_there_is_said_to_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sert.student.training.loop.train_student", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(small(), out=tmp_path / "run")
    planned = {name: each["folder"] for name, each in read_plan(tmp_path / "run").items()}
    unfinished = tmp_path / "run" / f".{planned['lab-choice train-sert']}.0.work"
    (unfinished / "checkpoints" / "step-1").mkdir(parents=True)
    listening = Listening()
    run(small("rules.min_tokens=11"), out=tmp_path / "run", reporter=listening)
    said = {line.partition(":")[0]: line.partition(" -> ")[2] for line in listening.said if "made anew" in line}
    ends = {stage: line.partition(". ")[2] for stage, line in said.items()}
    assert ends["lab-yes-no filter"] == f"What was there stays in {planned['lab-yes-no filter']}."
    assert ends["lab-choice filter"] == "Nothing of what was planned before is there."
    (trained,) = (line for line in listening.said if line.startswith("lab-choice train-sert: is made anew"))
    assert trained.endswith(f"because filter changed. Its unfinished work stays in {unfinished.name}.")
    named = [word.strip(".,") for line in listening.said for word in line.partition(" stays in ")[2].split()]
    assert len(named) == 2 and (tmp_path / "run" / named[0]).is_dir() and unfinished.is_dir()


@pytest.mark.parametrize("ended", [True, False])
def test_the_folder_of_a_run_is_not_taken_for_that_of_a_stage(finished: RunResult, tmp_path: Path, ended: bool) -> None:
    folder = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    if not ended:
        (folder / MANIFEST).unlink()
    options = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--free", "--out", str(tmp_path / "judged")]
    for command in (["judge", *options], ["filter", "--out", str(tmp_path / "filtered")]):
        said = (
            f"{folder} is the folder of a run, a grid or a prospect, not of a stage; name the folder of a stage in it."
        )
        with pytest.raises(DataError, match=re.escape(said)):
            cli([*command, str(folder)], standalone_mode=False)


def test_a_damaged_plan_hides_nothing_and_stops_nothing(finished: RunResult, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    for content in ("", "[]", "{", '{"lab-choice filter": 3}', '{"lab-choice filter": {"folder": "x"}}'):
        (folder / "plan.json").write_text(content)
        assert run(small(), out=folder).stages_made == 0


def test_what_a_run_took_is_that_of_all_its_stages(finished: RunResult) -> None:
    artifacts = [open_artifact(each.parent) for each in finished.folder.glob(f"*/{MANIFEST}")]
    mined = [each for each in artifacts if each.manifest["stage"] == "mine"]
    trained = [each for each in artifacts if each.manifest["stage"] == "train"]
    assert finished.spent == {
        "wall_seconds": pytest.approx(sum(each.manifest["wall_seconds"] for each in artifacts)),
        "tokens_mined": sum(each.counts["tokens"] for each in mined),
        "tokens_trained": sum(each.counts["supervised_tokens"] for each in trained),
        "requests": 0,
        "dollars": "0",
    }
    assert json.loads((finished.folder / MANIFEST).read_text())["spent"] == finished.spent
    assert run(small(), out=finished.folder).spent == finished.spent
