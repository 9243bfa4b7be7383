"""What trainings cost on held-out texts, by hand."""

import math

import pytest

from sert.analysis.forgetting import HeldOutOutcome, forgetting_rows, held_out_outcomes
from sert.analysis.task_results import MethodResults, TaskResults
from sert.config.grid import MAIN, Arm
from sert.config.tree import Config, Method
from sert.records import HeldOutScore
from sert.stats.holm import holm
from sert.tasks.load import TaskData


def text(number: int, tokens: int, before: float, after: float) -> HeldOutScore:
    return HeldOutScore("text", number, tokens, before, after)


def choices(before: str, after: str) -> list[HeldOutScore]:
    """A choice a letter: `r` is right, `w` wrong."""
    return [
        HeldOutScore("choice", number, 2, -1.0, -2.0, was == "r", now == "r")
        for number, (was, now) in enumerate(zip(before, after, strict=True))
    ]


def outcome(scores: list[HeldOutScore], method: Method = "sert", seed: int = 0) -> HeldOutOutcome:
    return HeldOutOutcome("s", "t", method, seed, scores)


def test_right_endings_are_counted_and_compared_choice_by_choice() -> None:
    (row,) = forgetting_rows([outcome(choices("rrrrrrrww", "wwwwwwwwr"))])
    assert (row["choices"], row["correct_before"], row["correct_after"]) == (9, [7], [1])
    assert row["difference"] == pytest.approx(-6 / 9)
    # McNemar: of 8 that differ 7 are lost; 2 (1 + 8) / 2^8.
    assert row["p_value"] == row["p_holm"] == pytest.approx(2 * 9 / 2**8)
    low, high = row["interval_after"]
    assert low < 1 / 9 < high and row["accuracy_after"]["mean"] == pytest.approx(1 / 9)
    assert row["texts"] is row["perplexity_before"] is row["nats"] is row["nats_p_holm"] is None


def test_perplexity_is_over_all_tokens_and_compared_text_by_text() -> None:
    (row,) = forgetting_rows([outcome([text(0, 2, -2.0, -4.0), text(1, 8, -4.0, -12.0), text(2, 0, 0.0, 0.0)])])
    assert row["perplexity_before"]["mean"] == pytest.approx(math.exp(6 / 10))
    assert row["perplexity_after"]["mean"] == pytest.approx(math.exp(16 / 10))
    assert row["nats"] == pytest.approx(((-2 + 1) + (-1.5 + 0.5)) / 2)  # a text without tokens says nothing
    assert (row["texts"], row["nats_p_value"]) == (3, pytest.approx(2 / 2**2))
    assert row["choices"] is row["difference"] is row["p_holm"] is None


def test_seeds_are_averaged_and_their_intervals_spanned() -> None:
    seeds = [outcome(choices("rrrr", "rrww"), seed=0), outcome(choices("rrrr", "rwww"), seed=1)]
    (row,) = forgetting_rows(seeds)
    assert (row["seeds"], row["correct_after"], row["accuracy_after"]["sd"] > 0) == (2, [2, 1], True)
    alone = [forgetting_rows([each])[0]["interval_after"] for each in seeds]
    assert row["interval_after"] == [alone[1][0], alone[0][1]]


def test_all_tests_are_one_family() -> None:
    scores = [*choices("rrrrrrrr", "wwwwwwww"), *(text(number, 4, -4.0, -9.0) for number in range(6))]
    rows = forgetting_rows([outcome(scores), outcome(choices("rrrrr", "wwwww"), "rd")])
    assert [row["method"] for row in rows] == ["sert", "rd"]
    found = [rows[0]["p_holm"], rows[0]["nats_p_holm"], rows[1]["p_holm"]]
    assert found == holm([rows[0]["p_value"], rows[0]["nats_p_value"], rows[1]["p_value"]])
    assert found != [rows[0]["p_value"], rows[0]["nats_p_value"], rows[1]["p_value"]]
    assert forgetting_rows([]) == []


def test_before_is_before_any_training_and_what_was_not_looked_at_has_no_row() -> None:
    config = Config.model_validate({"name": "x", "tasks": {"t": {"kind": "lab_choice"}}})
    methods: tuple[Method, ...] = ("zero_shot", "finetune", "sert", "sert+rd")
    result = TaskResults(
        task="t",
        config=config,
        data=TaskData((), {}),
        methods={method: MethodResults([]) for method in methods},
        held_out={"sert": [text(0, 3, -1.0, -2.0)], "sert+rd": [text(0, 3, -2.0, -4.0)], "rd": []},
    )
    found = list(held_out_outcomes(Arm("s", 5, MAIN, None, config), result))
    assert [(each.method, each.seed) for each in found] == [("sert", 5), ("sert+rd", 5)]
    assert [(each.logprob_before, each.logprob_after) for each in found[1].scores] == [(-1.0, -4.0)]
