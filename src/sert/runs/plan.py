"""The plan of a run: its stages, what each depends on, and what a change of the configuration means to them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sert.config.tree import StudentConfig
from sert.errors import DataError
from sert.runs.estimate import Estimate
from sert.runs.students import ForeseenStudent
from sert.store.artifacts import content_key, json_text
from sert.store.disk import check_folder, put
from sert.store.stage import Stage, input_keys, named_values
from sert.tasks.load import TaskData

DISAGREEING = 0.3
"""Share of the test questions on which two students disagree, as it is supposed before there are any answers."""
PLAN = "plan.json"
"""In a run folder: its stages, and what each depends on."""


class PlannedStage(NamedTuple):
    """One line of a dry run; `because` says what changed since the last run, if the stage is made again for that."""

    stage: str
    work: str
    finished: bool
    folder: str
    because: list[str]


class PlannedTask(NamedTuple):
    """How many questions a task has in each split, and what its test questions can show.

    Attributes:
        detectable: The difference of two students' accuracies (0 to 1) that is found four times of five, before any
            correction, if they disagree on `DISAGREEING` of the test questions; None where no difference can be.
    """

    task: str
    train: int
    dev: int
    test: int
    detectable: float | None

    @staticmethod
    def of(task: str, data: TaskData) -> "PlannedTask":
        """Count the questions of a task."""
        from sert.stats.shares import smallest_detectable_difference  # loads scipy

        train, dev, test = (len(data.split(split)) for split in ("train", "dev", "test"))
        return PlannedTask(task, train, dev, test, smallest_detectable_difference(test, DISAGREEING))


class Plan(NamedTuple):
    """What a run would do, and what that would take.

    Attributes:
        asked: Each student with the first prompt that it is tested on.
        students: What was found out of each student that was to be tried.
        tasks: Its tasks, each once.
    """

    stages: list[PlannedStage]
    estimate: Estimate
    asked: list[tuple[StudentConfig, str]]
    students: list[ForeseenStudent]
    tasks: Sequence[PlannedTask] = ()


def plan_stages(stages: Sequence[Stage], out: Path) -> list[PlannedStage]:
    """List what is to be done of some stages.

    Raises:
        DataError: If a part of the folder's path is a file.
    """
    check_folder(out)
    before = read_plan(out)
    return [
        PlannedStage(stage.name, stage.job.work, stage.finished, stage.folder.name, why_again(stage, before))
        for stage in stages
    ]


def write_plan(run: Path, stages: Iterable[Stage]) -> None:
    """Write down the stages of a run and what they depend on.

    Raises:
        DiskError: If it cannot be written; what stood there stays.
    """
    plan = {
        stage.name: {"folder": stage.folder.name, "settings": _settings_of(stage), "inputs": input_keys(stage.job)}
        for stage in stages
    }
    put(run / PLAN, json_text({"stages": plan, "hash": content_key(plan)}).encode())


def read_plan(run: Path) -> dict[str, dict[str, Any]]:
    """Read the stages that were planned last; none where there is no plan, or it was damaged."""
    try:
        plan = json.loads((run / PLAN).read_text(encoding="utf-8"))
        stages: dict[str, dict[str, Any]] = plan["stages"]
        return stages if plan["hash"] == content_key(stages) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def require_plan(run: Path) -> dict[str, dict[str, Any]]:
    """Read the stages that were planned last.

    Raises:
        DataError: If there is no plan.
    """
    if not (stages := read_plan(run)):
        raise DataError(f"{run} has no {PLAN} that can be read; give the folder of a run that was started.")
    return stages


def why_again(stage: Stage, plan: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what changed since the plan was written, if the stage depends on something else now; empty if it does not."""
    before = plan.get(stage.name)
    if before is None or before["folder"] == stage.folder.name:
        return []
    old, now = dict(named_values(before["settings"])), named_values(_settings_of(stage))
    new = {key: list(value) if isinstance(value, tuple) else value for key, value in now}  # as JSON has it
    changed = [
        f"{key}: {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}"
        for key in [*new, *(key for key in old if key not in new)]
        if old.get(key) != new.get(key)
    ]
    others = [name for name, key in input_keys(stage.job).items() if before["inputs"].get(name) != key]
    return [*changed, *(f"{name} changed" for name in others)]


def _settings_of(stage: Stage) -> dict[str, Any]:
    return stage.job.settings() | {"seed": stage.job.seed}
