"""The reading of answers against what a careful reader reads."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from labelled_choices import ROWS as CHOICES
from labelled_outputs import Labelled, label, make_question
from labelled_yes_no import ROWS as YES_NO

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.answers import extract_loose, extract_strict, is_correct
from sert.tasks.prompts import student_prompt

KINDS = {"yes/no": [label(row) for row in YES_NO], "choice": [label(row) for row in CHOICES]}
LEAST_AGREEMENT = 0.99


def disagreements(outputs: list[Labelled], *, strict: bool) -> list[str]:
    lines = []
    for each in outputs:
        extract, wanted = (extract_strict, each.strict) if strict else (extract_loose, each.loose)
        read = extract(each.output, each.question)
        if read != wanted:
            lines.append(f"{each.question.question_id}: {each.output!r} is {wanted}, read as {read}")
    return lines


@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_different_outputs_of_each_kind_are_labelled(kind):
    assert len({(each.question, each.output) for each in KINDS[kind]}) == len(KINDS[kind]) == 200


@pytest.mark.parametrize("kind", KINDS)
def test_strict_reading_agrees_with_the_labels(kind):
    wrong = disagreements(KINDS[kind], strict=True)
    assert len(wrong) <= (1 - LEAST_AGREEMENT) * len(KINDS[kind]), "\n".join(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_strict_reading_never_guesses(kind):
    ambiguous = [each for each in KINDS[kind] if each.ambiguous]
    guessed = [each.output for each in ambiguous if extract_strict(each.output, each.question) is not None]
    assert len(ambiguous) >= 20
    assert not guessed


# What stands between two answers, and how they are written, from `~` to `~`.
JOINERS = " or ~ and ~, ~/~ / ~ & ~; ~: ~ - ~ \u2013 ~ \u2014 ~|~\n~\n\n~\n- ~. ~? ~... ~\u2026 ~ (".split("~")
JOINERS += " + ~ = ~ -> ~ vs ~\tor\t".split("~")
JOINERS += ", or ~, and ~. Or ~. Also ~ or maybe ~, maybe ~, or possibly ~ but also ~ or else ~, then ".split("~")
JOINERS += " as well as ~ and/or ~, or it could be ".split("~")
FORMS = 'A~(A)~A)~A.~[A]~**A**~"A"~(A) oven~A. oven~oven~"oven"~**oven**~a)~(a)'.split("~")
OTHERS = [form.replace("A", "D").replace("a)", "d)").replace("oven", "lamp") for form in FORMS]
YES = ["yes", "Yes", "(yes)", '"yes"', "**yes**", "YES", "true"]
NO = ["no", "No", "(no)", '"no"', "**no**", "NO", "false"]


@pytest.mark.parametrize("joiner", JOINERS)
@pytest.mark.parametrize(("key", "firsts", "seconds"), [("coat", FORMS, OTHERS), ("heron", YES, NO)], ids=KINDS)
def test_two_answers_are_none_however_they_are_written_and_joined(key, firsts, seconds, joiner):
    question = make_question(key)
    texts = [
        f"So the answer is {one}{joiner}{two}{end}" for one in firsts for two in seconds for end in ("", ".", "\n")
    ]
    assert [text for text in texts if extract_strict(text, question) is not None] == []


# ---- real outputs (smollm2_outputs.md)

_FILE = Path(__file__).with_name("smollm2_outputs.jsonl")
REAL = [json.loads(line) for line in _FILE.read_text("utf-8").rstrip("\n").split("\n")]
STATES_NOTHING = ("none", "ambiguous")
LEAST_REAL = {"first": 0.985, "second": 0.955, "third": 0.955, "fourth": 0.96, "fifth": 0.96}
MOST_READ_ALL_THE_SAME = 14
"""Outputs that state nothing, or two things, and of which something is read; smollm2_outputs.md says what they are."""


def question_of(row: dict) -> Question:
    """Make the question of an output; the gold answer only says which kind of answer is read."""
    stem, choices = row.get("question", "How many?"), tuple(row.get("choices", ()))
    answer = {"strategyqa": "yes", "commonsenseqa": "A", "multiarith": "7"}[row["set"]]
    prompt = student_prompt(stem, choices, PromptTemplates())
    return Question(row["id"], row["set"], "train", stem, choices, answer, prompt)


def agrees(row: dict) -> bool:
    read = extract_strict(row["output"], question_of(row))
    if row["label"] in STATES_NOTHING or read is None:
        return read is None and row["label"] in STATES_NOTHING
    return is_correct(read, replace(question_of(row), answer=row["label"]))


@pytest.mark.parametrize("part", LEAST_REAL)
def test_strict_reading_of_real_outputs_agrees_with_the_labels(part):
    rows = [row for row in REAL if row["part"] == part]
    wrong = [f"{row['id']} ({row['label']}): {row['output']!r}" for row in rows if not agrees(row)]
    assert len(rows) >= 149
    assert len(wrong) <= (1 - LEAST_REAL[part]) * len(rows), "\n".join(wrong)


def test_hardly_anything_is_read_from_real_outputs_that_state_nothing_or_two_things():
    silent = [row for row in REAL if row["label"] in STATES_NOTHING]
    read = [row["id"] for row in silent if extract_strict(row["output"], question_of(row)) is not None]
    assert len(silent) >= 400
    assert len(read) <= MOST_READ_ALL_THE_SAME, read


def test_another_answer_than_the_stated_one_is_hardly_ever_read():
    stated = [row for row in REAL if row["label"] not in STATES_NOTHING]
    other = [
        row["id"] for row in stated if not agrees(row) and extract_strict(row["output"], question_of(row)) is not None
    ]
    assert len(stated) >= 450
    assert len(other) <= 1, other


@pytest.mark.parametrize("start", ["1.", "1. ", "1) yes", "1) yes\n", "7"])
@pytest.mark.parametrize("blank", ["\n", " ", " \n"])
@pytest.mark.parametrize("kind", ["strategyqa", "multiarith"])
def test_blanks_without_end_take_no_longer_than_their_number(start, blank, kind):
    question = question_of({"set": kind, "id": "1"})
    started = time.process_time()
    extract_strict(f"{start}{blank * 100_000}x", question)
    assert time.process_time() - started < 10  # a quadratic reading takes minutes
