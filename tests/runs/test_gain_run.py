"""Gains in a whole run of a small part of the lab: what is scored, what is selected by it, and what the report says."""

import json
from pathlib import Path

import pytest

from commands import sert
from sert.config.load import load_config
from sert.config.tree import Config
from sert.lab import DEMO_CONFIG
from sert.records import Gain, PathKey, Verdict
from sert.report.texts import terminal_table
from sert.runs.folder import RunResult
from sert.runs.run import plan, report_run, run
from sert.store.artifacts import Artifact, open_artifact
from sert.store.tables import read_table

SMALL = ("training.max_steps=2", "mining.max_new_tokens=32", "evaluation.probe_samples=0", "student.device=cpu")
ON = ("evaluation.gain=true", "selection.order=gain", "evaluation.max_new_tokens=32", "evaluation.scored_questions=1")
METHODS = ["zero_shot", "finetune", "sert", "rd", "sert+rd"]


def small(*overrides: str, limit: int = 6) -> Config:
    return load_config(DEMO_CONFIG, overrides=[*SMALL, *overrides], limit=limit)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(small(*ON), out=tmp_path_factory.mktemp("gains") / "run")


def stage_of(result: RunResult, name: str) -> Artifact:
    stages = json.loads((result.folder / "manifest.json").read_text())["stages"]
    return open_artifact(result.folder / stages[name])


def test_all_that_is_written_is_scored(finished: RunResult) -> None:
    stages = json.loads((finished.folder / "manifest.json").read_text())["stages"]
    scored = [f"gain-{step}" for step in ("mine", "teach", *(f"evaluate-{method}" for method in METHODS))]
    assert {name for name in stages if " gain-" in name} == {
        f"{task} {step}" for task in ("lab-yes-no", "lab-choice") for step in scored
    }
    rows = [row for row in finished.metrics["gain"] if row["task"] == "lab-choice"]
    assert [(row["source"], row["part"]) for row in rows] == [
        *(("paths", part) for part in ("all", "kept", "selected_by_gain")),
        *((method, part) for method in METHODS for part in ("all", "reasoned")),
        *(("rationales", part) for part in ("all", "right")),
    ]
    (every,) = [row for row in rows if (row["source"], row["part"]) == ("paths", "all")]
    counts = stage_of(finished, "lab-choice gain-mine").counts
    assert every["texts"] == counts["scored"] == 150 and every["nats"] == pytest.approx(counts["mean_nats"])
    assert (every["right"]["hits"], every["right_without"]["hits"]) == (counts["right"], counts["right_without"])
    oracle = next(row for row in rows if row["source"] == "rationales")
    assert oracle["agree"]["share"] == 1.0


@pytest.mark.parametrize("task", ["lab-yes-no", "lab-choice"])
def test_the_kept_path_with_the_largest_gain_is_trained_on(finished: RunResult, task: str) -> None:
    verdicts = read_table(stage_of(finished, f"{task} filter").file("verdicts.parquet"), Verdict)
    gains = read_table(stage_of(finished, f"{task} gain-mine").file("gains.parquet"), Gain)
    nats = {PathKey(each.question_id, each.branch or 0, each.sample or 0): each.nats for each in gains}
    selected = {each.question_id: each.key for each in verdicts if each.selected}
    assert selected
    for question_id, key in selected.items():
        kept = [each.key for each in verdicts if each.question_id == question_id and each.reason is None]
        assert nats[key] == max(nats[each] or 0.0 for each in kept) and len(kept) > 1


def test_the_run_and_its_report_say_that_the_selection_looks_at_gold(finished: RunResult) -> None:
    said = 'lab-choice: selection.order = "gain" looks at the gold answer'
    assert any(warning.startswith(said) for warning in finished.metrics["warnings"])
    shown = terminal_table(finished.metrics)
    assert "looks at the gold answer" in shown and "how much texts raise the log-probability" in shown
    for text in (finished.report, finished.folder / "report" / "table.md"):
        written = text.read_text(encoding="utf-8")
        assert "looks at the gold answer" in written and "Outputs of SERT+RD, that reason" in written
        assert "kept by direct response alone" in written
    assert report_run(finished.folder).metrics["gain_looks"] == finished.metrics["gain_looks"]


def test_a_plan_counts_what_is_scored(tmp_path: Path) -> None:
    without, planned = (plan(small(*each), out=tmp_path / "run") for each in ((), ON[:1]))
    works = {each.stage: each.work for each in planned.stages}
    assert works["lab-choice gain-mine"] == "how likely the gold answer is behind 150 paths, and without them"
    assert len(planned.stages) == len(without.stages) + 14
    assert planned.estimate.tokens_decoded == without.estimate.tokens_decoded
    assert planned.estimate.seconds is not None and without.estimate.seconds is not None
    folders = {each.stage: each.folder for each in planned.stages}
    assert all(folders[each.stage] == each.folder for each in without.stages)


def test_a_run_without_gains_has_no_rows_of_them(tmp_path: Path) -> None:
    metrics = run(small("methods=['zero_shot']", limit=2), out=tmp_path / "run").metrics
    assert metrics["gain"] == metrics["gain_looks"] == []


# ---- single commands


def test_the_filter_scores_first_where_it_selects_by_gain(finished: RunResult, tmp_path: Path) -> None:
    mined = stage_of(finished, "lab-choice mine").folder
    settings = ("--set", "selection.order=gain", "--set", "rules.min_tokens=12", "--set", "rules.min_perplexity=1.2")
    refused = sert("filter", mined, *settings, "--out", "f", cwd=tmp_path)
    assert refused.returncode == 3 and "--student" in refused.stderr and "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == []
    done = sert("filter", mined, *settings, "--student", "lab", "--out", "f", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "looks at the gold answer" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "f-gains"]
    own = stage_of(finished, "lab-choice filter")
    assert (tmp_path / "f/verdicts.parquet").read_bytes() == own.file("verdicts.parquet").read_bytes()
    again = sert("filter", mined, *settings, "--set", "student.path=lab", "--out", "f", cwd=tmp_path)
    assert again.returncode == 0 and "scored" not in again.stderr
    help_text = sert("filter", "--help", cwd=tmp_path).stdout
    assert "looks at the gold answer" in " ".join(help_text.split())


def test_texts_of_any_stage_are_scored_by_a_command(finished: RunResult, tmp_path: Path) -> None:
    for step, texts in (("mine", 150), ("teach", 6), ("evaluate-zero_shot", 6)):
        folder = stage_of(finished, f"lab-choice {step}").folder
        done = sert("gain", folder, "--student", "lab", "--out", step, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        counts = json.loads(done.stdout)
        assert counts["texts"] == texts
        own = stage_of(finished, f"lab-choice gain-{step}")
        assert (tmp_path / step / "gains.parquet").read_bytes() == own.file("gains.parquet").read_bytes()
    useless = sert("evaluate", "--task", "lab_choice", "--set", "evaluation.gain=true", "--out", "e", cwd=tmp_path)
    assert useless.returncode == 3 and "`sert gain`" in useless.stderr
    wrong = sert("gain", tmp_path / "mine", "--out", "again", cwd=tmp_path)
    assert wrong.returncode == 4 and "made by the step 'gain'" in wrong.stderr
