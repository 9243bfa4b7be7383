"""The numbers of a prospect, by hand."""

from dataclasses import replace
from itertools import count

import pytest

from prospect_data import make_path, make_questions, numbers_of
from sert.analysis.chance import chance_of
from sert.analysis.prospect import draw_questions
from sert.records import Question
from sert.stats.clusters import clustered_share

STANDINGS = ("right", "wrong", "unread", "cut")


def small():
    """Two questions of four paths each, of which the first and the third branch are kept."""
    rows = [
        ("q0", "right", None, 0),
        ("q0", "wrong", "length", 0),
        ("q0", "right", None, 1),
        ("q0", "unread", "perplexity", 1),
        ("q1", "wrong", None, 0),
        ("q1", "right", "length", 0),
        ("q1", "cut", None, 1),
        ("q1", "cut", "perplexity", 1),
    ]
    measured = {"length": {"num_tokens": 10}, "perplexity": {"perplexity": 4.0}}
    paths = [
        make_path(name, standing, reason=reason, branch=branch, sample=sample, **measured.get(reason, {}))
        for sample, (name, standing, reason, branch) in enumerate(rows)
    ]
    return make_questions(2), paths


def test_the_four_numbers_and_how_often_an_answer_is_right() -> None:
    row = numbers_of(*small())["decodings"][0]
    assert (row["decoding"], row["paths"], row["questions"]) == ("branching", 8, 2)
    assert [row[each]["hits"] for each in STANDINGS] == [3, 2, 1, 2]
    assert [row[each]["share"] for each in STANDINGS] == [3 / 8, 2 / 8, 1 / 8, 2 / 8]
    assert row["answered"]["share"] == 5 / 8
    assert (row["right_of_answered"]["hits"], row["right_of_answered"]["of"]) == (3, 5)
    assert row["right_of_answered"]["ci95"] == pytest.approx(list(clustered_share([2, 1], [3, 2]).interval))


def test_raw_paths_are_read_by_their_texts_and_greedy_outputs_by_their_grades() -> None:
    questions, paths = small()
    raw = [replace(path, text="So the answer is x.") for path, _ in paths]
    _, sampled, greedy = numbers_of(questions, paths, raw=raw, greedy="cut")["decodings"]
    assert [sampled[each]["hits"] for each in STANDINGS] == [0, 8, 0, 0]
    assert [greedy[each]["hits"] for each in STANDINGS] == [0, 0, 0, 2]
    assert greedy["right_of_answered"]["share"] is None


def test_pass_at_k_beside_who_guesses_as_often() -> None:
    rows = {(row["decoding"], row["k"]): row for row in numbers_of(*small())["pass_at_k"]}
    assert {k for decoding, k in rows if decoding == "branching"} == {1, 2, 4}
    # q0 has 2 right of 4: 1 - C(2,2)/C(4,2); q1 has one.
    assert rows["branching", 2]["share"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert rows["branching", 4]["share"] == 1
    # Three and two of four state an answer, each right by 1/4.
    assert rows["branching", 4]["guessing"] == pytest.approx(1 - (0.75**3 + 0.75**2) / 2)
    assert rows["greedy", 1]["guessing"] == pytest.approx(0.25)


def test_what_each_rule_does() -> None:
    rules = numbers_of(*small())["rules"]
    assert (rules["kept"], rules["paths"], rules["questions_kept"], rules["questions"]) == (4, 8, 2, 2)
    by_rule = {row["rule"]: row for row in rules["by_rule"]}
    counts = ("dropped_alone", "dropped_first", "dropped_only")
    assert [by_rule["length"][each] for each in counts] == [2, 2, 2]
    assert [by_rule["perplexity"][each] for each in counts] == [2, 2, 2]
    assert [by_rule["repetition"][each] for each in counts] == [0, 0, 0]
    assert (by_rule["length"]["setting"], by_rule["length"]["value"]) == ("min_tokens", 25)


def test_a_path_that_two_rules_drop_is_no_ones_alone() -> None:
    questions, paths = small()
    paths[1] = make_path("q0", "wrong", reason="length", num_tokens=10, perplexity=4.0, sample=1)
    by_rule = {row["rule"]: row for row in numbers_of(questions, paths)["rules"]["by_rule"]}
    assert [by_rule["perplexity"][each] for each in ("dropped_alone", "dropped_first", "dropped_only")] == [3, 2, 2]
    assert [by_rule["length"][each] for each in ("dropped_alone", "dropped_first", "dropped_only")] == [2, 2, 1]


def test_sides_of_a_look_are_compared_within_questions() -> None:
    kept = numbers_of(*small())["looks"][0]
    assert (kept["kind"], kept["inside"]["paths"], kept["outside"]["paths"]) == ("kept", 4, 4)
    # Of those that state an answer: q0 2/2 against 0/1, q1 0/1 against 1/1. Over all: 2/2 and 0/2 against 0/2 and 1/2.
    assert kept["difference"]["right_of_answered"]["difference"] == pytest.approx(0)
    assert kept["difference"]["right"]["difference"] == pytest.approx((1 - 1 / 2) / 2)
    assert kept["difference"]["right"]["questions"] == 2


def test_branches_and_bands_are_looked_at() -> None:
    looks = numbers_of(*small())["looks"]
    assert [row["name"] for row in looks if row["kind"] == "branch"] == ["0", "1"]
    bands = [(row["name"], row["ends"], row["inside"]["paths"]) for row in looks if row["kind"] == "num_tokens"]
    assert bands == [("1", [10, 10], 2), ("2", [30, 30], 6)]  # equal values stay together
    assert [row["name"] for row in looks if row["kind"] == "rep_2"] == ["1"]


def test_a_path_without_tokens_is_in_the_last_band_and_in_no_percentile() -> None:
    questions, paths = small()
    paths[0] = make_path("q0", "unread", reason="length", num_tokens=0, perplexity=float("inf"))
    numbers = numbers_of(questions, paths)
    last = [row for row in numbers["looks"] if row["kind"] == "perplexity"][-1]
    assert last["ends"] == [6.0, None] or last["ends"] == [None, None]
    assert numbers["thresholds"][0]["percentiles"]["95"] == 6


def test_percentiles_and_where_the_thresholds_lie() -> None:
    questions = make_questions(1)
    paths = [make_path("q0", "right", sample=number, perplexity=float(number)) for number in range(1, 6)]
    row = numbers_of(questions, paths)["thresholds"][0]
    assert (row["measure"], row["setting"], row["value"]) == ("perplexity", "min_perplexity", 5)
    assert [row["percentiles"][each] for each in ("25", "50", "75")] == [2, 3, 4]
    assert (row["below"], row["above"], row["suggested"]) == (4 / 5, 0, 2)


def many(inside: tuple[int, int], outside: tuple[int, int], *, questions: int = 40, kept: str | None = None):
    """Questions with so many right and wrong paths that are kept, and that the length rule drops."""
    paths, number = [], count()
    for place in range(questions):
        for (right, wrong), reason, tokens in ((inside, kept, 30), (outside, "length", 10)):
            for standing in ["right"] * right + ["wrong"] * wrong:
                path = make_path(f"q{place}", standing, reason=reason, num_tokens=tokens, sample=next(number))
                paths.append(path)
    return make_questions(questions, answers="ABCD"), paths


def test_a_rule_that_finds_right_paths_is_much_to_mine() -> None:
    numbers = numbers_of(*many((3, 1), (1, 3)))
    kept = numbers["looks"][0]
    assert kept["finding"] == "better" and not kept["within_chance"]
    assert kept["difference"]["right_of_answered"]["difference"] == pytest.approx(0.5)
    assert kept["difference"]["right_of_answered"]["p_holm"] >= kept["difference"]["right_of_answered"]["p_value"]
    assert numbers["verdict"]["level"] == "much" and numbers["verdict"]["rules_find_it"]


def test_a_rule_that_keeps_the_wrong_paths_is_seen() -> None:
    numbers = numbers_of(*many((1, 3), (3, 1)))
    assert numbers["looks"][0]["finding"] == "worse"
    assert not numbers["verdict"]["rules_find_it"]


def test_equal_sides_above_chance_are_something_and_at_chance_nothing() -> None:
    assert numbers_of(*many((2, 2), (2, 2)))["verdict"]["level"] == "some"
    at_chance = numbers_of(*many((1, 3), (1, 3)))
    assert at_chance["verdict"]["level"] == "nothing"
    assert at_chance["looks"][0]["within_chance"]
    unknown = numbers_of(*many((1, 3), (1, 3), kept="perplexity"))["looks"][0]
    assert unknown["inside"]["paths"] == 0 and not unknown["within_chance"]


def test_what_is_nearly_always_right_needs_no_rule_to_tell() -> None:
    numbers = numbers_of(*many((4, 0), (4, 0)))
    assert (numbers["verdict"]["level"], numbers["verdict"]["found"]) == ("much", [])


def test_direct_answers_that_are_right_are_no_reasoning() -> None:
    """The short ones are right, but a pattern drops them: what reasons is at chance."""
    questions, paths = many((1, 3), (0, 0))
    direct = [
        make_path(f"q{place}", "right", reason="direct_response", num_tokens=3, direct_response=True, sample=sample)
        for place in range(40)
        for sample in (8, 9)
    ]
    numbers = numbers_of(questions, [*paths, *direct])
    shortest = next(row for row in numbers["looks"] if row["kind"] == "num_tokens")
    assert (shortest["finding"], shortest["reasoned"]) == ("better", 0)
    assert (numbers["verdict"]["level"], numbers["verdict"]["found"]) == ("nothing", [])
    assert numbers["looks"].index(shortest) in numbers["verdict"]["direct"]


def test_a_difference_of_format_is_called_so() -> None:
    """Kept paths state an answer, dropped ones hardly do; those that do are right as often."""
    questions, paths = many((2, 2), (0, 0))
    silent = [make_path(f"q{place}", "unread", reason="length", num_tokens=9, sample=9) for place in range(40)]
    spoken = [
        make_path(f"q{place}", standing, reason="length", num_tokens=9, sample=sample)
        for place in range(40)
        for sample, standing in enumerate(("right", "wrong"), start=10)
        if place < 12
    ]
    numbers = numbers_of(questions, [*paths, *silent, *spoken])
    assert numbers["looks"][0]["finding"] == "stated"
    assert numbers["verdict"]["level"] == "some"


def test_too_few_answers_are_not_judged() -> None:
    assert numbers_of(*many((1, 3), (1, 3), questions=19))["verdict"]["level"] == "too few"
    questions, paths = many((1, 3), (1, 3), questions=20)
    assert numbers_of(questions, paths)["verdict"]["level"] == "nothing"
    silent = [make_path(f"q{place}", "unread", sample=sample) for place in range(20) for sample in range(25)]
    assert numbers_of(questions, silent)["verdict"]["level"] == "nothing"  # there is nothing that could be read


def test_questions_that_would_be_needed() -> None:
    """Half of the questions differ by 1/2, half by -1/2: (2.8016 / 0.05)^2 * sd^2, all of them having both sides."""
    questions, paths = many((3, 1), (1, 3))
    _, others = many((1, 3), (3, 1))
    mixed = [each for each in paths if int(each[0].question_id[1:]) < 20]
    mixed += [each for each in others if int(each[0].question_id[1:]) >= 20]
    needed = numbers_of(questions, mixed)["needed"]
    assert (needed["pairs"], needed["questions"]) == (40, 806)  # sd^2 = 10 / 39
    assert numbers_of(*many((3, 1), (1, 3)))["needed"]["questions"] is None  # all differ alike
    few = numbers_of(*small())["needed"]
    assert (few["pairs"], few["too_few"], few["questions"]) == (2, True, None)


def test_chance() -> None:
    yes_no, text = (Question("q", "t", "train", "?", (), answer, "?") for answer in ("yes", "7"))
    assert [chance_of(each) for each in (make_questions(1)[0], yes_no, text)] == [0.25, 0.5, None]
    chance = numbers_of(*small())["chance"]
    assert chance == {"guessing": 0.25, "majority": {"answer": "A", "share": 1.0}, "best": 1.0}


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [("Which? (A) w, (B) x, (C) y, (D) z", "lettered"), ("Which? w, x, y, z", "listed"), ("Which?", "none")],
)
def test_how_choices_are_shown_is_read_from_the_prompts(prompt: str, shown: str) -> None:
    questions, paths = small()
    asked = [replace(question, prompt=prompt) for question in questions]
    assert numbers_of(asked, paths)["questions"]["choices_as"] == shown
    plain = [replace(question, choices=(), answer="yes") for question in questions]
    assert numbers_of(plain, paths)["questions"]["choices_as"] is None


def test_a_rule_that_is_not_asked_drops_nothing() -> None:
    questions, paths = small()
    rules = numbers_of(questions, paths, asked=("length", "repetition"))["rules"]
    assert [row["rule"] for row in rules["by_rule"]] == ["length", "repetition"]


def test_many_cut_outputs_and_known_questions_are_warned_of() -> None:
    warnings = numbers_of(*small())["warnings"]
    assert any("cut at 128 tokens" in each and "(25 % of branching, 25 % of raw sampling)" in each for each in warnings)
    assert any("raise mining.max_new_tokens" in each for each in warnings)
    assert any("know them by heart" in each for each in warnings)
    assert numbers_of(*many((1, 3), (1, 3)), greedy="wrong")["warnings"] == []


def test_questions_are_drawn_by_the_seed_and_fewer_are_a_part_of_more() -> None:
    questions = make_questions(50)
    drawn = draw_questions(questions, 20, seed=1)
    assert list(drawn) == [each for each in questions if each in drawn] and len(drawn) == 20
    assert set(draw_questions(questions, 5, seed=1)) < set(drawn)
    assert drawn != draw_questions(questions, 20, seed=2) and drawn != tuple(questions[:20])
    assert drawn == draw_questions(questions[::-1], 20, seed=1)[::-1]
    assert draw_questions(questions, 100, seed=1) == tuple(questions)
