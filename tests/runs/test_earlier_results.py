"""Results that single commands of version 0.1 left are known as finished; their keys were written down then."""

from pathlib import Path

import pytest

from sert.config.endpoints import EndpointConfig
from sert.config.prompts import PromptTemplates
from sert.config.tree import (
    EvaluationConfig,
    JudgeConfig,
    MiningConfig,
    RulesConfig,
    SelectionConfig,
    StudentConfig,
    TeacherConfig,
    TrainingConfig,
)
from sert.evaluation.prediction import EvaluateJob
from sert.judge.stage import JudgeJob
from sert.paths.filtering import FilterJob
from sert.paths.mining import MineJob
from sert.records import Example, Question
from sert.store.artifacts import commit
from sert.store.stage import Job, Result, key_of
from sert.student.source import StudentSource
from sert.student.training.examples import GivenExamples
from sert.student.training.stage import TrainJob
from sert.teacher.rationales import TeachJob
from sert.terminal.progress import Silent

TEXTS = ("Is ice hot?", "Do birds bark?")
QUESTIONS = tuple(
    Question(f"q{number}", "table", "train", text, (), "no", f"Question: {text}\nAnswer:")
    for number, text in enumerate(TEXTS)
)
MINED = Result("mine", "mine", Path("mined"), "0123456789ab")
ENDPOINT = EndpointConfig(url="http://127.0.0.1:9/v1", model="m")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> StudentSource:
    folder = tmp_path_factory.mktemp("student")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return StudentSource(StudentConfig(path=str(folder)))


def test_the_keys_of_the_version_before(
    student: StudentSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, prompts = RulesConfig(), PromptTemplates()
    commit(
        tmp_path / "mined",
        lambda draft: {},
        stage="mine",
        config={"prompts": prompts.model_dump()},
        inputs={},
        seed=3,
    )
    mined = MINED._replace(folder=tmp_path / "mined")
    examples = GivenExamples((Example("q0", "Is it?", " No.", "label"),))
    votes, sampling = EvaluationConfig(votes=3), MiningConfig()
    judge = JudgeConfig(endpoint=ENDPOINT)
    jobs: dict[str, Job] = {
        "b32c3965f433": MineJob(QUESTIONS, student, MiningConfig(), rules, prompts, seed=3),
        "c66b6923a150": MineJob(QUESTIONS, student, MiningConfig(keep_all=True), rules, prompts, seed=3),
        "8b57fc2d7f17": EvaluateJob(QUESTIONS, student, EvaluationConfig(), rules, sampling),
        "e40e808501f2": EvaluateJob(QUESTIONS, student, votes, rules, sampling, seed=3),
        "916134344348": TrainJob(examples, student, TrainingConfig(), seed=3),
        "1bcc365e9cc2": TeachJob(QUESTIONS, (), TeacherConfig(kind="lab"), prompts),
        "030fcb02e1ba": FilterJob(mined, rules, SelectionConfig(), seed=3),
        "959e13d08d7c": JudgeJob((("mined", mined._replace(step="mined")),), judge, tmp_path),
    }
    for key, job in jobs.items():
        assert job.earlier_key() == key != key_of(job), job.kind


def test_a_result_of_the_version_before_is_taken(
    student: StudentSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = MineJob(QUESTIONS, student, MiningConfig(keep_all=True), prompts=PromptTemplates(), seed=3)
    settings = job.settings()
    before = commit(
        tmp_path / "mined",
        lambda draft: {"paths": 1},
        stage="mine",
        config=settings,
        inputs={},
        seed=3,
        key="c66b6923a150",
    )

    def never(*_: object, **__: object) -> dict[str, int]:
        raise AssertionError("it is there already")

    monkeypatch.setattr(MineJob, "_fill", never)
    assert job.make(tmp_path / "mined", label="mine", reporter=Silent()).manifest == before.manifest
