import pytest

from sert.tasks.sentences import end_of_sentences


@pytest.mark.parametrize(
    "text",
    [
        "Fish swim.| They ca",
        "Fish swim.|",
        "Fish swim.|\n\n",
        "|Fish swim",
        "|",
        "Is it? No!| Fish",
        'He said "Hi."| Then',
        "It is (B).| Then",
        "**Fish swim.**| They",
        "Well... fish swim.| The",
        "In 1995.| Then it",
        "Fish swim.| It costs 3.",  # or 3.5
        "Fish swim.| Use e.g. Nemo, or Dr. Who, or J. Smith and",
        "Fish swim.| It has 3.5 m",
        "Two things:\n1. Cats purr.|\n2. Dogs",
        "Cats purr.|\n2. Dogs bark",
        "1. Cats purr.| 2. Dogs bark",
        "猫です。|犬",
    ],
)
def test_whole_sentences_are_told_from_half_ones(text: str) -> None:
    before, _, behind = text.partition("|")
    assert end_of_sentences(before + behind) == len(before)


@pytest.mark.parametrize("piece", [".", ". ", "1. ", "1.\n", "a. ", ".*", ".) ", " ", "a.a"])
def test_long_texts_take_no_longer_than_their_length(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    assert 0 <= end_of_sentences(text + "x") <= len(text)
