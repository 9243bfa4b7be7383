"""Looking after finished work: is it still whole, and making anew what is not."""

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sert.config_files import load_config
from sert.errors import DataError
from sert.method import Stage, build_method
from sert.progress import Reporter, Silent
from sert.runs import CONFIG, report_run
from sert.store.artifacts import MANIFEST, run_lock
from sert.store.verification import find_damage, open_intact


class Verified(NamedTuple):
    """One folder that was looked at.

    Attributes:
        damage: What is no longer as it was left.
        mended: Whether it was made anew.
    """

    folder: Path
    damage: list[str]
    mended: bool


def verify(folder: Path, *, repair: bool = False, reporter: Reporter | None = None) -> list[Verified]:
    """Re-hash a result, or every result of a run.

    Args:
        folder: A folder that a stage left, or that of a run.
        repair: Make broken stages of a run again, and then its report. Whole ones are not touched.
        reporter: Where progress goes.

    Raises:
        DataError: If the folder is neither, or a result that is no run's is to be repaired.
        RunLockedError: If another process writes to the run.
    """
    reporter = reporter or Silent()
    if not (folder / CONFIG).is_file():
        damage = find_damage(folder)
        if damage and repair:
            raise DataError(
                f"{folder} is broken ({'; '.join(damage)}) and no run's; remove it and give its command again."
            )
        return [Verified(folder, damage, mended=False)]
    results = sorted(_results_of(folder))
    with reporter.track("verify", len(results), "folders") as advance:
        found = []
        for each in results:
            damage = find_damage(each) if (each / MANIFEST).is_file() else ["it is missing"]
            found.append(Verified(each, damage, mended=False))
            advance(1)
    broken = {each.folder.name for each in found if each.damage}
    mended = set(_repair(folder, broken, reporter)) if repair and broken else set()
    return [each._replace(mended=each.folder.name in mended) for each in found]


def _results_of(run: Path) -> set[Path]:
    """List what is finished, and what the run left but is not finished any more."""
    there = {each.parent for each in run.glob(f"*/{MANIFEST}") if not each.parent.name.startswith(".")}
    try:
        stages = json.loads((run / MANIFEST).read_text(encoding="utf-8"))["stages"]
    except (OSError, ValueError, KeyError, TypeError):
        return there
    return there | {run / name for name in stages.values()}


def _repair(run: Path, broken: Iterable[str], reporter: Reporter) -> Iterator[str]:
    tasks = build_method(load_config(run / CONFIG), out=run, reporter=reporter)
    stages = {stage.folder.name: stage for task in tasks for stage in task.stages}
    with run_lock(run):
        for name in [name for name in stages if name in set(broken)]:
            _make_again(stages[name], reporter)
            yield name
    report_run(run)


def _make_again(stage: Stage, reporter: Reporter) -> None:
    """Make a stage again; the broken folder is kept until the new one is there."""
    if not stage.finished:
        shutil.rmtree(stage.folder, ignore_errors=True)
        stage.make()
        return
    intact = open_intact(stage.folder)
    before = intact.manifest["outputs"] if intact else None
    aside = stage.folder.with_name(f".{stage.folder.name}.tmp-broken-{uuid.uuid4().hex[:8]}")
    stage.folder.rename(aside)
    try:
        again = stage.make()
    except BaseException:
        aside.rename(stage.folder)
        raise
    shutil.rmtree(aside)
    if before is not None and again.manifest["outputs"] != before:
        reporter.say(f"{stage.name}: made again, but not the same to the byte as before")
