"""The command of a whole grid."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sert.cli.options import DRY_RUN, JSON, LIMIT, SET, OutFolder, print_json, terminal, with_options
from sert.terminal.text import counted, printable

if TYPE_CHECKING:
    from sert.config.grid import Grid
    from sert.runs.estimate import Estimate


@click.command()
@click.argument("grid", metavar="GRID")
@click.option("--out", type=OutFolder(), help="Folder of the grid.  [default: runs/<name of the grid>]")
@click.option("--student", "students", multiple=True, help="Hub id or folder instead of the grid's; repeatable.")
@click.option("--seeds", type=click.IntRange(min=1), help="Run only so many of the grid's seeds.")
@click.option("--only", "groups", multiple=True, metavar="GROUP", help="Only variants of this group; repeatable.")
@click.option("--no-variants", is_flag=True, help="Only the methods themselves, no ablations.")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Stages that are made side by side."
)
@with_options(LIMIT, SET, DRY_RUN, JSON)
def reproduce(
    grid: str,
    out: Path | None,
    students: tuple[str, ...],
    seeds: int | None,
    groups: tuple[str, ...],
    no_variants: bool,
    workers: int,
    limit: int | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a grid of students, tasks, methods, seeds and ablations, and report it with its uncertainty.

    GRID is `lab` (embedded, nothing to download), `paper` (GPT-2 of three sizes on StrategyQA and CommonsenseQA) or a
    TOML file. What is finished is skipped, also after a stop.

    \b
    sert reproduce lab --workers 2
    sert reproduce lab --seeds 1 --no-variants
    sert reproduce lab --only filter --only rounds --dry-run
    sert reproduce paper --dry-run
    """
    from sert.config.grid import load_grid

    if groups and no_variants:
        raise click.UsageError("--only names variants and --no-variants leaves all out; give one of them.")
    chosen = () if no_variants else groups or None
    loaded = load_grid(grid, overrides=overrides, limit=limit, students=students, seeds=seeds, groups=chosen)
    folder = out or Path("runs") / loaded.name
    if dry_run:
        return _print_plan(loaded, folder, workers, as_json)
    from sert.report.texts import terminal_table
    from sert.runs.run import reproduce as run_grid

    result = run_grid(loaded, out=folder, workers=workers, reporter=terminal())
    if as_json:
        return print_json({"folder": str(result.folder), "report": str(result.report), "metrics": result.metrics})
    click.echo(terminal_table(result.metrics))
    click.echo(f"\nStages made: {result.stages_made}, skipped: {result.stages_skipped}")
    click.echo(printable(f"Report: {result.report}"))


def _print_plan(grid: "Grid", folder: Path, workers: int, as_json: bool) -> None:
    from sert.runs.run import plan

    stages, guess = plan(grid, out=folder, reporter=terminal())
    if as_json:
        return print_json({"stages": [stage._asdict() for stage in stages], "estimate": guess._asdict()})
    for stage in stages:
        click.echo(f"{'finished' if stage.finished else 'to do':8}  {printable(f'{stage.stage}: {stage.work}')}")
    click.echo(f"{counted(len(stages), 'stages')}, {guess.stages} to do.")
    if guess.stages:
        click.echo(f"To decode: at most {guess.tokens_decoded:,} tokens; to train on: about {guess.tokens_trained:,}.")
        click.echo(_time_and_disk(guess, workers))
    click.echo(printable(f"Would be written to {folder}"))


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
    return f"{time} on this machine's processor with {workers} at a time, and about {disk} on the disk."
