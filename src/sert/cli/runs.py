"""The commands of a whole run."""

from pathlib import Path
from typing import Any

import click

from sert.cli.options import DRY_RUN, JSON, LIMIT, SET, OutFolder, print_json, setting, terminal, with_options
from sert.terminal.text import printable

ON_RUN = with_options(setting("execution.workers", name="workers"), SET, DRY_RUN, JSON)


@click.command()
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


@click.command("run")
@click.argument("config", type=click.Path(path_type=Path))
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


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@JSON
def report_command(folder: Path, as_json: bool) -> None:
    """Write the report of a finished run, or of a finished grid, again.

    \b
    sert report runs/demo
    sert report runs/lab
    """
    from sert.report.texts import terminal_table
    from sert.runs.run import report_run

    result = report_run(folder)
    if as_json:
        return print_json(result.metrics)
    click.echo(terminal_table(result.metrics))
    click.echo(printable(f"\nReport: {result.report}"))


def _run(
    file: Path,
    *,
    out: Path | None,
    limit: int | None,
    workers: int | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    from sert.config.load import load_config
    from sert.report.texts import terminal_table
    from sert.runs.run import plan, run

    if workers is not None:
        overrides = (*overrides, f"execution.workers={workers}")
    config = load_config(file, overrides=overrides, limit=limit)
    folder = out or Path("runs") / config.name
    if dry_run:
        stages = plan(config, out=folder, reporter=terminal()).stages
        if as_json:
            return print_json([stage._asdict() for stage in stages])
        for stage in stages:
            click.echo(f"{'finished' if stage.finished else 'to do':8}  {printable(f'{stage.stage}: {stage.work}')}")
            for line in stage.because:
                click.echo(printable(f"          changed: {line}"))
        return click.echo(printable(f"Would be written to {folder}"))
    result = run(config, out=folder, reporter=terminal())
    if as_json:
        return print_json({"folder": str(result.folder), "report": str(result.report), "metrics": result.metrics})
    click.echo(terminal_table(result.metrics))
    click.echo(f"\nStages made: {result.stages_made}, skipped: {result.stages_skipped}")
    spent = result.spent
    asked = f", {spent['requests']:,} requests, {spent['dollars']} dollars" if spent["requests"] else ""
    click.echo(
        f"Spent over all attempts: {spent['wall_seconds']:,.0f} s, {spent['tokens_mined']:,} tokens mined, "
        f"{spent['tokens_trained']:,} tokens trained on{asked}"
    )
    click.echo(printable(f"Report: {result.report}"))
