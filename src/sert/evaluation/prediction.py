"""Predictions: one greedy output of a student a question, graded.

An evaluated folder holds `predictions.parquet` and the `questions.parquet` that were asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sert.config import APART, EvaluationConfig, ExecutionConfig, RulesConfig, StudentConfig
from sert.errors import DataError
from sert.evaluation.metrics import grade, summarize
from sert.progress import Reporter, Silent
from sert.records import Prediction, Question
from sert.store.artifacts import Artifact, Draft, commit
from sert.store.executors import make_executor
from sert.store.tables import records_key, write_table
from sert.student.load import Texts, load_texts, student_key
from sert.tasks.answers import reasoning_of

if TYPE_CHECKING:
    from sert.student.decoding_units import DecodingJob


def evaluate(
    questions: Sequence[Question],
    student: StudentConfig,
    *,
    out: Path,
    config: EvaluationConfig | None = None,
    rules: RulesConfig | None = None,
    execution: ExecutionConfig = APART,
    label: str = "evaluate",
    reporter: Reporter | None = None,
) -> Artifact:
    """Ask a student every question, decode greedily, grade the outputs and keep them.

    Args:
        questions: What is asked; `Question.prompt` is the prompt, word for word.
        student: The student; loaded only if there is work to do.
        out: Folder of the result.
        config: Limits of decoding and of the format.
        rules: What counts as reasoning (see `sert.paths.rules.is_reasoned`).
        execution: Who decodes. What was decoded is found again when the same call is made after a stop.
        label: What the progress is called.
        reporter: Where progress goes.

    Raises:
        DataError: If there are no questions.
        StudentError: If the student cannot be loaded, or prompt and output exceed its positions.
    """
    config, rules = config or EvaluationConfig(), rules or RulesConfig()
    if not questions:
        raise DataError(f"{label}: there are no questions to evaluate on.")

    def fill(draft: Draft) -> Mapping[str, Any]:
        from sert.student.decoding_units import decode_in_units

        executor = make_executor(execution.workers)
        decoded = decode_in_units(
            _job(questions, student, config), draft, executor=executor, label=label, reporter=reporter or Silent()
        )
        texts = load_texts(student)
        predictions = [
            _prediction(question, decoded.lanes(row)[0], texts, config=config, rules=rules)
            for row, question in enumerate(questions)
        ]
        write_table(draft.folder / "questions.parquet", questions, Question)
        write_table(draft.folder / "predictions.parquet", predictions, Prediction)
        return summarize(predictions, questions)

    settings = {
        "evaluation": config.model_dump(include={"max_new_tokens", "max_lanes", "max_format_rep_2"}),
        "rules": rules.model_dump(),
    }
    inputs = {"questions": records_key(questions), "student": student_key(student)}
    return commit(out, fill, stage="evaluate", config=settings, inputs=inputs, seed=0, keep_units=execution.keep_units)


def with_prompt(questions: Sequence[Question], prompts: Sequence[str]) -> list[Question]:
    """Ask the same questions with other prompts."""
    return [replace(question, prompt=prompt) for question, prompt in zip(questions, prompts, strict=True)]


def _job(questions: Sequence[Question], student: StudentConfig, config: EvaluationConfig) -> "DecodingJob":
    from sert.student.decoding import Decoding
    from sert.student.decoding_units import DecodingJob

    return DecodingJob(
        student,
        items=tuple(question.question_id for question in questions),
        prompts=tuple(question.prompt for question in questions),
        decoding=Decoding(
            branches=None, samples=1, top_k=1, max_new_tokens=config.max_new_tokens, max_lanes=config.max_lanes
        ),
    )


def _prediction(
    question: Question, lane: Any, texts: Texts, *, config: EvaluationConfig, rules: RulesConfig
) -> Prediction:
    completion = texts.decode(lane.token_ids)
    reasoning = len(texts.encode_completion(reasoning_of(completion).rstrip()))
    return grade(
        question,
        prompt=question.prompt,
        completion=completion,
        finish=lane.finish,
        token_ids=lane.token_ids,
        reasoning_tokens=min(reasoning, len(lane.token_ids)),
        rules=rules,
        evaluation=config,
    )
