"""The possible answers of questions as a stage of its own, for who looks at a student and tests nothing.

It leaves `likelihoods.parquet` and the `questions.parquet` whose answers are scored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sert.evaluation.likelihood import write_likelihoods
from sert.records import Question
from sert.store.artifacts import Draft
from sert.store.stage import Inputs, Job, key_of
from sert.store.tables import questions_input, write_table
from sert.student.source import StudentSource
from sert.terminal.progress import Reporter
from sert.terminal.text import counted


@dataclass(frozen=True)
class LikelihoodJob(Job):
    """Score every possible answer of every question by a student in float32 (see `sert.evaluation.likelihood`).

    Attributes:
        questions: What is asked; `Question.prompt` is the prompt, word for word.
        student: The student; loaded only if there is work to do.
    """

    kind: ClassVar[str] = "likelihood"
    questions: tuple[Question, ...]
    student: StudentSource
    seed: int = 0
    step: str = "likelihood"

    @property
    def work(self) -> str:
        """How much there is to do, for people."""
        return f"{counted(len(self.questions), 'questions')}, each possible answer"

    def settings(self) -> dict[str, Any]:
        """Nothing but the questions and the student changes a score."""
        return {}

    def inputs(self) -> Inputs:
        """The questions and the student's weights, whatever it decodes with."""
        return {**questions_input(self.questions), **self.student.weights()}

    def earlier_key(self) -> str:
        """There was no such stage in version 0.1."""
        return key_of(self)

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        write_table(draft.folder / "questions.parquet", self.questions, Question)
        scored = write_likelihoods(draft, self.questions, self.student.resolve(), label=label, reporter=reporter)
        return {"questions": len(self.questions), **scored}
