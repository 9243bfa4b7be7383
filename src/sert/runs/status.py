"""How far a run is, from its folder alone: nothing is written there, and no lock is taken."""

import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sert.endpoint.replay import replay_journal
from sert.errors import SertError
from sert.runs.plan import require_plan
from sert.runs.run import stages_in
from sert.store.artifacts import MANIFEST, UNITS, WORK_ENDING, open_artifact, spent_seconds
from sert.store.lock import holder_of
from sert.store.stage import CALLS, Job
from sert.terminal.progress import Silent

State = Literal["finished", "in work", "stopped", "to do"]

_IN_WORK: State = "in work"
_STOPPED: State = "stopped"
_STEP = re.compile(r"step-(\d+)")
_CHECKPOINTS = "checkpoints"


class StageStatus(NamedTuple):
    """How far a stage is.

    Attributes:
        stage: Its name.
        state: `in work` while a process is at it; `stopped` where unfinished work waits for it and none is.
        seconds: What was spent on it so far; None where nothing was.
        done, total, unit: Parts that are finished for certain, and how many there will be (None: not known).
    """

    stage: str
    state: State
    seconds: float | None = None
    done: int | None = None
    total: int | None = None
    unit: str = ""

    @property
    def seconds_left(self) -> float | None:
        """What is left at the rate so far; None where nobody knows."""
        if self.state != "in work" or not (self.seconds and self.done and self.total):
            return None
        return self.seconds / self.done * max(0, self.total - self.done)


class RunStatus(NamedTuple):
    """How far a run is.

    Attributes:
        holder: Who works on it, such as `process 7 on HOST`; None where nobody does.
        stages: In their order.
        spent: `requests, answers, dollars, dollars_in_doubt` of teacher and judge, over every attempt.
    """

    holder: str | None
    stages: list[StageStatus]
    spent: dict[str, Any]

    @property
    def seconds(self) -> float:
        """What was spent on all stages so far."""
        return sum(stage.seconds or 0.0 for stage in self.stages)


def status_of(run: Path) -> RunStatus:
    """Say how far the run, grid or prospect in a folder is, as far as the folder tells.

    Parts of a stage are known from what was finished and kept: units of decoding, checkpoints of training, answers of
    endpoints. How many there will be is known where the questions can be read from here.

    Raises:
        DataError: If there is no plan.
    """
    planned = require_plan(run)
    unfinished = [each["folder"] for each in planned.values() if not (run / each["folder"] / MANIFEST).is_file()]
    jobs = _jobs_of(run) if unfinished else {}
    stages = [_stage(run, name, str(each["folder"]), jobs) for name, each in planned.items()]
    return RunStatus(holder_of(run), stages, _spent(run))


def _jobs_of(run: Path) -> Mapping[str, Job]:
    """Find the jobs of a run by the names of their folders; none where its settings or questions cannot be read."""
    try:
        return {stage.folder.name: stage.job for stage in stages_in(run, Silent())}
    except (SertError, OSError):
        return {}


def _stage(run: Path, name: str, folder: str, jobs: Mapping[str, Job]) -> StageStatus:
    if (run / folder / MANIFEST).is_file():
        return StageStatus(name, "finished", float(open_artifact(run / folder).manifest["wall_seconds"]))
    works = sorted(run.glob(f".{folder}.*{WORK_ENDING}"))
    if not works:
        return StageStatus(name, "to do")
    held = next((work for work in works if holder_of(work)), None)
    work, state = held or works[-1], _IN_WORK if held else _STOPPED
    done, unit = _done(work)
    total = None
    with suppress(SertError, OSError):
        total = _total(jobs.get(folder), unit)
    return StageStatus(name, state, spent_seconds(work), done, total, unit)


def _done(work: Path) -> tuple[int | None, str]:
    """Count what is kept of unfinished work."""
    if (work / UNITS).is_dir():
        return sum(file.name[:1].isdecimal() for file in (work / UNITS).iterdir()), "parts"
    steps = [int(found[1]) for each in work.glob(f"{_CHECKPOINTS}/*") if (found := _STEP.fullmatch(each.name))]
    return (max(steps), "steps") if steps else (None, "")


def _total(job: Job | None, unit: str) -> int | None:
    """Count the parts of a stage."""
    if unit == "steps":
        from sert.student.training.stage import TrainJob

        return job.training.num_steps(len(job.examples.read())) if isinstance(job, TrainJob) else None
    if unit == "parts":
        from sert.evaluation.prediction import EvaluateJob
        from sert.paths.mining import MineJob

        return len(job.decoding(job.student.config).units()) if isinstance(job, MineJob | EvaluateJob) else None
    return None


def _spent(run: Path) -> dict[str, Any]:
    """Add up what the ledgers of a run hold."""
    totals = [replay_journal(folder).totals for folder in sorted((run / CALLS).glob("*")) if folder.is_dir()]
    return {
        "requests": sum(each.requests for each in totals),
        "answers": sum(each.answers for each in totals),
        "dollars": str(sum((each.spent for each in totals), Decimal())),
        "dollars_in_doubt": str(sum((each.in_doubt for each in totals), Decimal())),
    }
