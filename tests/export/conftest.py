"""Results to export: a training, and an evaluation of the lab's student on a few questions."""

from pathlib import Path

import pytest

from exported_results import evaluate_lab
from sert.config.tree import StudentConfig, TaskConfig, TeacherConfig, TrainingConfig
from sert.records import Example
from sert.student.load import Student
from sert.student.training.stage import train
from sert.tasks.load import load_task
from sert.teacher.rationales import teach

PATH = " It is cold outside."


@pytest.fixture(scope="session")
def trained(student: Student, student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One step on three examples, one of them a path with its own tokens; a fourth one is too long."""
    path_ids = tuple(student.encode_completion(PATH))
    examples = [
        Example("q0", "Question: Is ice cold?\nAnswer:", " So the answer is yes.", "label"),
        Example("q1", "Question: Is it 5 | 6?\nAnswer:", " So the answer is no.", "label"),
        Example("q2", "Question: Hat?\nAnswer:", f"{PATH} So it is yes.", "path", path_ids, " So it is yes."),
        Example("q3", "Question: Too long?\nAnswer:", " so" * 60, "label"),
    ]
    config = TrainingConfig(batch_size=4, max_steps=1, max_length=80)
    start = StudentConfig(path=str(student_folder), device="cpu")
    return train(examples, start, out=tmp_path_factory.mktemp("export") / "trained", config=config).folder


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's student on five questions with choices, cut short."""
    return evaluate_lab(tmp_path_factory.mktemp("export") / "evaluated", limit=5, max_new_tokens=12)


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rationales of the lab's oracle."""
    data = load_task("lab", TaskConfig(kind="lab_choice", limit=3))
    out = tmp_path_factory.mktemp("export") / "taught"
    return teach(data.split("train"), held_out=data.held_out, teacher=TeacherConfig(kind="lab"), out=out).folder
