"""What is exported: the result of one stage, or those of a finished run."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from sert.errors import DataError
from sert.store.artifacts import MANIFEST, Artifact, open_artifact
from sert.terminal.text import shorten


class Source(NamedTuple):
    """A result that is exported.

    Attributes:
        name: What its files are called, the name of its folder.
        artifact: The result.
    """

    name: str
    artifact: Artifact

    @property
    def kind(self) -> str:
        """The stage that made it, such as `evaluate`."""
        return str(self.artifact.manifest["stage"])


def find_sources(
    folder: Path, *, kinds: Collection[str], stages: Sequence[str] = (), of_runs: Collection[str] | None = None
) -> list[Source]:
    """Find the results of these kinds: the one in the folder of a stage, or those of a finished run.

    Args:
        folder: Of a stage or of a run.
        kinds: Kinds of stages whose results can be taken.
        stages: Names of stages of a run, as its dry run names them.
        of_runs: Kinds of stages that are taken of a run where none is named; None = all that can be.

    Raises:
        DataError: If there is none, or the run has no such stage or is not finished.
    """
    named = stages_of(folder)
    if named is None:
        artifact = open_artifact(folder)
        if stages:
            raise DataError(f"--stage names a stage of a run, and {folder} is no finished run; leave it out.")
        source = Source(folder.resolve().name, artifact)
        if source.kind not in kinds:
            raise DataError(f"{folder} was made by the stage {source.kind!r}; {_wanted(kinds)} can be exported so.")
        return [source]
    if unknown := [stage for stage in stages if stage not in named]:
        raise DataError(f"{folder} has no stage {unknown[0]!r}; it has {shorten(list(named), most=400)[1:-1]}.")
    chosen = stages or list(named)
    found = [Source(named[stage], open_artifact(folder / named[stage])) for stage in chosen]
    taken = kinds if stages or of_runs is None else of_runs
    fitting = [source for source in found if source.kind in taken]
    if not fitting or (stages and len(fitting) < len(found)):
        wrong = next((source.name for source in found if source.kind not in kinds), str(folder))
        raise DataError(f"{wrong} holds nothing that can be exported so; it takes {_wanted(kinds)}.")
    return fitting


def stages_of(folder: Path) -> dict[str, str] | None:
    """Read the stages of a finished run, name -> name of its folder; None where the folder is that of a stage."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # opening it as a stage says what is wrong
    stages = manifest.get("stages") if isinstance(manifest, dict) else None
    return {str(name): Path(str(place)).name for name, place in stages.items()} if isinstance(stages, dict) else None


def _wanted(kinds: Collection[str]) -> str:
    return " and ".join(f"`{kind}`" for kind in kinds)
