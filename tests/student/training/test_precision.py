"""Whether mixed precision is said to cost time where it does."""

import pytest

from listening import Listening
from sert.config.tree import TrainingConfig
from sert.records import Example
from sert.student.load import make_student
from sert.student.training.loop import train_student
from sert.student.training.precision import SLOWER, advice_against_bfloat16, times_as_long
from tests_support import make_tokenizer, tiny_llama


@pytest.mark.parametrize("ratio", [0.3, 1.0, SLOWER])
def test_nothing_is_said_where_bfloat16_pays_or_hardly_costs(ratio: float) -> None:
    assert advice_against_bfloat16(ratio) is None


@pytest.mark.parametrize(
    ("autocast", "ratio", "warned"), [("bf16", 28.31, True), ("bf16", 0.5, False), ("no", 28.31, False)]
)
def test_a_training_says_so_where_it_would_cost_time(
    autocast: str, ratio: float, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sert.student.training.loop.times_as_long", lambda: ratio)
    tokenizer, reporter = make_tokenizer(), Listening()
    student = make_student(tiny_llama(len(tokenizer)), tokenizer, name="llama")
    config = TrainingConfig(batch_size=1, max_steps=1, autocast=autocast)  # type: ignore[arg-type]
    train_student(student, [Example("1", "a", " b", "path")], config, seed=0, label="train", reporter=reporter)
    said = [line for line in reporter.said if "28.3 times as long" in line and "--set training.autocast=no" in line]
    assert bool(said) == warned


def test_the_products_are_measured() -> None:
    assert 0.01 < times_as_long() < 10_000
