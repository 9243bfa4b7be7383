"""Rationales for questions: from the lab's oracle, or from answers recorded earlier.

A taught folder holds `rationales.parquet`, the `questions.parquet` that they answer, and the `examples.parquet` of
distillation that they make.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sert.config import PromptTemplates, TeacherConfig
from sert.errors import TeacherError
from sert.progress import Reporter, Silent
from sert.records import Example, Question, Rationale
from sert.store.artifacts import Artifact, commit, file_hash
from sert.store.tables import records_key, write_table
from sert.tasks.prompts import rationale_example, teacher_prompt
from sert.teacher.recorded import read_recorded


def teach(
    questions: Sequence[Question],
    *,
    out: Path,
    teacher: TeacherConfig | None = None,
    recorded: Path | None = None,
    prompts: PromptTemplates | None = None,
    label: str = "teach",
    reporter: Reporter | None = None,
) -> Artifact:
    """Get one rationale a question.

    Hand in train questions only: a rationale is kept only for the questions handed in, so no test question gets one.

    Args:
        questions: What the teacher is asked.
        out: Folder of the result.
        teacher: Which teacher.
        recorded: The file of earlier answers, for the recorded teacher.
        prompts: Templates.
        label: What the progress is called.
        reporter: Where warnings go.

    Raises:
        TeacherError: If there is no rationale for any question, or the recorded file is missing or cannot be read.
    """
    teacher, prompts = teacher or TeacherConfig(), prompts or PromptTemplates()
    if teacher.kind == "recorded" and recorded is None:
        raise TeacherError(f"{label}: a recorded teacher needs a file; set tasks.<name>.rationales or teacher.kind.")
    if recorded is not None and not recorded.is_file():
        raise TeacherError(f"{label}: there is no file of recorded rationales {recorded}.")

    def fill(folder: Path) -> Mapping[str, Any]:
        rationales, extra = _collect(questions, teacher, recorded, prompts)
        if not rationales:
            raise TeacherError(f"{label}: {recorded} holds no rationale for any of {len(questions)} questions.")
        if len(rationales) < len(questions):
            missing = len(questions) - len(rationales)
            (reporter or Silent()).say(f"{label}: {missing} of {len(questions)} questions have no rationale")
        write_table(folder / "questions.parquet", questions, Question)
        write_table(folder / "rationales.parquet", rationales, Rationale)
        examples = rationale_examples(questions, rationales, prompts=prompts, only_correct=teacher.only_correct)
        write_table(folder / "examples.parquet", examples, Example)
        correct = sum(rationale.correct for rationale in rationales)
        return {"questions": len(questions), "rationales": len(rationales), "correct": correct, **extra}

    inputs = {"questions": records_key(questions)}
    if recorded is not None:
        inputs["recorded"] = file_hash(recorded)
    settings = {"teacher": teacher.model_dump(), "prompts": prompts.model_dump()}
    return commit(out, fill, stage="teach", config=settings, inputs=inputs, seed=0)


def rationale_examples(
    questions: Sequence[Question],
    rationales: Sequence[Rationale],
    *,
    prompts: PromptTemplates,
    only_correct: bool,
) -> list[Example]:
    """Make the examples of distillation: the rationale, then the gold answer. Empty rationales are left out."""
    by_id = {question.question_id: question for question in questions}
    return [
        rationale_example(by_id[rationale.question_id], rationale.text, prompts)
        for rationale in rationales
        if rationale.text.strip() and (rationale.correct or not only_correct)
    ]


def _collect(
    questions: Sequence[Question], teacher: TeacherConfig, recorded: Path | None, prompts: PromptTemplates
) -> tuple[list[Rationale], dict[str, int]]:
    if teacher.kind == "lab":
        return [_oracle_rationale(question, prompts) for question in questions], {}
    assert recorded is not None
    result = read_recorded(recorded, questions)
    counts = {"unmatched": result.unmatched, "missing": result.missing, "truncated": result.truncated}
    return list(result.rationales), counts


def _oracle_rationale(question: Question, prompts: PromptTemplates) -> Rationale:
    from sert.lab.oracle import write_rationale
    from sert.lab.world import lab_world

    return Rationale(
        question_id=question.question_id,
        model="lab-oracle",
        prompt=teacher_prompt(question, prompts),
        text=write_rationale(lab_world(), question),
        finish_reason="stop",
        extracted=question.answer,
        correct=True,
        prompt_tokens=None,
        completion_tokens=None,
        source="lab",
    )
