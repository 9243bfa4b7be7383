"""Is an artifact still what it was when it was finished?"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sert.errors import DataError
from sert.store.artifacts import MANIFEST, Artifact, file_hash, is_as_signed, open_artifact

ADDED = "was added"
"""How a file is told that was not there when the result was finished; it takes nothing away."""


def find_damage(folder: Path) -> list[str]:
    """Re-hash a finished folder and say what is no longer as it was left; nothing when all is well.

    Every file is read. Files that were added, are missing or hold other bytes are named, and so is a manifest that was
    changed.

    Raises:
        DataError: If the folder does not exist or was never finished.
    """
    artifact = open_intact(folder)
    if artifact is None:
        return [f"{MANIFEST} was changed"]
    files = (file for file in folder.rglob("*") if not file.is_dir() and file != folder / MANIFEST)
    return list(hash_damage(folder, artifact.manifest["outputs"], files))


def open_intact(folder: Path) -> Artifact | None:
    """Open a finished folder if its manifest is as it was written, else None.

    Raises:
        DataError: If the folder does not exist or was never finished.
    """
    try:
        artifact = open_artifact(folder)
    except DataError:
        if not (folder / MANIFEST).is_file():
            raise
        return None
    return artifact if is_as_signed(artifact.manifest) else None


def hash_damage(folder: Path, outputs: Mapping[str, str], files: Iterable[Path]) -> Iterator[str]:
    """Compare files with the hashes of when they were written, and say what is not as it was."""
    there = {file.relative_to(folder).as_posix() for file in files}
    for name in sorted(outputs.keys() | there):
        if name not in outputs:
            yield f"{name} {ADDED}"
        elif name not in there:
            yield f"{name} is missing"
        elif (found := _hash_of(folder / name)) != outputs[name]:
            yield f"{name} {'cannot be read' if found is None else 'holds other bytes'}"


def _hash_of(file: Path) -> str | None:
    try:
        return file_hash(file)
    except OSError:
        return None
