"""Of what a launcher tells, only the number of processes counts."""

import pytest
import torch

from sert.student.training.processes import LAUNCHED, Processes, process_rank, unheeded


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)


def test_a_rank_counts_only_beside_what_a_launcher_tells_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")  # as a job scheduler tells lone processes
    assert process_rank() == 0
    alone = Processes(torch.device("cpu"))
    assert (alone.number, alone.index, alone.all_of(7)) == (1, 0, [7])
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert process_rank() == 3


def test_wishes_of_a_launcher_that_change_nothing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ACCELERATE_MIXED_PRECISION": "no",
        "ACCELERATE_DYNAMO_BACKEND": "NO",
        "ACCELERATE_USE_FSDP": "false",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert list(unheeded()) == []
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert list(unheeded()) == [
        "ACCELERATE_MIXED_PRECISION='bf16' changes nothing: training.autocast says it",
        "ACCELERATE_USE_FSDP='true' changes nothing: every process holds the whole student",
    ]
