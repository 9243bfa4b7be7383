"""The command that asks a judge."""

from pathlib import Path
from typing import Any

import click

from sert.cli.options import DRY_RUN, JSON, OUT, SET, config_of, print_json, print_plan, setting, terminal, with_options
from sert.cli.teachers import calling_options, check_endpoint_options
from sert.terminal.text import printable


@click.command("judge")
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, required=True)
@with_options(OUT, setting("judge.limit"), setting("judge.repeats"), calling_options("judge"), SET, DRY_RUN, JSON)
def judge_command(
    folders: tuple[Path, ...], out: Path, retry_quarantined: bool, dry_run: bool, as_json: bool, **settings: Any
) -> None:
    """Let a judge score the outputs in evaluated folders, or the paths in mined ones: four criteria, 0 to 10.

    Twelve texts that are obviously good or bad are judged too, so that the judge itself is judged. A reply without four
    readable scores is counted as failed.

    \b
    sert judge evaluated --endpoint http://127.0.0.1:8000/v1 --model NAME --free --limit 100 --out judged
    sert judge mined --endpoint http://127.0.0.1:8000/v1 --model NAME --free --limit 20 --out judged-paths
    sert judge evaluated evaluated-distilled --endpoint https://api.openai.com/v1 --model NAME \\
        --price 0.5,1.5 --max-cost 1 --repeats 3 --set judge.endpoint.temperature=0.7 --dry-run --out judged
    """
    check_endpoint_options(settings, "judge")
    config = config_of(reads=("judge",), **settings)
    from sert.judge.stage import judge, plan_judging

    named = {folder.name: folder for folder in folders}
    if len(named) < len(folders):
        raise click.UsageError("two of the folders have the same name, by which they are told apart; rename one.")
    calls = out.with_name(f"{out.name}.calls")
    if dry_run:
        plan = plan_judging(named, config=config.judge, calls=calls)
        return print_plan(out, as_json, **plan.describe())
    judged = judge(
        named,
        out=out,
        config=config.judge,
        calls=calls,
        retry_quarantined=retry_quarantined,
        reporter=terminal(),
    )
    if as_json:
        return print_json({"folder": str(judged.folder), "key": judged.key, **judged.counts})
    from sert.report.judging import judging_text

    click.echo(printable(judging_text(judged.counts)))
    click.echo(printable(f"Written to {judged.folder}"))
