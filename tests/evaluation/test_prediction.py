from pathlib import Path

import pytest

from sert.config import EvaluationConfig, StudentConfig, TrainingConfig
from sert.errors import DataError
from sert.evaluation.prediction import evaluate, with_prompt
from sert.records import Example, Prediction, Question
from sert.store.tables import read_table
from sert.student.load import Student
from sert.student.stage import train, trained_student


@pytest.fixture(scope="module")
def taught(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StudentConfig:
    """A student that has learned one answer to one prompt by heart."""
    start = StudentConfig(path=str(student_folder), device="cpu")
    example = Example("q0", "Question: Is ice cold?\nAnswer:", " It is. So the answer is yes.", "path")
    config = TrainingConfig(batch_size=1, max_steps=60, learning_rate=3e-3)
    return trained_student(train([example], start, out=tmp_path_factory.mktemp("t") / "x", config=config), like=start)


def test_outputs_are_greedy_graded_and_measured(
    questions: list[Question], taught: StudentConfig, tmp_path: Path
) -> None:
    evaluated = evaluate(questions[:1], taught, out=tmp_path / "e", config=EvaluationConfig(max_new_tokens=60))
    (prediction,) = read_table(evaluated.file("predictions.parquet"), Prediction)
    assert prediction.completion == " It is. So the answer is yes."
    assert (prediction.finish, prediction.num_tokens) == ("eos", len(prediction.completion))
    assert (prediction.answer_strict, prediction.correct_strict, prediction.format_ok) == ("yes", True, True)
    assert prediction.reasoning_tokens == len(" It is.")
    assert (evaluated.counts["accuracy"], evaluated.counts["mean_length"]) == (1.0, 7)


def test_the_prompt_can_be_replaced(questions: list[Question], student: Student) -> None:
    (asked,) = with_prompt(questions[:1], ["Why?"])
    assert (asked.prompt, asked.answer) == ("Why?", questions[0].answer)


def test_no_questions_are_refused(taught: StudentConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no questions"):
        evaluate([], taught, out=tmp_path / "e")
