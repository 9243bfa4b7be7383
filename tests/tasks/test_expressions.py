r"""Answers that are expressions: where texts state them, and when two are the same."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sert.config.columns import Columns
from sert.config.tree import TaskConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.voting import count_votes
from sert.records import Question
from sert.store.tables import records_key
from sert.tasks import comparing, expressions
from sert.tasks.answers import extract_loose, extract_strict, is_correct, read
from sert.tasks.comparing import Comparer
from sert.tasks.load import load_task

HALF = r"\frac{1}{2}"


def asking(gold: str) -> Question:
    return Question("q", "t", "test", "What is it?", (), gold, "Question: What is it?\nAnswer:", expression=True)


@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        (rf" Half of it. So the answer is {HALF}.", HALF, HALF),
        (rf" So the answer is ${HALF}$, since it is halved.", HALF, HALF),
        (rf" So the answer is \({HALF}\).", HALF, HALF),
        (" So the answer is x + 1 because y is 0.", "x + 1", "x + 1"),
        (" So the answer is [0, 1).", "[0, 1)", "[0, 1)"),
        (" So the answer is (1, 2).", "(1, 2)", "(1, 2)"),
        (" So the answer is 3.5.", "3.5", "3.5"),
        (rf" Therefore \boxed{{{HALF}}} is it.", HALF, HALF),
        (r" So the answer is \boxed{\{1, 2\}}.", r"\{1, 2\}", r"\{1, 2\}"),
        (rf" It is \boxed{{3}}. No, \boxed{{{HALF}}}.", None, HALF),
        (rf" It is \boxed{{{HALF}}}, and again \boxed{{\dfrac{{1}}{{2}}}}.", r"\dfrac{1}{2}", r"\dfrac{1}{2}"),
        (r" We get $x^2$ and then $x^3$.", None, "x^3"),
        (" There are 12, or 13 of them", None, "13"),
        (r" It is \boxed{\frac{1}{2", None, "2"),
        (" I do not know.", None, None),
        (f" So the answer is {'1+' * 300}1.", None, "1"),
    ],
)
def test_where_a_text_states_an_expression(text: str, strict: str | None, loose: str | None) -> None:
    question = asking(HALF)
    assert (extract_strict(text, question), extract_loose(text, question)) == (strict, loose)


def test_the_reasoning_ends_before_the_box() -> None:
    found = read(rf" One of two. The answer is \boxed{{{HALF}}}.", asking(HALF))
    assert found.reasoning == " One of two. The answer is "
    assert not found.by_phrase and found.answer == HALF


@pytest.mark.parametrize("piece", [r"\boxed{", "$", r"\(", r"\[", "{" * 40, r"So the answer is \boxed{", r"\boxed{x} "])
def test_long_texts_are_read(piece: str) -> None:
    """A reader that goes through the text again and again would take hours here."""
    found = extract_loose(piece * (100_000 // len(piece)), asking(HALF))
    assert found == ("x" if "{x}" in piece else None)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("$ \\dfrac{1}{2} $.", HALF),
        (r"\left( 1, 2 \right)", "(1,2)"),
        (r"\text{east}", "east"),
        ("1,000.0", "1000"),
        (r"90^{\circ}", r"90^\circ"),
        (r"x \, + \; 1", "x+1"),
    ],
)
def test_what_is_spelled_differently_needs_no_process(answer: str, gold: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "same_value", lambda *_: pytest.fail("a process was asked"))
    assert is_correct(answer, asking(gold))


def test_two_numbers_that_differ_need_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "same_value", lambda *_: pytest.fail("a process was asked"))
    assert not is_correct("3", asking("4"))


def test_votes_are_by_spelling() -> None:
    assert count_votes([r"\dfrac{1}{2}", "3", HALF, None], asking(HALF)) == (0, 2)
    assert count_votes(["(1,2)", "[1,2]", "[1,2]"], asking("(1,2)")) == (1, 2)


# ---- by value


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("0.5", HALF, True),
        (r"\frac{2}{4}", HALF, True),
        ("1/2", HALF, True),
        ("x+1", "1+x", True),
        ("(x+1)^2", "x^2+2x+1", True),
        (r"\sqrt{8}", r"2\sqrt{2}", True),
        (r"\{2, 1\}", r"\{1, 2\}", True),
        ("(1,2)", "(2,1)", False),
        ("x+2", "1+x", False),
        ("0.51", HALF, False),
        ("", HALF, False),
    ],
)
def test_values_are_compared_by_math_verify(answer: str, gold: str, same: bool) -> None:
    pytest.importorskip("math_verify")
    assert is_correct(answer, asking(gold)) is same


WORKER = """
import os, sys, time
os.write(1, b"r")
for line in sys.stdin.buffer:
    if b"hang" in line:
        time.sleep(60)
    if b"die" in line:
        sys.exit(1)
    os.write(1, b"1" if b"same" in line else b"0")
"""


@pytest.fixture
def comparer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Comparer]:
    """A comparer whose process does as it is told."""
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.setattr(comparing, "_SCRIPT", tmp_path / "worker.py")
    made = Comparer(seconds=0.3)
    yield made
    made.close()


def test_what_hangs_or_dies_costs_only_itself(comparer: Comparer) -> None:
    said = [comparer.same(each, "gold") for each in ("same", "hang", "same", "die", "other", "same")]
    assert (said, comparer.killed) == ([True, False, True, False, False, True], 2)


def test_a_process_that_does_not_begin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worker.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(comparing, "_SCRIPT", tmp_path / "worker.py")
    with pytest.raises(ConfigError, match="math-verify does not begin to work"):
        Comparer().same("1", "2")


@pytest.mark.parametrize(
    "hostile",
    [
        "9" * 50 + "^{9" * 20 + "}" * 20,
        r"\prod_{i=1}^{10000000} \prod_{j=1}^{10000000} (i^j)!",
        "((" * 150,
        r"\int_0^1 " * 40 + "x" + " dx" * 40,
        "__import__('os').system('touch hacked')",
        "\\",
        "{" * 300,
    ],
)
def test_a_hostile_text_is_wrong_and_the_next_one_is_compared(
    hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("math_verify")
    monkeypatch.chdir(tmp_path)
    asked = Comparer(seconds=2.0)
    try:
        assert not asked.same(hostile, HALF)
        assert asked.same("0.5", HALF)
    finally:
        asked.close()
    assert list(tmp_path.iterdir()) == []


# ---- question sets

ROWS = [
    {"problem": "Half?", "solution": rf"So \boxed{{3}} no, $\boxed{{{HALF}}}$.", "subject": "Algebra", "level": 2},
    {"problem": "Two?", "solution": r"It is $\boxed{2}$.", "level": 1},
    {"problem": "Where?", "solution": r"\boxed{\text{east}}", "level": 1},
]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package be there, whether it is or not; nothing of it is used."""
    monkeypatch.setattr(expressions, "find_spec", lambda name: object())


def rows_of(folder: Path, rows: list[dict[str, object]]) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "rows.jsonl"


def test_problems_of_math_are_read(there: None, tmp_path: Path) -> None:
    data = load_task("math", TaskConfig(kind="math", data=rows_of(tmp_path, ROWS)))
    assert [each.answer for each in data.questions] == [HALF, "2", r"\text{east}"]
    assert {each.answer_type for each in data.questions} == {"expression"}
    told = {**ROWS[0], "answer": r"$\frac12$", "unique_id": "train/algebra/1.json"}
    (one,) = load_task("math", TaskConfig(kind="math", data=rows_of(tmp_path, [told]))).questions
    assert (one.question_id, one.answer) == ("train/algebra/1.json", r"\frac12")


def test_a_table_may_hold_expressions(there: None, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"question": "Half?", "answer": f"${HALF}$"}, {"question": "Two?", "answer": 2}]
    columns = Columns(answer_is="expression")
    data = load_task("own", TaskConfig(kind="table", data=rows_of(tmp_path, rows), columns=columns))
    assert [(each.answer, each.expression) for each in data.questions] == [(HALF, True), ("2", True)]


def test_what_cannot_be_an_expression_is_refused(there: None, tmp_path: Path) -> None:
    no_box = rows_of(tmp_path, [{"problem": "Half?", "solution": "It is 0.5."}])
    with pytest.raises(DataError, match=r"no answer, and no \\boxed\{...\} in the solution"):
        load_task("math", TaskConfig(kind="math", data=no_box))
    long = rows_of(tmp_path, [{"question": "Long?", "answer": "1+" * 300 + "1"}])
    with pytest.raises(DataError, match="has 601 characters; an expression has at most 400"):
        load_task("own", TaskConfig(kind="table", data=long, columns=Columns(answer_is="expression")))
    with pytest.raises(ConfigError, match="'expression' is for questions without choices"):
        load_task("own", TaskConfig(kind="table", data=long, columns=Columns(answer_is="expression", choices="c")))


def test_the_package_is_asked_for_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"math has answers that are expressions, .* pip install 'sert\[math\]'"):
        load_task("math", TaskConfig(kind="math", data=tmp_path / "none.jsonl"))


def test_only_questions_with_expressions_have_another_key() -> None:
    plain = Question("q", "t", "test", "What?", (), "2", "What?")
    assert records_key([plain]) == "8a6ddc6c9d74"
    assert records_key([replace(plain, expression=True)]) != "8a6ddc6c9d74"
