import pytest

from sert.tasks.normalize import canonical, is_number, tidied


def test_wrapping_is_taken_away():
    assert tidied(' **"New\n York".** ') == "New York"
    assert tidied("«_rock'n'roll_»!") == "rock'n'roll"
    assert tidied(" ...") == ""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("$1,000.0", "1000"),
        ("+007", "7"),
        ("-0.50", "-0.5"),
        ("-0", "0"),
        ("1,00", "1,00"),
        ("1.5.2", "1.5.2"),
        ("Straße", "strasse"),
        ("5 apples", "5 apples"),
    ],
)
def test_canonical(text, written):
    assert canonical(text) == written


def test_is_number():
    assert all(is_number(text) for text in ("7", "-7.", "€7.50", '"1,000"'))
    assert not any(is_number(text) for text in ("", "seven", "7 or 8", "7%"))
