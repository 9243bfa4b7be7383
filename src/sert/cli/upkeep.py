"""The command that looks after finished work."""

from pathlib import Path

import click

from sert.cli.options import JSON, print_json, terminal, with_options
from sert.progress import printable


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Make broken stages of a run again, and its report.")
@with_options(JSON)
def verify_command(folder: Path, repair: bool, as_json: bool) -> None:
    """Re-hash a result, or all results of a run: is every byte as it was left?

    Exit code 4 says that something is broken and was not mended.

    \b
    sert verify runs/demo
    sert verify runs/demo --repair
    """
    from sert.errors import DataError
    from sert.upkeep import verify

    found = verify(folder, repair=repair, reporter=terminal())
    if as_json:
        print_json([each._asdict() for each in found])
    else:
        for each in found:
            state = "mended" if each.mended else "broken" if each.damage else "whole"
            click.echo(printable(f"{state:7} {each.folder.name}{''.join(f'; {line}' for line in each.damage)}"))
    broken = [each.folder.name for each in found if each.damage and not each.mended]
    if broken:
        how = "" if repair else " In a run, --repair makes it again."
        raise DataError(f"{len(broken)} of {len(found)} folders are broken: {', '.join(broken)}.{how}")
