"""Runs and grids: every stage that is not finished, each once, then one report."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sert.analysis.results import ArmGraphs, collect_results
from sert.config.grid import Grid
from sert.config.tree import Config, ExecutionConfig, StudentConfig
from sert.errors import ConfigError, DataError
from sert.method import TaskGraph
from sert.report.page import write_report
from sert.runs.build import build_arms, distinct_stages
from sert.runs.checks import check_calls, check_templates
from sert.runs.estimate import Estimate, estimate
from sert.runs.folder import RunResult, begin, publish, seal
from sert.runs.plan import PlannedStage, plan_stages, write_plan
from sert.runs.request import Request, read_request
from sert.runs.students import ForeseenStudent, foresee_students
from sert.store.artifacts import MANIFEST, content_key
from sert.store.executors import make_executor
from sert.store.lock import run_lock
from sert.store.stage import Stage
from sert.store.units import Run, Unit
from sert.student.decoding.units import undecided
from sert.student.lengths import first_that_fits
from sert.terminal.progress import Advance, Reporter, Silent
from sert.terminal.text import counted


class Plan(NamedTuple):
    """What a run would do, and what that would take.

    Attributes:
        asked: Each student with the first prompt that it is tested on.
        students: What was found out of each student that was to be tried.
    """

    stages: list[PlannedStage]
    estimate: Estimate
    asked: list[tuple[StudentConfig, str]]
    students: list[ForeseenStudent]


def plan(asked: Config | Grid, *, out: Path, reporter: Reporter | None = None, try_students: bool = False) -> Plan:
    """List what a run or a grid would do, and guess what it takes. Reads the questions and writes nothing.

    With `try_students` it says how each student will be driven, and loads those that are here and small for it; else
    no model is loaded. The reporter is told what is likely a slip in a question set.

    Raises:
        SertError: If something cannot be used that the run would refuse at its beginning.
    """
    reporter = reporter or Silent()
    choose = partial(_chosen_beforehand if try_students else undecided, reporter=reporter)
    arms = _build(_settled(Request.of(asked), out, choose), out, reporter)
    for arm, _ in arms:
        check_templates(arm.config, at_hand=True)
    stages = distinct_stages(arms)
    students = {stage.folder: arm.config.student for arm, graphs in arms for graph in graphs for stage in graph.stages}
    first: dict[str, tuple[StudentConfig, str]] = {}
    for arm, graphs in arms:
        if (prompt := _first_prompt(arm.config, graphs[0])) is not None:
            first.setdefault(arm.config.student.model_dump_json(), (arm.config.student, prompt))
    guess = estimate((stage, students[stage.folder]) for stage in stages)
    foreseen = foresee_students(arms, reporter) if try_students else []
    return Plan(plan_stages(stages, out), guess, [*first.values()], foreseen)


def _first_prompt(config: Config, graph: TaskGraph) -> str | None:
    most = config.evaluation.max_new_tokens
    return first_that_fits(config.student, graph.data.split("test"), max_new_tokens=most)


def _chosen_beforehand(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    from sert.student.decoding.beforehand import choose_beforehand  # loads torch

    return choose_beforehand(student, reporter)


def _chosen(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    from sert.student.decoding.choice import chosen  # loads torch

    return chosen(student, reporter)


def run(
    config: Config | Grid, *, out: Path | None = None, workers: int = 1, reporter: Reporter | None = None
) -> RunResult:
    """Make every stage of a run or a grid that is not finished, then write the report.

    The same configuration and folder, `runs/<name>` when not given, continue where an earlier run stopped. So many
    `workers` make stages side by side, each in a process of its own; what comes out does not depend on their number.

    Raises:
        SertError: If something cannot be used; inputs are checked before anything is written.
    """
    request, reporter = Request.of(config), reporter or Silent()
    out = out or Path("runs") / request.asked.name
    request.check_folder(out)
    request = _settled(request, out, partial(_chosen, reporter=reporter))
    arms = _build(request, out, reporter if workers == 1 else Silent())
    if workers > 1 and any(arm.config.execution.workers > 1 for arm, _ in arms):
        raise ConfigError(
            f"{workers} stages side by side cannot decode with execution.workers above 1 each; "
            "set execution.workers = 1, or leave out --workers."
        )
    stages = distinct_stages(arms)
    for arm, graphs in arms:
        if any(not stage.finished for graph in graphs for stage in graph.stages):
            check_templates(arm.config, at_hand=False)
    with run_lock(out):
        begin(request, stages, out, reporter)
        to_do = [stage for stage in stages if not stage.finished]
        finished = len(stages) - len(to_do)
        reporter.say(f"{request.asked.name}: {counted(len(stages), 'stages')}, {finished} of them finished earlier")
        execution = request.execution.model_copy(update={"workers": workers})
        _make(to_do, out, execution, reporter)
        metrics = _write_report(request, arms, out, reporter)
        return RunResult(out, metrics, len(to_do), finished, seal(request, stages, out))


def _settled(request: Request, out: Path, choose: Callable[[StudentConfig], StudentConfig]) -> Request:
    """Choose in which numbers students decode, where that is left to the machine, once all else is checked."""
    in_float32 = request.settled(out, partial(undecided, reporter=Silent()))
    decided = request.settled(out, lambda student: student)
    if decided == in_float32:
        return decided
    _build(in_float32, out, Silent())
    return request.settled(out, choose)


def report_run(folder: Path) -> RunResult:
    """Write the report of a finished run, or of a finished grid, again.

    Raises:
        DataError: If the folder is no run, or a stage is not finished.
    """
    request = read_request(folder)
    arms = build_arms(request.arms, out=folder, reporter=Silent())
    stages = distinct_stages(arms)
    if unfinished := [stage.name for stage in stages if not stage.finished]:
        raise DataError(
            f"{folder} is not finished: {counted(len(unfinished), 'stages')} to do, {unfinished[0]} first. "
            "Give its command again."
        )
    with run_lock(folder):
        (folder / MANIFEST).unlink(missing_ok=True)
        metrics = _write_report(request, arms, folder, Silent())
        write_plan(folder, stages)
        return RunResult(folder, metrics, 0, len(stages), seal(request, stages, folder))


def stages_in(folder: Path, reporter: Reporter) -> list[Stage]:
    """List the stages of a run or a grid by the settings in its folder."""
    return distinct_stages(build_arms(read_request(folder).arms, out=folder, reporter=reporter))


def _build(request: Request, out: Path, reporter: Reporter) -> list[ArmGraphs]:
    arms = build_arms(request.arms, out=out, reporter=reporter)
    for arm, graphs in arms:
        check_calls(arm.config, (stage for graph in graphs for stage in graph.stages))
    return arms


def _make(stages: Sequence[Stage], out: Path, execution: ExecutionConfig, reporter: Reporter) -> None:
    """Make stages, as many side by side as there are workers."""
    one_by_one = execution.workers == 1  # then they tell of their progress themselves
    work = _StageWork(out, tuple(stages), reporter if one_by_one else Silent())
    units = [Unit(number, (), after) for number, after in enumerate(_waits(stages))]
    with (Silent() if one_by_one else reporter).track(out.name, len(stages), "stages") as advance:
        for unit in make_executor(execution).execute(work, units, work, advance=advance):
            advance(1, stages[unit.number].name)


def _waits(stages: Sequence[Stage]) -> Iterator[frozenset[int]]:
    """Find for each stage the numbers of those before it: what it reads, and who writes its ledger."""
    writers: dict[Path, int] = {}
    for number, stage in enumerate(stages):
        ledger = [stage.job.calls] if stage.job.calls else []
        reads = [*(need.folder for need in stage.needs), *ledger]
        yield frozenset(writers[folder] for folder in reads if folder in writers)
        writers |= dict.fromkeys([stage.folder, *ledger], number)


@dataclass(frozen=True)
class _StageWork:
    """Makes the stages of a run: a unit is a stage, by its place. Each has its own folder: nothing else is kept."""

    folder: Path
    stages: tuple[Stage, ...]
    reporter: Reporter

    def start(self, worker: int) -> Run:
        """Get ready."""
        return self._make

    def commit(self, unit: Unit, content: bytes) -> None:
        """Do nothing: the stage is in its folder already."""

    def _make(self, unit: Unit, advance: Advance) -> bytes:
        stage = self.stages[unit.number]
        self.reporter.say(f"{unit.number + 1} of {len(self.stages)}, {stage.name}: {stage.job.work}")
        stage.make(self.reporter)
        return b""


def _write_report(request: Request, arms: Sequence[ArmGraphs], out: Path, reporter: Reporter) -> dict[str, Any]:
    key = content_key(request.asked.model_dump(mode="json"))
    data = collect_results(arms, name=request.asked.name, config_key=key, reporter=reporter)
    publish(out, lambda folder: write_report(folder, data))
    return dict(data.metrics)
