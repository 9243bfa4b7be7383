"""Gold answers are read in the forms in which sets write them; what can mean two things is refused with its remedy."""

import json
from decimal import Decimal

import pytest

from sert.config.columns import Columns
from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.choices import read_choices
from sert.tasks.gold import read_gold
from sert.tasks.load import load_task
from sert.tasks.rows import Record

LEGS = ["2", "4", "1", "3"]
TOOLS = ["rope", "saw", "ice"]
NUMBERED = {"text": LEGS, "label": ["1", "2", "3", "4"]}


def gold_of(answer, cell=None, **columns):
    columns = Columns(choices=None if cell is None else "cell", **columns)
    choices = read_choices(Record("line 1", 0, {"cell": cell}), columns)
    return read_gold(answer, choices, columns=columns, where="line 1").answer


@pytest.mark.parametrize(
    ("answer", "cell", "columns", "gold"),
    [
        ("2", NUMBERED, {}, "(B)"),  # the label, not the text of A
        (2, NUMBERED, {}, "(B)"),
        ("2.0", NUMBERED, {}, "(B)"),
        ("2", NUMBERED, {"answer_is": "text"}, "(A)"),
        ("2", NUMBERED, {"answer_is": "index"}, "(C)"),
        ("2", NUMBERED, {"answer_is": "number"}, "(B)"),
        ("B", {"text": TOOLS, "label": ["A", "B", "C"]}, {}, "(B)"),
        ("saw", {"text": TOOLS, "label": ["A", "B", "C"]}, {}, "(B)"),
        ("B", {"text": ["rope", "saw"], "label": ["B", "A"]}, {}, "(A)"),
        ("b", {"A": "rope", "B": "saw"}, {}, "(B)"),
        ("B", ["A)rope", "B)saw"], {}, "(B)"),
        ("B)saw", ["A)rope", "B)saw"], {}, "(B)"),
        ("saw", ["A)rope", "B)saw"], {}, "(B)"),
        ("C", ["A)1", "C)2", "B)3"], {}, "(B)"),
        ("21", ["A)20", "B)21"], {}, "(B)"),
        (2, TOOLS, {"answer_is": "index"}, "(C)"),
        ("2", TOOLS, {"answer_is": "number"}, "(B)"),
        (0.0, TOOLS, {"answer_is": "index"}, "(A)"),
        ("0", TOOLS, {"answer_is": "index"}, "(A)"),
        ([0, 1, 0], TOOLS, {}, "(B)"),
        (7, {"text": [9, 7, 8], "label": ["A", "B", "C"]}, {}, "(B)"),
        ([False, True, False], TOOLS, {}, "(B)"),
        ([1], TOOLS, {"answer_is": "index"}, "(B)"),
        ("So it is.\n#### B", TOOLS, {"answer_after": "####"}, "(B)"),
        ("(c)", TOOLS, {}, "(c)"),
        ("C.", TOOLS, {}, "(C)"),
        (72, [71, 72, 73], {}, "(B)"),
        ("4", LEGS, {"answer_is": "text"}, "(B)"),
        ("A", ["B", "A"], {"answer_is": "label"}, "(A)"),
        ("A", ["B", "A"], {"answer_is": "text"}, "(B)"),
        ("(A)", ["B", "A"], {}, "(A)"),
    ],
    ids=str,
)
def test_answers_with_choices(answer, cell, columns, gold):
    assert gold_of(answer, cell, **columns) == gold


@pytest.mark.parametrize(
    ("answer", "cell", "columns", "message"),
    [
        (
            "2",
            LEGS,
            {},
            'is a choice\'s text, and may be the place of another choice; set columns.answer_is = "text", ',
        ),
        (72, [2, 71], {}, "the answer 72 is no choice's text"),
        (2, LEGS, {}, '"index" (0 is the first choice) or "number" (1 is the first), or name the column of labels'),
        (1, TOOLS, {}, 'the answer 1 is no choice\'s text; set columns.answer_is = "index" (0 is the first choice)'),
        (-1, TOOLS, {}, "Test questions are often published without answers"),
        (-1, TOOLS, {"answer_is": "index"}, "Test questions are often published without answers"),
        (3, TOOLS, {"answer_is": "index"}, "the answer '3' is no index of 3 choices, 0 to 2."),
        (0, TOOLS, {"answer_is": "number"}, "the answer '0' is no number of 3 choices, 1 to 3."),
        ("B", TOOLS, {"answer_is": "index"}, "It is a letter; leave answer_is out."),
        ("saw", TOOLS, {"answer_is": "number"}, "the answer 'saw' is no number of 3 choices"),
        ("1.5", TOOLS, {"answer_is": "index"}, "the answer '1.5' is no index"),
        (
            "D",
            TOOLS,
            {"answer_is": "label"},
            "the answer 'D' is the label of no choices, not of one of ['A',",
        ),
        ("tar", TOOLS, {"answer_is": "text"}, "the answer 'tar' is the text of no choices, not of one of ['rope'"),
        ("A", ["B", "A"], {}, "the answer 'A' is a letter, and another choice's text; write the letter in brackets"),
        ("5", NUMBERED, {}, "the answer 5 is no choice's text; set columns.answer_is = "),
        (2, {"text": LEGS, "label": [*"ABCD"]}, {}, "a choice's text, and may be the place of another choice; set"),
        (1, {"text": TOOLS, "label": [*"ABC"]}, {}, "the answer 1 is no choice's text; set columns.answer_is = "),
        ("tar", NUMBERED, {}, "the answer 'tar' is none of the labels ['1', '2', '3', '4'], and not one choice's text"),
        ("C", {"text": TOOLS, "label": ["B", "A", "X"]}, {}, "the answer 'C' is none of the labels"),
        (None, NUMBERED, {}, "Test questions are often published without answers"),
        ([1, 1, 0], TOOLS, {}, "it must mark one of 3 choices by a 1"),
        ([0, 1], TOOLS, {}, "it must mark one of 3 choices by a 1"),
        (["a", "b"], TOOLS, {}, "it must mark one of 3 choices by a 1"),
        ("B", TOOLS, {"answer_after": "####"}, "holds no '####', which columns.answer_after names"),
    ],
    ids=str,
)
def test_answers_that_could_mean_two_things_or_nothing(answer, cell, columns, message):
    with pytest.raises(DataError) as refused:
        gold_of(answer, cell, **columns)
    assert str(refused.value).startswith("line 1: ") and message in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "columns", "gold"),
    [
        (72, {}, "72"),
        (51.0, {}, "51"),
        (0.5, {}, "0.5"),
        (-3, {}, "-3"),
        (1e-7, {}, "0.0000001"),
        (Decimal("145.00"), {}, "145"),
        ("0", {}, "0"),
        ([39.0], {}, "39"),
        (["Oslo"], {}, "Oslo"),
        (True, {}, True),
        ("She has 2 + 2 = 4.\n#### 2,125", {"answer_after": "####"}, "2,125"),
        ("1 #### 2 #### 3", {"answer_after": "####"}, "3"),
        ("the sign ####", {"answer_is": "text"}, "the sign ####"),
        (1, {"answer_is": "yes_no"}, "yes"),
        ("0", {"answer_is": "yes_no"}, "no"),
        ("1.0", {"answer_is": "yes_no"}, "yes"),
        ("No.", {"answer_is": "yes_no"}, "no"),
        (False, {"answer_is": "yes_no"}, "no"),
        ("Y", {"answer_is": "yes_no"}, "yes"),
    ],
    ids=str,
)
def test_answers_without_choices(answer, columns, gold):
    assert gold_of(answer, **columns) == gold


@pytest.mark.parametrize(
    ("answer", "columns", "message"),
    [
        ("Four. #### 4", {}, "holds '####'; if the answer proper stands behind it, set columns.answer_after = '####'"),
        (["a", "b"], {}, "the answer is a list, ['a', 'b']; give one answer"),
        (2, {"answer_is": "yes_no"}, "the answer is '2'; with answer_is = 'yes_no' it must be 1 or 0"),
        (None, {"answer_is": "yes_no"}, "the answer is None; with answer_is = 'yes_no' it must be 1 or 0"),
        (72, {"answer_after": "####"}, "the answer '72' holds no '####'"),
    ],
    ids=str,
)
def test_answers_without_choices_that_are_refused(answer, columns, message):
    with pytest.raises(DataError) as refused:
        gold_of(answer, **columns)
    assert message in str(refused.value)


def test_names_of_the_columns_of_choices_are_labels():
    row = Record("line 1", 0, {"A": "rope", "B": "saw", "choice1": "rope", "choice2": "saw"})
    for names, answer in ((["A", "B"], "B"), (["choice1", "choice2"], "choice2"), (["choice1", "choice2"], "b")):
        columns = Columns(choices=names)
        assert read_gold(answer, read_choices(row, columns), columns=columns, where="x").answer == "(B)"


def rows_with(*answers):
    texts = [["2", "4"], ["7", "9"]]
    return [
        {"question": f"q{number}", "choices": {"text": text, "label": ["1", "2"]}, "answer": answer}
        for number, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]


def load(folder, rows, **columns):
    file = folder / "q.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = load_task("t", TaskConfig(kind="table", data=file, columns={"choices": "choices", **columns}))
    return [question.answer for question in data.questions]


def test_labels_that_are_texts_too_are_doubted_where_other_answers_are_texts(tmp_path):
    assert load(tmp_path, rows_with("2", "1")) == ["B", "A"]
    with pytest.raises(DataError, match="t: of 2 answers 1 may be a choice's label or another choice's text, and 1"):
        load(tmp_path, rows_with("2", "9"))
    assert load(tmp_path, rows_with("2", "9"), answer_is="text") == ["A", "B"]
