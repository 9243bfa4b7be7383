"""Counts of several seeds added up: by hand."""

import pytest

from sert.analysis import aggregate
from sert.analysis.comparisons import Outcome

ABOUT = {"student": "s", "task": "t"}
FOUR = [
    {"right": 0.4, "wrong": 0.3, "unread": 0.2, "cut": 0.1},
    {"right": 0.6, "wrong": 0.1, "unread": 0.2, "cut": 0.1},
    {"right": 0.5, "wrong": 0.2, "unread": 0.2, "cut": 0.1},
]


def test_funnels_are_added_up() -> None:
    rows = [
        {**ABOUT, "rule": "mined", "mined": 100, "remaining": 100, "dropped": 0, "true": 10},
        {**ABOUT, "rule": "length", "mined": 100, "remaining": 40, "dropped": 60, "true": 10},
        {**ABOUT, "rule": "mined", "mined": 300, "remaining": 300, "dropped": 0, "true": 90},
        {**ABOUT, "rule": "length", "mined": 300, "remaining": 60, "dropped": 240, "true": 30},
    ]
    mined, length = aggregate.pool("funnel", rows)
    assert (mined["remaining"], mined["share"], mined["dropped"]) == (400, 1.0, 0)
    assert mined["true_share"] == pytest.approx((10 + 90) / 400)
    assert (length["remaining"], length["share"], length["dropped"]) == (100, 0.25, 300)
    assert length["true_share"] == pytest.approx((10 + 30) / 100)


def test_what_is_unknown_of_one_seed_is_unknown() -> None:
    rows = [
        {**ABOUT, "rule": "mined", "mined": 10, "remaining": 10, "dropped": 0, "true": None},
        {**ABOUT, "rule": "mined", "mined": 10, "remaining": 10, "dropped": 0, "true": 5},
    ]
    assert aggregate.pool("funnel", rows)[0]["true_share"] is None


def test_bands_are_shares_of_all_questions() -> None:
    rows = [
        {
            **ABOUT,
            "source": "raw sampling",
            "band": "8-10",
            "hits": hits,
            "questions": 50,
            "samples": 25,
            "scorer": "verifier",
        }
        for hits in (10, 30)
    ]
    assert aggregate.pool("bands", rows) == [
        {
            **ABOUT,
            "source": "raw sampling",
            "band": "8-10",
            "share": 0.4,
            "questions": 50,
            "samples": 25,
            "scorer": "verifier",
        }
    ]


def test_steps_are_averaged_over_seeds() -> None:
    rows = [
        {**ABOUT, "seed": seed, "method": "rd", "step": 10, "split": "dev", "accuracy": accuracy, **FOUR[seed]}
        for seed, accuracy in enumerate((0.5, 0.7, 0.6))
    ]
    (row,) = aggregate.average_steps(rows)
    assert row["mean"] == pytest.approx(0.6)
    assert row["sd"] == pytest.approx(0.1)
    assert (row["lowest"], row["highest"], row["seeds"]) == (0.5, 0.7, 3)
    means = [row[name] for name in ("right", "wrong", "unread", "cut")]
    assert means == pytest.approx([1.5 / 3, 0.6 / 3, 0.6 / 3, 0.3 / 3])


def outcome(lengths: list[float], correct: list[bool], *, seed: int = 0) -> Outcome:
    standings = ["right" if right else "cut" for right in correct]
    return Outcome(
        "s", "t", "main", "sert", seed, correct, correct, standings, standings, lengths, [None] * len(lengths)
    )


def test_one_training_counts_once_for_its_number_of_rationales() -> None:
    rows = [
        {
            **ABOUT,
            "method": "rd",
            "rationales": number,
            "variant": variant,
            "seed": seed,
            "accuracy": accuracy,
            **FOUR[0],
        }
        for number, variant, seed, accuracy in [
            (14, "main", 0, 0.5),
            (14, "main", 1, 0.7),
            (12, "12", 0, 0.2),
            (14, "24", 0, 0.5),
            (14, "48", 0, 0.5),
        ]
    ]
    few, all_there_are = aggregate.average_amounts(rows)
    assert (few["rationales"], few["seeds"], few["accuracy"]["mean"]) == (12, 1, 0.2)
    assert (all_there_are["rationales"], all_there_are["seeds"]) == (14, 2)
    assert all_there_are["accuracy"]["mean"] == pytest.approx(0.6)
    assert (all_there_are["right"], all_there_are["cut"]) == (0.4, 0.1)


def test_accuracy_by_length_is_cut_into_ranges_of_like_size() -> None:
    lengths = [float(number) for number in range(1, 11)]
    rows = aggregate.accuracy_by([outcome(lengths, [True] * 5 + [False] * 5)], "lengths")
    assert [row["n"] for row in rows] == [2, 2, 2, 2, 2]
    assert [row["accuracy"] for row in rows] == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert [(row["right"], row["wrong"], row["unread"], row["cut"]) for row in rows[1:4]] == [
        (1.0, 0.0, 0.0, 0.0),
        (0.5, 0.0, 0.0, 0.5),
        (0.0, 0.0, 0.0, 1.0),
    ]
    assert rows[0]["low"] == 1.0
    assert rows[-1]["high"] == 10.0
    assert aggregate.accuracy_by([outcome(lengths, [True] * 10)], "repetitions") == []


def test_equal_lengths_are_one_range() -> None:
    (row,) = aggregate.accuracy_by([outcome([4.0] * 6, [True, False] * 3)], "lengths")
    assert (row["low"], row["high"], row["n"], row["accuracy"]) == (4.0, 4.0, 6, 0.5)
