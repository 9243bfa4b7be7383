"""What a student knows by likelihood beside what it writes, by hand."""

from dataclasses import replace

import pytest

from prospect_data import make_path, make_prediction, make_questions, numbers_of
from sert.analysis.prospect_likelihood import knowing_row, likelihood_rows
from sert.records import Likelihood, Question

# Log-probabilities of the four choices, in their order, each of one character but for the last.
FIRST, LAST = (-1.0, -2.0, -3.0, -4.0), (-3.0, -3.0, -3.0, -4.0)


def scores(name: str, logprobs: tuple[float, ...], *, form: str = "cloze", length: int = 2) -> list[Likelihood]:
    """The last choice has so many characters, the others one."""
    letters = "ABCD"[: len(logprobs)]
    sizes = [1] * (len(logprobs) - 1) + [length]
    return [
        Likelihood(name, form, letter, logprob, 1, size)
        for letter, logprob, size in zip(letters, logprobs, sizes, strict=True)
    ]


def rows_of(questions: list[Question], likelihoods: list[Likelihood], *, written: str = "wrong"):
    greedy = [make_prediction(question.question_id, written) for question in questions]
    return likelihood_rows(questions, greedy, likelihoods, drawn_from=questions)


def test_each_measure_is_counted_beside_what_is_written_and_chance() -> None:
    questions = make_questions(4, answers="AADD")
    likelihoods = [each for name in ("q0", "q1", "q2") for each in scores(name, FIRST)] + scores("q3", LAST)
    rows = rows_of(questions, likelihoods, written="right")
    # In sum the first choice is taken everywhere; a character the last one of q3, by -4 / 2 against -3.
    found = {row["measure"]: (row["right"]["hits"], row["right"]["of"], row["chance"]) for row in rows}
    assert found == {"generated": (4, 4, 0.5), "cloze": (3, 4, 0.5), "cloze_raw": (2, 4, 0.5)}
    assert [row["difference"] and row["difference"]["difference"] for row in rows] == [None, -0.25, -0.5]
    assert rows[1]["difference"]["questions"] == 4
    # By the exact test of two differences all flips are as far: p = 2 / 4; corrected with p = 1 of one difference.
    assert [row["difference"]["p_value"] for row in rows[1:]] == [1, 0.5]
    assert [row["difference"]["p_holm"] for row in rows[1:]] == [1, 1]


def test_questions_without_a_closed_set_do_not_count() -> None:
    number = Question("n", "t", "train", "How many?", (), "7", "How many?")
    assert rows_of([number], []) == []
    yes_no = Question("y", "t", "train", "Is it?", (), "yes", "Is it?")
    mixed = [number, yes_no]
    likelihoods = [Likelihood("y", "cloze", "yes", -1.0, 1, 3), Likelihood("y", "cloze", "no", -0.5, 1, 2)]
    written, by_character, in_sum = rows_of(mixed, likelihoods)
    assert [row["right"]["of"] for row in (written, by_character, in_sum)] == [1, 1, 1]
    # -1 / 3 a character is below -0.5 / 2, and -1 below -0.5: both measures take `no`.
    assert (by_character["right"]["hits"], in_sum["right"]["hits"]) == (0, 0)
    assert written["chance"] == 0.5 and written["difference"] is None and by_character["difference"] is None


def test_letters_count_where_the_prompt_shows_them() -> None:
    shown, hidden = make_questions(2)
    shown = replace(shown, prompt="Which? (A) w, (B) x, (C) y, (D) z")
    likelihoods = [*scores("q0", FIRST), *scores("q1", FIRST), *scores("q0", FIRST, form="letter")]
    rows = {row["measure"]: row["right"] for row in rows_of([shown, hidden], likelihoods)}
    assert (rows["letter"]["of"], rows["cloze"]["of"]) == (1, 2)


@pytest.mark.parametrize(
    ("likely", "written", "level", "place"),
    [
        ("ABCD", "wrong", "more", 1),  # all are right by likelihood, none as written
        ("ABCD", "right", "alike", 1),
        ("BCDA", "right", "written", 1),
        ("BCDA", "wrong", "chance", 1),
    ],
)
def test_what_it_knows_is_told_by_chance_and_by_what_it_writes(
    likely: str, written: str, level: str, place: int
) -> None:
    questions = make_questions(20, answers="ABCD")
    likelihoods = [
        Likelihood(question.question_id, "cloze", letter, 0.0 if letter == likely[number % 4] else -9.0, 1, 1)
        for number, question in enumerate(questions)
        for letter in "ABCD"
    ]
    rows = rows_of(questions, likelihoods, written=written)
    assert rows[1]["above_chance"] == (likely == "ABCD")
    assert knowing_row(rows) == {"level": level, "place": place}


def test_nothing_scored_is_nothing_known() -> None:
    assert knowing_row([]) is None
    numbers = numbers_of(make_questions(2), [make_path("q0", "right"), make_path("q1", "wrong")])
    assert numbers["likelihood"] is None and numbers["verdict"]["knows"] is None


def test_a_question_that_was_too_long_to_be_scored_is_wrong() -> None:
    rows = rows_of(make_questions(2), scores("q0", FIRST))
    assert (rows[1]["right"]["hits"], rows[1]["right"]["of"]) == (1, 2)
