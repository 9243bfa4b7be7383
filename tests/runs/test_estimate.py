"""Guesses of what a plan takes."""

import shutil
from pathlib import Path

import pytest
from safetensors import safe_open

from sert.config.tree import StudentConfig, TrainingConfig
from sert.errors import StudentError
from sert.runs import estimate as estimates
from sert.runs.estimate import count_weights, estimate
from sert.store.stage import Cost, Stage
from sert.student.folder import LAB_STUDENT
from sert.student.source import StudentSource
from sert.student.training.examples import GivenExamples
from sert.student.training.stage import TrainJob


def stage(name: str, cost: Cost) -> tuple[Stage, StudentConfig]:
    job = TrainJob(GivenExamples(()), StudentSource(StudentConfig()), TrainingConfig(), step=name, cost=cost)
    return Stage.of(job, task="task", out=Path("nowhere")), StudentConfig(path="gpt2")


def test_weights_are_counted_by_the_files_headers() -> None:
    with safe_open(str(LAB_STUDENT / "model.safetensors"), framework="pt") as weights:
        expected = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118 - no mapping
    assert count_weights(StudentConfig(path="lab")) == expected > 500_000


def test_weights_that_are_cut_off_have_no_count(tmp_path: Path) -> None:
    shutil.copytree(LAB_STUDENT, tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes((LAB_STUDENT / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(StudentError, match="is cut off or no safetensors file"):
        count_weights(StudentConfig(path=str(tmp_path / "cut")))


def test_the_papers_students_are_known_and_others_are_not() -> None:
    assert count_weights(StudentConfig(path="gpt2")) == 124_439_808
    assert count_weights(StudentConfig(path="somebody/some-model")) is None


def test_the_rate_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 0.0, 0.1, 0.1, 0.11, 0.15, 0.4, 0.4])  # products that take 0.1, 0.01 and 0.25 s
    monkeypatch.setattr(estimates.time, "perf_counter", lambda: next(ticks))
    assert estimates.product_rate() == pytest.approx(2 * 1024**3 / 0.01)


def test_a_plan_is_added_up_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "product_rate", lambda: 1e12)
    guess = estimate([stage("mine", Cost(decoded=1000)), stage("train", Cost(trained=500, saved=2))])
    assert (guess.stages, guess.tokens_decoded, guess.tokens_trained) == (2, 1000, 500)
    products = (2 * 1000 + 6 * 500) * 124_439_808
    assert guess.seconds == pytest.approx(products / 1e12 / 0.7 + 1500 * 8e-5 + 2 * 1.0)
    assert guess.bytes_kept == 2 * 124_439_808 * 4 + 1000 * 12


def test_students_of_unknown_size_have_no_guess() -> None:
    (made, _), unknown = stage("mine", Cost(decoded=1000)), StudentConfig(path="somebody/some-model")
    guess = estimate([(made, unknown)])
    assert (guess.tokens_decoded, guess.seconds, guess.bytes_kept) == (1000, None, None)


def test_the_memory_is_that_of_the_largest_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def training(name: str, **cost: int) -> tuple[Stage, StudentConfig]:
        lab = StudentConfig(path="lab")
        job = TrainJob(GivenExamples(()), StudentSource(lab), TrainingConfig(), step=name, cost=Cost(**cost))
        return Stage.of(job, task="task", out=Path("nowhere")), lab

    small, large = training("a", together=100), training("b", together=10_000)
    needs = [stage.job.memory for stage, _ in (small, large)]
    assert needs[0] and needs[1] and needs[0].total < needs[1].total
    assert estimate([small, large])[-2:] == (needs[1].total, None)
    monkeypatch.setattr(estimates, "WORTH_TELLING", 0)
    monkeypatch.setattr(estimates, "available_by_name", lambda name: 1000)
    memory, warning = estimate([small, large])[-2:]
    assert memory == needs[1].total and warning and "more than the 0 MB that there are" in warning
    assert estimate([stage("mine", Cost(decoded=1000))])[-2:] == (None, None)
