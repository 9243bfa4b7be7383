"""The folder of an export, which is there whole or not at all, and the card that describes it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sert.errors import DataError
from sert.export.sources import Source
from sert.store.disk import check_folder, make_folder, whole_folder
from sert.store.stage import named_values
from sert.terminal.text import cut, printable, readable

_LICENCE = (
    "Licence: not stated here. Questions, a teacher's texts and a student's outputs come under the licences of where "
    "they come from; name them before you publish this."
)
_LONGEST_VALUE = 200


class Exported(NamedTuple):
    """What was written of one source.

    Attributes:
        source: The result.
        files: Names of its files in the folder of the export, that people should look at: what it is -> file.
        told: What the card says of it, a line each.
    """

    source: Source
    files: Mapping[str, str]
    told: Sequence[str] = ()


Write = Callable[[Source, Path], Exported]
"""Writes one source into a folder."""


def write_export(
    sources: Sequence[Source], out: Path, write: Write, *, title: str, use: str, viewer: bool = False
) -> list[Exported]:
    """Write all sources into the new folder `out`, with a card `README.md`.

    Args:
        sources: At least one.
        out: Must not be there, or be empty.
        write: Writes one of them.
        title: The heading of the card.
        use: What the card says of how the files are used, in Markdown.
        viewer: Whether the card names each file as a configuration, for the hub's viewer and `load_dataset`.

    Raises:
        DataError: If something is there already, a source cannot be read, or none holds anything.
        DiskError: If it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is there already; give another folder with --out.")
    check_folder(out)
    make_folder(out.parent)
    with whole_folder(out) as scratch:
        written = [write(source, scratch) for source in sources]
        if not any(each.files for each in written):
            told = "; ".join(f"{each.source.name}: {', '.join(each.told)}" for each in written)
            raise DataError(f"There is nothing to export ({told}).")
        card = "\n".join([*_front_matter(written, viewer=viewer), *_card(written, title=title, use=use), ""])
        (scratch / "README.md").write_text(card, encoding="utf-8")
    return written


def _front_matter(written: Sequence[Exported], *, viewer: bool) -> Iterator[str]:
    """Name the files in the form of the hub's data cards."""
    if viewer:
        yield from ("---", "tags: [sert, reasoning]", "configs:")
        for each in written:
            for what, file in each.files.items():
                yield f"- config_name: {json.dumps(f'{each.source.name}.{what}')}"
                yield f"  data_files: {json.dumps(file)}"
        yield from ("---", "")


def _card(written: Sequence[Exported], *, title: str, use: str) -> Iterator[str]:
    yield from (f"# {title}", "", "Exported from results of Self-Enhanced Reasoning Training (arXiv 2502.12744).", "")
    yield from (use, "", _LICENCE)
    for each in written:
        manifest = each.source.artifact.manifest
        yield from ("", f"## {each.source.name}", "")
        yield from (f"- {what}: `{file}`" for what, file in each.files.items())
        yield from (f"- {line}" for line in each.told)
        yield from ("", "| what | value |", "|---|---|")
        about = {name: manifest.get(name) for name in ("stage", "key", "seed", "created")}
        rows = [
            *about.items(),
            *named_values(manifest["config"]),
            *named_values(manifest["counts"]),
            *named_values(_versions(manifest)),
        ]
        yield from (f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)


def _versions(manifest: Mapping[str, Any]) -> dict[str, Any]:
    versions = manifest.get("versions")
    return dict(versions) if isinstance(versions, Mapping) else {}


def _cell(value: Any) -> str:
    """Write a value as text that is no Markdown: settings and names come from users."""
    text = cut(printable(readable(value)).replace("\n", "\\n"), most=_LONGEST_VALUE)
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
