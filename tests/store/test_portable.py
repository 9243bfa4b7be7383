"""Descriptions of work whose files lie elsewhere."""

from dataclasses import dataclass
from pathlib import Path

from sert.config.tree import StudentConfig, TrainingConfig
from sert.records import Question
from sert.store.portable import moved
from sert.store.stage import Result


@dataclass(frozen=True)
class Described:
    student: StudentConfig
    training: TrainingConfig
    results: tuple[Result, ...]
    questions: tuple[Question, ...]
    name: str = "here/student"


def described(student: StudentConfig, place: str) -> Described:
    questions = (Question("1", "table", "train", "here/student", (), "yes", "Q"),)
    training = TrainingConfig(forgetting=Path(place))
    return Described(student, training, (Result("mine", "mine", Path(place), "key"),), questions)


def test_paths_of_students_results_and_files_are_replaced_and_nothing_else() -> None:
    before = described(StudentConfig(path="here/student", device="cpu"), "here/mined")
    places = {"here/student": "/there/1", "here/mined": "/there/2"}
    after = moved(before, places, threads=3)
    assert after == described(StudentConfig(path="/there/1", device="cpu", num_threads=3), "/there/2")
    assert after.questions is before.questions


def test_threads_that_are_set_stay() -> None:
    assert moved(StudentConfig(num_threads=2), {}, threads=5).num_threads == 2
    assert moved(StudentConfig(), {}).num_threads is None


def test_what_lies_nowhere_else_stays_the_same_object() -> None:
    training = TrainingConfig(forgetting=Path("here"))
    assert moved(training, {}) is training
    results = (Result("mine", "mine", Path("here"), "key"),)
    assert moved(results, {"elsewhere": "there"}) is results
