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
from sert.stages import PLAN, Stage, read_plan, spent, why_again, write_plan
from sert.store.artifacts import (
    MANIFEST,
    WORK_ENDING,
    content_key,
    file_hash,
    json_text,
    signed,
    tidy,
)
from sert.store.disk import put, remove, sync, sync_tree, writing
from sert.store.lock import run_lock
from sert.tasks.rows import shorten
from sert.tasks.splits import NEARLY

CONFIG = "config.toml"
REPORT = "report"
SHOWN_PAIRS = 3
SHOWN_PATHS_A_REASON = 3
SHOWN_PREDICTIONS_A_METHOD = 6


class RunResult(NamedTuple):
    """A finished run.

    Attributes:
        folder: Where it lies.
        metrics: Its numbers.
        stages_made: How many stages this call made.
        stages_skipped: How many were there already.
        spent: Seconds, tokens, requests and dollars of all stages, over every attempt.
    """

    folder: Path
    metrics: dict[str, Any]
    stages_made: int
    stages_skipped: int
    spent: dict[str, Any]

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / REPORT / "index.html"


class PlannedStage(NamedTuple):
    """One line of a dry run; `because` says what changed since the last run, if the stage is made again for that."""

    stage: str
    work: str
    finished: bool
    folder: str
    because: list[str]


def plan(config: Config, *, out: Path) -> list[PlannedStage]:
    """List what a run would do. Reads the questions, writes nothing, loads no model."""
    before = read_plan(out)
    return [
        PlannedStage(stage.name, stage.work, stage.finished, stage.folder.name, why_again(stage, before))
        for stage in stages_of(config, out, Silent())
    ]


def stages_of(config: Config, out: Path, reporter: Reporter) -> list[Stage]:
    """List the stages of a run."""
    return _stages(build_method(config, out=out, reporter=reporter))


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
    stages = _stages(tasks)
    check_endpoints(
        config,
        teaches=any(task.taught is not None and not task.taught.finished for task in tasks),
        judges=any(task.judged is not None and not task.judged.finished for task in tasks),
    )
    with run_lock(out):
        _begin(config, stages, out, reporter)
        to_do = [stage for stage in stages if not stage.finished]
        for stage in stages:
            if stage in to_do:
                reporter.say(f"{stage.name}: {stage.work}")
                stage.result()
            else:
                reporter.say(f"{stage.name}: finished earlier, skipped")
        metrics = _write_report(config, tasks, out)
        took = _seal(config, stages, out)
    return RunResult(out, metrics, len(to_do), len(stages) - len(to_do), took)


def report_run(folder: Path) -> RunResult:
    """Write the report of a finished run again.

    Raises:
        DataError: If the folder is no run, or a stage is not finished.
    """
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} is no run folder: it has no {CONFIG}. Give the folder of `sert run` or `sert demo`.")
    config = load_config(folder / CONFIG)
    tasks = build_method(config, out=folder, reporter=Silent())
    stages = _stages(tasks)
    unfinished = [stage.name for stage in stages if not stage.finished]
    if unfinished:
        raise DataError(f"{folder} is not finished: {', '.join(unfinished)} to do. Run it again with `sert run`.")
    with run_lock(folder):
        (folder / MANIFEST).unlink(missing_ok=True)
        metrics = _write_report(config, tasks, folder)
        write_plan(folder, stages)
        took = _seal(config, stages, folder)
    return RunResult(folder, metrics, 0, len(stages), took)


def _toml_of(config: Config) -> str:
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def _stages(tasks: Sequence[TaskMethod]) -> list[Stage]:
    return [stage for task in tasks for stage in task.stages]


def _begin(config: Config, stages: Sequence[Stage], out: Path, reporter: Reporter) -> None:
    """Clear what a killed run left, say what a changed configuration means, and write down what is to be done.

    The run's manifest goes first and comes last: without it, nobody takes what is being changed for damage.
    """
    (out / MANIFEST).unlink(missing_ok=True)
    for leftover in out.glob(".*.tmp-*"):  # the lock says that nobody writes there
        remove(leftover)
    for stage in stages:
        for work in out.glob(f".{stage.folder.name}.*{WORK_ENDING}") if stage.finished else ():
            tidy(work, keep_units=config.execution.keep_units)  # it was killed between its end and this
    before = read_plan(out)
    for stage in stages:
        if because := why_again(stage, before):
            kept = before[stage.name]["folder"]
            found = "is there already" if stage.finished else "is made anew"
            reporter.say(f"{stage.name}: {found}, because {'; '.join(because)}. What was there stays in {kept}.")
    put(out / CONFIG, _toml_of(config).encode())
    write_plan(out, stages)


def _seal(config: Config, stages: Sequence[Stage], out: Path) -> dict[str, Any]:
    """Write the run's manifest (stages, what they took, hashes of the files beside them); return what they took."""
    took = spent(stages)
    files = [out / CONFIG, out / PLAN, *sorted(file for file in (out / REPORT).rglob("*") if file.is_file())]
    manifest = {
        "name": config.name,
        "seed": config.seed,
        "config": _toml_of(config),
        "stages": {stage.name: stage.folder.name for stage in stages},
        "spent": took,
        "outputs": {file.relative_to(out).as_posix(): file_hash(file) for file in files},
    }
    put(out / MANIFEST, json_text(signed(manifest)).encode())
    return took


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
        with writing(out):
            write_report(
                fresh,
                metrics=metrics,
                examples=[example for result in results for example in _shown_paths(result)],
                predictions=[shown for result in results for shown in _shown_predictions(result)],
            )
            sync_tree(fresh)
            remove(out / REPORT)
            fresh.rename(out / REPORT)
            sync(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return metrics


def _warnings(result: TaskResults) -> list[str]:
    warnings = [
        f"{result.task}: {count} left out, {reason}{_pairs(result, reason)}"
        for reason, count in result.left_out.items()
        if count
    ]
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


def _pairs(result: TaskResults, reason: str) -> str:
    """Name the first questions that are nearly the same, where that is the reason."""
    pairs = [pair for pair in result.near_duplicates if NEARLY[pair.split] == reason]
    if not pairs:
        return ""
    named = [f"{shorten(pair.question_id)} as {shorten(pair.other_id)}" for pair in pairs[:SHOWN_PAIRS]]
    return f": {'; '.join(named)}{'; ...' if len(pairs) > SHOWN_PAIRS else ''}"


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
