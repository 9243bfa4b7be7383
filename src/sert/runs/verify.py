"""Looking after finished work: is it still whole, making anew what is not, and what can go."""

import json
import os
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from sert.errors import DataError
from sert.runs.folder import REPORT
from sert.runs.plan import PLAN, read_plan
from sert.runs.request import CONFIG
from sert.runs.run import report_run, stages_in
from sert.store.artifacts import MANIFEST, SETTINGS, UNITS, WORK_ENDING, has_settings, is_as_signed
from sert.store.disk import put
from sert.store.disk import remove as remove_path
from sert.store.lock import run_lock
from sert.store.stage import Stage
from sert.store.units import UnitStore
from sert.store.verification import ADDED, find_damage, hash_damage, open_intact
from sert.terminal.progress import Reporter, Silent


class Verified(NamedTuple):
    """One folder that was looked at.

    Attributes:
        damage: What is no longer as it was left.
        mended: Whether it was made anew.
        repeatable: Whether making it anew gives the same bytes; a server's samples come otherwise each time.
    """

    folder: Path
    damage: list[str]
    mended: bool
    repeatable: bool = True

    @property
    def broken(self) -> bool:
        """Whether something is missing or changed, and was not mended. Files that were added break nothing."""
        return not self.mended and not all(map(_was_added, self.damage))

    @property
    def added(self) -> bool:
        """Whether files were added. They are never removed."""
        return any(map(_was_added, self.damage))


class Removable(NamedTuple):
    """Something in a run folder that its configuration does not need, and why it is there."""

    folder: Path
    num_bytes: int
    why: str


def verify(folder: Path, *, repair: bool = False, reporter: Reporter | None = None) -> list[Verified]:
    """Re-hash a result that a stage left, or everything of a run.

    `repair` makes broken stages of a run again, of those that decode only the broken units, and then its report. Whole
    ones are not touched.

    Raises:
        DataError: If the folder is neither, or a result that is no run's is to be repaired.
        RunLockedError: If another process writes to the run.
    """
    reporter = reporter or Silent()
    if not _is_run(folder):
        single = Verified(folder, find_damage(folder), mended=False, repeatable=_is_repeatable(folder))
        if single.broken and repair:
            raise DataError(
                f"{folder} is broken ({'; '.join(single.damage)}) and no run's; remove it and give its command again."
            )
        return [single]
    run_damage = _damage_of_run(folder)
    results, parts = sorted(_results_of(folder)), sorted(folder.glob(f".*{WORK_ENDING}/{UNITS}"))
    found = [Verified(folder, run_damage, mended=False)] if run_damage is not None else []
    with reporter.track("verify", len(results) + len(parts), "folders") as advance:
        for each in results:
            damage = find_damage(each) if (each / MANIFEST).is_file() else ["it is missing"]
            found.append(Verified(each, damage, mended=False, repeatable=_is_repeatable(each)))
            advance(1)
        for each in parts:
            found.append(Verified(each.parent, UnitStore(each).damaged(), mended=False))
            advance(1)
    broken = [each for each in found if each.broken]
    if repair and broken:
        mended = _repair(folder, broken, reporter)
        return [each._replace(mended=each.folder.name in mended) for each in found]
    return found


def find_removable(run: Path) -> list[Removable]:
    """List what a run folder holds beside what its configuration needs. Answers of endpoints are never among it.

    Raises:
        DataError: If the folder is no run.
    """
    if not _is_run(run) or not read_plan(run):
        raise DataError(f"{run} is no run folder: it has no {CONFIG} and {PLAN}. Give the folder of `sert run`.")
    needed, found = {planned["folder"] for planned in read_plan(run).values()}, []
    for folder in sorted(each for each in run.iterdir() if each.is_dir() and not each.is_symlink()):
        hidden, name = folder.name.startswith("."), folder.name.removeprefix(".")
        stage = name.split(".", 1)[0] if hidden else name
        if hidden and ".tmp-" in name:
            why = "left by a run that was killed"
        elif hidden and name.endswith(WORK_ENDING) and stage not in needed:
            why = "unfinished work of another configuration"
        elif hidden and name.endswith(WORK_ENDING) and (run / stage / MANIFEST).is_file():
            why = "units of a finished stage, which only mend it sooner if it breaks"
        elif not hidden and (folder / MANIFEST).is_file() and folder.name not in needed:
            why = "a result of another configuration"
        else:
            continue
        size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
        found.append(Removable(folder, size, why))
    return found


def remove(run: Path, removable: list[Removable]) -> None:
    """Remove what `find_removable` found.

    Raises:
        RunLockedError: If another process writes to the run.
    """
    with run_lock(run):
        still = {each.folder for each in find_removable(run)}  # a run may have come and gone since
        for each in removable:
            if each.folder in still:
                remove_path(each.folder)


def _was_added(line: str) -> bool:
    return line.endswith(ADDED)


def _is_run(folder: Path) -> bool:
    return has_settings(folder) or "stages" in _manifest_of(folder)


def _manifest_of(folder: Path) -> dict[str, Any]:
    """Read a manifest as it is; empty if there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _is_repeatable(folder: Path) -> bool:
    counts = _manifest_of(folder).get("counts")
    return not isinstance(counts, dict) or counts.get("repeatable") is not False


def _intact_manifest(run: Path) -> dict[str, Any] | None:
    """Read the manifest of a run; None if it is not there or was changed."""
    manifest = _manifest_of(run)
    return manifest if is_as_signed(manifest) else None


def _damage_of_run(run: Path) -> list[str] | None:
    """Say what is wrong with the files beside the stages; None while the run has not come to them."""
    if not (run / MANIFEST).is_file():
        planned = [run / stage["folder"] / MANIFEST for stage in read_plan(run).values()]
        return [f"{MANIFEST} is missing"] if planned and all(file.is_file() for file in planned) else None
    manifest = _intact_manifest(run)
    if manifest is None:
        return [f"{MANIFEST} was changed"]
    beside = [file for name in (*SETTINGS, PLAN) if os.path.lexists(file := run / name)]
    report = [file for file in (run / REPORT).rglob("*") if not file.is_dir()]
    return list(hash_damage(run, manifest["outputs"], [*beside, *report]))


def _results_of(run: Path) -> set[Path]:
    """List what is finished, and what the run left but is not finished any more."""
    there = {each.parent for each in run.glob(f"*/{MANIFEST}") if not each.parent.name.startswith(".")}
    manifest = _intact_manifest(run)
    stages = manifest["stages"].values() if manifest else ()
    return there | {run / Path(str(name)).name for name in stages}


def _repair(run: Path, broken: list[Verified], reporter: Reporter) -> set[str]:
    """Make again what is broken and belongs to the run's configuration, and name these folders."""
    with run_lock(run):
        _restore_settings(run)
        stages = {stage.folder.name: stage for stage in stages_in(run, reporter)}
        folders = {each.folder.name: each.folder for each in broken if each.folder != run}  # it is mended by its report
        works = [folder for name, folder in folders.items() if name.startswith(".")]
        for work in works:
            UnitStore(work / UNITS).finished()  # removes what is damaged; it is done again when it is needed
        again = [name for name in stages if name in folders]
        for name in again:
            _make_again(stages[name], reporter)
        mended = {*again, *(work.name for work in works)}
    if all(stage.finished for stage in stages.values()):
        report_run(run)
        mended |= {each.folder.name for each in broken if each.folder == run}
    return mended


def _restore_settings(run: Path) -> None:
    """Write the settings of a run again as its manifest holds them, in case their file is damaged."""
    if manifest := _intact_manifest(run):
        file = manifest.get("file")
        put(run / (file if file in SETTINGS else CONFIG), manifest["config"].encode())


def _make_again(stage: Stage, reporter: Reporter) -> None:
    """Make a stage again; the broken folder is kept until the new one is there, and what was added to it stays."""
    intact = open_intact(stage.folder) if stage.finished else None
    before = intact.manifest["outputs"] if intact else None
    aside = stage.folder.with_name(f".{stage.folder.name}.tmp-broken-{uuid.uuid4().hex[:8]}")
    if os.path.lexists(stage.folder):
        stage.folder.rename(aside)
    try:
        again = stage.make(reporter)
    except BaseException:
        if os.path.lexists(aside) and not stage.folder.exists():  # else it was interrupted when all was done
            aside.rename(stage.folder)
        raise
    _move_added(aside, stage.folder, ours={MANIFEST, *(before or ()), *again.manifest["outputs"]})
    remove_path(aside)
    if before is not None and again.manifest["outputs"] != before:
        reporter.say(f"{stage.name}: made again, but not the same to the byte as before")


def _move_added(old: Path, new: Path, *, ours: set[str]) -> None:
    """Move to a folder that was made again what others put into the broken one."""
    for file in [file for file in old.rglob("*") if not file.is_dir() or file.is_symlink()]:
        name = file.relative_to(old)
        if name.as_posix() not in ours:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            file.rename(new / name)
