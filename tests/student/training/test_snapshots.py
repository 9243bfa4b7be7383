"""Snapshots: the student as it was after some of the steps, kept beside the one at the end."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from sert.config.tree import StudentConfig, TrainingConfig
from sert.records import Example
from sert.student.source import trained_student
from sert.student.training.stage import train
from tests_support import make_tokenizer, tiny_gpt2

EXAMPLES = [
    Example(f"q{i}", f"Is {i} odd?", f" So the answer is {'yes' if i % 2 else 'no'}.", "label") for i in range(8)
]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> StudentConfig:
    folder = tmp_path_factory.mktemp("student")
    tokenizer = make_tokenizer()
    tiny_gpt2(len(tokenizer), scale=0.05).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return StudentConfig(path=str(folder), device="cpu", num_threads=1)


def weights(student: StudentConfig) -> list[torch.Tensor]:
    return list(AutoModelForCausalLM.from_pretrained(student.path).state_dict().values())


def same(a: StudentConfig, b: StudentConfig) -> bool:
    return all(torch.equal(left, right) for left, right in zip(weights(a), weights(b), strict=True))


@pytest.mark.parametrize(
    ("steps", "snapshots", "expected"), [(9, 3, [3, 6, 9]), (10, 4, [3, 5, 8, 10]), (2, 4, [1, 1, 2, 2]), (7, 1, [7])]
)
def test_snapshots_are_spread_over_the_steps(steps: int, snapshots: int, expected: list[int]) -> None:
    assert TrainingConfig(snapshots=snapshots).snapshot_steps(steps) == expected


def test_a_snapshot_is_the_student_of_a_training_that_ended_there(student: StudentConfig, tmp_path: Path) -> None:
    long = train(EXAMPLES, student, out=tmp_path / "long", config=TrainingConfig(max_steps=5, snapshots=2))
    short = train(EXAMPLES, student, out=tmp_path / "short", config=TrainingConfig(max_steps=3))
    plain = train(EXAMPLES, student, out=tmp_path / "plain", config=TrainingConfig(max_steps=5))
    assert long.counts["snapshot_steps"] == [3, 5]
    assert "snapshot_steps" not in plain.counts
    early, last = (trained_student(long, like=student, snapshot=number) for number in (1, 2))
    end = trained_student(long, like=student)
    assert last == end
    assert same(early, trained_student(short, like=student))
    assert same(end, trained_student(plain, like=student))
    assert not same(early, end)


def test_a_training_that_is_stopped_leaves_the_same_snapshots(
    student: StudentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sert.config.tree import ExecutionConfig
    from sert.student.training import checkpoints

    config, often = TrainingConfig(max_steps=6, snapshots=3), ExecutionConfig(checkpoint_seconds=1e-9)
    whole = train(EXAMPLES, student, out=tmp_path / "whole", config=config, execution=often)
    save, calls = checkpoints.Checkpoints.save, 0

    def stop_at_the_fifth(self: checkpoints.Checkpoints, *args: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        save(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoints.Checkpoints, "save", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        train(EXAMPLES, student, out=tmp_path / "again", config=config, execution=often)
    monkeypatch.undo()
    again = train(EXAMPLES, student, out=tmp_path / "again", config=config, execution=often)
    assert again.manifest["outputs"] == whole.manifest["outputs"]
    assert sorted(file for file in whole.manifest["outputs"] if file.endswith("model.safetensors")) == [
        "model/model.safetensors",
        "snapshots/1/model.safetensors",
        "snapshots/2/model.safetensors",
    ]
