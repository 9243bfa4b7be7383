"""The reading of answers against what a careful reader reads."""

import pytest
from labelled_choices import ROWS as CHOICES
from labelled_outputs import Labelled, label, make_question
from labelled_yes_no import ROWS as YES_NO

from sert.tasks.answers import extract_loose, extract_strict

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
