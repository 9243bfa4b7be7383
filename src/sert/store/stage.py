"""Stages: what a run is made of, what each depends on, and what a change of the configuration means to them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from sert.store.artifacts import MANIFEST, Artifact, content_key, json_text, open_artifact
from sert.store.disk import put

PLAN = "plan.json"
"""In a run folder: its stages, and what each depends on."""


class Cost(NamedTuple):
    """What a stage takes: tokens decoded at most, tokens trained on (roughly), and students that it saves."""

    decoded: int = 0
    trained: int = 0
    saved: int = 0


NOTHING = Cost()


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: What it is called, unique in its run.
        step: What is done, such as `mine`; the same for all tasks.
        folder: Where its result lies; named by a hash of settings and inputs.
        work: How much there is to do, for people.
        settings: The part of the configuration that the result depends on.
        inputs: What else it depends on: name -> key or hash of what is read, other stages by their names.
        make: Makes the result.
        cost: How much there is to do, in tokens.
        calls: The log of the calls that it makes to an endpoint; a log has one writer at a time.
    """

    name: str
    step: str
    folder: Path
    work: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    make: Callable[[], Artifact]
    cost: Cost = NOTHING
    calls: Path | None = None

    @property
    def key(self) -> str:
        """The hash of everything the result depends on."""
        return self.folder.name.rpartition("-")[2]

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return (self.folder / MANIFEST).is_file()

    def result(self) -> Artifact:
        """Open the result, or make it."""
        return open_artifact(self.folder) if self.finished else self.make()


def write_plan(run: Path, stages: Iterable[Stage]) -> None:
    """Write down the stages of a run and what they depend on.

    Raises:
        DiskError: If it cannot be written; what stood there stays.
    """
    plan = {
        stage.name: {"folder": stage.folder.name, "settings": stage.settings, "inputs": stage.inputs}
        for stage in stages
    }
    put(run / PLAN, json_text({"stages": plan, "hash": content_key(plan)}).encode())


def read_plan(run: Path) -> dict[str, dict[str, Any]]:
    """Read the stages that were planned last; none where there is no plan, or it was damaged."""
    try:
        plan = json.loads((run / PLAN).read_text(encoding="utf-8"))
        stages: dict[str, dict[str, Any]] = plan["stages"]
        return stages if plan["hash"] == content_key(stages) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def why_again(stage: Stage, plan: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what changed since the plan was written, if the stage depends on something else now; empty if it does not."""
    before = plan.get(stage.name)
    if before is None or before["folder"] == stage.folder.name:
        return []
    old, new = dict(_flat(before["settings"])), dict(_flat(stage.settings))
    changed = [
        f"{key}: {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}"
        for key in [*new, *(key for key in old if key not in new)]
        if old.get(key) != new.get(key)
    ]
    others = [name for name in stage.inputs if before["inputs"].get(name) != stage.inputs[name]]
    return [*changed, *(f"{name} changed" for name in others)]


def waits_of(stages: Sequence[Stage]) -> dict[Path, list[Stage]]:
    """Find for each stage, by its folder, those before it that must be finished: what it reads, and who has its log."""
    waits, writers = needs_of(stages), dict[Path, Stage]()
    for stage in stages:
        if stage.calls is not None:
            if stage.calls in writers:
                waits[stage.folder].append(writers[stage.calls])
            writers[stage.calls] = stage
    return waits


def needs_of(stages: Sequence[Stage]) -> dict[Path, list[Stage]]:
    """Find for each stage, by its folder, those of the others that it reads."""
    by_key = {stage.key: stage for stage in stages}
    return {
        stage.folder: [by_key[key] for key in dict.fromkeys(stage.inputs.values()) if key in by_key] for stage in stages
    }


def spent(stages: Iterable[Stage]) -> dict[str, Any]:
    """Add up what finished stages took, over every attempt: seconds, tokens, requests and dollars."""
    manifests = [stage.result().manifest for stage in stages]
    counts = [manifest["counts"] for manifest in manifests]
    # The tasks share the log of an endpoint, and each states what all of it came to.
    logs = {
        kind: [manifest["counts"] for manifest in manifests if manifest["stage"] == kind] for kind in ("teach", "judge")
    }
    return {
        "wall_seconds": round(sum(manifest["wall_seconds"] for manifest in manifests), 3),
        "tokens_mined": sum(each["tokens"] for each in counts if "tokens" in each),
        "tokens_trained": sum(each["supervised_tokens"] for each in counts if "supervised_tokens" in each),
        "requests": sum(max((each.get("requests", 0) for each in of_kind), default=0) for of_kind in logs.values()),
        "dollars": str(
            sum(
                max((Decimal(each.get("dollars_spent", 0)) for each in of_kind), default=Decimal())
                for of_kind in logs.values()
            )
        ),
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every setting by its path, `mining.top_k` for instance."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
