"""Stages as data: a job says what a result depends on and makes it; a stage is a job with a name and a place.

The plan of a run, `commit`, the estimate and every executor ask the same job, so that what a result depends on is
written once. A stage's folder is named by the hash of it: the same command finds the result again, and a changed
configuration makes a new folder beside it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from sert.config.section import Section
from sert.config.tree import APART, ExecutionConfig
from sert.store.artifacts import MANIFEST, Artifact, Draft, artifact_key, commit, open_artifact
from sert.store.disk import remove
from sert.terminal.progress import Reporter


class Cost(NamedTuple):
    """What a stage takes: tokens decoded at most, tokens trained on (roughly), and students that it saves.

    `together` are the tokens (roughly, too) that are trained on at a time, which decide the memory; `scored` those that
    are only read, at most.
    """

    decoded: int = 0
    trained: int = 0
    saved: int = 0
    together: int = 0
    scored: int = 0


NOTHING = Cost()
CALLS = "calls"
"""Folder of a run with the ledgers of its teacher and of its judge, each in a folder so named."""


class Result(NamedTuple):
    """What a stage leaves, made already or not; the jobs that read it hold this.

    Attributes:
        kind: What made it, such as `train`.
        step: What it is called in its run, such as `train-sert`.
        folder: Where it lies.
        key: The hash of everything that it depends on.
    """

    kind: str
    step: str
    folder: Path
    key: str

    def open(self) -> Artifact:
        """Open it.

        Raises:
            DataError: If it is not finished.
        """
        return open_artifact(self.folder)

    @staticmethod
    def of(artifact: Artifact, step: str | None = None) -> "Result":
        """Refer to what is there already, by another name where it has one."""
        kind = str(artifact.manifest["stage"])
        return Result(kind, step or kind, artifact.folder, artifact.key)


Inputs = dict[str, str | Result]


class Job(ABC):
    """What is to be made, as data: a frozen dataclass that pickles, the same whether it runs alone or in a run.

    Attributes:
        kind: What its results are called in their manifests.
        step: What it is called in its run, unique among the stages of a task; alone it is the kind.
        seed: The seed of its randomness.
        calls: The folder of the ledger that it writes, if it calls an endpoint; a ledger has one writer at a time.
        execution: Who does its units, and whether they stay beside the result.
    """

    kind: ClassVar[str]
    step: str
    seed: int
    calls: Path | None = None
    execution: ExecutionConfig = APART

    @property
    @abstractmethod
    def work(self) -> str:
        """How much there is to do, for people."""

    @property
    def cost(self) -> Cost:
        """How much there is to do, in tokens."""
        return NOTHING

    @property
    def num_texts(self) -> int:
        """How many texts it leaves that others can read, at most; 0 where it leaves others, or none."""
        return 0

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The part of the configuration that the result depends on."""

    @abstractmethod
    def inputs(self) -> Inputs:
        """What else it depends on: name -> the result that is read, or a hash of what is."""

    def former_inputs(self) -> Inputs:
        """What `inputs` was in earlier versions; results that lie in a run under such a key stay."""
        return self.inputs()

    @abstractmethod
    def earlier_key(self) -> str:
        """The key that version 0.1 gave the result of a single command; such results are still known as finished."""

    def make(self, folder: Path, *, label: str, reporter: Reporter) -> Artifact:
        """Make the result, or return the one that is there; progress is told under the label.

        Raises:
            DataError, RunLockedError, DiskFullError: As `commit` does.
            SertError: As the function of the same step does: `mine`, `train` and so on.
        """
        settings, inputs = self.settings(), input_keys(self)  # once: what is read may be large
        return commit(
            folder,
            partial(self._fill, label=label, reporter=reporter),
            stage=self.kind,
            config=settings | self._notes(label),
            inputs=inputs,
            seed=self.seed,
            key=artifact_key(self.step, config=settings, inputs=inputs, seed=self.seed),
            earlier_keys=lambda: (self.earlier_key(), former_key(self)),
            keep_units=self.execution.keep_units,
        )

    @abstractmethod
    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        """Write the files of the result, and return what is counted of them."""

    def _notes(self, label: str) -> dict[str, Any]:
        """What the manifest holds beside the settings, for who reads it."""
        return {}


def input_keys(job: Job) -> dict[str, str]:
    """Name what a job reads, each with its key or hash."""
    return _keys(job.inputs())


def _keys(inputs: Inputs) -> dict[str, str]:
    return {name: each.key if isinstance(each, Result) else each for name, each in inputs.items()}


def key_of(job: Job) -> str:
    """Hash everything that the result of a job depends on."""
    return artifact_key(job.step, config=job.settings(), inputs=input_keys(job), seed=job.seed)


def former_key(job: Job) -> str:
    """Hash what an earlier version did."""
    return artifact_key(job.step, config=job.settings(), inputs=_keys(job.former_inputs()), seed=job.seed)


def discard(job: Job, folder: Path, *, if_counts: Callable[[Mapping[str, Any]], bool]) -> None:
    """Remove the result of a job whose ledger can make it again, if its counts ask for it."""
    if (folder / MANIFEST).is_file():
        found = open_artifact(folder)
        if found.key in (key_of(job), former_key(job), job.earlier_key()) and if_counts(found.counts):
            remove(folder)


def named_values(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every value of settings by its path, those of a section inside with its name before them: `mining.top_k`."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from named_values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def dumped(**sections: Section) -> dict[str, Any]:
    """Write sections of the configuration as the plain values that keys and manifests hold."""
    return {name: section.model_dump(mode="json") for name, section in sections.items()}


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a run: a job, what people call it, and where its result lies.

    Attributes:
        name: What it is called, unique in its run.
        label: What its progress is called.
        job: What it does.
        result: What it leaves.
    """

    name: str
    label: str
    job: Job
    result: Result

    @staticmethod
    def of(job: Job, *, task: str, out: Path, prefix: str = "") -> "Stage":
        """Give a job of a task its place in a run's folder: that of an earlier version's result, if there is one."""
        label, place = f"{task} {job.step}", f"{task}-{job.step}"
        former = () if job.former_inputs() == job.inputs() else (former_key(job),)
        finished = (key for key in former if (out / f"{place}-{key}" / MANIFEST).is_file())
        key = next(finished, None) or key_of(job)
        return Stage(f"{prefix}{label}", label, job, Result(job.kind, job.step, out / f"{place}-{key}", key))

    @property
    def folder(self) -> Path:
        """Where the result lies."""
        return self.result.folder

    @property
    def needs(self) -> tuple[Result, ...]:
        """What must be there before."""
        return tuple(each for each in self.job.inputs().values() if isinstance(each, Result))

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return (self.folder / MANIFEST).is_file()

    def make(self, reporter: Reporter) -> Artifact:
        """Make the result, or open the one that is there."""
        if self.finished:
            return self.result.open()
        return self.job.make(self.folder, label=self.label, reporter=reporter)
