from dataclasses import replace

import pytest

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.answers import extract_strict
from sert.tasks.prompts import (
    fill,
    label_example,
    path_example,
    rationale_example,
    render_question,
    shows_letters,
    student_prompt,
    teacher_prompt,
)

DEFAULT = PromptTemplates()
TOOL = Question("7", "demo", "train", "What cuts?", ("rope", "saw"), "B", "PROMPT")


def test_fill_is_literal_and_single_pass():
    values = {"question": "{answer} {0} {question}", "answer": "never"}
    assert fill("Q {question} {unknown} {} {{answer}}", values) == "Q {answer} {0} {question} {unknown} {} {never}"


def test_render_question():
    assert render_question(" What cuts? ", ("rope", "saw"), DEFAULT) == "What cuts? Answer choices: (A) rope, (B) saw."
    assert render_question(" Is it? ", (), DEFAULT) == "Is it?"


@pytest.mark.parametrize(
    ("choices_as", "rendered"),
    [
        ("lettered", "What cuts? Answer choices: (A) rope, (B) saw."),
        ("listed", "What cuts? Answer choices: rope, saw."),
        ("none", "What cuts?"),
    ],
)
def test_choices_have_letters_or_none_or_are_left_out(choices_as, rendered):
    templates = PromptTemplates(choices_as=choices_as)
    assert student_prompt("What cuts?", ("rope", "saw"), templates) == f"Question: {rendered}\nAnswer:"
    assert teacher_prompt(TOOL, templates) == f"Question: {rendered}\nAnswer: Let's think step by step."
    assert student_prompt("Is it?", (), templates) == "Question: Is it?\nAnswer:"


@pytest.mark.parametrize(("choices_as", "shown"), [("lettered", True), ("listed", False), ("none", False)])
def test_a_prompt_shows_letters_where_its_choices_have_some(choices_as, shown):
    prompt = student_prompt(TOOL.question, TOOL.choices, PromptTemplates(choices_as=choices_as))
    assert shows_letters(replace(TOOL, prompt=prompt)) is shown
    assert not shows_letters(replace(TOOL, prompt=prompt, choices=(), answer="yes"))


@pytest.mark.parametrize("choices_as", ["listed", "none"])
def test_without_letters_the_text_of_the_gold_choice_is_learned(choices_as):
    templates = PromptTemplates(choices_as=choices_as)
    learned = " Saws have teeth. So the answer is saw."
    assert label_example(TOOL, templates).completion == " So the answer is saw."
    assert path_example(TOOL, " Saws have teeth. So the answer is rope.", templates).completion == learned
    assert path_example(TOOL, " Saws have teeth.", templates, path_ids=(5,)).conclusion == " So the answer is saw."
    assert rationale_example(TOOL, "Saws have teeth.", templates).completion == learned
    assert extract_strict(learned, TOOL) == "B"
    assert label_example(replace(TOOL, choices=(), answer="no"), templates).completion == " So the answer is no."


def test_letters_are_the_default_and_are_written_down_only_where_there_are_none():
    assert "choices_as" not in PromptTemplates().model_dump()
    assert PromptTemplates(choices_as="none").model_dump()["choices_as"] == "none"


def test_prompts():
    rendered = "What cuts? Answer choices: (A) rope, (B) saw."
    assert student_prompt("What cuts?", ("rope", "saw"), DEFAULT) == f"Question: {rendered}\nAnswer:"
    assert teacher_prompt(TOOL, DEFAULT) == f"Question: {rendered}\nAnswer: Let's think step by step."


def test_braces_in_a_question_are_kept():
    assert student_prompt("Is {answer} a name?", (), DEFAULT) == "Question: Is {answer} a name?\nAnswer:"


def test_label_example():
    example = label_example(TOOL, DEFAULT)
    assert (example.question_id, example.prompt, example.source) == ("7", "PROMPT", "label")
    assert example.completion == " So the answer is B."


@pytest.mark.parametrize(
    ("path", "completion"),
    [
        (" Saws have teeth. So the answer is A.", " Saws have teeth. So the answer is B."),
        (" Saws have teeth.\n\n", " Saws have teeth. So the answer is B."),
        (" Ropes bind \n so the ANSWER is (A) rope", " Ropes bind So the answer is B."),
        ("\nSaws cut.", " Saws cut. So the answer is B."),
        (" X. So the answer is A. So the answer is B. Yes", " X. So the answer is A. So the answer is B."),
        (" So the answer is A.", " So the answer is B."),
        (" {answer} cuts", " {answer} cuts So the answer is B."),
        (" Saws have teeth. The correct answer is (A) rope.", " Saws have teeth. So the answer is B."),
        (" Saws cut.\n\nQuestion: What binds?\nAnswer: rope", " Saws cut. So the answer is B."),
    ],
)
def test_path_example(path, completion):
    example = path_example(TOOL, path, DEFAULT)
    assert (example.question_id, example.prompt, example.source) == ("7", "PROMPT", "path")
    assert example.completion == completion


def test_rationale_example():
    example = rationale_example(TOOL, "\n\nSaws have teeth. So the answer is (B).\n", DEFAULT)
    assert example.prompt == teacher_prompt(TOOL, DEFAULT)
    assert example.completion == " Saws have teeth. So the answer is B."
    assert (example.question_id, example.source) == ("7", "rationale")


@pytest.mark.parametrize(
    ("path", "completion", "conclusion"),
    [
        (" Saws have teeth. So the answer is A.", " Saws have teeth. So the answer is B.", " So the answer is B."),
        ("Saws have teeth.\n\n", "Saws have teeth. So the answer is B.", " So the answer is B."),
        ("\nSaws cut.", "\nSaws cut. So the answer is B.", " So the answer is B."),
        (" So the answer is A.", " So the answer is B.", " So the answer is B."),
    ],
)
def test_a_path_with_its_tokens_begins_as_it_was_sampled(path, completion, conclusion):
    example = path_example(TOOL, path, DEFAULT, path_ids=(5, 6))
    assert (example.completion, example.conclusion, example.path_ids) == (completion, conclusion, (5, 6))


def test_words_in_front_of_a_path_were_not_sampled():
    example = path_example(TOOL, " Saws cut.", PromptTemplates(path=" Well. {path} So {answer}."), path_ids=(5, 6))
    assert (example.completion, example.path_ids, example.conclusion) == (" Well.  Saws cut. So B.", (), "")


def test_behind_a_line_or_a_blank_a_completion_begins_without_one():
    lined = replace(TOOL, prompt="PROMPT\n")
    assert label_example(lined, DEFAULT).completion == "So the answer is B."
    assert path_example(lined, " Saws cut.", DEFAULT).completion == "Saws cut. So the answer is B."
    assert path_example(lined, "So the answer is A.", DEFAULT, path_ids=(5,)).completion == "So the answer is B."
    templates = PromptTemplates(teacher="{question} Think: ")
    assert rationale_example(TOOL, "Saws cut.", templates).completion == "Saws cut. So the answer is B."
