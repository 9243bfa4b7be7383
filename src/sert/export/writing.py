"""The folder of an export, which is there whole or not at all, and the card that describes it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sert.errors import DataError
from sert.export.markdown import as_code, front_matter, settings_table
from sert.export.sources import Source
from sert.store.disk import check_folder, make_folder, whole_folder

CARD = "README.md"
TAGS = ["sert", "reasoning"]
ORIGIN = "Exported from results of Self-Enhanced Reasoning Training (arXiv 2502.12744)."
_LICENCE = (
    "Licence: not stated here. Questions, a teacher's texts and a student's outputs come under the licences of where "
    "they come from; name them before you publish this."
)


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
        head = front_matter({"tags": TAGS, "configs": configurations(written)}) if viewer else ()
        lines = [*head, f"# {title}", "", ORIGIN, "", use, "", _LICENCE, *described(written), ""]
        (scratch / CARD).write_text("\n".join(lines), encoding="utf-8")
    return written


def configurations(written: Sequence[Exported]) -> list[dict[str, Any]]:
    """Name each file as the hub's data cards do."""
    return [
        {"config_name": f"{each.source.name}.{what}", "data_files": file}
        for each in written
        for what, file in each.files.items()
    ]


def described(written: Sequence[Exported]) -> Iterator[str]:
    """Say of each result which files it became, what these hold, and by what it was made."""
    for each in written:
        yield from ("", f"## {as_code(each.source.name)}", "")
        yield from (f"- {as_code(what)}: {as_code(file)}" for what, file in each.files.items())
        yield from (f"- {line}" for line in each.told)
        yield from ("", *settings_table(each.source.artifact))
