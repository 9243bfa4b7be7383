"""The command that writes the explorer's page."""

from pathlib import Path
from typing import Any

import click

from sert.cli.help import Command
from sert.cli.options import JSON, InputPath, print_json, setting, terminal
from sert.terminal.text import printable


@click.command("explore", cls=Command)
@click.argument("run", type=InputPath())
@click.option("--out", type=InputPath(), help="The page.  [default: <name of RUN>-explore.html beside RUN]")
@click.option("--compare", type=InputPath(), metavar="RUN2", help="Another one, shown on the same page.")
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Only N questions of each set, the same ones every time."
)
@click.option(
    "--logprobs",
    type=click.Choice(["kept", "all", "none"]),
    default="kept",
    show_default=True,
    help="Paths that are shown with the log-probability of each token.",
)
@setting("student.path", "--student", help="Who mined RUN, where that is a folder of `sert mine`: for tokens' borders.")
@JSON
def explore_command(
    run: Path,
    out: Path | None,
    as_json: bool,
    student__path: str | None,
    **options: Any,
) -> None:
    """Write one page to look at all paths of a run: which were kept and why, and what other rules would keep.

    RUN is the folder of a run, a grid, a prospect or of `sert mine`. The page opens in a browser by a double click,
    without a server, and asks nobody for anything; a run and a grid have it in their report already. On it rules can be
    changed: it counts what `sert filter` would, and gives its command.

    \b
    sert explore runs/demo
    sert explore runs/demo --compare runs/demo-1 --out both.html
    sert explore mined --student lab --logprobs all
    sert explore runs/csqa --sample 2000
    """
    from sert.config.tree import StudentConfig
    from sert.runs.explore import explore

    student = None if student__path is None else StudentConfig(path=student__path)
    page = explore(run, out=out, student=student, reporter=terminal(), **options)
    size = page.stat().st_size
    if as_json:
        return print_json({"page": str(page), "bytes": size})
    click.echo(printable(f"Page: {page} ({size / 1e6:,.1f} MB)"))
