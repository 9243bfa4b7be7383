"""The reading of answers against what a careful reader reads."""

import pytest
from labelled_choices import ROWS as CHOICES
from labelled_outputs import Labelled, label
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
