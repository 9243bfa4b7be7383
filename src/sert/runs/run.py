"""Runs and grids: every stage that is not finished, each once, then one report."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sert.analysis.results import ArmGraphs, collect_results
from sert.config.grid import Grid
from sert.config.prospect import Prospect
from sert.config.tree import Config, StudentConfig
from sert.errors import ConfigError
from sert.method import TaskGraph
from sert.report.page import write_report
from sert.runs.build import build_arms, distinct_stages
from sert.runs.checks import check_calls, check_templates
from sert.runs.estimate import estimate
from sert.runs.explore import write_run_explorer
from sert.runs.folder import RunResult, publish
from sert.runs.making import Choose, choose_for_plan, choose_now, make_stages, report_again, settled
from sert.runs.plan import Plan, PlannedTask, plan_stages
from sert.runs.prospect import report_prospect
from sert.runs.prospect_graph import build_prospect
from sert.runs.request import Request, read_request
from sert.runs.students import foresee_students
from sert.store.artifacts import content_key
from sert.store.executors import check_engine
from sert.store.stage import Stage
from sert.student.lengths import first_that_fits
from sert.terminal.progress import Reporter, Silent


def plan(asked: Config | Grid, *, out: Path, reporter: Reporter | None = None, try_students: bool = False) -> Plan:
    """List what a run or a grid would do, and guess what it takes. Reads the questions and writes nothing.

    With `try_students` it says how each student will be driven, and loads those that are here and small for it; else
    no model is loaded. The reporter is told what is likely a slip in a question set.

    Raises:
        SertError: If something cannot be used that the run would refuse at its beginning.
    """
    reporter = reporter or Silent()
    choose = choose_for_plan(reporter, try_students=try_students)
    arms = _build(_settled(Request.of(asked), out, choose), out, reporter)
    for arm, _ in arms:
        check_templates(arm.config, at_hand=True)
    stages = distinct_stages(arms)
    students = {stage.folder: arm.config.student for arm, graphs in arms for graph in graphs for stage in graph.stages}
    first: dict[str, tuple[StudentConfig, str]] = {}
    for arm, graphs in arms:
        student = arm.config.student.model_dump_json()
        if student not in first and (prompt := _first_prompt(arm.config, graphs[0])) is not None:
            first[student] = arm.config.student, prompt
    guess = estimate((stage, students[stage.folder]) for stage in stages)
    foreseen = foresee_students(_students_of(arms), reporter) if try_students else []
    tasks = dict.fromkeys(PlannedTask.of(graph.task, graph.data) for _, graphs in arms for graph in graphs)
    return Plan(plan_stages(stages, out), guess, [*first.values()], foreseen, [*tasks])


def _first_prompt(config: Config, graph: TaskGraph) -> str | None:
    prompts = (question.prompt for question in graph.data.split("test"))
    return first_that_fits(config.student, prompts, max_new_tokens=config.evaluation.max_new_tokens)


def _students_of(arms: Sequence[ArmGraphs]) -> Iterator[tuple[StudentConfig, Stage]]:
    for arm, graphs in arms:
        yield from ((arm.config.student, stage) for graph in graphs for stage in graph.stages)


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
    check_engine(request.execution)
    request = _settled(request, out, choose_now(reporter))
    arms = _build(request, out, reporter if workers == 1 else None)
    if workers > 1 and any(arm.config.execution.workers > 1 for arm, _ in arms):
        raise ConfigError(
            f"{workers} stages side by side cannot decode with execution.workers above 1 each; "
            "set execution.workers = 1, or leave out --workers."
        )
    stages = distinct_stages(arms)
    for arm, graphs in arms:
        if any(not stage.finished for graph in graphs for stage in graph.stages):
            check_templates(arm.config, at_hand=False)
    write = partial(_write_report, request, arms, out, reporter)
    return make_stages(request, stages, out, workers=workers, reporter=reporter, write_report=write)


def _settled(request: Request, out: Path, choose: Choose) -> Request:
    return settled(request, out, choose, check=lambda in_float32: _build(in_float32, out, None))


def report_run(folder: Path) -> RunResult:
    """Write the report of a finished run, grid or prospect again.

    Raises:
        DataError: If the folder is no run, or a stage is not finished.
    """
    request = read_request(folder)
    if isinstance(request.asked, Prospect):
        return report_prospect(request, folder)
    arms = build_arms(request.arms, out=folder)
    write = partial(_write_report, request, arms, folder, Silent())
    return report_again(request, distinct_stages(arms), folder, write_report=write)


def stages_in(folder: Path, reporter: Reporter) -> list[Stage]:
    """List the stages of a run, a grid or a prospect by the settings in its folder."""
    request = read_request(folder)
    if isinstance(request.asked, Prospect):
        return build_prospect(request.asked, out=folder, reporter=reporter).stages
    return distinct_stages(build_arms(request.arms, out=folder, reporter=reporter))


def _build(request: Request, out: Path, reporter: Reporter | None) -> list[ArmGraphs]:
    arms = build_arms(request.arms, out=out, reporter=reporter)
    for arm, graphs in arms:
        check_calls(arm.config, (stage for graph in graphs for stage in graph.stages))
    return arms


def _write_report(request: Request, arms: Sequence[ArmGraphs], out: Path, reporter: Reporter) -> dict[str, Any]:
    key = content_key(request.asked.model_dump(mode="json"))
    data = collect_results(arms, name=request.asked.name, config_key=key, reporter=reporter)

    def write(folder: Path) -> None:
        explorer = write_run_explorer(folder, request, arms, out=out, reporter=reporter)
        write_report(folder, data._replace(explorer=explorer))

    publish(out, write)
    return dict(data.metrics)
