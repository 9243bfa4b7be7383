"""The stages of a run as work that others can do: in other processes of this machine, or on other machines.

On another machine a stage is made in a folder of its own, from copies of what it reads, and comes home whole; this
machine alone writes into the run's folder. Unfinished parts go along, and wait on that machine if it is stopped there.
"""

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sert.config.tree import APART, StudentConfig, TrainingConfig
from sert.errors import DataError
from sert.paths.mining import MineJob
from sert.runs.tracking import Tracked
from sert.store.artifacts import MANIFEST, RESULT, UNITS, files_of, tidy, work_folder
from sert.store.disk import make_folder, remove, sync, sync_tree, writing
from sert.store.lock import is_alive, run_lock
from sert.store.portable import Parcels, Places, Portable, changed, moved
from sert.store.shipping import STAGES, Parcel, node_cache
from sert.store.stage import Job, Result, Stage
from sert.store.units import Run, Unit
from sert.store.verification import find_damage
from sert.student.folder import find_student
from sert.student.numbers import StudentWork, packed_student
from sert.student.source import StudentSource, trained_student
from sert.student.weights import hash_of
from sert.terminal.progress import Advance, Reporter, Silent

_BEGUN = "begun"
"""Stands for the unfinished work of a stage among what it needs."""


@dataclass(frozen=True)
class StageWork(StudentWork):
    """Makes the stages of a run: a unit is a stage, by its place. Each has its own folder: nothing else is kept.

    Attributes:
        folder: The run's.
        stages: All that may be made.
        reporter: Told of the progress, where stages are made one after the other.
        places: Where what a stage needs lies on another machine; None on this one.
    """

    folder: Path
    stages: tuple[Stage, ...]
    reporter: Reporter
    places: Mapping[str, str] | None = field(default=None)

    @property
    def students(self) -> tuple[StudentConfig, ...]:
        """Who decodes, scores or is trained elsewhere."""
        away = (stage.job for stage in self.stages if not _stays(stage.job))
        distinct = {source.config.model_dump_json(): source.config for job in away for source in _sources_of(job)}
        students: tuple[StudentConfig, ...] = moved(tuple(distinct.values()), self.places or {})
        return students

    def start(self, worker: int) -> Run:
        """Get ready."""
        return self._make if self.places is None else self._make_elsewhere

    def commit(self, unit: Unit, content: bytes) -> None:
        """Do nothing: the stage is in its folder already."""

    def _make(self, unit: Unit, advance: Advance) -> bytes:
        stage = self.stages[unit.number]
        self.reporter.say(f"{unit.number + 1} of {len(self.stages)}, {stage.name}: {stage.job.work}")
        if isinstance(self.reporter, Tracked):
            self.reporter.name = stage.name
        stage.make(self.reporter)
        return b""

    # ---- on other machines

    def stays(self, unit: Unit) -> bool:
        """Keep here what asks no student, such as calls to endpoints, whose journal lies here."""
        return _stays(self.stages[unit.number].job)

    def parcels_of(self, unit: Unit) -> Parcels:
        """What a stage reads besides the first students, and what was finished of it."""
        stage = self.stages[unit.number]
        begun = work_folder(stage.folder, stage.result.key)
        kept = {name: begun / name for name in (files_of(begun) if begun.is_dir() else ()) if _goes_along(name)}
        return _read_by(stage.job) | ({_BEGUN: Parcel.of(kept)} if kept else {})

    def placed(self, places: Places) -> Portable:
        """Note where things lie: only the stage that is made looks there."""
        return replace(self, places={**(self.places or {}), **places})

    def _make_elsewhere(self, unit: Unit, advance: Advance) -> bytes:
        assert self.places is not None
        stage, root = self.stages[unit.number], _adopted(self.stages[unit.number])
        folder = root / RESULT
        work = work_folder(folder, stage.result.key)
        if _BEGUN in self.places and not work.is_dir():
            with writing(root):
                shutil.copytree(self.places[_BEGUN], work)
        job = _alone(moved(stage.job, self.places))
        job.make(folder, label=stage.label, reporter=Silent())
        if work.is_dir():
            with suppress(FileNotFoundError):
                (work / UNITS).rename(root / UNITS)
            remove(work)
        return b""

    def left(self, unit: Unit) -> Path:
        """Name the folder with the result, and with its units where they are kept."""
        return _root(self.stages[unit.number])

    def arrived(self, unit: Unit, folder: Path) -> None:
        """Put a stage that was made elsewhere into its place, whole.

        Raises:
            DataError: If it is not as it was left there.
            DiskError: If the disk cannot be written.
        """
        stage = self.stages[unit.number]
        if damage := find_damage(folder / RESULT):
            raise DataError(f"{stage.name} was damaged on its way home: {damage[0]}. Give the command again.")
        work = work_folder(stage.folder, stage.result.key)
        with run_lock(work), writing(work):
            if not stage.finished:
                sync_tree(folder)
                remove(work / UNITS)
                if (folder / UNITS).is_dir():
                    (folder / UNITS).rename(work / UNITS)
                (folder / RESULT).rename(stage.folder)
                sync(stage.folder.parent)
            tidy(work, keep_units=stage.job.execution.keep_units)


def _sources_of(job: Job) -> list[StudentSource]:
    """Find the students of a job."""
    found = list[StudentSource]()

    def look(part: Any) -> Any:
        if isinstance(part, StudentSource):
            found.append(part)
            return part
        return NotImplemented

    changed(job, look)
    return found


def _stays(job: Job) -> bool:
    """Tell whether a job is done where the run is: it asks no student, or a server, or saves an adapter.

    That names where its base lies.
    """
    found = [isinstance(job, MineJob) and job.served]

    def look(part: Any) -> Any:
        if isinstance(part, TrainingConfig):
            found.append(part.lora is not None and part.lora.output == "adapter")
            return part
        return NotImplemented

    changed(job, look)
    return any(found) or not _sources_of(job)


def _read_by(job: Job) -> dict[str, Parcel]:
    """Pack what a job reads: trained students, results of other stages, and files that the configuration names."""
    found = dict[str, Parcel]()

    def look(part: Any) -> Any:
        if isinstance(part, StudentSource):
            found.update({} if part.trained is None else _trained(part, part.trained))
        elif isinstance(part, Result):
            found[str(part.folder)] = Parcel.of_folder(part.folder, hash_of=hash_of)
        elif isinstance(part, Path) and part.is_file():
            found[str(part)] = Parcel.of({part.name: part}, entry=part.name, hash_of=hash_of)
        else:
            return NotImplemented
        return part

    changed(job, look)
    return found


def _trained(source: StudentSource, trained: Result) -> dict[str, Parcel]:
    """Pack of a training the one state that is asked for, and its manifest."""
    student = trained_student(trained.open(), like=source.config, snapshot=source.snapshot)
    packed = packed_student(find_student(student))
    inside = Path(student.path).relative_to(trained.folder).as_posix()
    sources = {f"{inside}/{name}": each for name, each in packed.sources.items()}
    sources[MANIFEST] = trained.folder / MANIFEST
    return {str(trained.folder): Parcel.of(sources, hash_of=hash_of)}


def _goes_along(name: str) -> bool:
    """Tell whether a file of unfinished work is worth something elsewhere: no lock, no half-written result."""
    parts = Path(name).parts
    return parts[0] != RESULT and not any(part.startswith(".") for part in parts)


def _alone(job: Job) -> Job:
    """Let a job do all of its work in the process that it is in."""
    if "execution" not in {each.name for each in fields(job)}:  # type: ignore[arg-type]  # every job is a dataclass
        return job
    execution = job.execution.model_copy(update={"engine": APART.engine, "workers": APART.workers})
    return replace(job, execution=execution)  # type: ignore[type-var]


def _root(stage: Stage) -> Path:
    """Name the folder in which this process makes a stage of a run that is on another machine."""
    return node_cache() / STAGES / f"{stage.result.key}.{platform.node()}.{os.getpid()}"


def _adopted(stage: Stage) -> Path:
    """Make that folder, or take over that of a process of this machine that is gone."""
    root = _root(stage)
    make_folder(root.parent)
    if not root.is_dir():
        for left in _left_behind(stage):
            with suppress(OSError):  # another one was quicker
                left.rename(root)
                break
    make_folder(root)
    remove(root / RESULT)
    remove(root / UNITS)
    return root


def _left_behind(stage: Stage) -> Iterator[Path]:
    for other in (node_cache() / STAGES).glob(f"{stage.result.key}.{platform.node()}.*"):
        process = other.name.rpartition(".")[2]
        if process.isdecimal() and not is_alive(int(process)):
            yield other
