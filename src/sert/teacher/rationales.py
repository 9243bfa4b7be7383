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
from sert.teacher.guard import refuse_test_questions
from sert.teacher.recorded import read_recorded

# What servers say of a text that they did not let come to its end.
UNFINISHED = ("length", "content_filter")


def teach(
    questions: Sequence[Question],
    *,
    out: Path,
    held_out: Sequence[Question] = (),
    teacher: TeacherConfig | None = None,
    recorded: Path | None = None,
    prompts: PromptTemplates | None = None,
    label: str = "teach",
    reporter: Reporter | None = None,
) -> Artifact:
    """Get one rationale a question.

    A rationale is kept only for the questions handed in, and a question that is held out is refused.

    Args:
        questions: What the teacher is asked.
        out: Folder of the result.
        held_out: The test questions; no teacher answers them.
        teacher: Which teacher.
        recorded: The file of earlier answers, for the recorded teacher.
        prompts: Templates.
        label: What the progress is called.
        reporter: Where warnings go.

    Raises:
        TeacherError: If a question is held out, there is no rationale for any question, or the recorded file is missing
            or cannot be read.
    """
    refuse_test_questions(questions, held_out)
    teacher, prompts = teacher or TeacherConfig(), prompts or PromptTemplates()
    if teacher.kind == "recorded" and recorded is None:
        raise TeacherError(f"{label}: a recorded teacher needs a file; set tasks.<name>.rationales or teacher.kind.")
    if recorded is not None and not recorded.is_file():
        raise TeacherError(f"{label}: there is no file of recorded rationales {recorded}.")

    def fill(folder: Path) -> Mapping[str, Any]:
        rationales, extra = _collect(questions, held_out, kind=teacher.kind, recorded=recorded, prompts=prompts)
        if not rationales:
            raise TeacherError(f"{label}: {recorded} holds no rationale for any of {len(questions)} questions.")
        if len(rationales) < len(questions):
            missing = len(questions) - len(rationales)
            (reporter or Silent()).say(f"{label}: {missing} of {len(questions)} questions have no rationale")
        write_table(folder / "questions.parquet", questions, Question)
        write_table(folder / "rationales.parquet", rationales, Rationale)
        examples = rationale_examples(questions, rationales, prompts=prompts, only_correct=teacher.only_correct)
        write_table(folder / "examples.parquet", examples, Example)
        return {"questions": len(questions), **_count(rationales), **extra}

    inputs = {"questions": records_key(questions), "held_out": records_key(held_out)}
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
    keep_unfinished: bool = True,
) -> list[Example]:
    """Make the examples of distillation: the rationale, then the gold answer. Empty rationales are left out.

    Args:
        questions: Those that the rationales answer, and possibly others.
        rationales: What the teacher wrote.
        prompts: Templates.
        only_correct: Leave out rationales whose own answer is wrong or cannot be read.
        keep_unfinished: Keep rationales that the server says it cut off; those without a `finish_reason` are kept
            always.
    """
    by_id = {question.question_id: question for question in questions}
    return [
        rationale_example(by_id[rationale.question_id], rationale.text, prompts)
        for rationale in rationales
        if rationale.text.strip()
        and (rationale.correct or not only_correct)
        and (keep_unfinished or rationale.finish_reason not in UNFINISHED)
    ]


def _collect(
    questions: Sequence[Question],
    held_out: Sequence[Question],
    *,
    kind: str,
    recorded: Path | None,
    prompts: PromptTemplates,
) -> tuple[list[Rationale], dict[str, int]]:
    if kind == "lab":
        return [_oracle_rationale(question, prompts) for question in questions], {}
    assert recorded is not None
    result = read_recorded(recorded, questions, held_out=held_out)
    counts = {
        "unmatched": result.unmatched,
        "missing": result.missing,
        "truncated": result.truncated,
        "held_out": result.held_out,
    }
    return result.rationales, counts


def _count(rationales: Sequence[Rationale]) -> dict[str, int]:
    return {
        "rationales": len(rationales),
        "correct": sum(rationale.correct for rationale in rationales),
        "without_answer": sum(rationale.extracted is None for rationale in rationales),
    }


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
