"""Artifacts: folders that are complete or invisible.

A stage writes into a temporary folder beside its final place; the manifest, with the hash of every file, is written
last, and one rename makes the folder visible. A folder without a manifest is not an artifact.
"""

import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sert.errors import DataError, DiskFullError, RunLockedError

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
_PACKAGES = ("sert", "torch", "transformers", "tokenizers", "pyarrow")


def canonical_json(value: Any) -> str:
    """Serialise to the one JSON text that equal values share."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def content_key(value: Any) -> str:
    """Hash a JSON value to the 12 hexadecimal digits that name an artifact."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def file_hash(file: Path) -> str:
    """Hash the bytes of a file (SHA-256)."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished folder.

    Attributes:
        folder: Where it lies.
        manifest: Its `manifest.json`: stage, key, config, inputs, seed, versions, counts, outputs.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        """The hash of everything that the content depends on."""
        return str(self.manifest["key"])

    @property
    def counts(self) -> dict[str, Any]:
        """What the stage counted."""
        return dict(self.manifest["counts"])

    def file(self, name: str) -> Path:
        """Name a file of the artifact."""
        return self.folder / name


def open_artifact(folder: Path) -> Artifact:
    """Open a finished folder.

    Raises:
        DataError: If the folder is missing or was never finished.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = "is not a finished result (it has no manifest.json)" if folder.is_dir() else "does not exist"
        raise DataError(f"{folder} {what}. Give the --out folder of the step that comes before.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"The manifest of {folder} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or not {"key", "counts", "stage"} <= manifest.keys():
        raise DataError(f"The manifest of {folder} was not written by sert.")
    return Artifact(folder, manifest)


def write_json(file: Path, value: Any) -> None:
    """Write JSON for people: indented, sorted as given, strictly valid (no NaN)."""
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def commit(
    folder: Path,
    fill: Callable[[Path], Mapping[str, Any]],
    *,
    stage: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int,
) -> Artifact:
    """Make an artifact, or return the one that is there already.

    Args:
        folder: Where it will lie.
        fill: Writes the files into the folder it is given and returns the counts.
        stage: Name of the stage.
        config: The part of the configuration that the content depends on.
        inputs: Name -> key or hash of everything that was read.
        seed: The run's seed.

    Raises:
        DataError: If `folder` holds something else.
        DiskFullError: If the disk is full; nothing is left behind.
    """
    key = artifact_key(stage, config=config, inputs=inputs, seed=seed)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return _made_by_another(folder, key)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{folder} cannot be made: a part of its path is a file.") from None
    scratch = folder.parent / f".{folder.name}.tmp-{uuid.uuid4().hex[:8]}"
    started = time.monotonic()
    try:
        scratch.mkdir()
        counts = dict(fill(scratch))
        manifest = {
            "stage": stage,
            "key": key,
            "schema_version": SCHEMA_VERSION,
            "config": dict(config),
            "inputs": dict(inputs),
            "seed": seed,
            "counts": counts,
            "outputs": _hash_files(scratch),
            "versions": _versions(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "wall_seconds": round(time.monotonic() - started, 3),
        }
        manifest = json.loads(canonical_json(manifest))
        write_json(scratch / MANIFEST, manifest | {"hash": manifest_hash(manifest)})
        if folder.exists():
            folder.rmdir()
        scratch.rename(folder)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFullError(f"The disk of {folder.parent} is full; free some room and run again.") from None
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return _made_by_another(folder, key)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return open_artifact(folder)


def discard(folder: Path, key: str, *, if_counts: Callable[[Mapping[str, Any]], bool]) -> None:
    """Remove a result, if it is the one of this key and its counts ask for it, so that it is made anew."""
    if (folder / MANIFEST).is_file():
        found = open_artifact(folder)
        if found.key == key and if_counts(found.counts):
            shutil.rmtree(folder)


def _made_by_another(folder: Path, key: str) -> Artifact:
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder} already holds other files; choose a new --out.")
    found = open_artifact(folder)
    if found.key != key:
        raise DataError(f"{folder} already holds another result; choose a new --out or remove it.")
    return found


def is_disk_full(error: Exception) -> bool:
    """Know a full disk in whatever it comes wrapped in; safetensors only says `os error 28`."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return (isinstance(error, OSError) and error.errno in full) or any(
        f"os error {code})" in str(error) for code in full
    )


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Hash a manifest without its own `hash` (SHA-256)."""
    rest = {name: value for name, value in manifest.items() if name != "hash"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def artifact_key(stage: str, *, config: Mapping[str, Any], inputs: Mapping[Any, str], seed: int) -> str:
    """Hash everything that the content of an artifact depends on."""
    return content_key([SCHEMA_VERSION, stage, dict(config), dict(inputs), seed])


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run folder as its only writer.

    Raises:
        RunLockedError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    owner = folder / ".lock-owner"
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        holder = owner.read_text(encoding="utf-8").strip() if owner.exists() else "another process"
        raise RunLockedError(f"{folder} is in use by {holder}; wait for it or choose another --out.") from None
    try:
        owner.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _hash_files(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file_hash(file) for file in files}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
