from dataclasses import replace

import pytest

from sert.records import Question
from sert.tasks.folding import fold, question_key

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
