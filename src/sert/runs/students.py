"""What a plan says of its students: which way will drive each, and why."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from sert.config.tree import StudentConfig
from sert.evaluation.prediction import EvaluateJob
from sert.paths.mining import MineJob
from sert.store.stage import Stage
from sert.student.source import called
from sert.terminal.progress import Reporter

if TYPE_CHECKING:
    from sert.student.decoding.units import DecodingJob


class ForeseenStudent(NamedTuple):
    """What was found out of a student before a run.

    Attributes:
        student: What it is called.
        dtype: Type of the numbers that it will decode in.
        stage: The stage with whose prompts it was tried: that with the longest texts, for which windows are shortest.
            A student that is trained for it is driven as the one that it is made of.
        notes: What stages keep of it (`DecodingJob.prepare`); `driven_by` is None where it was not tried.
    """

    student: str
    dtype: str
    stage: str
    notes: dict[str, Any]

    def lines(self) -> list[str]:
        """Say it."""
        return [f"{self.student} ({self.stage}): {line}" for line in self.notes["told"]]


def foresee_students(stages: Iterable[tuple[StudentConfig, Stage]], reporter: Reporter) -> list[ForeseenStudent]:
    """Find out how each student will be driven, where something is still to be decoded.

    Raises:
        StudentError: If a stage would be refused for its student or its prompts.
    """
    hardest: dict[StudentConfig, tuple[Stage, DecodingJob]] = {}
    for student, stage, job in _decodings(stages):
        if student not in hardest or job.longest_guess > hardest[student][1].longest_guess:
            hardest[student] = stage, job
    if not hardest:
        return []
    from sert.student.decoding.beforehand import foresee  # loads torch

    return [
        ForeseenStudent(called(student), student.dtype, stage.name, foresee(job, reporter))
        for student, (stage, job) in hardest.items()
    ]


def _decodings(
    stages: Iterable[tuple[StudentConfig, Stage]],
) -> "Iterator[tuple[StudentConfig, Stage, DecodingJob]]":
    """List what is to be decoded by the ways of the engine, as the student of the configuration would do it."""
    for student, stage in stages:
        job = stage.job
        if stage.finished:
            continue
        if isinstance(job, MineJob) and not job.served:
            yield student, stage, job.decoding(student)
        if isinstance(job, EvaluateJob) and job.evaluation.harness == "clean":
            yield student, stage, job.decoding(student)
