"""The commands that look after finished work."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sert.cli.help import Command
from sert.cli.options import JSON, InputPath, print_json, terminal, with_options
from sert.terminal.text import counted, printable

if TYPE_CHECKING:
    from sert.runs.verify import Verified

SERVED = "a server sampled it, which cannot be repeated: what is sampled again differs from what later stages read"


@click.command("verify", cls=Command)
@click.argument("folder", type=InputPath())
@click.option("--repair", is_flag=True, help="Make what is broken in a run again, and its report.")
@with_options(JSON)
def verify_command(folder: Path, repair: bool, as_json: bool) -> None:
    """Re-hash a result, or all results of a run: is every byte as it was left?

    Exit code 4 says that something is broken and was not mended, or that files were added.

    \b
    sert verify runs/demo
    sert verify runs/demo --repair
    """
    from sert.errors import DataError
    from sert.runs.verify import verify

    found = verify(folder, repair=repair, reporter=terminal())
    if as_json:
        print_json([each._asdict() for each in found])
    else:
        _print_verified(found)
    said = []
    if broken := [each.folder.name for each in found if each.broken]:
        how = "" if repair else " In a run, --repair makes it again."
        are = "is" if len(broken) == 1 else "are"
        said.append(f"{len(broken)} of {counted(len(found), 'folders')} {are} broken: {', '.join(broken)}.{how}")
    if added := [each.folder.name for each in found if each.added]:
        said.append(f"Files were added to {', '.join(added)}; they stay until you remove them.")
    if said:
        raise DataError(" ".join(said))


def _print_verified(found: "Sequence[Verified]") -> None:
    """Count what is whole and name the rest, what is still broken last."""
    click.echo(f"whole   {counted(sum(not each.damage for each in found), 'folders')}")
    lines: dict[str, list[str]] = {"mended": [], "added": [], "broken": []}
    for each in found:
        if each.damage:
            state = "mended" if each.mended else "broken" if each.broken else "added"
            lines[state].append("; ".join([each.folder.name, *each.damage]))
    for each in found:
        if not each.repeatable:
            click.echo(printable(f"served  {each.folder.name}: {SERVED}"))
    for state, told in lines.items():
        for line in told:
            click.echo(printable(f"{state:7} {line}"))


@click.command("gc", cls=Command)
@click.argument("folder", type=InputPath())
@click.option("--delete", is_flag=True, help="Remove what is listed.")
@with_options(JSON)
def gc_command(folder: Path, delete: bool, as_json: bool) -> None:
    """List what a run folder holds beside what its configuration needs; remove it with --delete.

    Answers of endpoints, which were paid for, are never among it.

    \b
    sert gc runs/demo
    sert gc runs/demo --delete
    """
    from sert.runs.verify import find_removable, remove

    found = find_removable(folder)
    if delete:
        remove(folder, found)
    if as_json:
        return print_json([each._asdict() | {"removed": delete} for each in found])
    for each in found:
        click.echo(printable(f"{each.num_bytes / 1e6:10,.1f} MB  {each.folder.name}: {each.why}"))
    total = sum(each.num_bytes for each in found) / 1e6
    end = " removed" if delete else "; --delete removes what is listed" if found else ""
    click.echo(f"{counted(len(found), 'folders')}, {total:,.1f} MB{end}")
