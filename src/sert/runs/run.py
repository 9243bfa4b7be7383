"""A whole run: every stage of the method that is not finished, then the report."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from sert.analysis.results import ArmGraphs, collect_results
from sert.config.grid import MAIN, Arm
from sert.config.load import load_config
from sert.config.tree import Config
from sert.errors import DataError
from sert.method import TaskMethod, build_method, check_calls
from sert.report.page import write_report
from sert.runs.folder import (
    CONFIG,
    GRID,
    PlannedStage,
    RunResult,
    Settings,
    carry_out,
    plan_stages,
    publish,
    report_again,
)
from sert.store.artifacts import content_key
from sert.store.stage import Stage
from sert.terminal.progress import Reporter, Silent


def plan(config: Config, *, out: Path, reporter: Reporter | None = None) -> list[PlannedStage]:
    """List what a run would do. Reads the questions, writes nothing, loads no model.

    Args:
        config: What would be run.
        out: The run's folder.
        reporter: Told what is doubtful in a question set.

    Raises:
        SertError: If something cannot be used that the run would refuse at its beginning.
    """
    tasks = build_method(config, out=out, reporter=reporter or Silent())
    check_calls(config, tasks)
    return plan_stages(_stages(tasks), out)


def stages_of(config: Config, out: Path, reporter: Reporter) -> list[Stage]:
    """List the stages of a run."""
    return _stages(build_method(config, out=out, reporter=reporter))


def stages_of_run(folder: Path, reporter: Reporter) -> list[Stage]:
    """List the stages of a run by the configuration in its folder."""
    return stages_of(load_config(folder / CONFIG), folder, reporter)


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
    if (out / GRID).exists():
        raise DataError(f"{out} is the folder of a grid; give this run another with --out.")
    tasks = build_method(config, out=out, reporter=reporter)
    stages = _stages(tasks)
    check_calls(config, tasks)

    def make(to_do: list[Stage]) -> None:
        for stage in stages:
            if stage in to_do:
                reporter.say(f"{stage.name}: {stage.work}")
                stage.result()
            else:
                reporter.say(f"{stage.name}: finished earlier, skipped")

    report = partial(_write_report, config, tasks, out, reporter)
    return carry_out(_settings(config), stages, out, reporter, make=make, report=report)


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
    report = partial(_write_report, config, tasks, folder, Silent())
    return report_again(_settings(config), stages, folder, report=report)


def _settings(config: Config) -> Settings:
    text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    return Settings(CONFIG, text, {"name": config.name, "seed": config.seed}, config.execution.keep_units)


def _stages(tasks: Sequence[TaskMethod]) -> list[Stage]:
    return [stage for task in tasks for stage in task.stages]


def _write_report(config: Config, tasks: Sequence[TaskMethod], out: Path, reporter: Reporter) -> dict[str, Any]:
    arms = [ArmGraphs(Arm(config.student.path, config.seed, MAIN, None, config), tasks)]
    data = collect_results(
        arms, name=config.name, config_key=content_key(config.model_dump(mode="json")), reporter=reporter
    )
    publish(out, lambda folder: write_report(folder, data))
    return dict(data.metrics)
