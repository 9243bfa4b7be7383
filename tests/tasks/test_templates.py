"""Templates hold columns of the questions by name; what is unknown, or would give the answer away, is refused."""

import json

import pytest

from sert.config.tree import TaskConfig
from sert.errors import ConfigError, DataError
from sert.tasks.load import load_task
from sert.tasks.prompts import teacher_prompt

TOWER = {
    "question": "is the tower older than the bridge",
    "passage": "The bridge was built in 1950. The {question} tower was built in 1900.",
    "story": {"title": "Towers", "lines": ["One.", "Two."]},
    "year": 1900.0,
    "answer": True,
}
PROMPTS = {
    "student": "Passage: {passage}\nQuestion: {question}\nAnswer:",
    "teacher": "{passage}\n{question}\nLet's think step by step.",
}


def load(folder, *rows, prompts=PROMPTS, **settings):
    file = folder / "q.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows or (TOWER,)))
    return load_task("t", TaskConfig(kind="table", data=file, prompts=prompts, **settings))


def test_a_passage_stands_in_the_prompts_of_student_and_teacher_word_for_word(tmp_path):
    (question,) = load(tmp_path).questions
    passage = TOWER["passage"]
    assert question.context == (("passage", passage),)
    assert question.prompt == f"Passage: {passage}\nQuestion: is the tower older than the bridge\nAnswer:"
    asked = teacher_prompt(question, TaskConfig(kind="table", prompts=PROMPTS).prompts)
    assert asked == f"{passage}\nis the tower older than the bridge\nLet's think step by step."


@pytest.mark.parametrize(
    ("column", "text"),
    [("story.title", "Towers"), ("story.lines", "One. Two."), ("year", "1900"), ("passage", TOWER["passage"])],
)
def test_a_placeholder_can_name_any_column(tmp_path, column, text):
    prompts = {"choices": "{where}: {question} {choices}", "student": "{where} {question}"}
    (question,) = load(tmp_path, prompts=prompts, columns={"context": {"where": column}}).questions
    assert question.prompt == f"{text} is the tower older than the bridge"


def test_a_column_can_stand_between_question_and_choices(tmp_path):
    row = {"question": "What cuts?", "hint": "It has teeth.", "options": ["rope", "saw"], "answer": "saw"}
    prompts = {"choices": "{question} ({hint}) {choices}"}
    (question,) = load(tmp_path, row, prompts=prompts, columns={"choices": "options"}).questions
    assert question.prompt == "Question: What cuts? (It has teeth.) (A) rope, (B) saw\nAnswer:"


def test_an_empty_passage_is_allowed(tmp_path):
    (question,) = load(tmp_path, {**TOWER, "passage": ""}).questions
    assert question.prompt == "Passage: \nQuestion: is the tower older than the bridge\nAnswer:"


@pytest.mark.parametrize(
    ("prompts", "columns", "message"),
    [
        ({"student": "{answer} {question}"}, {}, r"prompts.student holds \{answer\}; it can hold \{question\} and col"),
        ({"teacher": "{path} {question}"}, {}, r"prompts.teacher holds \{path\}"),
        ({"student": "{choices} {question}"}, {}, r"\{question\} holds the choices, as prompts.choices writes them"),
        ({"label": " {passage} So the answer is {answer}."}, {}, r"prompts.label holds \{passage\}; it can hold \{ans"),
        ({"student": "{gold} {question}"}, {"context": {"gold": "answer"}}, r"\{gold\} would show the gold answer"),
        ({"student": "{key} {question}"}, {"answer": "key"}, r"\{key\} would show the gold answer"),
        ({}, {"context": {"passage": "passage"}}, "columns.context names passage, which no template holds"),
    ],
)
def test_placeholders_that_cannot_be_filled_are_refused(tmp_path, prompts, columns, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, prompts=prompts, columns=columns)


def test_an_unknown_column_is_refused_with_what_is_there(tmp_path):
    with pytest.raises(DataError, match=r"no column 'pasage'; did you mean 'passage'\? The prompts hold \{pasage\}"):
        load(tmp_path, prompts={"student": "{pasage} {question}"})
    with pytest.raises(DataError, match=r"line 1: there is no column 'xyz'; it has 'question, passage"):
        load(tmp_path, prompts={"student": "{xyz} {question}"})


@pytest.mark.parametrize(("value", "said"), [(None, "None"), (True, "True"), ({"a": "b"}, "{'a': 'b'}")])
def test_a_column_that_is_no_text_is_refused(tmp_path, value, said):
    with pytest.raises(DataError, match=f"line 1: the {{passage}} must be a text, not {said}"):
        load(tmp_path, {**TOWER, "passage": value})


def test_the_lab_has_no_columns():
    with pytest.raises(ConfigError, match=r"prompts.student holds \{person\}; it can hold \{question\}\."):
        load_task("lab", TaskConfig(kind="lab_yes_no", prompts={"student": "{person} {question}"}))


def test_the_same_words_about_another_passage_are_another_question(tmp_path):
    test = tmp_path / "test.jsonl"
    test.write_text(json.dumps({**TOWER, "passage": "Nobody knows when either of them was built."}))
    assert load(tmp_path, test_data=test).left_out == {}
    assert load(tmp_path, test_data=test, near_duplicates=0.5).left_out == {}
    test.write_text(json.dumps({**TOWER, "passage": TOWER["passage"].upper()}))
    with pytest.raises(DataError, match="1 left out: train question also in the test split"):
        load(tmp_path, test_data=test)


def test_without_the_passage_in_the_prompt_it_is_the_same_question(tmp_path):
    test = tmp_path / "test.jsonl"
    test.write_text(json.dumps({**TOWER, "passage": "Nobody knows when either of them was built."}))
    with pytest.raises(DataError, match="1 left out: train question also in the test split"):
        load(tmp_path, test_data=test, prompts={})
