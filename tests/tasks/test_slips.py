"""Gold answers that are likely slips are told, and free text is no slip."""

import json

import pytest

from sert.config.tree import TaskConfig
from sert.tasks.load import load_task


def slips_of(tmp_path, answers, *, columns=None, **more):
    rows = [{"question": f"What is {number}?", "answer": answer, **more} for number, answer in enumerate(answers)]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return load_task("own", TaskConfig(kind="table", data=file, columns=columns or {})).slips


def test_a_misspelt_yes_is_told_with_its_place(tmp_path):
    (slip,) = slips_of(tmp_path, ["yes", True, "noo", "No."])
    assert slip.startswith("3 of 4 answers are yes or no, the others are read as free text: 'noo' (")
    assert slip.endswith("own.jsonl, line 3)")


def test_three_of_many_are_named(tmp_path):
    (slip,) = slips_of(tmp_path, ["yes"] * 6 + ["noo", "yess", "Oslo", "nope"])
    assert "'Oslo'" in slip and "'nope'" not in slip and slip.endswith("; ...")


@pytest.mark.parametrize("name", ["options", "choices", "answer_options", "Choices", "answerChoices"])
def test_letters_beside_a_column_of_choices_are_told_with_the_setting(tmp_path, name):
    (slip,) = slips_of(tmp_path, ["A", "(B)", "c."], **{name: ["ice", "fire", "sea"]})
    assert slip == (
        f"the column '{name}' is not read, and 3 of 3 answers are letters; if the choices stand there, set "
        f"tasks.own.columns.choices = '{name}'"
    )


def test_small_numbers_beside_columns_of_choices_are_told_with_the_setting(tmp_path):
    (slip,) = slips_of(tmp_path, [0, 3, 1], opa="ice", opb="fire", opc="sea", opd="tar")
    assert slip == (
        "the columns ['opa', 'opb', 'opc', 'opd'] are not read, and 3 of 3 answers are numbers below ten; "
        "if the choices stand there, set tasks.own.columns.choices = ['opa', 'opb', 'opc', 'opd']"
    )


@pytest.mark.parametrize(
    ("held", "names"),
    [
        ({"q_op1": "ice", "q_op2": "fire", "q_op3": "the sea"}, "['q_op1', 'q_op2', 'q_op3']"),
        ({"options": ["ice", "fire", "the sea"]}, "'options'"),
        ({"options": {"A": "ice", "B": "fire", "C": "the sea"}}, "'options'"),
        ({"choices": {"text": ["ice", "fire", "the sea"], "label": ["A", "B", "C"]}}, "'choices'"),
    ],
)
def test_texts_of_choices_that_are_not_read_are_told(tmp_path, held, names):
    (slip,) = slips_of(tmp_path, ["Fire.", "the sea", "something else"], **held)
    assert "not read, and 2 of 3 answers are texts from there;" in slip
    assert slip.endswith(f"set tasks.own.columns.choices = {names}")


@pytest.mark.parametrize("answers", [["1", "0", "0"], [1, 0], ["y", "N"], ["T", "f"]])
def test_truth_values_that_are_written_otherwise_are_told(tmp_path, answers):
    (slip,) = slips_of(tmp_path, answers)
    assert slip.endswith('set tasks.own.columns.answer_is = "yes_no"')


def test_zeros_and_ones_that_are_said_to_be_texts_are_no_slip(tmp_path):
    assert slips_of(tmp_path, [1, 0, 1], columns={"answer_is": "text"}) == ()


def test_what_stands_for_no_value_is_told_with_its_place(tmp_path):
    (slip,) = slips_of(tmp_path, [72, "NaN", "Oslo", "null", "n/a", "none"])
    assert slip.startswith("3 of 6 answers look like missing ones, and are read as texts: 'NaN' (")
    assert "line 2); 'null' (" in slip and "'none'" not in slip


def test_letters_that_are_taken_off_are_told(tmp_path):
    columns = {"choices": "options"}
    (slip,) = slips_of(tmp_path, ["A", "B"], options=["A)ice", "B)fire"], columns=columns)
    assert slip == (
        "the choices of 2 questions begin with their letters, which are taken off: 'A)ice' is read as 'ice'"
    )


def test_one_answer_for_all_is_told(tmp_path):
    (slip,) = slips_of(tmp_path, [-1] * 20)
    assert slip == "all 20 answers are '-1'; is this the column of answers?"
    assert slips_of(tmp_path, [7] * 19) == ()


def test_a_choice_that_is_never_right_is_told(tmp_path):
    columns = {"choices": "options", "answer_is": "index"}
    options = ["ice", "fire", "sea"]
    (slip,) = slips_of(tmp_path, [1, 2] * 25, options=options, columns=columns)
    assert slip == "of 50 questions none has the answer A; are the places counted rightly?"
    assert slips_of(tmp_path, [1, 2] * 24, options=options, columns=columns) == ()
    assert slips_of(tmp_path, [1, 2] * 25 + [0], options=options, columns=columns) == ()


def test_a_nested_column_of_choices_is_named_as_it_is_set(tmp_path):
    (slip,) = slips_of(tmp_path, ["A", "B"], ask={"options": ["ice", "fire"]})
    assert "'ask.options'" in slip


@pytest.mark.parametrize(
    ("answers", "settings"),
    [
        (["yes", "no", "yes"], {}),
        (["Oslo", "Rome", "no"], {}),
        (["yes", "Oslo"], {}),
        (["A", "B"], {}),
        (["A", "B"], {"adoptions": 3}),
        ([72, 3], {"opa": "ice", "opb": "fire"}),
        ([2, 7], {}),
        ([1, 0, 2], {}),
        (["ice", "B", "fire", "sea"], {"options": ["ice", "fire"]}),
        (["ice", "sea"], {"fact1": "ice is cold", "fact2": "the sea is wet"}),
        (["A", "B"], {"options": ["ice", "fire"], "columns": {"choices": "options"}}),
    ],
)
def test_what_may_well_be_meant_is_not_told(tmp_path, answers, settings):
    assert slips_of(tmp_path, answers, **settings) == ()


@pytest.mark.parametrize("end", [" ", "\t", "\u00a0"])
def test_a_prompt_that_ends_in_a_blank_is_told_once(tmp_path, end):
    prompts = {"student": f"Q: {{question}}\nA:{end}"}
    (slip,) = template_slips_of(tmp_path, prompts)
    assert slip.startswith("tasks.own.prompts.student = ") and "ends in a blank" in slip


def test_a_prompt_that_ends_in_a_line_or_a_word_is_no_slip(tmp_path):
    assert template_slips_of(tmp_path, {"student": "Q: {question}\nA:\n", "teacher": "{question} Why? \n"}) == ()


def template_slips_of(tmp_path, prompts):
    file = tmp_path / "own.jsonl"
    file.write_text('{"question": "Is ice cold?", "answer": "yes"}\n', encoding="utf-8")
    return load_task("own", TaskConfig(kind="table", data=file, prompts=prompts)).slips


def test_two_texts_as_answers_may_be_yes_and_no_in_another_language(tmp_path):
    (slip,) = slips_of(tmp_path, ["nein", "ja"] * 10)
    assert slip.startswith("20 answers are 'ja' or 'nein', and read as free text; if they mean yes and no, write yes")
    assert slips_of(tmp_path, ["nein", "ja"] * 9) == ()
    assert slips_of(tmp_path, ["nein", "ja", "Ja"] * 9 + ["vielleicht"]) == ()
