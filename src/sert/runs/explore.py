"""Looking at all paths: the explorer's page of a run, a grid, a prospect or a mined folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from sert.analysis.explored.collect import explored
from sert.analysis.explored.pools import Logprobs
from sert.analysis.explored.room import TooLargeError
from sert.analysis.explored.runs import GraphReader, filtered_paths, lone_paths
from sert.analysis.explored.sources import ExploredArm, ExploredRun, Outputs
from sert.analysis.results import ArmGraphs
from sert.config.grid import MAIN
from sert.config.prospect import Prospect
from sert.config.tree import StudentConfig
from sert.errors import ConfigError, DataError
from sert.records import Prediction
from sert.report.explorer.page import GENERATOR, Explored, page_parts
from sert.runs.build import build_arms, distinct_stages
from sert.runs.making import require_finished
from sert.runs.prospect_graph import build_prospect
from sert.runs.request import Request, read_request
from sert.store.artifacts import MANIFEST, has_settings, open_artifact
from sert.store.disk import make_folder, put_parts
from sert.store.tables import read_table
from sert.student.source import called
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted

EXPLORER = "explore.html"
"""Name of the page in the report of a run."""
_HEAD = 4096
"""Bytes of a file in which it says what wrote it."""


def explore(
    folder: Path,
    *,
    out: Path | None = None,
    compare: Path | None = None,
    sample: int | None = None,
    logprobs: Logprobs = "kept",
    student: StudentConfig | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Write one page with all paths of a finished run, grid, prospect or mined folder; it opens without a server.

    Args:
        folder: What is looked at.
        out: The page, beside the folder when not given.
        compare: Another one, shown on the same page.
        sample: Look at so many of the questions of each set, drawn by their ids.
        logprobs: Paths that are shown with the log-probability of each token.
        student: Who mined a folder that is no part of a run; its tokenizer says where tokens end.
        reporter: Told of the progress.

    Returns:
        The page.

    Raises:
        TooLargeError: If the page would be too large to open; it says which sample is not.
        DataError: If there is nothing to look at, a stage is not finished, or `out` is another file.
    """
    reporter = reporter or Silent()
    out = out or folder.with_name(f"{folder.resolve().name}-{EXPLORER}")
    _check_place(out)
    runs = [_read(each, student) for each in (folder, compare) if each is not None]
    if student is not None and not any(_is_lone(each) for each in (folder, compare) if each is not None):
        raise ConfigError(f"{folder} names its students itself; leave out --student (in Python `student`).")
    write_page(out, explored(runs, sample=sample, logprobs=logprobs, reporter=reporter))
    return out


def write_run_explorer(
    report: Path, request: Request, arms: Sequence[ArmGraphs], *, out: Path, reporter: Reporter
) -> str | None:
    """Write the page of a run into its report, where it is asked for, and return its name.

    Where all questions would be too much for one page it shows a sample of them, and the reporter is told so.
    """
    if not arms[0].arm.config.report.explore:
        return None
    run, sample = _of_arms(request, arms, out), None
    while sample is None or sample > 0:
        try:
            write_page(report / EXPLORER, explored([run], sample=sample, reporter=reporter))
            return EXPLORER
        except TooLargeError as error:
            sample = min(error.fitting, (sample or error.fitting + 1) - 1)
            shown = f"shows {counted(sample, 'questions')} of each set" if sample else "is left out"
            reporter.say(f"{request.asked.name}: {EXPLORER} {shown}: browsers are slow to open a larger page")
    return None


def write_page(file: Path, shown: Explored) -> None:
    """Write the page, whole or not at all.

    Raises:
        DiskFullError: If there is no room.
    """
    make_folder(file.parent)
    put_parts(file, (part.encode() for part in page_parts(shown)), needed=shown.size)


def _check_place(out: Path) -> None:
    """Check that no other file would be lost."""
    if not os.path.lexists(out):
        return
    head = out.read_bytes()[:_HEAD] if out.is_file() else b""
    if GENERATOR.encode() not in head:
        raise DataError(f"{out} is there already and is no page of `sert explore`; choose another --out, or remove it.")


def _typed(folder: Path) -> str:
    """Write a folder as people would type it here: what is below is called by its way from here."""
    given, here = folder.resolve(), Path.cwd()
    return str(given.relative_to(here)) if given.is_relative_to(here) else str(folder)


def _is_lone(folder: Path) -> bool:
    """Tell whether a folder is no part of a run.

    Raises:
        DataError: If it holds nothing to look at.
    """
    if has_settings(folder):
        return False
    if not (folder / MANIFEST).is_file():
        what = "is a file" if folder.is_file() else "is no finished result" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}. Give the folder of a run, such as runs/demo, or of `sert mine`.")
    return True


def _read(folder: Path, student: StudentConfig | None) -> ExploredRun:
    if _is_lone(folder):
        paths = lone_paths(open_artifact(folder), student, typed=_typed(folder))
        seed, who = int(paths.mined.artifact.manifest["seed"]), called(student) if student else ""
        arm = ExploredArm(who, seed, MAIN, None, paths.mined.task, [paths], {})
        return ExploredRun(folder.resolve().name, _typed(folder), [arm])
    request = read_request(folder)
    if isinstance(request.asked, Prospect):
        return _of_prospect(request.asked, folder)
    arms = build_arms(request.arms, out=folder)
    require_finished(distinct_stages(arms), folder)
    return _of_arms(request, arms, folder)


def _of_arms(request: Request, arms: Sequence[ArmGraphs], folder: Path) -> ExploredRun:
    return ExploredRun(request.asked.name, _typed(folder), GraphReader(_typed(folder)).arms(arms))


def _of_prospect(asked: Prospect, folder: Path) -> ExploredRun:
    """Read a prospect: its paths by branching, and one greedy output of each of the same questions."""
    graph = build_prospect(asked, out=folder)
    require_finished(graph.stages, folder)
    paths = filtered_paths(graph.mined, graph.filtered, graph.task, config=asked, typed=_typed(folder))
    predictions = read_table(graph.greedy.result.open().file("predictions.parquet"), Prediction)
    outputs = Outputs(graph.greedy.folder.name, graph.task, "zero_shot", graph.questions, predictions)
    arm = ExploredArm(called(asked.student), asked.seed, MAIN, None, graph.task, [paths], {"zero_shot": outputs})
    return ExploredRun(asked.name, _typed(folder), [arm])
