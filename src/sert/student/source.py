"""Which student a stage asks: the one of the configuration, or one that an earlier stage trained."""

from dataclasses import dataclass, replace
from pathlib import PurePath

from sert.config.tree import StudentConfig
from sert.store.artifacts import Artifact
from sert.store.stage import Inputs, Result
from sert.student.load import student_key

SNAPSHOTS = "snapshots"
"""Folder of a trained student's states before the last one, named by their numbers from 1 on."""


def called(student: StudentConfig) -> str:
    """Call a student by the last two names of its path, for lines that tell of it: a trained one's last is `model`."""
    path = PurePath(student.path)
    return "/".join(path.relative_to(path.anchor).parts[-2:]) or student.path


def trained_student(trained: Artifact, *, like: StudentConfig, snapshot: int | None = None) -> StudentConfig:
    """Point at the model of a trained folder, or at a snapshot, with the device and dtype of the student `like`.

    Snapshots are numbered from 1 on; None and the last one are the model itself.
    """
    folder = trained.folder / SNAPSHOTS / str(snapshot)
    path = folder if snapshot is not None and folder.is_dir() else trained.file("model")
    return like.model_copy(update={"path": str(path), "revision": None})


@dataclass(frozen=True)
class StudentSource:
    """A student, or what will be one when an earlier stage is done.

    Attributes:
        config: The student of the configuration; a trained one takes device and dtype from it.
        trained: The training that makes the student; None = the student as it is.
        snapshot: Number of the training's snapshot; None = its last state.
    """

    config: StudentConfig
    trained: Result | None = None
    snapshot: int | None = None

    def inputs(self) -> Inputs:
        """What names it among the things that a result depends on: its weights, and the type that it decodes with."""
        if self.trained is None or self.config.dtype == "float32":
            return self.former_inputs()
        return self.former_inputs() | {"dtype": self.config.dtype}

    def weights(self) -> Inputs:
        """What names its weights alone, for what starts from them in float32."""
        return replace(self, config=self.config.model_copy(update={"dtype": "float32"})).inputs()

    def former_inputs(self) -> Inputs:
        """The same as in versions in which the key of a training held the type, and passed it on."""
        return {"student": student_key(self.config)} if self.trained is None else {self.trained.step: self.trained}

    def resolve(self) -> StudentConfig:
        """Say where it lies.

        Raises:
            DataError: If it is not trained yet.
        """
        if self.trained is None:
            return self.config
        return trained_student(self.trained.open(), like=self.config, snapshot=self.snapshot)
