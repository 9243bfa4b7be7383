import random
from dataclasses import replace
from fractions import Fraction

import pytest

from sert.records import Question
from sert.tasks.duplicates import NearDuplicate, find_near_duplicates, fold, question_key, similarity


def ask(question, *choices, answer="yes", question_id="q", split="train"):
    return Question(question_id, "demo", split, question, choices, answer, "")


CATS = "Where do cats sleep?"  # four words


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (ask(CATS), ask("WHERE do  cats... sleep, sleep"), 1),
        (ask("Is a mole as fast as a wren?"), ask("Is a wren as fast as a mole?"), 1),  # order does not count
        (ask(CATS), ask("Where do almost all cats sleep?"), 4 / 6),
        (ask(CATS), ask("Where do dogs sleep?", answer="no"), 3 / 5),
        (ask("?"), ask("!"), 0),
        (ask("?"), ask("?"), 1),
        (ask(CATS, "Mat.", "bed", answer="A"), ask(CATS, "BED", "mat", answer="A"), 1),
        (ask(CATS, "mat", "bed", answer="A"), ask(CATS, "sky", "mat", "sea", answer="B"), 1),  # the same answer
        (ask(CATS, "mat", "bed", answer="A"), ask("Where do dogs sleep?", "mat", "sea", answer="A"), 3 / 5),
        (ask(CATS, "mat", "bed", answer="A"), ask(CATS, "sky", "sea", answer="A"), 0),
        (ask(CATS, "mat", "bed", "sky", answer="A"), ask(CATS, "sky", "bed", "sea", answer="A"), 2 / 4),
        (ask(CATS, "mat", "bed", answer="A"), ask("Where do dogs sleep?", "mat", "bed", answer="B"), 3 / 5),
        (ask(CATS, "mat", "bed", answer="B"), ask(CATS, answer="Bed"), 1),
        (ask(CATS, "mat", "bed", answer="B"), ask(CATS, answer="mat"), 0),
        (ask(CATS, answer="on mats"), ask(CATS, answer="in beds"), 1),  # without choices the stem says all
    ],
)
def test_similarity_by_hand(a, b, expected):
    assert similarity(a, b) == similarity(b, a) == expected


def test_equal_questions_are_nearly_the_same():
    a, b = ask(CATS, "mat", "hand-saw", answer="A"), ask("where do CATS sleep", "hand saw", "mat", answer="A")
    assert question_key(a) == question_key(b)
    assert similarity(a, b) == 1  # though their answers differ


def test_the_most_similar_is_told_and_ties_go_to_the_lowest_id():
    others = [
        ask("Where do black cats sleep?", question_id="c", split="test"),
        ask("Where do old cats sleep?", question_id="b", split="dev"),
        ask("Where do dogs sleep?", question_id="a", split="test"),
    ]
    asked = [ask(CATS, question_id="t"), ask("Can a wren swim?", question_id="u")]
    assert list(find_near_duplicates(asked, others, min_similarity=0.5)) == [NearDuplicate("t", "b", "dev", 0.8)]
    assert list(find_near_duplicates(asked, others, min_similarity=0.8)) == [NearDuplicate("t", "b", "dev", 0.8)]
    assert list(find_near_duplicates(asked, others, min_similarity=0.81)) == []


def test_rounding_of_the_threshold_loses_no_pair():
    # 0.07 * 100 is 7.000000000000001 in floating point; the shared words are the most frequent ones.
    words = [f"w{number:02}" for number in range(100)]
    pair = find_near_duplicates([ask(" ".join(words))], [ask(" ".join(words[:7]))], min_similarity=0.07)
    assert [each.similarity for each in pair] == [0.07]


def random_question(rng, number, split):
    words = [f"w{min(rng.randrange(12), rng.randrange(12))}" for _ in range(rng.randint(1, 7))]
    choices = tuple(rng.sample("abcdef", rng.choice([2, 3, 4]))) if rng.random() < 0.6 else ()
    answer = rng.choice("ABCD"[: len(choices)]) if choices else rng.choice(["yes", "no", "a", "b"])
    return ask(" ".join(words), *choices, answer=answer, question_id=f"{split}{number}", split=split)


def by_definition(a, b):
    def shared(left, right):
        return Fraction(len(left & right), len(left | right))

    stems = shared(set(fold(a.question).split()), set(fold(b.question).split()))
    if not a.choices and not b.choices:
        return stems
    of_a, of_b = (
        dict(zip("ABCD", map(fold, each.choices), strict=False)).get(each.answer, each.answer) for each in (a, b)
    )
    if of_a == of_b:
        return stems
    return min(stems, shared(set(map(fold, a.choices)), set(map(fold, b.choices))))


@pytest.mark.parametrize("threshold", [Fraction(1, 10), Fraction(1, 3), Fraction(3, 5), Fraction(2, 3), Fraction(1)])
def test_every_pair_of_the_definition_is_found(threshold):
    rng = random.Random(5)
    asked = [random_question(rng, number, "train") for number in range(150)]
    others = [random_question(rng, number, rng.choice(["test", "dev"])) for number in range(120)]
    expected = []
    for question in asked:
        measured = [(-by_definition(question, other), other.question_id, other.split) for other in others]
        least, other_id, split = min(measured)
        if -least >= threshold:
            expected.append(NearDuplicate(question.question_id, other_id, split, float(-least)))
    assert len(expected) > 10
    found = list(find_near_duplicates(asked, others, min_similarity=float(threshold)))
    assert found == expected
    rng.shuffle(asked)
    rng.shuffle(others)
    assert sorted(find_near_duplicates(asked, others, min_similarity=float(threshold))) == sorted(expected)


# ---- the same question

CUT = Question("1", "demo", "train", "What cuts?", ("Rope", "hand saw"), "B", "")


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Is the SEA\n dry? ", "is the sea dry"),
        ("snake_case, e.g. (A) x", "snake case e g a x"),
        ("Straße", "strasse"),
        ("3.5", "3 5"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_fold(text, folded):
    assert fold(text) == folded


def test_a_passage_makes_it_another_question():
    about = [replace(CUT, context=(("passage", text),)) for text in ("Saws cut.", "saws CUT", "Ropes bind, saws cut.")]
    assert question_key(about[0]) == question_key(about[1]) != question_key(about[2])
    assert question_key(about[0]) != question_key(CUT)
    assert similarity(about[0], about[1]) == 1
    assert similarity(about[0], about[2]) == 2 / 4  # saws, cut, ropes, bind
    assert similarity(about[0], CUT) == 0


def test_texts_without_words_stay_apart():
    assert fold("?") != fold("!")


def test_key_of_a_question():
    assert question_key(CUT) == ("what cuts", ("hand saw", "rope"))
    assert question_key(replace(CUT, question_id="2", choices=("hand-saw", "rope."))) == question_key(CUT)


@pytest.mark.parametrize(
    "change", [{"question": "What is cut?"}, {"choices": ()}, {"choices": ("rope", "saw")}, {"choices": ("rope",)}]
)
def test_other_words_or_choices_are_another_question(change):
    assert question_key(replace(CUT, **change)) != question_key(CUT)
