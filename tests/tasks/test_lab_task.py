import pytest

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.lab.world import kind_of, lab_world, split_questions
from sert.tasks.load import load_task


@pytest.mark.parametrize(("task", "kind", "num_choices"), [("lab_yes_no", "yes_no", 0), ("lab_choice", "choice", 5)])
def test_every_pair_is_asked_in_two_wordings(task, kind, num_choices):
    data = load_task("lab", TaskConfig(kind=task))
    for split, pairs in (("train", lab_world().asked), ("test", lab_world().held_out)):
        assert len(data.split(split)) == 2 * sum(kind_of(verb) == kind for _, verb in pairs) > 0
    assert data.left_out == {}
    assert {len(question.choices) for question in data.questions} == {num_choices}


def test_ids_and_limit():
    questions = load_task("lab", TaskConfig(kind="lab_choice", limit=2)).questions
    assert [each.question_id for each in questions] == ["train-0001", "train-0002", "test-0001", "test-0002"]
    assert [each.split for each in questions] == ["train", "train", "test", "test"]


def test_gold_answers_are_those_of_the_world():
    questions = load_task("lab", TaskConfig(kind="lab_choice")).questions
    question = next(each for each in questions if each.question.endswith(" fear?"))
    person = question.question.removesuffix(" fear?").split()[-1]
    value = lab_world().value_of[lab_world().animal_of[person], "fear"]
    assert question.choices[question.letters.index(question.answer)] == value


@pytest.mark.parametrize("kind", ["yes_no", "choice"])
def test_every_question_of_the_world_is_there_though_all_are_much_alike(kind):
    data = load_task("lab", TaskConfig(kind=f"lab_{kind}"))
    for split in ("train", "test"):
        expected = [(each.question, each.choices) for each in split_questions(lab_world(), kind=kind, split=split)]
        assert [(each.question, each.choices) for each in data.split(split)] == expected
    with pytest.raises(DataError, match="240 left out: train question nearly the same"):
        load_task("lab", TaskConfig(kind=f"lab_{kind}", near_duplicates=0.75))
