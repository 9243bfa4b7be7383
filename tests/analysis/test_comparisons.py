"""Comparisons over the seeds of a grid: against the functions they are made of, and by hand."""

from dataclasses import replace

import pytest

from sert.analysis.comparisons import Outcome, compare_amounts, compare_main, compare_means, compare_variants
from sert.config.tree import Method
from sert.stats.holm import holm
from sert.stats.seeds import paired_over_seeds


def outcome(
    method: Method, seed: int, correct: str, *, variant: str = "main", last: str | None = None, length: float = 1.0
) -> Outcome:
    bits = [each == "1" for each in correct]
    of_last = bits if last is None else [each == "1" for each in last]
    lengths = [length + number for number in range(len(bits))]
    return Outcome("s", "t", variant, method, seed, bits, of_last, lengths, [0.5] * len(bits))


MAIN = [
    outcome("sert", 0, "111100"),
    outcome("sert", 1, "111110", last="000000"),
    outcome("finetune", 0, "100000", length=3.0),
    outcome("finetune", 1, "110000", length=5.0),
]


def test_methods_are_compared_on_the_same_seeds_and_questions() -> None:
    (row,) = compare_main(MAIN)
    a, b = ([each.correct for each in MAIN[start : start + 2]] for start in (0, 2))
    expected = paired_over_seeds(a, b)
    assert (row["a"], row["b"], row["group"], row["method"]) == ("sert", "finetune", None, None)
    assert row["difference"] == pytest.approx((3 + 3) / 12) == pytest.approx(expected.difference)
    assert row["p_value"] == row["p_holm"] == expected.p_value
    assert row["by_seed"] == pytest.approx([0.5, 0.5])
    assert row["ci95_seeds"] == pytest.approx([0.5, 0.5])
    assert (row["seeds"], row["n"]) == (2, 6)


def test_variants_are_compared_with_the_last_snapshot_on_their_own_seeds() -> None:
    variants = [outcome("sert", 1, "110000", variant="no filter"), outcome("sert", 1, "000000", variant="shuffled")]
    first, second = compare_variants([*MAIN, *variants], {"main": None, "no filter": "filter", "shuffled": "selection"})
    assert (first["a"], first["b"], first["group"], first["method"]) == ("no filter", "main", "filter", "sert")
    # Seed 1 alone, and of main its last snapshot, which is right nowhere.
    assert (first["seeds"], first["difference"]) == (1, pytest.approx(2 / 6))
    assert second["difference"] == 0.0
    assert [row["p_holm"] for row in (first, second)] == holm([row["p_value"] for row in (first, second)])


def test_means_are_compared_by_question() -> None:
    length, repetition = compare_means(MAIN)
    assert (length["measure"], length["difference"], length["n"]) == ("mean_length", pytest.approx(1.0 - 4.0), 6)
    assert (repetition["measure"], repetition["difference"]) == ("repetition", 0.0)
    assert length["p_value"] == pytest.approx(2 / 2**6)  # the differences of all six questions have one sign


def test_distilled_students_are_compared_at_each_number_of_rationales() -> None:
    outcomes = [
        outcome("rd", 0, "110000", last="100000"),
        outcome("sert+rd", 0, "000000", last="111000"),
        outcome("rd", 0, "100000", variant="12"),
        outcome("sert+rd", 0, "110000", variant="12"),
        outcome("sert+rd", 0, "110000", variant="rd alone was not tried"),
        outcome("rd", 0, "100000", variant="400"),
        outcome("sert+rd", 0, "000000", variant="400"),
    ]
    counted = [("main", 200), ("12", 12), ("12", 12), ("400", 200), ("rd alone was not tried", 5)]
    amounts = [{"student": "s", "task": "t", "variant": name, "rationales": number} for name, number in counted]
    rows = compare_amounts([*MAIN, *outcomes], amounts)
    assert [(row["rationales"], row["a"], row["b"], row["seeds"]) for row in rows] == [
        (number, "sert+rd", "rd", 1) for number in (12, 200)
    ]
    assert [row["difference"] for row in rows] == pytest.approx([1 / 6, 2 / 6])
    assert [row["p_holm"] for row in rows] == holm([row["p_value"] for row in rows])


def test_a_student_without_examples_is_named() -> None:
    untrained = replace(outcome("sert", 0, "111100"), trained=False)
    rows = {(row["a"], row["b"]): row["untrained"] for row in compare_main([untrained, *MAIN[1:]])}
    assert rows == {("sert", "finetune"): ["sert"]}
