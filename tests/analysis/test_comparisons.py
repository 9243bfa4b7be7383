"""Comparisons over the seeds of a grid: against the functions they are made of, and by hand."""

from dataclasses import replace

import pytest

from sert.analysis.comparisons import Outcome, compare_amounts, compare_main, compare_means, compare_variants
from sert.config.tree import Method
from sert.stats.counts import Row
from sert.stats.holm import holm
from sert.stats.seeds import paired_over_seeds
from sert.tasks.standing import Standing

STANDINGS: dict[str, Standing] = {"1": "right", "0": "wrong", "u": "unread", "c": "cut", "g": "unread"}
"""`g` is unread, but its first plausible answer is right, so that it counts as correct."""


def outcome(
    method: Method, seed: int, correct: str, *, variant: str = "main", last: str | None = None, length: float = 1.0
) -> Outcome:
    bits, of_last = ([each in "1g" for each in marks] for marks in (correct, last or correct))
    standings, standings_last = ([STANDINGS[each] for each in marks] for marks in (correct, last or correct))
    lengths = [length + number for number in range(len(bits))]
    return Outcome(
        "s", "t", variant, method, seed, bits, of_last, standings, standings_last, lengths, [0.5] * len(bits)
    )


CHANCES = {"t": 0.5}
GROUPS = {"main": None, "no filter": "filter", "shuffled": "selection"}
MAIN = [
    outcome("sert", 0, "111100"),
    outcome("sert", 1, "111110", last="000000"),
    outcome("finetune", 0, "100000", length=3.0),
    outcome("finetune", 1, "110000", length=5.0),
]


def test_methods_are_compared_on_the_same_seeds_and_questions() -> None:
    (row,) = compare_main(MAIN, chances=CHANCES)
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
    first, second = compare_variants([*MAIN, *variants], GROUPS, chances=CHANCES)
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
    rows = compare_amounts([*MAIN, *outcomes], amounts, chances=CHANCES)
    assert [(row["rationales"], row["a"], row["b"], row["seeds"]) for row in rows] == [
        (number, "sert+rd", "rd", 1) for number in (12, 200)
    ]
    assert [row["difference"] for row in rows] == pytest.approx([1 / 6, 2 / 6])
    assert [row["p_holm"] for row in rows] == holm([row["p_value"] for row in rows])


def test_a_student_without_examples_is_named() -> None:
    untrained = replace(outcome("sert", 0, "111100"), trained=False)
    rows = {(row["a"], row["b"]): row["untrained"] for row in compare_main([untrained, *MAIN[1:]], chances=CHANCES)}
    assert rows == {("sert", "finetune"): ["sert"]}


def compared(sert: str, zero_shot: str, *, chance: float = 0.5) -> Row:
    (row,) = compare_main([outcome("sert", 0, sert), outcome("zero_shot", 0, zero_shot)], chances={"t": chance})
    return row


def test_the_four_numbers_of_both_sides_stand_beside_a_difference() -> None:
    row = compared("1100ucgg", "11110000")
    assert row["standings"] == {
        "a": {"right": 0.25, "wrong": 0.25, "unread": 0.375, "cut": 0.125},
        "b": {"right": 0.5, "wrong": 0.5, "unread": 0.0, "cut": 0.0},
    }
    assert row["difference"] == 0.0  # two stated and two guessed ones against four


def test_only_questions_that_both_sides_answered_are_compared_again() -> None:
    # Both answer the first six, of which sert alone is right on four, zero-shot on one, and nobody on one.
    both = compared("111100" + "1u", "000010" + "u1")["both_answered"]
    assert (both["n"], both["share"], both["difference"]) == (6, 0.75, pytest.approx(3 / 6))
    assert both["p_value"] == both["p_holm"] == pytest.approx(2 * (1 + 5) / 2**5)  # McNemar: four of five
    assert compared("1u", "u1")["both_answered"] is None


def test_what_both_answered_differs_by_seed() -> None:
    seeds = [("1u1", "00u"), ("110", "0u0")]
    outcomes = [outcome("sert", seed, ours) for seed, (ours, _) in enumerate(seeds)]
    outcomes += [outcome("zero_shot", seed, theirs) for seed, (_, theirs) in enumerate(seeds)]
    (row,) = compare_main(outcomes, chances=CHANCES)
    both = row["both_answered"]
    # Both answer question 1 with both seeds, which sert wins twice, and 3 with the second one, where both are wrong.
    assert (both["n"], both["share"], both["difference"]) == (2, pytest.approx(3 / 6), pytest.approx(2 / 3))


def test_a_family_of_their_own_is_corrected() -> None:
    others = [outcome("zero_shot", 0, "0" * 6 + "u" * 6), outcome("finetune", 0, "0" * 12)]
    rows = compare_main([outcome("sert", 0, "1" * 12), *others], chances=CHANCES)
    found = [row["both_answered"]["p_holm"] for row in rows]
    assert found == holm([row["both_answered"]["p_value"] for row in rows])
    assert found == pytest.approx([2 / 2**6, 2 * 2 / 2**12])


def test_a_difference_is_of_form_where_it_comes_from_what_one_side_left_unread() -> None:
    """Both know as much, right on half of what they answer; one answers all of 48, the other a quarter."""
    all_of_them, a_quarter = "10" * 24, "1001" * 3 + "u" * 36
    row = compared(all_of_them, a_quarter)
    assert row["p_holm"] < 0.05 and row["only_form"]
    assert (row["both_answered"]["n"], row["both_answered"]["difference"]) == (12, 0.0)
    assert compared(a_quarter, all_of_them)["only_form"]
    assert compared("1" * 12 + "u" * 12, "u" * 12 + "0" * 12)["only_form"]  # no question was answered by both


def test_a_difference_is_not_of_form_where_it_holds_among_what_both_answered() -> None:
    assert not compared("1" * 30 + "0" * 10, "0" * 30 + "u" * 10)["only_form"]
    # Not significant among six questions, but they make up more than half of the difference.
    row = compared("1" * 8 + "0" * 40, "0" * 5 + "u" * 3 + "0" * 40)
    assert row["p_holm"] < 0.05 <= row["both_answered"]["p_holm"] and not row["only_form"]
    assert not compared("10" * 6, "1001" + "u" * 8)["only_form"]  # what is not significant differs in nothing


def test_answers_of_the_other_sign_make_it_one_of_form() -> None:
    """The one that is right more often over all loses where both answer."""
    row = compared("0" * 4 + "1" * 40, "1" * 4 + "u" * 40)
    assert row["difference"] > 0 > row["both_answered"]["difference"] and row["only_form"]


@pytest.mark.parametrize(
    ("sert", "zero_shot", "within"),
    [
        ("10" * 25, "1000" * 12 + "uu", True),  # 50 % and 24 %
        ("1" * 40 + "0" * 10, "10" * 25, False),  # 80 % is above
        ("10" * 25, "1" * 20 + "u" * 30, False),  # 40 % over all, but every answer of it is right
        ("u" * 50, "c" * 50, True),
    ],
)
def test_neither_side_is_above_chance_over_all_or_among_its_answers(sert: str, zero_shot: str, within: bool) -> None:
    assert compared(sert, zero_shot)["within_chance"] is within
    assert not compared(sert, zero_shot, chance=0.0)["within_chance"] or not {*sert, *zero_shot} & {"1"}


def test_over_several_seeds_chance_is_told_of_all_of_them_together() -> None:
    def compared_over(*sert: str) -> bool:
        sides = [outcome("sert", seed, marks) for seed, marks in enumerate(sert)]
        sides += [outcome("zero_shot", seed, "u" * 40) for seed in range(len(sert))]
        (row,) = compare_main(sides, chances=CHANCES)
        return bool(row["within_chance"])

    good, poor = "1" * 36 + "0" * 4, "10" * 20
    assert not compared_over(good, good, poor)  # 77 % of the answers to 40 questions, although one seed is at chance
    assert compared_over(poor, poor, poor)
    # 60 % with three seeds that answer the same questions alike are no more than 60 % of 40.
    alike = "1" * 24 + "0" * 16
    assert compared_over(alike, alike, alike)
