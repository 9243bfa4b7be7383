"""What a run leaves beside its stages: its settings, its plan, its report and, last, its manifest."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sert.store.artifacts import MANIFEST, SETTINGS, WORK_ENDING, file_hash, json_text, signed, tidy, unfinished_work
from sert.store.disk import check_folder, put, remove, sync, sync_tree, writing
from sert.store.lock import run_lock
from sert.store.stage import PLAN, Stage, read_plan, spent, why_again, write_plan
from sert.terminal.progress import Reporter

CONFIG, GRID = SETTINGS
REPORT, WRITTEN = "report", ".written.json"
"""The folder of the report, and what names in it the files that were written with it; others are somebody else's."""


class Settings(NamedTuple):
    """What a run was asked to do.

    Attributes:
        file: Name of the file that holds it, `config.toml` or `grid.toml`.
        text: Its TOML.
        about: What else its manifest says of it.
        keep_units: Whether the units of its finished stages are kept.
    """

    file: str
    text: str
    about: Mapping[str, Any]
    keep_units: bool


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


def plan_stages(stages: Sequence[Stage], out: Path) -> list[PlannedStage]:
    """List what is to be done of some stages.

    Raises:
        DataError: If a part of the folder's path is a file.
    """
    check_folder(out)
    before = read_plan(out)
    return [
        PlannedStage(stage.name, stage.work, stage.finished, stage.folder.name, why_again(stage, before))
        for stage in stages
    ]


def carry_out(
    settings: Settings,
    stages: Sequence[Stage],
    out: Path,
    reporter: Reporter,
    *,
    make: Callable[[list[Stage]], object],
    report: Callable[[], dict[str, Any]],
) -> RunResult:
    """Make the stages that are not finished, and then the report, while nobody else writes there.

    Args:
        settings: What was asked for.
        stages: All stages.
        out: The folder.
        reporter: Told of what changed since the last time.
        make: Makes the stages that it is given.
        report: Writes the report, and returns its numbers.

    Raises:
        RunLockedError: If another process writes there.
    """
    with run_lock(out):
        _begin(settings, stages, out, reporter)
        to_do = [stage for stage in stages if not stage.finished]
        make(to_do)
        metrics = report()
        took = _seal(settings, stages, out)
    return RunResult(out, metrics, len(to_do), len(stages) - len(to_do), took)


def report_again(
    settings: Settings, stages: Sequence[Stage], out: Path, *, report: Callable[[], dict[str, Any]]
) -> RunResult:
    """Write the report of finished stages again.

    Raises:
        RunLockedError: If another process writes there.
    """
    with run_lock(out):
        (out / MANIFEST).unlink(missing_ok=True)
        metrics = report()
        write_plan(out, stages)
        took = _seal(settings, stages, out)
    return RunResult(out, metrics, 0, len(stages), took)


def _begin(settings: Settings, stages: Sequence[Stage], out: Path, reporter: Reporter) -> None:
    """Clear what a killed run left, say what a changed configuration means, and write down what is to be done.

    The run's manifest goes first and comes last: without it, nobody takes what is being changed for damage.
    """
    (out / MANIFEST).unlink(missing_ok=True)
    for leftover in out.glob(".*.tmp-*"):  # the lock says that nobody writes there
        remove(leftover)
    for stage in stages:
        for work in out.glob(f".{stage.folder.name}.*{WORK_ENDING}") if stage.finished else ():
            tidy(work, keep_units=settings.keep_units)  # it was killed between its end and this
    before = read_plan(out)
    for stage in stages:
        if because := why_again(stage, before):
            found = "is there already" if stage.finished else "is made anew"
            stays = _what_stays(out / before[stage.name]["folder"])
            reporter.say(f"{stage.name}: {found}, because {'; '.join(because)}. {stays}")
    put(out / settings.file, settings.text.encode())
    write_plan(out, stages)


def _what_stays(folder: Path) -> str:
    """Say where the result of a stage, or its unfinished work, is kept that is not asked for any more."""
    if (folder / MANIFEST).is_file():
        return f"What was there stays in {folder.name}."
    if works := unfinished_work(folder):
        return f"Its unfinished work stays in {', '.join(work.name for work in works)}."
    return "Nothing of what was planned before is there."


def publish(out: Path, write: Callable[[Path], object]) -> None:
    """Put a report in the place of the one before, whole; files that others put there are carried over.

    The one before is removed when the new one is in its place, and until then has a name that no run clears away.
    """
    report, before = out / REPORT, out / f".{REPORT}.before"
    fresh = out / f".{REPORT}.tmp-{uuid.uuid4().hex[:8]}"
    try:
        with writing(out):
            if os.path.lexists(before) and not os.path.lexists(report):
                before.rename(report)  # the process was killed that replaced it
            write(fresh)
            put(fresh / WRITTEN, json_text(_files_of(fresh)).encode())
            if report.is_dir():
                _carry_over(report, fresh)
            sync_tree(fresh)
            remove(before)
            if os.path.lexists(report):
                report.rename(before)
            fresh.rename(report)
            sync(out)
            remove(before)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _carry_over(report: Path, fresh: Path) -> None:
    """Copy to a new report what others put into the one before."""
    ours = {report / name for name in [*_written(report), *_files_of(fresh)]}

    def ignored(place: str, names: list[str]) -> set[str]:
        return {name for name in names if Path(place, name) in ours}

    shutil.copytree(report, fresh, symlinks=True, ignore=ignored, dirs_exist_ok=True)


def _written(report: Path) -> list[str]:
    """Read which files of a report were written with it; none where that is not known."""
    try:
        names = json.loads((report / WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [*map(str, names), WRITTEN] if isinstance(names, list) else []


def _files_of(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _seal(settings: Settings, stages: Sequence[Stage], out: Path) -> dict[str, Any]:
    """Write the run's manifest (stages, what they took, hashes of the files beside them); return what they took."""
    took = spent(stages)
    files = [out / settings.file, out / PLAN, *(out / REPORT / name for name in _written(out / REPORT))]
    manifest = {
        **settings.about,
        "file": settings.file,
        "config": settings.text,
        "stages": {stage.name: stage.folder.name for stage in stages},
        "spent": took,
        "outputs": {file.relative_to(out).as_posix(): file_hash(file) for file in files},
    }
    put(out / MANIFEST, json_text(signed(manifest)).encode())
    return took
