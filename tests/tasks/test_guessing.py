"""Columns are guessed by their names and by what they hold, and what could mean two things is not guessed."""

import json
from pathlib import Path
from typing import Any

import pytest

from sert.config.columns import Columns
from sert.errors import DataError
from sert.tasks.guessing import guess_columns

GERMAN = """Nr,Frage,Wahl A,Wahl B,Wahl C,Lösung,Quelle
1,Was bellt?,ein Hund,ein Stein,das Meer,A,Buch
2,Was fliegt?,ein Ochse,eine Möwe,ein Auto,B,Buch
3,"Was schwimmt, und wo?",ein Amboss,Sand,Kork,C,Netz
"""
LABELLED = [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]


def lines(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_foreign_names_and_choices_in_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "tiere.csv").write_text(GERMAN, encoding="utf-8")
    guess = guess_columns(tmp_path / "tiere.csv")
    choices = ("Wahl A", "Wahl B", "Wahl C")
    assert guess.columns == Columns(question_id="Nr", question="Frage", choices=choices, answer="Lösung")
    assert (guess.first.question, guess.first.choices[0], guess.first.answer) == ("Was bellt?", "ein Hund", "A")
    assert (guess.unused, guess.rows, guess.bad) == (("Quelle",), 3, 0)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ([{"x": "Is it?", "y": True}, {"x": "Was it?", "y": False}], Columns(question="x", answer="y")),
        ([{"question": "2 + 2?", "answer": "so\n#### 4"}], Columns(answer_after="####")),
        (
            [{"id": "k", "question": {"stem": "A?", "choices": LABELLED}, "answerKey": "B"}],
            Columns(question_id="id", question="question.stem", choices="question.choices", answer="answerKey"),
        ),
        (
            [{"ctx": "A man", "endings": ["runs.", "sits.", "sings."], "label": place} for place in (0, 2, 1)],
            Columns(question="ctx", choices="endings", answer="label", answer_is="index"),
        ),
        (
            [{"sentence": f"It {n}?", "option1": "rope", "option2": "saw", "answer": n} for n in ("1", "2")],
            Columns(question="sentence", choices=("option1", "option2"), answer_is="number"),
        ),
        (
            [{"sQuestion": "How many nuts?", "lSolutions": [39.0], "lAlignments": [6, 16, 45]}],
            Columns(question="sQuestion", answer="lSolutions"),
        ),
    ],
)
def test_forms_that_sets_have(tmp_path: Path, rows: list[dict[str, Any]], columns: Columns) -> None:
    assert guess_columns(lines(tmp_path, *rows)).columns == columns


def test_places_that_could_be_counted_from_either_end_are_not_guessed(tmp_path: Path) -> None:
    rows = [{"question": f"What {n}?", "choices": ["rope", "saw", "ice"], "answer": n} for n in (1, 2)]
    file = lines(tmp_path, *rows)
    with pytest.raises(DataError, match=r"'answer' may be counted from 0 or from 1; say which by --answer-is index"):
        guess_columns(file)
    assert guess_columns(file, {"answer_is": "index"}).first.answer == "B"
    assert guess_columns(file, {"answer_is": "number"}).first.answer == "A"


def test_what_is_given_is_taken(tmp_path: Path) -> None:
    file = lines(tmp_path, {"question": "Is this it?", "ask": "Or this?", "answer": "no", "other": "yes"})
    guess = guess_columns(file, {"question": ("question", "ask"), "answer": "other"})
    assert (guess.first.question, guess.first.answer) == ("Is this it? Or this?", "yes")


def test_rows_that_cannot_be_used_are_counted_while_they_are_few(tmp_path: Path) -> None:
    good = [{"question": f"Is it {number}?", "answer": "yes"} for number in range(30)]
    guess = guess_columns(lines(tmp_path, *good, {"question": "", "answer": "no"}))
    assert (guess.rows, guess.bad) == (31, 1)


def test_columns_that_cannot_be_guessed_are_listed(tmp_path: Path) -> None:
    rows = [{"ask": f"Is it {n}?", "choices": ["rope", "saw"], "answer": "ice"} for n in range(2)]
    with pytest.raises(DataError, match=r"'answer', and which of them hold question and answer cannot be guessed"):
        guess_columns(lines(tmp_path, *rows))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no questions"):
        guess_columns(tmp_path / "empty.jsonl")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Frage;Lösung\nWas?;\nWer?;\n", "the column 'Lösung' is empty, and it is that of the answers"),
        ("Frage\nWas?\nWer?\n", "no column holds answers"),
        ("Nr;Frage\n1;Was?\n2;Wer?\n", "no column holds answers"),
        ("Frage;A;B;Quelle\nWas?;x;y;Buch\nWer?;x;z;Buch\n", "none is called as one of answers"),
    ],
)
def test_a_file_without_answers_says_so(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "q.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        guess_columns(tmp_path / "q.csv")


def test_no_column_is_question_and_answer(tmp_path: Path) -> None:
    file = lines(tmp_path, {"question": "Is it?", "note": "yes"})
    with pytest.raises(DataError, match="'note' is given for question and answer"):
        guess_columns(file, {"question": "note", "answer": "note"})
    assert guess_columns(file, {"answer": "question"}).columns.question == "note"


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('question,answer\n"Is\nit?",\nWho?,\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"the column 'answer' is empty"):
        guess_columns(tmp_path / "q.csv")
    (tmp_path / "q.csv").write_text('question,answer\n"Is\nit?",\nWho?,\nWas it?,yes\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"q\.csv, line 3: the answer is empty.*q\.csv, line 4: the answer is empty"):
        guess_columns(tmp_path / "q.csv")


def test_a_column_that_is_not_there_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "tiere.csv").write_text(GERMAN, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        guess_columns(tmp_path / "tiere.csv", {"answer": "Loesung"})
    said = str(caught.value)
    assert "there is no column 'Loesung'; did you mean 'Lösung'? The columns there are: 'Nr', 'Frage'," in said
    assert "\n" not in said


def test_names_are_split_at_commas_unless_a_column_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "tiere.csv").write_text(GERMAN, encoding="utf-8")
    guess = guess_columns(tmp_path / "tiere.csv", {"choices": "Wahl A, Wahl B,Wahl C"})
    assert guess.columns.choices == ("Wahl A", "Wahl B", "Wahl C")
    file = lines(tmp_path, {"ask, please": "Is it?", "answer": "no"})
    assert guess_columns(file, {"question": "ask, please"}).columns.question == "ask, please"


@pytest.mark.parametrize("name", ["N°", "No", "No.", "numero", "numéro", "Nr."])
def test_names_of_ids(tmp_path: Path, name: str) -> None:
    rows = [{name: n, "question": f"Is it {n}?", "answer": "yes"} for n in (1, 2)]
    assert guess_columns(lines(tmp_path, *rows)).columns.question_id == name
