"""Questions that are too long for a student are foreseen, with where they stand and what mends it."""

from pathlib import Path

import pytest

from sert.config.tree import StudentConfig
from sert.student.lengths import SHOWN, foresee_too_long, too_long_text

PROMPTS = {"a": "short", "b": "b" * 100, "c": "c" * 193}


def foresee(student: str, *, max_new_tokens: int, prompts: dict[str, str] = PROMPTS) -> str | None:
    places = {"b": "own.jsonl, line 2", "c": "own.jsonl, line 3"}
    return foresee_too_long(
        StudentConfig(path=student),
        prompts,
        setting="mining.max_new_tokens",
        max_new_tokens=max_new_tokens,
        places=places,
    )


def test_they_are_named_with_their_places(student_folder: Path) -> None:
    assert foresee(str(student_folder), max_new_tokens=92) == (
        f"Too long for {str(student_folder)!r}: 1 of 3 questions, whose prompt and mining.max_new_tokens = 92 have "
        "more tokens than its 192 positions: 'c' (own.jsonl, line 3, 193 tokens). Shorten them, or take a student "
        "with more positions."
    )
    told = foresee(str(student_folder), max_new_tokens=93)
    assert told is not None and "2 of 3" in told
    assert "'b' (own.jsonl, line 2, 100 tokens), 'c' (own.jsonl, line 3, 193 tokens)" in told


def test_where_all_fit_no_tokenizer_is_loaded(student_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sert.student.lengths.load_texts", None)
    assert foresee(str(student_folder), max_new_tokens=80, prompts={"a": "short", "b": "b" * 100}) is None


def test_of_a_student_that_is_not_here_nothing_is_known() -> None:
    assert foresee("some/student", max_new_tokens=10**6) is None


def test_of_many_the_first_are_named() -> None:
    lengths = {f"q{number}": 200 for number in range(SHOWN + 5)}
    told = too_long_text(lengths, 30, name="s", positions=210, max_new_tokens=20)
    assert told is not None and f"'q{SHOWN - 1}' (200 tokens), and 5 more. Lower max_new_tokens (at 10 " in told
