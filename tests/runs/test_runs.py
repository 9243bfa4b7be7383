"""A whole run on a small part of the lab, with the shipped student."""

import json
from pathlib import Path
from typing import Any

import pytest

from fault_server import FaultServer
from sert.config.load import load_config
from sert.config.tree import Config
from sert.errors import ConfigError, DataError, RunLockedError
from sert.evaluation.grading import summarize
from sert.evaluation.likelihood import summarize_likelihoods
from sert.lab import DEMO_CONFIG
from sert.method import TaskGraph
from sert.records import Example, Likelihood, Prediction, Question
from sert.report.texts import terminal_table
from sert.runs.build import build_arms
from sert.runs.folder import RunResult
from sert.runs.request import Request
from sert.runs.run import plan, report_run, run
from sert.stats.holm import holm
from sert.stats.shares import smallest_detectable_difference
from sert.store.artifacts import MANIFEST, open_artifact
from sert.store.lock import run_lock
from sert.store.tables import read_table, records_key
from sert.student.load import student_key
from sert.terminal.progress import Silent

SMALL = ("training.max_steps=2", "mining.max_new_tokens=32", "evaluation.probe_samples=2", "student.device=cpu")


def small(*overrides: str) -> Config:
    return load_config(DEMO_CONFIG, overrides=[*SMALL, *overrides], limit=6)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(small(), out=tmp_path_factory.mktemp("runs") / "small")


def test_all_methods_of_both_tasks_are_in_the_table(finished: RunResult) -> None:
    rows = [(row["task"], row["method"]) for row in finished.metrics["rows"]]
    methods = ["zero_shot", "finetune", "sert", "rd", "sert+rd"]
    assert rows == [(task, method) for task in ("lab-yes-no", "lab-choice") for method in methods]
    on_disk = json.loads((finished.folder / "report" / "metrics.json").read_text())
    assert on_disk["rows"] == json.loads(json.dumps(finished.metrics["rows"]))
    assert finished.report.is_file()


def test_stopping_early_trains_on_the_same_and_states_no_share_of_paths_that_nobody_decoded(
    finished: RunResult, tmp_path: Path
) -> None:
    early = run(small("mining.keep_all=false", "methods=['sert']", "training.max_steps=1"), out=tmp_path / "early")
    for whole, cut in zip(finished.metrics["selection"], early.metrics["selection"], strict=True):
        assert whole["mined_true_share"] is not None and cut["mined_true_share"] is None
        same = ("task", "with_selected", "selected_agree", "selected_true_share")
        assert [whole[key] for key in same] == [cut[key] for key in same]
    by_rule = {(row["task"], row["rule"]): row["true_share"] for row in early.metrics["funnel"]}
    assert by_rule["lab-yes-no", "mined"] is by_rule["lab-yes-no", "perplexity"] is None
    assert by_rule["lab-yes-no", "outrun"] is not None
    assert sum("paths were stopped early" in warning for warning in early.metrics["warnings"]) == 2
    assert not any("stopped early" in warning for warning in finished.metrics["warnings"])
    probes = [
        [row for row in result.metrics["latent"] if row["decoding"] in ("raw sampling", "branching")]
        for result in (early, finished)
    ]
    assert len(probes[0]) == 4 and probes[0] == probes[1]  # these paths are all decoded to their end


def test_limits_that_are_percentiles_are_reported_as_numbers(tmp_path: Path) -> None:
    rules = ("rules.min_perplexity=p25", "rules.max_perplexity=p75", "rules.unfinished=drop")
    config = small(*rules, "mining.keep_all=false", "methods=['sert']", "training.max_steps=1")
    done = run(config, out=tmp_path / "relative")
    stages = json.loads((done.folder / "manifest.json").read_text())["stages"]
    for task in ("lab-yes-no", "lab-choice"):
        filtered = json.loads((done.folder / stages[f"{task} filter"] / "manifest.json").read_text())
        found = [row for row in done.metrics["limits"] if row["task"] == task]
        assert [(row["setting"], row["percentage"]) for row in found] == [
            ("min_perplexity", 25),
            ("max_perplexity", 75),
        ]
        assert {row["setting"]: row["value"] for row in found} == filtered["counts"]["limits"]
        funnel = {row["rule"]: row["dropped"] for row in done.metrics["funnel"] if row["task"] == task}
        assert funnel["high_perplexity"] > 0 and "unfinished" in funnel and "outrun" not in funnel
        assert f"| p25 | {found[0]['value']:.2f} |" in (done.folder / "report" / "table.md").read_text()
    assert not any("stopped early" in warning for warning in done.metrics["warnings"])


def test_every_trained_method_made_the_same_number_of_steps(finished: RunResult) -> None:
    assert {row["train_steps"] for row in finished.metrics["rows"]} == {None, 2}


def test_numbers_equal_those_of_the_kept_predictions(finished: RunResult) -> None:
    stages = json.loads((finished.folder / "manifest.json").read_text())["stages"]
    folder = finished.folder / stages["lab-choice evaluate-rd"]
    predictions = read_table(folder / "predictions.parquet", Prediction)
    expected = summarize(predictions, read_table(folder / "questions.parquet", Question))
    row = next(r for r in finished.metrics["rows"] if (r["task"], r["method"]) == ("lab-choice", "rd"))
    assert {key: row[key] for key in expected} == expected
    assert all("Let's think step by step." in prediction.prompt for prediction in predictions)


def test_no_test_question_is_trained_on(finished: RunResult) -> None:
    for task in graphs_of(small(), finished.folder):
        tested = {question.question for question in task.data.split("test")}
        train_ids = {question.question_id for question in task.data.split("train")}
        assert tested
        for stage in task.trained.values():
            examples = read_table(stage.result.open().file("examples.parquet"), Example)
            assert {example.question_id for example in examples} <= train_ids
            assert not any(question in example.prompt for example in examples for question in tested)


def test_no_dev_question_is_mined_taught_or_trained_on(tmp_path: Path) -> None:
    shares = ("tasks.lab-yes-no.dev_share=0.4", "tasks.lab-choice.dev_share=0.4")
    for task in graphs_of(small(*shares), tmp_path / "none"):
        dev = task.data.split("dev")
        assert len(dev) == 6
        assert not set(dev) & {*task.data.split("train"), *task.data.split("test")}
        key = records_key(task.data.split("train"))
        with_questions = {stage.name.split()[1]: stage.job.inputs().get("train questions") for stage in task.stages}
        fed = {stage for stage, given in with_questions.items() if given == key}
        assert fed == {"mine", "teach", "train-finetune"}  # all else is made from what these leave
        assert set(with_questions.values()) == {key, None}
        assert task.taught is not None
        asked = {
            example.question_id for example in read_table(task.taught.make(Silent()).file("examples.parquet"), Example)
        }
        assert asked == {question.question_id for question in task.data.split("train")}
        assert task.data.held_out == (*dev, *task.data.split("test"))


def test_near_duplicates_are_left_out_and_named(tmp_path: Path) -> None:
    overrides = ("methods=['zero_shot']", "tasks.lab-yes-no.near_duplicates=0.8", "evaluation.max_new_tokens=4")
    metrics = run(small(*overrides), out=tmp_path / "near").metrics
    (about, other) = metrics["tasks"]
    assert len(about["near_duplicates"]) == 120 and other["near_duplicates"] == []
    assert about["left_out"] == {"train question nearly the same as one of the test split": 120}
    first = about["near_duplicates"][0]
    assert first.keys() == {"question_id", "other_id", "split", "similarity"}
    assert (first["split"], first["similarity"]) == ("test", 9 / 11)
    named = "; ".join(f"'{pair['question_id']}' as '{pair['other_id']}'" for pair in about["near_duplicates"][:3])
    expected = f"lab-yes-no: 120 left out, train question nearly the same as one of the test split: {named}; ..."
    assert metrics["warnings"] == [expected]
    assert "120 questions left out" in (tmp_path / "near" / "report" / "index.html").read_text()


def test_answers_that_are_likely_slips_are_told_before_the_run_and_in_its_report(tmp_path: Path) -> None:
    answers = ["yes", "no", "yes", "yess"]
    rows = [{"question": f"Is {word} cold?", "answer": each} for word, each in zip("abcd", answers, strict=True)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"kind": "table", "data": tmp_path / "own.jsonl", "test_share": 0.5}
    settings = {"name": "own", "student": {"path": "lab"}, "tasks": {"own": task}, "methods": ["zero_shot"]}
    said = Said()
    config = Config.model_validate({**settings, "evaluation": {"max_new_tokens": 4, "probe_samples": 0}})
    plan(config, out=tmp_path / "r", reporter=said)
    (warning,) = said.lines
    assert warning.startswith("Warning: own: 3 of 4 answers are yes or no, the others are read as free text: 'yess' (")
    result = run(config, out=tmp_path / "r", reporter=said)
    assert said.lines.count(warning) == 2
    assert f"Warning: {result.metrics['warnings'][0]}" == warning


def graphs_of(config: Config, out: Path) -> list[TaskGraph]:
    """Build what a run of the configuration would make."""
    ((_, graphs),) = build_arms(Request.of(config).arms, out=out, reporter=Silent())
    return list(graphs)


class Said(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_sert_rd_starts_from_sert(finished: RunResult) -> None:
    for task in graphs_of(small(), finished.folder):
        sert, both = (task.trained[method].result.open() for method in ("sert", "sert+rd"))
        assert both.manifest["inputs"]["train-sert"] == sert.key
        assert sert.manifest["inputs"]["student"] == student_key(small().student)


def test_a_run_tests_by_votes_or_in_the_compat_harness_and_says_so(finished: RunResult) -> None:
    """In one folder: nothing but the evaluation is made again, and the greedy one is found again."""

    for overrides, harness, votes in (
        (["evaluation.votes=3"], "clean", 3),
        (['evaluation.harness="compat"'], "compat", 1),
    ):
        result = run(small("methods=['zero_shot']", *overrides), out=finished.folder)
        assert result.stages_made == 2
        assert {(row["harness"], row["votes"]) for row in result.metrics["rows"]} == {(harness, votes)}
    run(small(), out=finished.folder)


def test_the_same_command_skips_every_stage(finished: RunResult) -> None:
    again = run(small(), out=finished.folder)
    assert (again.stages_made, again.stages_skipped) == (0, finished.stages_made)
    assert _numbers(again) == _numbers(finished)


def test_settings_of_other_ways_of_testing_leave_greedy_stages_alone(finished: RunResult) -> None:
    def evaluation(*overrides: str) -> dict[str, Any]:
        task = graphs_of(small("methods=['zero_shot']", *overrides), finished.folder)[0]
        return dict(task.evaluated["zero_shot"].job.settings()["evaluation"])

    greedy = {
        "max_new_tokens": 80,
        "max_lanes": 400,
        "max_format_rep_2": 0.5,
        "epoch_choice": "last",
        "scored_questions": 0,
        "probe_samples": 0,
    }
    assert evaluation() == evaluation("mining.temperature=0.5") == greedy
    sampling = {"top_k": 10, "top_p": 0.95, "temperature": 0.5}
    voted = greedy | {"votes": 5, "sampling": sampling}
    assert evaluation("evaluation.votes=5", "mining.temperature=0.5") == voted
    assert evaluation("evaluation.harness=compat") == greedy | {"harness": "compat"}


def test_votes_in_the_compat_harness_are_refused_before_anything_is_made(finished: RunResult) -> None:
    with pytest.raises(ConfigError, match=r"harness = 'compat' gives one greedy output .* evaluation.votes = 1"):
        plan(small("evaluation.harness=compat", "evaluation.votes=5"), out=finished.folder)


def test_a_changed_setting_makes_only_what_depends_on_it(finished: RunResult) -> None:
    def planned(*overrides: str) -> set[str]:
        return {stage.stage for stage in plan(small(*overrides), out=finished.folder).stages if not stage.finished}

    assert planned() == set()
    assert planned("evaluation.max_new_tokens=81") == {
        f"{task} evaluate-{method}"
        for task in ("lab-yes-no", "lab-choice")
        for method in ("zero_shot", "finetune", "sert", "rd", "sert+rd")
    }
    thresholds = planned("rules.min_tokens=11")
    assert "lab-choice filter" in thresholds
    assert "lab-choice train-sert+rd" in thresholds
    assert not {"lab-choice mine", "lab-choice train-finetune", "lab-choice train-rd", "lab-choice teach"} & thresholds
    assert len(planned("seed=1")) == finished.stages_made


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    stages = plan(small(), out=tmp_path / "new").stages
    assert not any(stage.finished for stage in stages)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
def test_results_do_not_depend_on_the_folder_or_a_restart(finished: RunResult, tmp_path: Path, full: bool) -> None:
    """In full for all methods."""
    run(small("methods=['zero_shot']"), out=tmp_path / "other")
    rest = run(small() if full else small("methods=['zero_shot', 'sert']"), out=tmp_path / "other")
    assert rest.stages_skipped == 2
    made, before = (outputs_of(result.folder) for result in (rest, finished))
    assert len(made) == rest.stages_made + 2
    assert made == {name: before[name] for name in made}
    if full:
        assert made == before
        assert _numbers(rest) == _numbers(finished)


def outputs_of(folder: Path) -> dict[str, Any]:
    """Say which bytes every stage of a run made."""
    return {each.parent.name: open_artifact(each.parent).manifest["outputs"] for each in folder.glob(f"*/{MANIFEST}")}


def test_the_report_is_written_again_and_only_for_finished_runs(finished: RunResult, tmp_path: Path) -> None:
    assert _numbers(report_run(finished.folder)) == _numbers(finished)
    with pytest.raises(DataError, match="no run folder"):
        report_run(tmp_path)
    unfinished = run(small("methods=['zero_shot']"), out=tmp_path / "part")
    config = (unfinished.folder / "config.toml").read_text()
    (unfinished.folder / "config.toml").write_text(config.replace('"zero_shot"', '"finetune"'))
    with pytest.raises(DataError, match="lab-yes-no train-finetune"):
        report_run(unfinished.folder)


def test_a_run_puts_answers_by_likelihood_beside_the_written_ones(tmp_path: Path) -> None:
    overrides = ("methods=['zero_shot']", "evaluation.likelihood=true", "evaluation.max_new_tokens=4")
    result = run(small(*overrides), out=tmp_path / "run")
    stages = json.loads((result.folder / "manifest.json").read_text())["stages"]
    for task, measures in (("lab-yes-no", ["cloze", "cloze_raw"]), ("lab-choice", ["cloze", "cloze_raw", "letter"])):
        folder = result.folder / stages[f"{task} evaluate-zero_shot"]
        kept = read_table(folder / "likelihoods.parquet", Likelihood)
        counted = summarize_likelihoods(kept, read_table(folder / "questions.parquet", Question))
        written, *scored = [row for row in result.metrics["likelihood"] if row["task"] == task]
        (row,) = [row for row in result.metrics["rows"] if row["task"] == task]
        assert (written["measure"], written["correct"], written["n"]) == ("generated", [row["correct"]], row["n"])
        assert [each["measure"] for each in scored] == measures == list(counted)
        for each in scored:
            assert (each["correct"], each["n"]) == ([counted[each["measure"]]["correct"]], 6)
            assert each["interval"] == counted[each["measure"]]["ci95"]
    report = result.folder / "report"
    for text in (report / "index.html", report / "table.md"):
        assert "Zero-shot, most probable letter" in text.read_text(encoding="utf-8")
    assert "Zero-shot, most probable letter" in terminal_table(result.metrics)


def test_without_a_surviving_path_the_run_ends_and_says_so(tmp_path: Path) -> None:
    config = small("rules.min_perplexity=1000", "methods=['zero_shot', 'sert']")
    metrics = run(config, out=tmp_path / "none").metrics
    rows = {(row["task"], row["method"]): row for row in metrics["rows"]}
    assert rows["lab-choice", "sert"]["train_steps"] == 0
    assert rows["lab-choice", "sert"]["correct"] == rows["lab-choice", "zero_shot"]["correct"]
    assert any("lab-choice: sert was not trained" in warning for warning in metrics["warnings"])


def test_a_run_in_use_is_refused(finished: RunResult) -> None:
    with run_lock(finished.folder), pytest.raises(RunLockedError, match="in use by process"):
        run(small(), out=finished.folder)


def _numbers(result: RunResult) -> dict[str, Any]:
    return {key: value for key, value in result.metrics.items() if key not in ("created", "config_key")}


def test_a_run_asks_an_endpoint_once_whatever_its_pace_and_cap(tmp_path: Path) -> None:
    with FaultServer() as server:
        asked = [
            'teacher.kind="endpoint"',
            f'teacher.endpoint={{url="{server.base_url}", model="teacher"}}',
            "methods=['rd']",
            "training.max_steps=1",
        ]
        capped = ["teacher.calls.max_cost=1", "teacher.calls.price=[0.15, 0.60]"]
        planned = plan(small(*asked, *capped), out=tmp_path / "run").stages
        work = [stage.work for stage in planned if "teach" in stage.stage]
        assert work[0].startswith("6 rationales, 0 answered")
        for refused in (plan, run):
            with pytest.raises(ConfigError, match="--max-cost"):
                refused(small(*asked), out=tmp_path / "run")
        first = run(small(*asked, *capped), out=tmp_path / "run")
        assert server.log.requests == 12  # six questions of both tasks
        again = run(small(*asked, "teacher.calls.free=true", "teacher.calls.concurrency=2"), out=tmp_path / "run")
        assert (again.stages_made, server.log.requests) == (0, 12)
    taught = [folder for folder in first.folder.glob("*-teach-*") if folder.is_dir()]
    assert len(taught) == 2
    assert (first.folder / "calls" / "teacher" / "calls.journal").is_file()


def test_a_run_lets_a_judge_score_every_student_where_one_is_named(tmp_path: Path) -> None:
    with FaultServer(variant="honest") as server:
        judged = [
            f'judge.endpoint={{url="{server.base_url}", model="teacher"}}',
            "judge.calls.free=true",
            "judge.limit=2",
            "methods=['zero_shot', 'finetune']",
            "training.max_steps=1",
        ]
        result = run(small(*judged), out=tmp_path / "run")
        made = server.log.requests
        # Planted texts are asked about once, as are equal outputs; two of two students on two tasks are judged.
        assert 12 < made <= 12 + 2 * 2 * 2
        again = run(small(*judged, "judge.calls.concurrency=2"), out=tmp_path / "run")
        assert (again.stages_made, server.log.requests) == (0, made)
    for task, row in zip(("lab-yes-no", "lab-choice"), result.metrics["judged"], strict=True):
        assert row["task"] == task
        assert [each["source"] for each in row["rows"]] == ["good", "bad", "zero_shot", "finetune"]
    page = result.report.read_text()
    assert "Planted: good" in page and "Replies: 16" in page


def test_comparisons_are_corrected_for_all_of_the_run_and_say_what_they_could_find(finished: RunResult) -> None:
    rows = finished.metrics["comparisons"]
    assert len(rows) == 10  # five a task
    assert [row["p_holm"] for row in rows] == holm([row["p_value"] for row in rows])
    for row in rows:
        stages = json.loads((finished.folder / "manifest.json").read_text())["stages"]
        a, b = (
            [
                each.correct_loose
                for each in read_table(
                    finished.folder / stages[f"{row['task']} evaluate-{row[side]}"] / "predictions.parquet", Prediction
                )
            ]
            for side in ("a", "b")
        )
        share = sum(left != right for left, right in zip(a, b, strict=True)) / 6
        assert row["detectable"] == smallest_detectable_difference(6, share)
