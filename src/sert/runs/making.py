"""How stages are made: the settings that the machine decides, the lock, the executor, the report, the manifest."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sert.config.tree import ExecutionConfig, StudentConfig
from sert.errors import DataError
from sert.runs.folder import RunResult, begin, seal
from sert.runs.plan import write_plan
from sert.runs.request import Request
from sert.runs.stage_work import StageWork
from sert.runs.tracking import Tracked, tracking
from sert.store.artifacts import MANIFEST
from sert.store.executors import engine_kept, make_executor
from sert.store.lock import run_lock
from sert.store.stage import Stage
from sert.store.units import Unit
from sert.student.decoding.units import undecided
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted

Choose = Callable[[StudentConfig], StudentConfig]


def choose_now(reporter: Reporter) -> Choose:
    """Choose the numbers that a student decodes in by measuring it."""
    return partial(_chosen, reporter=reporter)


def choose_for_plan(reporter: Reporter, *, try_students: bool) -> Choose:
    """Choose them as far as a dry run goes; without trying students they are float32."""
    return partial(_chosen_beforehand if try_students else undecided, reporter=reporter)


def _chosen_beforehand(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    from sert.student.decoding.beforehand import choose_beforehand  # loads torch

    return choose_beforehand(student, reporter)


def _chosen(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    from sert.student.decoding.choice import chosen  # loads torch

    return chosen(student, reporter)


def settled(request: Request, out: Path, choose: Choose, *, check: Callable[[Request], object]) -> Request:
    """Choose in which numbers students decode, where that is left to the machine, once all else is checked."""
    in_float32 = request.settled(out, partial(undecided, reporter=Silent()))
    decided = request.settled(out, lambda student: student)
    if decided == in_float32:
        return decided
    check(in_float32)
    return request.settled(out, choose)


def make_stages(
    request: Request,
    stages: Sequence[Stage],
    out: Path,
    *,
    workers: int = 1,
    reporter: Reporter,
    write_report: Callable[[], dict[str, Any]],
    result: type[RunResult] = RunResult,
) -> RunResult:
    """Make those that are not finished, as many side by side as there are workers; then the report and the manifest."""
    with run_lock(out):
        begin(request, stages, out, reporter)
        to_do = [stage for stage in stages if not stage.finished]
        finished = len(stages) - len(to_do)
        reporter.say(f"{request.asked.name}: {counted(len(stages), 'stages')}, {finished} of them finished earlier")
        with engine_kept(request.execution), tracking(request, out, reporter) as tracked:
            _make(to_do, out, _side_by_side(request.execution, workers), tracked)
        metrics = write_report()
        return result(out, metrics, len(to_do), finished, seal(request, stages, out))


def report_again(
    request: Request,
    stages: Sequence[Stage],
    out: Path,
    *,
    write_report: Callable[[], dict[str, Any]],
    result: type[RunResult] = RunResult,
) -> RunResult:
    """Write the report of finished stages again.

    Raises:
        DataError: If a stage is not finished.
    """
    require_finished(stages, out)
    with run_lock(out):
        (out / MANIFEST).unlink(missing_ok=True)
        metrics = write_report()
        write_plan(out, stages)
        return result(out, metrics, 0, len(stages), seal(request, stages, out))


def require_finished(stages: Sequence[Stage], out: Path) -> None:
    """Check that nothing is left to do.

    Raises:
        DataError: If a stage is not finished.
    """
    if unfinished := [stage.name for stage in stages if not stage.finished]:
        raise DataError(
            f"{out} is not finished: {counted(len(unfinished), 'stages')} to do, {unfinished[0]} first. "
            "Give its command again."
        )


def _side_by_side(execution: ExecutionConfig, workers: int) -> ExecutionConfig:
    """Say who makes stages: one after the other is done here, where units may still be done by others."""
    return execution.model_copy(update={"workers": workers} | ({"engine": "local"} if workers == 1 else {}))


def _make(stages: Sequence[Stage], out: Path, execution: ExecutionConfig, reporter: Tracked) -> None:
    """Make stages, as many side by side as there are workers."""
    one_by_one = execution.workers == 1  # then they tell of their progress themselves
    work = StageWork(out, tuple(stages), reporter if one_by_one else Silent())
    units = [Unit(number, (), after) for number, after in enumerate(_waits(stages))]
    with (Silent() if one_by_one else reporter).track(out.name, len(stages), "stages") as advance:
        executor = make_executor(execution, say=reporter.say)
        for unit in executor.execute(work, units, work, advance=advance):
            advance(1, stages[unit.number].name)
            reporter.finished(stages[unit.number], curve=not one_by_one)


def _waits(stages: Sequence[Stage]) -> Iterator[frozenset[int]]:
    """Find for each stage the numbers of those before it: what it reads, and who writes its ledger."""
    writers: dict[Path, int] = {}
    for number, stage in enumerate(stages):
        ledger = [stage.job.calls] if stage.job.calls else []
        reads = [*(need.folder for need in stage.needs), *ledger]
        yield frozenset(writers[folder] for folder in reads if folder in writers)
        writers |= dict.fromkeys([stage.folder, *ledger], number)
