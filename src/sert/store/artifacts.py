"""Artifacts: folders that are complete or invisible.

A stage writes into a hidden folder beside its final place; the manifest, with the hash of every file, is written last,
and one rename makes the folder visible. A folder without a manifest is not an artifact. What is finished on the way
(units of work, checkpoints) waits in the hidden folder too, and outlives a crash there.
"""

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sert.errors import ConfigError, DataError, DiskError, StudentError, TeacherError
from sert.store.disk import check_folder, put, sync, sync_tree, writing
from sert.store.lock import run_lock
from sert.store.versions import optional_versions, versions

MANIFEST = "manifest.json"
SETTINGS = ("config.toml", "grid.toml", "prospect.toml")
"""What the folder of a run, of a grid or of a prospect holds and no artifact does."""
SCHEMA_VERSION = 2
WORK_ENDING = ".work"
"""How the name of a hidden folder of finished work ends."""
_MENDED = "What is broken in a run, `sert verify --repair` makes again."
RESULT, UNITS, SPENT, SURROUNDINGS = "result", "units", "spent.json", "surroundings.json"
"""In the hidden folder: what will be the artifact, finished units, the seconds that were spent on it so far, and what
surrounded it."""


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


def has_settings(folder: Path) -> bool:
    """Tell whether a folder has what a run, a grid or a prospect was asked for."""
    return any((folder / name).is_file() for name in SETTINGS)


def open_artifact(folder: Path) -> Artifact:
    """Open a finished folder.

    Raises:
        DataError: If the folder is missing, was never finished, or is that of a run.
    """
    of_run = f"{folder} is the folder of a run, a grid or a prospect, not of a stage; name the folder of a stage in it."
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if has_settings(folder):
            raise DataError(f"{of_run} It is not finished; the command that made it goes on with it.") from None
        what = "is not a finished result (it has no manifest.json)" if folder.is_dir() else "does not exist"
        raise DataError(f"{folder} {what}. Give the --out folder of the step that comes before.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"The manifest of {folder} cannot be read: {error}. {_MENDED}") from None
    if isinstance(manifest, dict) and "stages" in manifest:
        raise DataError(of_run)
    if not isinstance(manifest, dict) or not {"stage", "key", "config", "seed", "counts", "outputs"} <= manifest.keys():
        raise DataError(f"The manifest of {folder} was not written by sert.")
    return Artifact(folder, manifest)


def json_text(value: Any) -> str:
    """Write JSON for people: indented, sorted as given, strictly valid (no NaN), what cannot be printed escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _escaped(line: str) -> str:
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


def write_json(file: Path, value: Any) -> None:
    """Write JSON for people into a file of an artifact that is being made.

    Raises:
        DiskFullError: If there is no room.
    """
    text = json_text(value).encode()
    with writing(file.parent, len(text)):
        file.write_bytes(text)


def spent_seconds(work: Path) -> float | None:
    """Read what unfinished work took in all attempts so far; None where that is not known."""
    with suppress(OSError, ValueError, TypeError):
        return float(json.loads((work / SPENT).read_text(encoding="ascii")))
    return None


@dataclass(slots=True)
class Draft:
    """An artifact that is being made.

    Attributes:
        folder: What will be the artifact; empty at first.
        work: Where finished work waits for the rest of it, also of earlier attempts that were stopped.
    """

    folder: Path
    work: Path
    _since: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        """Note that work got on, and return the seconds that were spent on it in all attempts."""
        now, before = time.monotonic(), spent_seconds(self.work) or 0.0
        spent, self._since = before + now - self._since, now
        put(self.work / SPENT, json.dumps(spent).encode())
        return spent

    def made_in(self, surroundings: Mapping[str, Any]) -> None:
        """Note what the work is done in that no setting says; the manifest holds that of all attempts, each once."""
        if surroundings not in self.surroundings:
            put(self.work / SURROUNDINGS, canonical_json([*self.surroundings, surroundings]).encode())

    @property
    def surroundings(self) -> list[dict[str, Any]]:
        """What was noted so far."""
        with suppress(OSError, ValueError):
            found = json.loads((self.work / SURROUNDINGS).read_text(encoding="utf-8"))
            return found if isinstance(found, list) else []
        return []


def commit(
    folder: Path,
    fill: Callable[[Draft], Mapping[str, Any]],
    *,
    stage: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int,
    key: str | None = None,
    earlier_keys: Callable[[], Container[str]] = frozenset,
    keep_units: bool = False,
) -> Artifact:
    """Make the artifact of a stage in a folder, or return the one that is there already.

    Args:
        folder: Where it will lie.
        fill: Writes the files into the draft's folder and returns the counts.
        stage: Its name.
        config: The part of the configuration that the content depends on.
        inputs: Name -> key or hash of everything that was read.
        seed: The run's seed.
        key: The hash of what the content depends on; that of the arguments before when not given.
        earlier_keys: Finds the keys that earlier versions gave the same content, which are taken as well.
        keep_units: Whether finished units stay in the hidden folder when the artifact is there.

    Raises:
        DataError: If `folder` holds something else, or cannot be written.
        RunLockedError: If another process makes it.
        DiskFullError: If the disk is full; finished work is kept.
    """
    key = key or artifact_key(stage, config=config, inputs=inputs, seed=seed)
    with writing(Path()):  # the system may refuse the name itself
        if _is_taken(folder):
            return _tidied(_made_by_another(folder, key, earlier_keys), keep_units=keep_units)
    made = {"stage": stage, "key": key, "config": dict(config), "inputs": dict(inputs), "seed": seed}
    work = work_folder(folder, key)
    with run_lock(work):
        if not _is_taken(folder):  # by the owner of the lock that was waited for
            _make(folder, fill, made, Draft(work / RESULT, work))
        tidy(work, keep_units=keep_units)
    return _made_by_another(folder, key, earlier_keys)


def work_folder(folder: Path, key: str) -> Path:
    """Name the hidden folder of an artifact's finished work; other versions of the software do not continue it."""
    return folder.with_name(f".{folder.name}.{content_key([key, versions()])}{WORK_ENDING}")


def _make(folder: Path, fill: Callable[[Draft], Mapping[str, Any]], made: Mapping[str, Any], draft: Draft) -> None:
    shutil.rmtree(draft.folder, ignore_errors=True)
    try:
        with writing(draft.work):
            draft.folder.mkdir()
            counts = dict(fill(draft))
            manifest = {
                **made,
                "schema_version": SCHEMA_VERSION,
                "counts": counts,
                "outputs": {name: file_hash(draft.folder / name) for name in files_of(draft.folder)},
                "versions": versions() | optional_versions(),
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "wall_seconds": round(draft.lap(), 3),
            }
            if draft.surroundings:
                manifest["surroundings"] = draft.surroundings
            write_json(draft.folder / MANIFEST, signed(manifest))
            sync_tree(draft.folder)
            try:
                draft.folder.rename(folder)  # which may be there, but is empty then
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise _taken(folder) from None
            sync(folder.parent)
    except BaseException as error:
        shutil.rmtree(draft.folder, ignore_errors=True)
        if not isinstance(error, ConfigError | DataError | StudentError | TeacherError):  # these go on with nothing
            with suppress(DiskError):
                draft.lap()
        _remove_empty(draft.work)
        raise


def _tidied(artifact: Artifact, *, keep_units: bool) -> Artifact:
    """Remove what a process left that was killed when the artifact was there."""
    work = work_folder(artifact.folder, artifact.key)
    if work.is_dir():
        with run_lock(work):
            tidy(work, keep_units=keep_units)
    return artifact


def tidy(work: Path, *, keep_units: bool) -> None:
    """Remove from the hidden folder of a finished artifact all but its units, and those too if they are not kept."""
    for each in work.iterdir():
        if each.is_dir() and not (keep_units and each.name == UNITS):
            shutil.rmtree(each)
    _remove_empty(work, SPENT)


def _remove_empty(work: Path, *worthless: str) -> None:
    """Remove a hidden folder that holds nothing but locks, what a killed process left, and what is worth nothing."""
    if _held(work) <= {SURROUNDINGS, *worthless}:
        shutil.rmtree(work, ignore_errors=True)


def _held(work: Path) -> set[str]:
    """Name what a hidden folder holds: files and folders that are not empty, but for locks and the like."""
    visible = (each for each in work.iterdir() if not each.name.startswith("."))
    return {each.name for each in visible if not each.is_dir() or any(each.iterdir())}


def is_begun(folder: Path, key: str) -> bool:
    """Tell whether the artifact of this key is in a folder, or unfinished work for it beside the folder."""
    if work_folder(folder, key).is_dir():
        return True
    return (folder / MANIFEST).is_file() and open_artifact(folder).key == key


def unfinished_work(folder: Path) -> list[Path]:
    """Find the hidden folders in which parts of an artifact wait for the rest: units, checkpoints."""
    works = folder.parent.glob(f".{folder.name}.*{WORK_ENDING}")
    return sorted(work for work in works if work.is_dir() and _held(work) - {RESULT, SPENT, SURROUNDINGS})


def _is_taken(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _made_by_another(folder: Path, key: str, earlier_keys: Callable[[], Container[str]]) -> Artifact:
    if not (folder / MANIFEST).is_file():
        raise _other_files(folder)
    found = open_artifact(folder)
    if found.key != key and found.key not in earlier_keys():
        raise _taken(folder)
    return found


def _other_files(folder: Path) -> DataError:
    return DataError(f"{folder} already holds other files; choose a new --out. {_MENDED}")


def _taken(folder: Path) -> DataError:
    return DataError(f"{folder} already holds another result; choose a new --out or remove it.")


def signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give a manifest the hash of itself (SHA-256), by which it is known whether it was changed."""
    plain: dict[str, Any] = json.loads(canonical_json(manifest))
    return plain | {"hash": _manifest_hash(plain)}


def is_as_signed(manifest: Mapping[str, Any]) -> bool:
    """Tell whether a manifest is what it was when it got its hash."""
    return bool(manifest.get("hash") == _manifest_hash(manifest))


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in manifest.items() if name != "hash"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def check_place(folder: Path) -> None:
    """Check that a result can be made somewhere, as far as that is known before it is.

    Raises:
        DataError: If something else is there, or a part of the path is a file.
        OSError: If the file system refuses the path.
    """
    if _is_taken(folder) and not (folder / MANIFEST).is_file():
        raise _other_files(folder)
    check_folder(folder)


def artifact_key(stage: str, *, config: Mapping[str, Any], inputs: Mapping[Any, str], seed: int) -> str:
    """Hash everything that the content of an artifact depends on."""
    return content_key([SCHEMA_VERSION, stage, dict(config), dict(inputs), seed])


def files_of(folder: Path) -> list[str]:
    """Name all files in a folder and below it."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
