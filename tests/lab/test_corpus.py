import itertools
import re

import pytest

from sert.lab.corpus import (
    COMPLETION_SHARES,
    DOCUMENT_SHARES,
    STOCK_PHRASE,
    Document,
    documents,
    reasoned_completion,
)
from sert.lab.world import lab_world

WORLD = lab_world()


@pytest.fixture(scope="module")
def written() -> list[Document]:
    return list(itertools.islice(documents(WORLD, seed=0), 20_000))


def test_shares_add_up() -> None:
    assert sum(DOCUMENT_SHARES.values()) == pytest.approx(1)
    assert sum(COMPLETION_SHARES.values()) == pytest.approx(1)


def test_held_out_pairs_never_occur_in_a_question(written: list[Document]) -> None:
    asked = set()
    for document in written:
        text = document.prompt + document.completion
        for person, verb in re.findall(r"the pet of (\w+) (\w+)(?: well)?\?", text):
            asked.add((person, verb.removesuffix("s")))
    assert asked == {(person, verb) for person, verb in WORLD.asked}


def test_reasoned_answers_to_questions_are_rare(written: list[Document]) -> None:
    answers = [document.completion for document in written if document.prompt.startswith("Question:")]
    reasoned = sum("So the answer is" in answer for answer in answers) / len(answers)
    assert reasoned == pytest.approx(COMPLETION_SHARES["reasoned"], abs=0.015)
    assert answers.count(STOCK_PHRASE) > 0


def test_every_kind_of_junk_occurs(written: list[Document]) -> None:
    answers = [document.completion for document in written if document.prompt.startswith("Question:")]
    assert any(re.search(r"Question:.*\nAnswer:", answer) for answer in answers)
    assert any(re.fullmatch(r" \(A\) \w+, \(B\) .*\.", answer) for answer in answers)
    assert any(re.fullmatch(r"( \w+ has a \w+\.)\1{2,4}", answer) for answer in answers)
    assert any(re.fullmatch(r" \w+ keeps a \w+\.", answer) for answer in answers)


def test_documents_are_a_function_of_the_seed(written: list[Document]) -> None:
    assert list(itertools.islice(documents(WORLD, seed=0), 50)) == written[:50]
    assert list(itertools.islice(documents(WORLD, seed=1), 50)) != written[:50]


def test_every_opening_is_used() -> None:
    import random

    from sert.lab.world import split_questions

    question = split_questions(WORLD, kind="yes_no", split="train")[0]
    rng = random.Random(0)
    texts = {reasoned_completion(WORLD, question, rng).split()[0] for _ in range(60)}
    assert texts == {"The", "First,", question.person}
