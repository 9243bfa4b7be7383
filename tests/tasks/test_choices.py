"""Choices are read in the forms in which sets write them; letters inside the texts come off."""

import pytest

from sert.config.columns import Columns
from sert.errors import DataError
from sert.tasks.choices import numbered_columns, read_choices
from sert.tasks.rows import Record

LETTERS = ["A", "B"]
TEXTS = ["rope", "saw"]


def read(cell, **columns):
    row = cell if isinstance(cell, dict) and "cell" in cell else {"cell": cell}
    found = read_choices(Record("line 1", 0, row), Columns(**{"choices": "cell", **columns}))
    return found.texts, found.labels


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        (["rope", "saw"], None),
        ({"text": TEXTS, "label": LETTERS}, LETTERS),
        ({"label": ["1", "2"], "text": TEXTS}, ["1", "2"]),
        ({"label": [1, 2], "text": TEXTS}, ["1", "2"]),
        ({"text": TEXTS}, None),
        ([{"label": "A", "text": "rope"}, {"label": "B", "text": "saw"}], LETTERS),
        ([{"text": "rope"}, {"text": "saw"}], None),
        ({"A": "rope", "B": "saw"}, LETTERS),
        ({"A": "rope", "B": "saw", "C": None}, LETTERS),
        ("rope|saw", None),
        (" rope | saw ", None),
        ('["rope", "saw"]', None),
        ("['rope', 'saw']", None),
        ("('rope', 'saw')", "one text"),
        ('{"A": "rope", "B": "saw"}', LETTERS),
        ("{'A': 'rope', 'B': 'saw'}", LETTERS),
        ("{'text': ['rope', 'saw'], 'label': ['A', 'B']}", LETTERS),
        ("A) rope, B) saw", LETTERS),
        ("(A) rope (B) saw", LETTERS),
        ("A. rope\nB. saw", LETTERS),
        ("A: rope; B: saw;", LETTERS),
        ("a ) rope , b ) saw", ["a", "b"]),
        ("1) rope 2) saw", ["1", "2"]),
        (["A)rope", "B)saw"], LETTERS),
        (["(a) rope", "(b) saw"], ["a", "b"]),
        (["A. rope", "B. saw"], LETTERS),
        (["A: rope", "B: saw"], LETTERS),
        (["1. rope", "2. saw"], ["1", "2"]),
        ("A)rope|B)saw", LETTERS),
        ({"text": ["A) rope", "B) saw"], "label": LETTERS}, LETTERS),
    ],
)
def test_forms(cell, labels):
    if labels == "one text":
        with pytest.raises(DataError, match=r"the choices are one text, .*; they must be a list of texts \(in CSV"):
            read(cell)
    else:
        assert read(cell) == (TEXTS, labels)


def test_numbers_are_written_out():
    assert read([2, 4.0, 1.5])[0] == ["2", "4", "1.5"]


def test_letters_inside_that_stand_in_another_order_are_labels():
    assert read(["A)1", "C)2", "B)3"]) == (["1", "2", "3"], ["A", "C", "B"])


@pytest.mark.parametrize(
    "texts",
    [
        ["(a)", "(b)"],
        ["A. Lincoln", "F. Roosevelt"],
        ["1.5", "2.5"],
        ["1: 2", "2: 1"],
        ["(1) and (2)", "(2) and (3)"],
        ["(a) only", "(b) only"],
        ["A) rope", "saw"],
        ["E. coli", "A. niger"],
        ["B)rope", "C)saw"],
        ["A", "B"],
    ],
)
def test_texts_that_only_look_lettered_stay(texts):
    assert read(texts) == (texts, None)


def test_more_than_nine_letters_inside():
    assert read([f"{number}) x{number}" for number in range(1, 11)])[1] == [str(number) for number in range(1, 11)]


def test_several_columns_and_those_that_a_short_question_leaves_empty():
    row = {"cell": "", "opa": "rope", "opb": "saw", "opc": "", "opd": None}
    assert read(row, choices=["opa", "opb", "opc", "opd"]) == (TEXTS, None)


@pytest.mark.parametrize(
    ("cell", "columns"),
    [
        ({"cell": 0, "c": {"text": TEXTS, "label": ["1", "2"]}}, {"choices": "c.text"}),
        ({"cell": 0, "q": {"choices": [{"text": "rope", "label": "1"}, {"text": "saw", "label": "2"}]}}, {}),
        ({"cell": 0, "o": [{"content": "rope", "key": "1"}, {"content": "saw", "key": "2"}]}, {}),
        ({"cell": TEXTS, "names": ["1", "2"]}, {"labels": "names"}),
        ({"cell": TEXTS, "names": "1|2"}, {"labels": "names"}),
    ],
)
def test_labels_that_stand_beside_or_are_named(cell, columns):
    if "q" in cell:
        columns = {"choices": "q.choices.text"}
    if "o" in cell:
        columns = {"choices": "o.content", "labels": "o.key"}
    assert read(cell, **columns) == (TEXTS, ["1", "2"])


def test_marks_of_the_gold_choice_are_no_labels():
    row = {"cell": 0, "targets": {"choices": [*TEXTS, "ice"], "labels": [0, 1, 0]}}
    assert read(row, choices="targets.choices") == ([*TEXTS, "ice"], None)


@pytest.mark.parametrize(
    ("cell", "columns", "message"),
    [
        ("rope; saw", {}, "the choices are one text, 'rope; saw'; they must be a list"),
        ("A) rope, C) saw", {}, "the choices are one text"),
        ("A) rope or A) saw, B) ice", {}, "the choices are one text"),
        ("['rope' 'saw']", {}, r"the choices .* are no JSON list; .* written by pandas"),
        ("[" * 50_000, {}, "are no JSON list"),
        ("{'A': __import__('os')}", {}, "are no JSON list"),
        (7, {}, "must be a list of texts .* or one column a choice, not 7"),
        ({"rope": 1, "saw": 0}, {}, "must be a list of texts"),
        ({"A": ["rope"], "B": ["saw"]}, {}, "must be a list of texts"),
        ([{"key": "A", "content": "rope"}], {}, r"objects without `text`, .* columns.choices = 'options.content'"),
        ({"text": TEXTS, "label": ["A"]}, {}, "2 choices need as many labels, each another one"),
        ({"text": TEXTS, "label": ["A", "A"]}, {}, "2 choices need as many labels, each another one"),
        ({"text": TEXTS, "label": ["A", ""]}, {}, "2 choices need as many labels"),
        ({"text": ["A)rope", "B)saw"], "label": ["B", "A"]}, {}, "begin with other letters than their labels"),
    ],
)
def test_choices_that_are_refused(cell, columns, message):
    with pytest.raises(DataError, match=f"line 1: .*{message}"):
        read(cell, **columns)


def test_columns_that_are_called_alike_but_for_their_ends():
    names = ["question", "opa", "opb", "opc", "ending0", "ending1", "A", "B", "q1", "x2", "x3"]
    assert list(numbered_columns(names)) == [["opa", "opb", "opc"], ["ending0", "ending1"], ["A", "B"]]
