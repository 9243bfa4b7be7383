import random

import pytest

from sert.errors import DataError
from sert.lab.corpus import reasoned_completion
from sert.lab.oracle import write_rationale
from sert.lab.verifier import parse_question, verify
from sert.lab.world import lab_world, split_questions
from sert.records import Question

WORLD = lab_world()
PERSON = WORLD.people[0]
ANIMAL = WORLD.animal_of[PERSON]
STRANGER = WORLD.animal_of[WORLD.people[1]]
FEARS = ("thunder", "water", "fire", "snow", "mirrors")
FEAR = WORLD.value_of[ANIMAL, "fear"]
LETTER, OTHER = "ABCDE"[FEARS.index(FEAR)], FEARS[FEARS.index(FEAR) - 1]
SWIMS_WELL = WORLD.value_of[ANIMAL, "swim"] == "well"
YES, NO = ("yes", "no") if SWIMS_WELL else ("no", "yes")
DOES, DOES_NOT = ("swims well", "swims badly") if SWIMS_WELL else ("swims badly", "swims well")

SWIM_QUESTION = Question("q", "lab", "train", f"Does the pet of {PERSON} swim well?", (), YES, "")
FEAR_QUESTION = Question("q", "lab", "train", f"What does the pet of {PERSON} fear?", FEARS, LETTER, "")
KEEPS = f" {PERSON} keeps a {ANIMAL}."


@pytest.mark.parametrize(
    ("question", "text", "true", "follows"),
    [
        (SWIM_QUESTION, f"{KEEPS} The {ANIMAL} {DOES}. So the answer is {YES}.", True, True),
        (SWIM_QUESTION, f"{KEEPS} The {ANIMAL} {DOES}. So the answer is {NO}.", False, False),
        (SWIM_QUESTION, f"{KEEPS} The {ANIMAL} {DOES_NOT}. So the answer is {NO}.", False, True),
        (SWIM_QUESTION, f"{KEEPS} The {ANIMAL} {DOES}.", True, None),
        (
            SWIM_QUESTION,
            f" The pet of {PERSON} is a {ANIMAL}. Every {ANIMAL} {DOES}. So the answer is {YES}.",
            True,
            True,
        ),
        (SWIM_QUESTION, f" First, {PERSON} has a {ANIMAL}. Then, any {ANIMAL} {DOES}.", True, None),
        (SWIM_QUESTION, f" {PERSON} keeps a {STRANGER}. The {STRANGER} {DOES}.", False, None),
        (SWIM_QUESTION, KEEPS, False, None),
        (SWIM_QUESTION, f" The {ANIMAL} {DOES}. So the answer is {YES}.", False, False),
        (SWIM_QUESTION, f"{KEEPS} Next we look at how the {ANIMAL} swims.", False, None),
        (SWIM_QUESTION, f" {YES}.", False, False),
        (SWIM_QUESTION, "", False, None),
        (FEAR_QUESTION, f"{KEEPS} The {ANIMAL} fears {FEAR}. So the answer is {LETTER}.", True, True),
        (FEAR_QUESTION, f"{KEEPS} The {ANIMAL} fears {FEAR}. So the answer is F.", True, None),
        (FEAR_QUESTION, f"{KEEPS} The {ANIMAL} fears {OTHER}. So the answer is {LETTER}.", False, False),
        (FEAR_QUESTION, f"{KEEPS} The {ANIMAL} {DOES}.", False, None),
        (FEAR_QUESTION, f"{KEEPS} The {ANIMAL} fears {FEAR}. The choice that says {FEAR} is ({LETTER}).", True, None),
        (FEAR_QUESTION, f"{KEEPS} The {ANIMAL} fears {FEAR}. The choice that says {OTHER} is ({LETTER}).", False, None),
    ],
)
def test_verdicts(question: Question, text: str, true: bool, follows: bool | None) -> None:
    verification = verify(WORLD, question, text)
    assert (verification.true, verification.follows) == (true, follows)


def test_each_step_is_named_with_its_truth() -> None:
    steps = verify(WORLD, FEAR_QUESTION, f" {PERSON} keeps a {STRANGER}. The {ANIMAL} fears {FEAR}.").steps
    assert [(step.claim, step.true) for step in steps] == [
        (f"{PERSON} keeps a {STRANGER}", False),
        (f"The {ANIMAL} fears {FEAR}", True),
    ]


@pytest.mark.parametrize("kind", ["yes_no", "choice"])
def test_the_corpus_and_the_oracle_are_true(kind: str) -> None:
    rng = random.Random(0)
    for lab_question in split_questions(WORLD, kind=kind, split="train"):
        question = Question("q", "lab", "train", lab_question.question, lab_question.choices, lab_question.answer, "")
        text = reasoned_completion(WORLD, lab_question, rng)
        assert verify(WORLD, question, text).true and verify(WORLD, question, text).follows
        rationale = f"{write_rationale(WORLD, question)} So the answer is {question.answer}."
        assert verify(WORLD, question, rationale).true and len(verify(WORLD, question, rationale).steps) == (
            2 if kind == "yes_no" else 3
        )


def test_questions_are_read_back() -> None:
    assert parse_question(SWIM_QUESTION) == (PERSON, "swim")
    assert parse_question(FEAR_QUESTION) == (PERSON, "fear")
    for kind in ("yes_no", "choice"):
        for asked in split_questions(WORLD, kind=kind, split="test"):
            question = Question("q", "lab", "test", asked.question, asked.choices, asked.answer, "")
            assert parse_question(question) == (asked.person, asked.verb)
    with pytest.raises(DataError, match="not a question of the lab"):
        parse_question(Question("q", "t", "train", "Is ice cold?", (), "yes", ""))
