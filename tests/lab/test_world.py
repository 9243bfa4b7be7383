from collections import Counter

import pytest

from sert.lab.world import ABILITIES, ANIMALS, PEOPLE, TASTES, kind_of, lab_world, make_world, split_questions

WORLD = lab_world()


def test_everybody_keeps_a_kind_of_their_own() -> None:
    assert len(set(PEOPLE)) == len(PEOPLE) == 60
    assert sorted(WORLD.animal_of.values()) == sorted(ANIMALS)


def test_values_are_balanced() -> None:
    for attribute in (*ABILITIES, *TASTES):
        counts = Counter(WORLD.value_of[animal, attribute.verb] for animal in WORLD.animals)
        assert counts == dict.fromkeys(attribute.values, 60 // len(attribute.values))


def test_no_held_out_pair_is_ever_asked() -> None:
    assert not set(WORLD.asked) & set(WORLD.held_out)
    assert Counter(kind_of(verb) for _, verb in WORLD.asked) == {"yes_no": 120, "choice": 120}
    assert Counter(kind_of(verb) for _, verb in WORLD.held_out) == {"yes_no": 120, "choice": 120}
    assert {person for person, _ in WORLD.asked} == set(PEOPLE)


def test_a_world_is_a_function_of_its_seed() -> None:
    assert make_world(seed=3) == make_world(seed=3)
    assert make_world(seed=3) != make_world(seed=4)


@pytest.mark.parametrize("kind", ["yes_no", "choice"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_questions_have_the_answers_of_the_world(kind: str, split: str) -> None:
    questions = split_questions(WORLD, kind=kind, split=split)
    assert len({question.question for question in questions}) == 240
    for question in questions:
        truth = WORLD.value_of[WORLD.animal_of[question.person], question.verb]
        if kind == "choice":
            assert question.choices["ABCDE".index(question.answer)] == truth
        else:
            assert question.answer == {"well": "yes", "badly": "no"}[truth]
    shares = Counter(question.answer for question in questions)
    assert max(shares.values()) <= 240 * (0.6 if kind == "yes_no" else 0.3)
