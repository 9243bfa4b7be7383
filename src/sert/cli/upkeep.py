"""The commands that look after finished work."""

from pathlib import Path

import click

from sert.cli.options import JSON, print_json, terminal, with_options
from sert.progress import printable


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Make what is broken in a run again, and its report.")
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


@click.command("gc")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--delete", is_flag=True, help="Remove what is listed.")
@with_options(JSON)
def gc_command(folder: Path, delete: bool, as_json: bool) -> None:
    """List what a run folder holds beside what its configuration needs; remove it with --delete.

    Answers of endpoints, which were paid for, are never among it.

    \b
    sert gc runs/demo
    sert gc runs/demo --delete
    """
    from sert.upkeep import find_removable, remove

    found = find_removable(folder)
    if delete:
        remove(folder, found)
    if as_json:
        return print_json([each._asdict() | {"removed": delete} for each in found])
    for each in found:
        click.echo(printable(f"{each.num_bytes / 1e6:10,.1f} MB  {each.folder.name}: {each.why}"))
    total = sum(each.num_bytes for each in found) / 1e6
    click.echo(f"{len(found)} folders, {total:,.1f} MB{' removed' if delete else '; --delete removes them'}")
