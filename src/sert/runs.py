"""A whole run: every stage of the method that is not finished, then the report."""

import shutil
import time
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from sert.checks import check_endpoints
from sert.config import Config
from sert.config_files import load_config
from sert.errors import DataError
from sert.evaluation.summary import TaskResults, summarize_tasks
from sert.method import TaskMethod, build_method
from sert.progress import Reporter, Silent
from sert.report.examples import ShownPath, ShownPrediction
from sert.report.page import write_report
from sert.store.artifacts import content_key, run_lock, write_json

CONFIG = "config.toml"
REPORT = "report"
SHOWN_PATHS_A_REASON = 3
SHOWN_PREDICTIONS_A_METHOD = 6


class RunResult(NamedTuple):
    """A finished run: its folder, its numbers, and how many stages were made and skipped."""

    folder: Path
    metrics: dict[str, Any]
    stages_made: int
    stages_skipped: int

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / REPORT / "index.html"


class PlannedStage(NamedTuple):
    """One line of a dry run."""

    stage: str
    work: str
    finished: bool
    folder: str


def plan(config: Config, *, out: Path) -> list[PlannedStage]:
    """List what a run would do. Reads the questions, writes nothing, loads no model."""
    tasks = build_method(config, out=out, reporter=Silent())
    return [
        PlannedStage(stage.name, stage.work, stage.finished, stage.folder.name)
        for task in tasks
        for stage in task.stages
    ]


def run(config: Config, *, out: Path | None = None, reporter: Reporter | None = None) -> RunResult:
    """Run every stage that is not finished, then write the report.

    The same configuration and folder continue where an earlier run stopped.

    Args:
        config: What to run.
        out: The run's folder; `runs/<name>` when not given.
        reporter: Where progress goes.

    Raises:
        SertError: If something cannot be used; inputs are checked before anything is written.
    """
    out, reporter = out or Path("runs") / config.name, reporter or Silent()
    tasks = build_method(config, out=out, reporter=reporter)
    to_do = {stage for task in tasks for stage in task.stages if not stage.finished}
    check_endpoints(
        config,
        teaches=any(task.taught in to_do for task in tasks),
        judges=any(task.judged in to_do for task in tasks),
    )
    made = skipped = 0
    with run_lock(out):
        for leftover in out.glob(".*.tmp-*"):  # of a run that was killed; the lock says that nobody writes there
            shutil.rmtree(leftover)
        (out / CONFIG).write_text(tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
        for task in tasks:
            for stage in task.stages:
                if stage.finished:
                    skipped += 1
                    reporter.say(f"{stage.name}: finished earlier, skipped")
                else:
                    made += 1
                    reporter.say(f"{stage.name}: {stage.work}")
                    stage.result()
        metrics = _write_report(config, tasks, out)
        stages = {stage.name: stage.folder.name for task in tasks for stage in task.stages}
        write_json(out / "manifest.json", {"name": config.name, "seed": config.seed, "stages": stages})
    return RunResult(out, metrics, made, skipped)


def report_run(folder: Path) -> RunResult:
    """Write the report of a finished run again.

    Raises:
        DataError: If the folder is no run, or a stage is not finished.
    """
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} is no run folder: it has no {CONFIG}. Give the folder of `sert run` or `sert demo`.")
    config = load_config(folder / CONFIG)
    tasks = build_method(config, out=folder, reporter=Silent())
    unfinished = [stage.name for task in tasks for stage in task.stages if not stage.finished]
    if unfinished:
        raise DataError(f"{folder} is not finished: {', '.join(unfinished)} to do. Run it again with `sert run`.")
    with run_lock(folder):
        metrics = _write_report(config, tasks, folder)
    return RunResult(folder, metrics, 0, sum(len(task.stages) for task in tasks))


def _write_report(config: Config, tasks: Sequence[TaskMethod], out: Path) -> dict[str, Any]:
    results = [task.results() for task in tasks]
    metrics: dict[str, Any] = {
        "name": config.name,
        "student": config.student.path,
        "seed": config.seed,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sert_version": version("sert"),
        "config_key": content_key(config.model_dump(mode="json")),
        **summarize_tasks(results, student=config.student.path, seed=config.seed, rules=config.rules),
        "warnings": [warning for result in results for warning in _warnings(result)],
    }
    fresh = out / f".{REPORT}.tmp-{uuid.uuid4().hex[:8]}"
    try:
        write_report(
            fresh,
            metrics=metrics,
            examples=[example for result in results for example in _shown_paths(result)],
            predictions=[shown for result in results for shown in _shown_predictions(result)],
        )
        shutil.rmtree(out / REPORT, ignore_errors=True)
        fresh.rename(out / REPORT)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return metrics


def _warnings(result: TaskResults) -> list[str]:
    warnings = [f"{result.task}: {count} left out, {reason}" for reason, count in result.left_out.items() if count]
    without = len(result.train) - sum(verdict.selected for verdict in result.verdicts)
    if result.verdicts and without:
        warnings.append(f"{result.task}: {without} train questions have no surviving path and train nothing")
    stopped = sum(path.stopped_early for path in result.paths)
    if stopped:
        warnings.append(
            f"{result.task}: {stopped} of {len(result.paths)} paths were stopped early, so the filter's counts are not "
            "those of all paths; mine with keep_all for these"
        )
    if result.rationales is not None and result.rationales < len(result.train):
        missing = len(result.train) - result.rationales
        warnings.append(f"{result.task}: {missing} of {len(result.train)} train questions have no rationale")
    for method, counts in result.training.items():
        if counts["steps"] == 0:
            warnings.append(
                f"{result.task}: {method} was not trained, there were no examples; it is the student it started from"
            )
        if counts["too_long"]:
            warnings.append(f"{result.task}: {counts['too_long']} examples of {method} exceed max_length, left out")
    return warnings


def _shown_paths(result: TaskResults) -> list[ShownPath]:
    """A few paths for each reason and a few selected ones: the first of each, so that nobody picks them."""
    questions = {question.question_id: question for question in result.train}
    shown: list[ShownPath] = []
    counts: dict[str, int] = {}
    for path, verdict in zip(result.paths, result.verdicts, strict=True):
        group = "selected" if verdict.selected else verdict.reason or "kept"
        counts[group] = counts.get(group, 0) + 1
        if counts[group] > SHOWN_PATHS_A_REASON:
            continue
        question = questions[path.question_id]
        shown.append(
            ShownPath(
                task=result.task,
                question_id=path.question_id,
                question=question.question,
                branch=path.branch,
                sample=path.sample,
                text=path.text,
                reason=verdict.reason,
                selected=verdict.selected,
                true=result.verifier(question, path.text) if result.verifier else None,
                num_tokens=verdict.num_tokens,
                rep_2=verdict.rep_2,
                perplexity=verdict.perplexity,
            )
        )
    return shown


def _shown_predictions(result: TaskResults) -> list[ShownPrediction]:
    questions = {question.question_id: question for question in result.test}
    shown = []
    for method, predictions in result.predictions.items():
        for correct in (True, False):
            graded = [each for each in predictions if each.correct_loose is correct]
            for prediction in graded[: SHOWN_PREDICTIONS_A_METHOD // 2]:
                question = questions[prediction.question_id]
                shown.append(
                    ShownPrediction(
                        task=result.task,
                        method=method,
                        question_id=prediction.question_id,
                        question=question.question,
                        completion=prediction.completion,
                        gold=question.answer,
                        answer=prediction.answer_loose,
                        correct=prediction.correct_loose,
                        format_ok=prediction.format_ok,
                    )
                )
    return shown
