"""The commands of a whole run and of a whole grid, and what they print of their plans and results."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.help import Command
from sert.cli.options import (
    JSON,
    LIMIT,
    SET,
    TRYING_DRY_RUN,
    InputPath,
    OutFolder,
    print_json,
    setting,
    terminal,
    with_options,
)
from sert.cli.prompts import shown_prompt
from sert.terminal.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sert.config.grid import Grid
    from sert.config.tree import StudentConfig
    from sert.runs.estimate import Estimate
    from sert.runs.folder import RunResult
    from sert.runs.plan import Plan, PlannedStage, PlannedTask
    from sert.runs.students import ForeseenStudent

ENGINE = with_options(setting("execution.engine", name="engine"), setting("execution.address", name="address"))
ON_RUN = with_options(setting("execution.workers", name="workers"), ENGINE, SET, TRYING_DRY_RUN, JSON)


@click.command("demo", cls=Command)
@click.option("--out", type=OutFolder(), default=Path("runs/demo"), show_default=True)
@ON_RUN
def demo(**options: Any) -> None:
    """Run the whole method on the embedded lab: no download, no key, no GPU.

    \b
    sert demo
    sert demo --set seed=1 --out runs/demo-1
    """
    from sert.lab import DEMO_CONFIG

    _run(DEMO_CONFIG, limit=None, **options)


@click.command("run", cls=Command)
@click.argument("config", type=InputPath())
@click.option("--out", type=OutFolder(), help="Run folder.  [default: runs/<name of the config>]")
@with_options(LIMIT, ON_RUN)
def run_command(config: Path, **options: Any) -> None:
    """Run the whole method as a configuration says; what is finished is skipped, also after a stop.

    \b
    sert run configs/lab.toml
    sert run configs/strategyqa-gpt2.toml --limit 200 --set training.epochs=1
    sert run configs/commonsenseqa-gpt2.toml --dry-run
    sert run configs/lab.toml --workers 2
    """
    _run(config, **options)


def _overriding(overrides: tuple[str, ...], **execution: int | str | None) -> tuple[str, ...]:
    """Add what options say of how the work is done to what `--set` gives."""
    return *overrides, *(f"execution.{name}={value}" for name, value in execution.items() if value is not None)


def _run(
    file: Path,
    *,
    out: Path | None,
    workers: int | None,
    engine: str | None,
    address: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    from sert.config.load import load_config
    from sert.runs.run import plan, run

    overrides = _overriding(overrides, workers=workers, engine=engine, address=address)
    config = load_config(file, overrides=overrides, **options)
    folder = out or Path("runs") / config.name
    if dry_run:
        planned = plan(config, out=folder, reporter=terminal(), try_students=True)
        if not as_json:
            return print_planned(planned, folder, 1, as_json)
        for student in planned.students:
            terminal().say("\n".join(student.lines()))
        return print_json([stage._asdict() for stage in planned.stages])
    result = run(config, out=folder, reporter=terminal())
    spent = result.spent
    asked = f", {spent['requests']:,} requests, {spent['dollars']} dollars" if spent["requests"] else ""
    took = (
        f"Spent over all attempts: {spent['wall_seconds']:,.0f} s, {spent['tokens_mined']:,} tokens mined, "
        f"{spent['tokens_trained']:,} tokens trained on{asked}"
    )
    print_result(result, as_json, took)


@click.command("reproduce", cls=Command, rest="--engine --address")
@click.argument("grid", metavar="GRID")
@click.option("--out", type=OutFolder(), help="Folder of the grid.  [default: runs/<name of the grid>]")
@click.option("--student", "students", multiple=True, help="Hub id or folder instead of the grid's; repeatable.")
@click.option("--seeds", type=click.IntRange(min=1), help="Run only so many of the grid's seeds.")
@click.option("--only", "groups", multiple=True, metavar="GROUP", help="Only variants of this group; repeatable.")
@click.option("--no-variants", is_flag=True, help="Only the methods themselves, no ablations.")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Stages that are made side by side."
)
@with_options(ENGINE, LIMIT, SET, TRYING_DRY_RUN, JSON)
def reproduce(
    grid: str,
    out: Path | None,
    groups: tuple[str, ...],
    no_variants: bool,
    workers: int,
    engine: str | None,
    address: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a grid of students, tasks, methods, seeds and ablations, and report it with its uncertainty.

    GRID is `lab` (embedded, nothing to download), `paper` (GPT-2 of three sizes on StrategyQA and CommonsenseQA),
    `smollm2` (a pretrained student of 135M on four question sets) or a TOML file. What is finished is skipped, also
    after a stop.

    \b
    sert reproduce lab --workers 2
    sert reproduce lab --seeds 1 --no-variants
    sert reproduce lab --only filter --only rounds --dry-run
    sert reproduce paper --dry-run
    """
    from sert.config.grid import load_grid
    from sert.runs.run import run

    if groups and no_variants:
        raise click.UsageError("--only names variants and --no-variants leaves all out; give one of them.")
    overrides = _overriding(overrides, engine=engine, address=address)
    loaded = load_grid(grid, groups=() if no_variants else groups or None, overrides=overrides, **options)
    folder = out or Path("runs") / loaded.name
    if dry_run:
        return _print_plan(loaded, folder, workers, as_json)
    print_result(run(loaded, out=folder, workers=workers, reporter=terminal()), as_json)


def _print_plan(grid: "Grid", folder: Path, workers: int, as_json: bool) -> None:
    from sert.runs.run import plan

    print_planned(plan(grid, out=folder, reporter=terminal(), try_students=True), folder, workers, as_json)


def print_planned(planned: "Plan", folder: Path, workers: int, as_json: bool) -> None:
    """Print what a dry run of many stages found."""
    stages, guess, first, students, tasks = planned
    if as_json:
        rows = {"stages": [stage._asdict() for stage in stages], "estimate": guess._asdict()}
        rows |= {"tasks": [task._asdict() for task in tasks]}
        return print_json({**rows, "students": [student._asdict() for student in students]})
    for stage in stages:
        _print_stage(stage)
    _print_students(students)
    for task in tasks:
        click.echo(printable(_task_line(task)))
    click.echo(f"{counted(len(stages), 'stages')}, {guess.stages} to do.")
    if guess.stages:
        click.echo(f"To decode: at most {guess.tokens_decoded:,} tokens; to train on: about {guess.tokens_trained:,}.")
        click.echo(_time_and_disk(guess, workers))
        _tell_memory(guess)
    _tell_prompts(first)
    click.echo(printable(f"Would be written to {folder}"))


def _task_line(task: "PlannedTask") -> str:
    from sert.runs.plan import DISAGREEING

    dev = f", {task.dev} dev" if task.dev else ""
    students = f"two students that disagree on {100 * DISAGREEING:.0f} % of them"
    found = f"too few to find any difference between {students}"
    if task.detectable is not None:
        found = f"of {students} a difference of {100 * task.detectable:.0f} points is found four times of five"
    return f"{task.task}: {task.train} train{dev} and {task.test} test questions; {found}."


def _tell_prompts(first: "Sequence[tuple[StudentConfig, str]]") -> None:
    """Show the first prompt of each student whose tokenizer is at hand."""
    for student, prompt in first:
        if (shown := shown_prompt(student, prompt)) is not None:
            for line in shown.lines():
                click.echo(printable(line if len(first) == 1 else f"{student.path}: {line}"))


LONG_MINUTES = 10
"""Minutes from which on a dry run says what makes a run shorter."""
SHORTER = (
    "What makes it shorter: `--limit N` questions of each split, --set mining.max_new_tokens=N and "
    "evaluation.max_new_tokens (outputs that are cut are reported), --set training.epochs=N."
)


def _print_students(students: "Sequence[ForeseenStudent]") -> None:
    for line in (line for student in students for line in student.lines()):
        click.echo(printable(line))


def _tell_memory(guess: "Estimate") -> None:
    if guess.memory_warning is not None:
        click.echo(f"Warning: the largest training {guess.memory_warning}")
    elif guess.memory is not None:
        from sert.student.training.memory import size_text

        click.echo(f"The largest training takes about {size_text(guess.memory)} of memory.")


def _time_and_disk(guess: "Estimate", workers: int) -> str:
    if guess.seconds is None or guess.bytes_kept is None:
        return "Time and disk cannot be guessed: the size of a student is not known before it is loaded."
    minutes = guess.seconds / 60 / workers
    if minutes < 1:
        time = "Under a minute"
    elif minutes < 120:
        time = f"At most about {counted(math.ceil(minutes), 'minutes')}"
    else:
        time = f"At most about {minutes / 60:,.1f} hours"
    large = guess.bytes_kept >= 2**30
    disk = f"{guess.bytes_kept / 2**30:,.1f} GiB" if large else f"{math.ceil(guess.bytes_kept / 2**20)} MiB"
    at_a_time = counted(workers, "stages")
    told = f"{time} on this machine's processor with {at_a_time} at a time, and about {disk} on the disk."
    return told if minutes < LONG_MINUTES else f"{told} {SHORTER}"


@click.command("report", cls=Command)
@click.argument("folder", type=InputPath())
@JSON
def report_command(folder: Path, as_json: bool) -> None:
    """Write the report of a finished run, grid or prospect again.

    \b
    sert report runs/demo
    sert report runs/lab
    """
    from sert.runs.run import report_run

    result = report_run(folder)
    if as_json:
        return print_json(result.metrics)
    click.echo(result.summary)
    click.echo(printable(f"\nReport: {result.report}"))


def _print_stage(stage: "PlannedStage") -> None:
    click.echo(f"{'finished' if stage.finished else 'to do':8}  {printable(f'{stage.stage}: {stage.work}')}")
    for line in stage.because:
        click.echo(printable(f"          changed: {line}"))


def print_result(result: "RunResult", as_json: bool, *more: str) -> None:
    """Print what a run found, and where its page is."""
    if as_json:
        return print_json({"folder": str(result.folder), "report": str(result.report), "metrics": result.metrics})
    click.echo(result.summary)
    click.echo("\n".join([f"\nStages made: {result.stages_made}, skipped: {result.stages_skipped}", *more]))
    click.echo(printable(f"Report: {result.report}"))
