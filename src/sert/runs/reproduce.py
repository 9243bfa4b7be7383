"""A whole grid: every stage of all its runs, each once, then one report."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from sert.analysis.results import ArmGraphs, collect_results
from sert.config.grid import Grid, arms_of
from sert.config.load import read_toml, validate
from sert.errors import ConfigError, DataError
from sert.method import build_method, check_calls
from sert.report.page import write_report
from sert.runs.estimate import Estimate, estimate
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
from sert.runs.run import report_run, stages_of_run
from sert.store.artifacts import content_key
from sert.store.disk import remove
from sert.store.executors import LocalProcesses, Run
from sert.store.stage import Stage, needs_of, waits_of
from sert.store.units import Unit, UnitStore
from sert.terminal.progress import Advance, Reporter, Silent
from sert.terminal.text import counted

_LOOK_SECONDS = 0.05


def build_grid(grid: Grid, *, out: Path, reporter: Reporter) -> list[ArmGraphs]:
    """Load and check every question set and build the graph of every run. Nothing is written.

    Raises:
        SertError: If a setting, a question set, a student or a file of rationales cannot be used.
    """
    loaded: dict[str, Any] = {}
    return [
        ArmGraphs(arm, build_method(arm.config, out=out, reporter=reporter, prefix=arm.prefix, loaded=loaded))
        for arm in arms_of(grid)
    ]


def distinct_stages(arms: Sequence[ArmGraphs]) -> list[Stage]:
    """List the stages of all runs, each once, in an order in which they can be made: what needs least comes first."""
    stages: dict[Path, Stage] = {}
    for stage in (stage for each in arms for task in each.tasks for stage in task.stages):
        stages.setdefault(stage.folder, stage)
    needed = needs_of(list(stages.values()))
    depths: dict[Path, int] = {}
    for folder in stages:  # those that it needs stand before it
        depths[folder] = 1 + max((depths[need.folder] for need in needed[folder]), default=0)
    return sorted(stages.values(), key=lambda stage: depths[stage.folder])


def plan_grid(grid: Grid, *, out: Path, reporter: Reporter | None = None) -> tuple[list[PlannedStage], Estimate]:
    """List what `reproduce` would do, and guess what it takes. Reads the questions, writes nothing, loads no model.

    Args:
        grid: What would be run.
        out: Its folder.
        reporter: Told what is doubtful in a question set.

    Raises:
        SertError: If something cannot be used that `reproduce` would refuse at its beginning.
    """
    arms = build_grid(grid, out=out, reporter=reporter or Silent())
    for arm, tasks in arms:
        check_calls(arm.config, tasks)
    stages = distinct_stages(arms)
    students = {stage.folder: arm.config.student for arm, tasks in arms for task in tasks for stage in task.stages}
    return plan_stages(stages, out), estimate((stage, students[stage.folder]) for stage in stages)


def reproduce(grid: Grid, *, out: Path | None = None, workers: int = 1, reporter: Reporter | None = None) -> RunResult:
    """Make every stage of the grid that is not finished, then write the report.

    The same grid and folder continue where an earlier call stopped.

    Args:
        grid: What to run.
        out: The folder; `runs/<name>` when not given.
        workers: Processes that make stages side by side. What comes out does not depend on it.
        reporter: Where progress goes.

    Raises:
        SertError: If something cannot be used; inputs are checked before anything is written.
    """
    out, reporter = out or Path("runs") / grid.name, reporter or Silent()
    if (out / CONFIG).exists():
        raise DataError(f"{out} is the folder of a run with one configuration; give the grid another with --out.")
    arms = build_grid(grid, out=out, reporter=reporter if workers == 1 else Silent())
    if workers > 1 and any(arm.config.execution.workers > 1 for arm, _ in arms):
        raise ConfigError(
            f"{workers} stages side by side cannot decode with execution.workers above 1 each; "
            "set execution.workers = 1, or leave out --workers."
        )
    stages = distinct_stages(arms)
    for arm, tasks in arms:
        check_calls(arm.config, tasks)

    def make(to_do: list[Stage]) -> None:
        reporter.say(
            f"{grid.name}: {counted(len(stages), 'stages')}, {len(stages) - len(to_do)} of them finished earlier"
        )
        _make(to_do, grid, out, workers, reporter)

    report = partial(_write_report, grid, arms, out, reporter)
    return carry_out(_settings(grid), stages, out, reporter, make=make, report=report)


def load_kept_grid(folder: Path) -> Grid:
    """Read the grid of a folder that `reproduce` wrote."""
    return validate(Grid, read_toml(folder / GRID), source=str(folder / GRID))


def report_grid(folder: Path) -> RunResult:
    """Write the report of a finished grid again.

    Raises:
        DataError: If a stage is not finished.
    """
    grid = load_kept_grid(folder)
    arms = build_grid(grid, out=folder, reporter=Silent())
    stages = distinct_stages(arms)
    unfinished = [stage.name for stage in stages if not stage.finished]
    if unfinished:
        raise DataError(f"{folder} is not finished: {counted(len(unfinished), 'stages')} to do, {unfinished[0]} first.")
    return report_again(_settings(grid), stages, folder, report=partial(_write_report, grid, arms, folder, Silent()))


def report_any(folder: Path) -> RunResult:
    """Write the report of a finished run, or of a finished grid, again."""
    return report_grid(folder) if (folder / GRID).is_file() else report_run(folder)


def stages_in(folder: Path, reporter: Reporter) -> list[Stage]:
    """List the stages of a run or a grid by the settings in its folder."""
    if (folder / GRID).is_file():
        return distinct_stages(build_grid(load_kept_grid(folder), out=folder, reporter=reporter))
    return stages_of_run(folder, reporter)


def _settings(grid: Grid) -> Settings:
    text = tomli_w.dumps(grid.model_dump(mode="json", exclude_none=True))
    keep_units = next(arms_of(grid)).config.execution.keep_units
    return Settings(GRID, text, {"name": grid.name, "seeds": list(grid.seeds)}, keep_units)


def _make(stages: Sequence[Stage], grid: Grid, out: Path, workers: int, reporter: Reporter) -> None:
    if workers == 1:
        for number, stage in enumerate(stages, start=1):
            reporter.say(f"{number} of {len(stages)}, {stage.name}: {stage.work}")
            stage.result()
        return
    store = UnitStore(out / f".stages.tmp-{os.getpid()}")
    units = [Unit(number, ()) for number in range(len(stages))]
    job = _StageJob(grid, out.absolute(), tuple(stage.folder.name for stage in stages))
    with reporter.track(grid.name, len(stages), "stages") as advance:
        for unit in LocalProcesses(workers).execute(job, units, store, advance=advance):
            advance(1, stages[unit.number].name)
    remove(store.folder)


@dataclass(frozen=True)
class _StageJob:
    """Makes stages in a process of its own. A unit is a stage, by its place in `names`; those it needs come before."""

    grid: Grid
    out: Path
    names: tuple[str, ...]

    def start(self, worker: int) -> Run:
        stages = distinct_stages(build_grid(self.grid, out=self.out, reporter=Silent()))
        by_name, waits = {stage.folder.name: stage for stage in stages}, waits_of(stages)

        def make(unit: Unit, advance: Advance) -> bytes:
            stage = by_name[self.names[unit.number]]
            while not all(before.finished for before in waits[stage.folder]):  # another process is at it
                time.sleep(_LOOK_SECONDS)
            stage.result()
            return stage.key.encode()

        return make


def _write_report(grid: Grid, arms: Sequence[ArmGraphs], out: Path, reporter: Reporter) -> dict[str, Any]:
    key = content_key(grid.model_dump(mode="json"))
    data = collect_results(arms, name=grid.name, config_key=key, reporter=reporter)
    publish(out, lambda folder: write_report(folder, data))
    return dict(data.metrics)
