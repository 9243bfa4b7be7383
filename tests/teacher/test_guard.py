from dataclasses import replace

import pytest

from sert.errors import TeacherError
from sert.records import Question
from sert.teacher.guard import refuse_test_questions

WADE = Question("1", "demo", "train", "Can a heron wade?", (), "yes", "")
ROOF = Question("2", "demo", "train", "What reaches a roof?", ("rake", "spoon", "ladder"), "C", "")


def held_out_copy(original, **changes):
    return replace(original, split="test", question_id="t9", **changes)


def test_other_questions_are_let_through():
    refuse_test_questions([WADE, ROOF], [])
    refuse_test_questions([], [WADE])
    refuse_test_questions([WADE, ROOF], [held_out_copy(WADE, question="Can a heron swim?")])


@pytest.mark.parametrize(
    ("question", "changes"),
    [
        (WADE, {}),
        (WADE, {"question": "can a HERON  wade"}),
        (WADE, {"answer": "no"}),
        (ROOF, {"choices": ("Ladder", "rake.", "spoon"), "answer": "A"}),
    ],
)
def test_same_text_is_refused(question, changes):
    with pytest.raises(TeacherError, match=rf"1 of 2 questions .*: '{question.question_id}' asks the same as 't9'"):
        refuse_test_questions([WADE, ROOF], [held_out_copy(question, **changes)])


@pytest.mark.parametrize("choices", [(), ("rake", "spoon", "stool"), ("rake", "spoon")])
def test_same_stem_with_other_choices_is_another_question(choices):
    refuse_test_questions([ROOF], [held_out_copy(ROOF, choices=choices, answer="A" if choices else "ladder")])


def test_same_id_with_another_text_is_refused():
    other = replace(WADE, split="test", question="Can a mole fly?")
    with pytest.raises(TeacherError, match=r"'1' has the id of another question that is held out\. No rationale"):
        refuse_test_questions([WADE, ROOF], [other])


def test_only_the_first_offenders_are_named():
    train = [replace(WADE, question_id=f"a{number}", question=f"Is {number} odd?") for number in range(5)]
    held_out = [replace(each, question_id=f"b{number}") for number, each in enumerate(train[1:])]
    with pytest.raises(TeacherError, match=r"^4 of 5 .*: 'a1' .*'b0', 'Is 1 odd\?'; 'a2' .*; 'a3' .*; \.\.\.") as error:
        refuse_test_questions(train, held_out)
    assert "'a0'" not in str(error.value) and "'a4'" not in str(error.value)
