import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from sert.config.prompts import PromptTemplates
from sert.config.tree import TaskConfig, TeacherConfig
from sert.errors import TeacherError
from sert.lab.verifier import verify
from sert.lab.world import lab_world
from sert.records import Example, Question, Rationale
from sert.store.tables import read_table
from sert.tasks.load import load_task
from sert.teacher.rationales import rationale_examples, teach
from sert.terminal.progress import Silent

RECORDED = TeacherConfig(kind="recorded")


def record(tmp_path: Path, *rows: dict[str, str]) -> Path:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_the_oracle_teaches_the_lab(tmp_path: Path) -> None:
    questions = load_task("lab", TaskConfig(kind="lab_choice", limit=5)).split("train")
    taught = teach(questions, out=tmp_path / "t", teacher=TeacherConfig(kind="lab"))
    assert taught.counts == {
        "questions": 5,
        "rationales": 5,
        "correct": 5,
        "without_answer": 0,
        "flagged": {},
        "examples": 5,
    }
    by_id = {question.question_id: question for question in questions}
    for example in read_table(taught.file("examples.parquet"), Example):
        question = by_id[example.question_id]
        assert example.prompt.endswith("\nAnswer: Let's think step by step.")
        assert example.completion.endswith(f" So the answer is {question.answer}.")
        assert verify(lab_world(), question, example.completion).true


def test_recorded_rationales_reach_only_the_questions_handed_in(questions: list[Question], tmp_path: Path) -> None:
    file = record(
        tmp_path,
        {"question_id": "q0", "text": "It freezes.", "answer": "yes"},
        {"question_id": "q3", "text": "It has wings.", "answer": "yes"},
    )
    taught = teach(questions[:2], out=tmp_path / "t", teacher=RECORDED, recorded=file)
    assert [r.question_id for r in read_table(taught.file("rationales.parquet"), Rationale)] == ["q0"]
    assert (taught.counts["rationales"], taught.counts["missing"], taught.counts["unmatched"]) == (1, 1, 1)


@pytest.mark.parametrize(("only_correct", "expected"), [(False, ["q0", "q1"]), (True, ["q0"])])
def test_wrong_rationales_are_kept_unless_asked(
    questions: list[Question], tmp_path: Path, only_correct: bool, expected: list[str]
) -> None:
    file = record(
        tmp_path,
        {"question_id": "q0", "text": "It freezes.", "answer": "yes"},
        {"question_id": "q1", "text": "Sand is wet.", "answer": "yes"},
    )
    teacher = TeacherConfig(kind="recorded", only_correct=only_correct)
    taught = teach(questions[:2], out=tmp_path / "t", teacher=teacher, recorded=file)
    examples = read_table(taught.file("examples.parquet"), Example)
    assert [example.question_id for example in examples] == expected
    assert examples[0].completion == " It freezes. So the answer is yes."


def test_an_empty_rationale_teaches_nothing(questions: list[Question]) -> None:
    empty = Rationale("q0", "m", "p", "  ", "", None, False, None, None, "file")
    examples = rationale_examples(questions, [empty], prompts=PromptTemplates(), only_correct=False, keep_flagged=True)
    assert list(examples) == []


@pytest.mark.parametrize(("reason", "left"), [("length", 0), ("content_filter", 0), ("stop", 1), ("", 1)])
@pytest.mark.parametrize("keep_flagged", [False, True])
def test_what_the_server_says_it_cut_off_teaches_nothing_unless_asked(
    questions: list[Question], tmp_path: Path, reason: str, left: int, keep_flagged: bool
) -> None:
    row = {"question_id": "q0", "text": "It freezes and then", "finish_reason": reason, "answer": "yes"}
    teacher = TeacherConfig(kind="recorded", keep_flagged=keep_flagged)
    taught = teach(questions[:1], out=tmp_path / "t", teacher=teacher, recorded=record(tmp_path, row))
    assert taught.counts["examples"] == (1 if keep_flagged else left)
    assert sum(taught.counts["flagged"].values()) == 1 - left


def test_what_is_left_over_is_counted(
    questions: list[Question], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = record(
        tmp_path,
        {"question_id": "q0", "text": "It freezes.", "answer": "yes"},
        {"question_id": "q1", "text": "Who knows", "answer": "perhaps"},
        {"question_id": "q3", "text": "It has wings.", "answer": "yes"},
        {"question_id": "another", "text": "It has fins.", "answer": "yes"},
    )
    said: list[str] = []
    reporter = Silent()
    monkeypatch.setattr(reporter, "say", said.append)
    taught = teach(
        questions[:3], out=tmp_path / "t", held_out=questions[3:], teacher=RECORDED, recorded=file, reporter=reporter
    )
    assert "teach: 1 seem cut off, but the record does not tell; they are not left out" in said
    assert taught.counts == {
        "questions": 3,
        "rationales": 2,
        "flagged": {},
        "examples": 2,
        "correct": 1,
        "without_answer": 1,
        "unmatched": 1,
        "missing": 1,
        "seem_cut_off": 1,
        "only_thinking": 0,
        "held_out": 1,
    }


@pytest.mark.parametrize("kind", ["lab", "recorded"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [({"question_id": "t"}, "'q1' asks the same as 't'"), ({"question": "Is it?"}, "'q1' has the id of another")],
)
def test_no_teacher_answers_a_test_question(
    questions: list[Question], tmp_path: Path, kind: Literal["lab", "recorded"], changes: dict[str, str], message: str
) -> None:
    held_out = [replace(questions[1], split="test", **changes)]
    with pytest.raises(TeacherError, match=message):
        teach(questions, out=tmp_path / "t", held_out=held_out, teacher=TeacherConfig(kind=kind))
    assert list(tmp_path.iterdir()) == []


def test_the_key_covers_the_test_questions(tmp_path: Path) -> None:
    data = load_task("lab", TaskConfig(kind="lab_yes_no", limit=4))
    lab = TeacherConfig(kind="lab")
    keys = {
        teach(data.split("train"), out=tmp_path / str(num), teacher=lab, held_out=data.split("test")[:num]).key
        for num in (0, 1, 2)
    }
    assert len(keys) == 3


def test_without_rationales_nothing_is_left_behind(questions: list[Question], tmp_path: Path) -> None:
    file = record(tmp_path, {"question_id": "other", "text": "x"})
    with pytest.raises(TeacherError, match="no rationale for any of 4 questions"):
        teach(questions, out=tmp_path / "t", teacher=RECORDED, recorded=file)
    with pytest.raises(TeacherError, match="needs a file"):
        teach(questions, out=tmp_path / "t", teacher=RECORDED)
    with pytest.raises(TeacherError, match="no file"):
        teach(questions, out=tmp_path / "t", teacher=RECORDED, recorded=tmp_path / "nothing.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


@pytest.mark.parametrize(
    ("thinking", "completions"),
    [("drop", [" It is frozen. So the answer is yes."]), ("keep", [" Warm? No. So the answer is yes."] * 2)],
)
def test_no_example_holds_thinking_unless_it_is_kept(
    questions: list[Question], tmp_path: Path, thinking: Literal["drop", "keep"], completions: list[str]
) -> None:
    thought = "<think>Warm? No. So the answer is no."
    file = record(
        tmp_path,
        {"question_id": "q0", "text": f"{thought}</think>It is frozen. So the answer is yes.", "finish_reason": "stop"},
        {"question_id": "q3", "text": thought, "finish_reason": "stop"},
    )
    teacher = TeacherConfig(kind="recorded", thinking=thinking)
    taught = teach(questions, out=tmp_path / "t", teacher=teacher, recorded=file)
    examples = read_table(taught.file("examples.parquet"), Example)
    assert [example.completion for example in examples] == completions
    assert taught.counts["only_thinking"] == (thinking == "drop")
