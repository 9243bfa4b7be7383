"""From what was asked for to the stages that make it. A run is a grid of one arm."""

from collections.abc import Iterable
from pathlib import Path

from sert.analysis.results import ArmGraphs
from sert.config.grid import Arm
from sert.method import TaskGraph, build_graph
from sert.runs.checks import check_rationales, check_task, too_long_questions
from sert.store.stage import Stage
from sert.tasks.load import TaskData, load_task
from sert.terminal.progress import Reporter


def build_arms(arms: Iterable[Arm], *, out: Path, reporter: Reporter | None = None) -> list[ArmGraphs]:
    """Load and check every question set and build the graph of every arm that is run in a folder. Nothing is written.

    The reporter, where there is one, is told what is likely a slip in a question set, and which questions are too long.

    Raises:
        SertError: If a setting, a question set, a student or a file of rationales cannot be used.
    """
    loaded: dict[str, TaskData] = {}
    return [ArmGraphs(arm, _build(arm, out, reporter, loaded)) for arm in arms]


def _build(arm: Arm, out: Path, reporter: Reporter | None, loaded: dict[str, TaskData]) -> list[TaskGraph]:
    graphs = []
    for task, settings in arm.config.tasks.items():
        key = f"{task} {settings.model_dump_json()}"
        is_new = key not in loaded
        if is_new:
            loaded[key] = load_task(task, settings)
            warn(reporter, task, loaded[key].slips)
        check_task(task, loaded[key], arm.config)
        graphs.append(build_graph(task, arm.config, loaded[key], out=out, prefix=arm.prefix))
        if is_new:
            warn(reporter, task, too_long_questions(graphs[-1]))
        if is_new and graphs[-1].taught is not None and not graphs[-1].taught.finished:
            check_rationales(task, loaded[key], arm.config)
    return graphs


def warn(reporter: Reporter | None, task: str, lines: Iterable[str]) -> None:
    """Tell what is odd of a task; where nobody is told, it is not looked for either."""
    if reporter is not None:
        for line in lines:
            reporter.say(f"Warning: {task}: {line}")


def distinct_stages(arms: Iterable[ArmGraphs]) -> list[Stage]:
    """List the stages of all arms, each once and behind those that it needs."""
    distinct: dict[Path, Stage] = {}
    for stage in (stage for each in arms for graph in each.tasks for stage in graph.stages):
        distinct.setdefault(stage.folder, stage)
    return list(distinct.values())
