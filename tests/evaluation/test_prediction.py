from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sert.config.tree import EvaluationConfig, MiningConfig, StudentConfig, TaskConfig, TrainingConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.prediction import evaluate
from sert.records import Example, Output, Prediction, Question
from sert.store.artifacts import Artifact
from sert.store.tables import read_table
from sert.student.decoding.earlier_harness import generate_padded
from sert.student.load import Student
from sert.student.source import trained_student
from sert.student.training.stage import train
from sert.tasks.answers import extract_loose
from sert.tasks.load import load_task

LAB = StudentConfig(path="lab", device="cpu", num_threads=1)
ASKED = [
    Question(f"q{i}", "table", "test", f"{i}?", (), "yes", f"Question: {'word ' * (i % 4)}{i}?\nAnswer:")
    for i in range(9)
]
WIDE = MiningConfig(top_k=50, top_p=1.0, temperature=1.5)


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


def test_no_questions_are_refused(taught: StudentConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no questions"):
        evaluate([], taught, out=tmp_path / "e")


# ---- several outputs that vote


@pytest.fixture
def voted(lab_questions: list[Question], tmp_path: Path) -> Artifact:
    config, warm = EvaluationConfig(max_new_tokens=40, votes=5), MiningConfig(temperature=1.5)
    return evaluate(lab_questions, LAB, out=tmp_path / "voted", config=config, sampling=warm, seed=3)


@pytest.fixture(scope="module")
def lab_questions() -> list[Question]:
    return load_task("lab", TaskConfig(kind="lab_yes_no", limit=6)).split("test")


def test_the_prediction_is_the_first_output_that_gave_the_winning_answer(
    voted: Artifact, lab_questions: list[Question]
) -> None:
    outputs = read_table(voted.file("outputs.parquet"), Output)
    assert [(each.question_id, each.sample) for each in outputs] == [
        (question.question_id, sample) for question in lab_questions for sample in range(5)
    ]
    predictions = read_table(voted.file("predictions.parquet"), Prediction)
    assert [each.question_id for each in predictions] == [each.question_id for each in lab_questions]
    split = 0
    for prediction, question in zip(predictions, lab_questions, strict=True):
        own = [each for each in outputs if each.question_id == question.question_id]
        answers = [each.answer for each in own]
        assert answers == [extract_loose(each.completion, question) for each in own]
        counted = {answer: answers.count(answer) for answer in answers if answer is not None}
        best = max(counted.values())
        first = next(each for each in own if each.answer is not None and counted[each.answer] == best)
        assert (prediction.num_outputs, prediction.votes) == (5, best)
        assert (prediction.completion, prediction.answer_loose) == (first.completion, first.answer)
        assert (prediction.finish, prediction.num_tokens) == (first.finish, first.num_tokens)
        split += best < len(answers)
    assert split  # the outputs do not all agree, so that there was something to count
    assert voted.counts["correct"] == sum(each.correct_loose for each in predictions)


def kept_of(student_folder: Path, out: Path, **settings: Any) -> dict[str, str]:
    """The files of an evaluation by five votes, by their hashes."""
    config = EvaluationConfig(max_new_tokens=12, votes=5, max_lanes=settings.pop("max_lanes", 400))
    student = StudentConfig(path=str(student_folder), device="cpu", num_threads=1)
    evaluated = evaluate(ASKED, student, out=out, config=config, **{"sampling": WIDE, "seed": 1, **settings})
    outputs: dict[str, str] = evaluated.manifest["outputs"]
    assert sorted(outputs) == ["outputs.parquet", "predictions.parquet", "questions.parquet"]
    return outputs


def test_outputs_that_vote_depend_on_seed_and_sampling_alone(student_folder: Path, tmp_path: Path) -> None:
    first = kept_of(student_folder, tmp_path / "first")
    assert kept_of(student_folder, tmp_path / "lanes", max_lanes=10) == first
    others: list[dict[str, Any]] = [
        {"seed": 2},
        {"sampling": WIDE.model_copy(update={"temperature": 0.5})},
        {"sampling": WIDE.model_copy(update={"top_k": 2})},
        {"sampling": WIDE.model_copy(update={"top_p": 0.3})},
    ]
    for number, other in enumerate(others):
        assert kept_of(student_folder, tmp_path / str(number), **other)["outputs.parquet"] != first["outputs.parquet"]


def test_what_voted_outputs_depend_on_is_in_the_key_and_a_greedy_key_holds_nothing_of_it(
    student_folder: Path, tmp_path: Path
) -> None:
    student = StudentConfig(path=str(student_folder), device="cpu", num_threads=1)

    def made(out: str, votes: int, seed: int) -> Artifact:
        config = EvaluationConfig(max_new_tokens=4, votes=votes)
        return evaluate(ASKED[:2], student, out=tmp_path / out, config=config, sampling=WIDE, seed=seed)

    greedy, other, voted = made("greedy", 1, 0), made("other", 1, 7), made("voted", 2, 7)
    beside = {"epoch_choice": "last", "probe_samples": 0, "scored_questions": 0}  # changes no prediction
    plain = {"max_new_tokens": 4, "max_lanes": 400, "max_format_rep_2": 0.5} | beside
    assert greedy.manifest["config"]["evaluation"] == plain
    assert (other.key, other.manifest["seed"], other.manifest["outputs"]) == (
        greedy.key,
        0,
        greedy.manifest["outputs"],
    )
    assert sorted(greedy.manifest["outputs"]) == ["predictions.parquet", "questions.parquet"]
    for prediction in read_table(greedy.file("predictions.parquet"), Prediction):
        assert (prediction.num_outputs, prediction.votes) == (1, 1)
    assert voted.manifest["seed"] == 7
    assert voted.manifest["config"]["evaluation"] == {
        **plain,
        "votes": 2,
        "sampling": {"top_k": 50, "top_p": 1.0, "temperature": 1.5},
    }


# ---- the earlier harness


def test_the_compat_harness_pads_to_the_longest_question(
    student: Student, student_folder: Path, tmp_path: Path
) -> None:
    config = EvaluationConfig(max_new_tokens=12, harness="compat")
    at_folder = StudentConfig(path=str(student_folder), device="cpu", num_threads=1)
    evaluated = evaluate(ASKED, at_folder, out=tmp_path / "compat", config=config)
    prompts = [student.encode_prompt(question.prompt) for question in ASKED]
    expected = generate_padded(student, prompts, max_new_tokens=12)
    found = read_table(evaluated.file("predictions.parquet"), Prediction)
    assert [each.completion for each in found] == [student.decode(lane.token_ids) for lane in expected]
    assert evaluated.manifest["config"]["evaluation"]["harness"] == "compat"
    clean = evaluate(ASKED, at_folder, out=tmp_path / "clean", config=EvaluationConfig(max_new_tokens=12))
    same = [
        each.completion == other.completion
        for each, other in zip(found, read_table(clean.file("predictions.parquet"), Prediction), strict=True)
    ]
    assert any(same) and not all(same)  # the longest questions are not padded


def test_the_compat_harness_has_no_votes(student_folder: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(harness="compat", votes=5)
    with pytest.raises(ConfigError, match="one output"):
        evaluate(ASKED, StudentConfig(path=str(student_folder)), out=tmp_path / "e", config=config)


# ---- questions that cannot be asked


@pytest.mark.parametrize("settings", [{}, {"votes": 3}, {"harness": "compat"}])
def test_a_question_that_is_too_long_counts_as_not_answered(
    settings: dict[str, Any], questions: list[Question], taught: StudentConfig, tmp_path: Path
) -> None:
    long = replace(questions[1], prompt="x" * 160)
    config = EvaluationConfig(max_new_tokens=40, **settings)
    evaluated = evaluate([questions[0], long, questions[2]], taught, out=tmp_path / "e", config=config)
    first, unasked, last = read_table(evaluated.file("predictions.parquet"), Prediction)
    assert (unasked.finish, unasked.completion, unasked.num_tokens) == ("too_long", "", 0)
    assert (unasked.answer_loose, unasked.correct_loose, unasked.format_ok, unasked.reasoned) == (None,) + (False,) * 3
    assert (unasked.num_outputs, unasked.votes) == (0, 0)
    assert {first.finish, last.finish} <= {"eos", "length"}
    counts = evaluated.counts
    assert (counts["n"], counts["too_long"]) == (3, 1)
    assert counts["accuracy"] == counts["correct"] / 3
    assert counts["mean_length"] == (first.reasoning_tokens + last.reasoning_tokens) / 2
    if "votes" in settings:
        outputs = read_table(evaluated.file("outputs.parquet"), Output)
        assert [output.question_id for output in outputs] == ["q0"] * 3 + ["q2"] * 3
