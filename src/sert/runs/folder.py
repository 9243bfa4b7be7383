"""What a run leaves beside its stages: its settings, its plan, its report and, last, its manifest."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from sert.report.texts import terminal_table
from sert.runs.plan import PLAN, read_plan, why_again, write_plan
from sert.runs.request import Request
from sert.store.artifacts import MANIFEST, WORK_ENDING, file_hash, files_of, json_text, signed, tidy, unfinished_work
from sert.store.disk import put, remove, sync, sync_tree, writing
from sert.store.stage import Stage
from sert.terminal.progress import Reporter

REPORT, WRITTEN = "report", ".written.json"
"""The folder of the report, and what names in it the files that were written with it; others are somebody else's."""


class RunResult(NamedTuple):
    """A finished run.

    Attributes:
        metrics: The numbers of its report, as in `metrics.json`.
        stages_made, stages_skipped: How many stages this call made, and how many were there already.
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

    @property
    def summary(self) -> str:
        """Its most important tables, as plain text for a terminal."""
        return terminal_table(self.metrics)


def begin(request: Request, stages: Sequence[Stage], out: Path, reporter: Reporter) -> None:
    """Clear what a killed run left, say what a changed configuration means, and write down what is to be done.

    The run's manifest goes first and comes last: without it, nobody takes what is being changed for damage.
    """
    (out / MANIFEST).unlink(missing_ok=True)
    for leftover in out.glob(".*.tmp-*"):  # the lock says that nobody writes there
        remove(leftover)
    for stage in stages:
        for work in out.glob(f".{stage.folder.name}.*{WORK_ENDING}") if stage.finished else ():
            tidy(work, keep_units=request.execution.keep_units)  # it was killed between its end and this
    before = read_plan(out)
    for stage in stages:
        if because := why_again(stage, before):
            found = "is there already" if stage.finished else "is made anew"
            stays = _what_stays(out / before[stage.name]["folder"])
            reporter.say(f"{stage.name}: {found}, because {'; '.join(because)}. {stays}")
    put(out / request.file, request.text.encode())
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
            put(fresh / WRITTEN, json_text(files_of(fresh)).encode())
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
    ours = {report / name for name in [*_written(report), *files_of(fresh)]}

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


def seal(request: Request, stages: Sequence[Stage], out: Path) -> dict[str, Any]:
    """Write the run's manifest (stages, what they took, hashes of the files beside them); return what they took."""
    took = _spent(stages)
    files = [out / request.file, out / PLAN, *(out / REPORT / name for name in _written(out / REPORT))]
    manifest = {
        **request.about,
        "file": request.file,
        "config": request.text,
        "stages": {stage.name: stage.folder.name for stage in stages},
        "spent": took,
        "outputs": {file.relative_to(out).as_posix(): file_hash(file) for file in files},
    }
    put(out / MANIFEST, json_text(signed(manifest)).encode())
    return took


def _spent(stages: Iterable[Stage]) -> dict[str, Any]:
    """Add up what finished stages took, over every attempt: seconds, tokens, requests and dollars."""
    manifests = [stage.result.open().manifest for stage in stages]
    counts = [manifest["counts"] for manifest in manifests]
    # The tasks share the log of an endpoint, and each states what all of it came to.
    logs = [[each["counts"] for each in manifests if each["stage"] == kind] for kind in ("teach", "judge")]
    dollars = (max((Decimal(each.get("dollars_spent", 0)) for each in log), default=Decimal()) for log in logs)
    return {
        "wall_seconds": round(sum(manifest["wall_seconds"] for manifest in manifests), 3),
        "tokens_mined": sum(each["tokens"] for each in counts if "tokens" in each),
        "tokens_trained": sum(each["supervised_tokens"] for each in counts if "supervised_tokens" in each),
        "requests": sum(max((each.get("requests", 0) for each in log), default=0) for log in logs),
        "dollars": str(sum(dollars)),
    }
