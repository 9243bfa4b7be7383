"""The choice of the epoch."""

from collections.abc import Sequence
from typing import Any

from sert.analysis.epochs import SnapshotOutputs, choose_epochs
from sert.records import Prediction


def predictions(right: int, of: int = 4) -> list[Prediction]:
    about: dict[str, Any] = {"prompt": "", "completion": "", "finish": "eos", "num_tokens": 1, "answer_strict": None}
    about |= {"answer_loose": None, "correct_strict": False, "format_ok": False, "rep_1": 0.0, "reasoning_tokens": 0}
    return [
        Prediction(question_id=f"q{number}", correct_loose=number < right, reasoned=False, **about)
        for number in range(of)
    ]


def chosen(dev: Sequence[int | None], test: Sequence[int]) -> dict[str, int]:
    snapshots = [
        SnapshotOutputs(10 * number, None if of_dev is None else predictions(of_dev), predictions(of_test))
        for number, (of_dev, of_test) in enumerate(zip(dev, test, strict=True), start=1)
    ]
    return {each.choice: each.step for each in choose_epochs(snapshots)}


def test_each_way_chooses_by_its_own_split() -> None:
    assert chosen([1, 3, 2], [4, 2, 1]) == {"last": 30, "dev": 20, "test-best": 10}


def test_of_equals_the_earliest_is_taken() -> None:
    assert chosen([2, 2, 2], [1, 3, 3]) == {"last": 30, "dev": 10, "test-best": 20}


def test_without_a_dev_split_it_is_not_chosen_on() -> None:
    assert chosen([None, None], [1, 2]) == {"last": 20, "test-best": 20}
