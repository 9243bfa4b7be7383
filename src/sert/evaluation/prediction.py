"""Predictions: one greedy output of a student a question, graded.

An evaluated folder holds `predictions.parquet` and the `questions.parquet` that were asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sert.config import EvaluationConfig, RulesConfig, StudentConfig
from sert.errors import DataError
from sert.evaluation.metrics import grade, summarize
from sert.progress import Reporter, Silent
from sert.records import Prediction, Question
from sert.store.artifacts import Artifact, commit
from sert.store.tables import records_key, write_table
from sert.student.load import load_student, student_key
from sert.tasks.answers import reasoning_of


def evaluate(
    questions: Sequence[Question],
    student: StudentConfig,
    *,
    out: Path,
    config: EvaluationConfig | None = None,
    rules: RulesConfig | None = None,
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
        label: What the progress is called.
        reporter: Where progress goes.

    Raises:
        DataError: If there are no questions.
        StudentError: If the student cannot be loaded, or prompt and output exceed its positions.
    """
    config, rules = config or EvaluationConfig(), rules or RulesConfig()
    if not questions:
        raise DataError(f"{label}: there are no questions to evaluate on.")

    def fill(folder: Path) -> Mapping[str, Any]:
        predictions = _predict(questions, student, config, rules, label, reporter or Silent())
        write_table(folder / "questions.parquet", questions, Question)
        write_table(folder / "predictions.parquet", predictions, Prediction)
        return summarize(predictions, questions)

    settings = {
        "evaluation": config.model_dump(include={"max_new_tokens", "max_lanes", "max_format_rep_2"}),
        "rules": rules.model_dump(),
    }
    inputs = {"questions": records_key(questions), "student": student_key(student)}
    return commit(out, fill, stage="evaluate", config=settings, inputs=inputs, seed=0)


def with_prompt(questions: Sequence[Question], prompts: Sequence[str]) -> list[Question]:
    """Ask the same questions with other prompts."""
    return [replace(question, prompt=prompt) for question, prompt in zip(questions, prompts, strict=True)]


def _predict(
    questions: Sequence[Question],
    student_config: StudentConfig,
    config: EvaluationConfig,
    rules: RulesConfig,
    label: str,
    reporter: Reporter,
) -> list[Prediction]:
    from sert.student.decoding import Decoding, DecodingPrompt, decode

    student = load_student(student_config)
    prompts = [DecodingPrompt(question.question_id, student.encode_prompt(question.prompt)) for question in questions]
    decoding = Decoding(
        branches=None, samples=1, top_k=1, max_new_tokens=config.max_new_tokens, max_lanes=config.max_lanes
    )
    predictions: dict[int, Prediction] = {}
    with reporter.track(label, len(questions), "questions") as advance:
        for wave in decode(student, prompts, decoding, progress=advance):
            for index, (continuation,) in wave:
                completion = student.decode(continuation.token_ids)
                predictions[index] = grade(
                    questions[index],
                    prompt=questions[index].prompt,
                    completion=completion,
                    finish=continuation.finish,
                    token_ids=continuation.token_ids,
                    reasoning_tokens=min(
                        len(student.encode_completion(reasoning_of(completion).rstrip())), len(continuation.token_ids)
                    ),
                    rules=rules,
                    evaluation=config,
                )
    return [predictions[index] for index in range(len(questions))]
