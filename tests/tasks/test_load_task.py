import json
import subprocess
import sys
from typing import get_args

import pytest

from sert.config.tree import TaskConfig, TaskKind
from sert.errors import ConfigError, DataError
from sert.records import Question
from sert.tasks.kinds import KINDS
from sert.tasks.load import load_task
from sert.tasks.splits import LEAKED

SEA = {"id": "s", "question": "Is the sea dry?", "choices": None, "answer": "no"}
TOOL = {"id": "t", "question": "What cuts?", "choices": ["rope", "saw"], "answer": "saw"}
COLUMNS = {"question_id": "id"}
WITH_CHOICES = {"question_id": "id", "choices": "choices"}


def write(folder, *rows, name="rows.jsonl"):
    file = folder / name
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def load(file, **settings):
    return load_task("mine", TaskConfig(kind="table", data=file, **{"columns": COLUMNS, **settings}))


def load_rows(folder, *rows, columns=COLUMNS):
    return load(write(folder, *rows), columns=columns).questions


def test_kinds_are_described_and_readable():
    assert set(KINDS) == set(get_args(TaskKind))
    assert all(each.description and each.options <= TaskConfig.model_fields.keys() for each in KINDS.values())


def test_question_is_built(tmp_path):
    assert load_rows(tmp_path, TOOL, columns=WITH_CHOICES) == (
        Question(
            question_id="t",
            task="mine",
            split="train",
            question="What cuts?",
            choices=("rope", "saw"),
            answer="B",
            prompt="Question: What cuts? Answer choices: (A) rope, (B) saw.\nAnswer:",
        ),
    )


def test_single_file_is_all_train(tmp_path):
    data = load(write(tmp_path, SEA, {**SEA, "id": 8, "question": "Is ice hot?"}))
    assert [question.question_id for question in data.split("train")] == ["s", "8"]
    assert data.split("test") == ()
    assert data.left_out == {}


def test_train_question_of_the_test_split_is_left_out(tmp_path):
    train = write(tmp_path, SEA, {**SEA, "id": "u", "question": "Is fire dry?"}, name="train.jsonl")
    test = write(tmp_path, {**SEA, "id": "x", "question": "is  the SEA, dry"}, name="test.jsonl")
    data = load(train, test_data=test)
    assert [(each.question_id, each.split) for each in data.questions] == [("u", "train"), ("x", "test")]
    assert data.left_out == {LEAKED: 1} == {"train question also in the test split": 1}


def test_same_stem_with_other_choices_is_another_question(tmp_path):
    reordered, other = {**TOOL, "id": "u", "choices": ["Saw", "rope."]}, {**TOOL, "id": "v", "question": "What saws?"}
    train = write(tmp_path, TOOL, reordered, other, name="train.jsonl")
    same = write(tmp_path, {**TOOL, "id": "y", "question": "What cuts"}, name="same.jsonl")
    assert load(train, test_data=same, columns=WITH_CHOICES).left_out == {LEAKED: 2}
    hat = write(tmp_path, {**TOOL, "id": "x", "choices": ["saw", "hat"]}, name="hat.jsonl")
    assert load(train, test_data=hat, columns=WITH_CHOICES).left_out == {}


def test_nothing_left_to_train_on(tmp_path):
    file = write(tmp_path, SEA)
    other = write(tmp_path, {**SEA, "id": "x"}, name="other.jsonl")
    with pytest.raises(DataError, match=r"train split is empty\. 1 left out: train question also"):
        load(file, test_data=other)


def test_limit_counts_after_leaks_and_in_each_split(tmp_path):
    train = [{**SEA, "id": f"a{i}", "question": f"Is {i} odd?"} for i in range(5)]
    test = [{**SEA, "id": f"b{i}", "question": f"Is {i} odd?"} for i in (0, 7, 8)]
    data = load(write(tmp_path, *train), test_data=write(tmp_path, *test, name="test.jsonl"), limit=2)
    assert [question.question_id for question in data.questions] == ["a1", "a2", "b0", "b7"]
    assert data.left_out == {LEAKED: 1}


def test_test_share_depends_on_the_question_only(tmp_path):
    rows = [{**SEA, "id": str(i), "question": f"Is {i} odd?"} for i in range(400)]
    first = load(write(tmp_path, *rows), test_share=0.25)
    assert len(first.split("train")) + len(first.split("test")) == 400
    assert 70 <= len(first.split("test")) <= 130
    again = load(write(tmp_path, *reversed(rows[:200])), test_share=0.25)
    expected = {each.question_id for each in first.split("test") if int(each.question_id) < 200}
    assert {each.question_id for each in again.split("test")} == expected


def test_test_share_that_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="leaves the test split empty"):
        load(write(tmp_path, SEA), test_share=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "s"}, r"line 2: the id 's' was given already, by .*line 1"),
        ({"id": 1.5}, "line 2: the id must be a text, not 1.5"),
        ({"id": " "}, "line 2: the id is empty"),
        ({"question": "\n"}, "line 2: the question is empty"),
        ({"question": 3}, "line 2: the question must be a text, not 3"),
        ({"question": None}, "line 2: the question must be a text, not None"),
        ({"question": "Is \ud800 dry?"}, "line 2: the question .* half a character"),
        ({"answer": {"gold": 1}}, "line 2: the answer must be a text, a number, true or false, not {'gold': 1}"),
        ({"answer": ""}, "line 2: the answer is empty. Test questions are often published without answers"),
        ({"answer": None}, "line 2: the answer is empty. Test questions are often published without answers"),
        ({"answer": float("nan")}, "line 2: the answer is empty. Test questions are often published without answers"),
        ({"answer": "..."}, r"line 2: the answer is '...'; it must be yes/no, true/false or a text"),
        ({"answer": "It rains. It pours."}, "line 2: the answer 'It rains. It pours.' is read back as 'It rains'"),
    ],
)
def test_bad_row(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        load_rows(tmp_path, SEA, {**SEA, "id": "bad", **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": ["saw"]}, "the question has 1 choice; 2 to 10 are allowed"),
        ({"choices": []}, "the question has 0 choices"),
        ({"choices": None}, "the question has 0 choices"),
        ({"choices": list("abcdefghijk")}, "the question has 11 choices"),
        ({"choices": ["saw", True]}, "the choice B must be a text, not True"),
        ({"choices": ["saw", ""]}, "the choice B is empty"),
        ({"choices": 7}, "the choices must be a list of texts"),
        ({"answer": "hammer"}, r"the answer 'hammer' does not name exactly one of \(A\) rope, \(B\) saw"),
        ({"answer": "C"}, "the answer 'C' does not name exactly one"),
        ({"answer": True}, "the answer True does not name exactly one"),
        ({"choices": ["saw", "Saw."], "answer": "Saw"}, "the answer 'Saw' does not name exactly one"),
        ({"choices": ["saw", "rope", "saw "]}, "the choices A and C are both 'saw'; mend one"),
        (
            {"choices": ["rope", "saw", "ice"], "answer": "D"},
            r"the answer 'D' .*; give A or B or C \(in brackets, where",
        ),
    ],
)
def test_bad_choice_row(tmp_path, change, message):
    with pytest.raises(DataError, match=f"rows.jsonl, line 1: {message}"):
        load_rows(tmp_path, {**TOOL, **change}, columns=WITH_CHOICES)


def test_all_bad_rows_are_told_at_once(tmp_path):
    bad = [{**SEA, "id": f"b{number}", "answer": ""} for number in range(12)]
    with pytest.raises(DataError) as refused:
        load_rows(tmp_path, SEA, *bad)
    first, *lines = str(refused.value).split("\n")
    assert first.startswith("12 of 13 rows of mine cannot be used; mend them, or leave them out by tasks.mine.bad_rows")
    assert len(lines) == 11 and "line 2: the answer is empty" in lines[0] and lines[-1] == "  and 2 more"


def test_bad_rows_of_different_kinds_are_told_together(tmp_path):
    rows = [{**SEA, "id": "a", "answer": ""}, {"id": "b", "question": "Is it?"}, {**SEA, "question": ""}, SEA, SEA]
    with pytest.raises(DataError) as refused:
        load_rows(tmp_path, *rows)
    lines = str(refused.value).split("\n")[1:]
    said = ["the answer is empty", "no column 'answer'", "the question is empty", "the id 's' was given already"]
    assert [expected in line for expected, line in zip(said, lines, strict=True)] == [True] * 4


def test_settings_that_are_named_are_given_in_full(tmp_path):
    rows = [{**TOOL, "id": str(number), "answer": 1} for number in range(2)]
    with pytest.raises(DataError) as refused:
        load_rows(tmp_path, *rows, columns=WITH_CHOICES)
    *lines, last = str(refused.value).split("\n")
    assert all('set columns.answer_is = "index"' in line for line in lines[1:])
    assert last == "  (In full: tasks.mine.columns.answer_is, tasks.mine.columns.labels.)"
    with pytest.raises(
        DataError, match=r" \(In full: tasks\.mine\.columns\.answer_after, tasks\.mine\.columns\.answer_is\.\)$"
    ):
        load_rows(tmp_path, {**SEA, "answer": "It is. #### 7"})


def test_three_rows_are_named_where_none_can_be_used(tmp_path):
    with pytest.raises(DataError) as refused:
        load_rows(tmp_path, *[{**SEA, "answer": ""}] * 9)
    first, *lines = str(refused.value).split("\n")
    assert first == "All 9 rows of mine cannot be used:" and len(lines) == 4 and lines[-1] == "  and 6 more"


def test_bad_rows_can_be_left_out_and_are_counted(tmp_path):
    data = load(write(tmp_path, {**SEA, "id": "a", "answer": ""}, SEA), bad_rows="leave_out")
    assert [question.question_id for question in data.questions] == ["s"]
    assert data.left_out == {"row that cannot be used": 1}
    (slip,) = data.slips
    assert slip.startswith("left out, since they cannot be used, 1 row: ") and "line 1: the answer is empty" in slip


def test_rows_that_are_all_bad_are_never_left_out(tmp_path):
    with pytest.raises(DataError, match="line 1: the answer is empty"):
        load(write(tmp_path, {**SEA, "answer": ""}), bad_rows="leave_out")


def test_control_characters_are_data(tmp_path):
    (question,) = load_rows(tmp_path, {**SEA, "question": "Is \x1b[31m\x00 red?"})
    assert question.question == "Is \x1b[31m\x00 red?"


def test_template_that_the_grader_cannot_read(tmp_path):
    with pytest.raises(DataError, match=r"is read back as None .* keep `So the answer is \{answer\}\.`"):
        load(write(tmp_path, SEA), prompts={"label": " Perhaps {answer}"})


def test_template_without_its_part(tmp_path):
    with pytest.raises(ConfigError, match=r"tasks.mine.prompts.student = 'Q:' must hold \{question\}"):
        load(write(tmp_path, SEA), prompts={"student": "Q:"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "table"}, "needs either data = 'FILE' or hub = 'owner/name'; neither is given"),
        ({"kind": "strategyqa"}, "hub = 'ChilleD/StrategyQA'; neither"),
        ({"kind": "table", "data": "a.csv", "hub": "a/b"}, "both are given"),
        ({"kind": "table", "data": "a.csv", "split_file": "s.json"}, "split_file makes no sense for kind = 'table'"),
        ({"kind": "strategyqa", "data": "a.json", "columns": {"answer": "x"}}, "columns makes no sense"),
        ({"kind": "lab_choice", "data": "a.json"}, "data makes no sense for kind = 'lab_choice'"),
        ({"kind": "table", "data": "a.csv", "test_split": "dev"}, "test_split does not go with data"),
        ({"kind": "table", "hub": "a/b", "test_data": "a.csv"}, "test_data does not go with hub"),
        ({"kind": "table", "hub": "a/b", "test_split": "x", "test_share": 0.1}, "test_share and test_split; keep one"),
        ({"kind": "commonsenseqa", "hub": "a/b", "test_share": 0.1}, "has a test split of its own"),
        ({"kind": "table", "data": "a.csv", "hub_config": "main"}, "hub_config does not go with data"),
        (
            {"kind": "table", "data": "a.csv", "columns": {"answer_is": "index"}},
            r"columns.answer_is = 'index' needs choices; name their column in columns.choices",
        ),
        ({"kind": "table", "data": "a.csv", "columns": {"labels": "x"}}, "columns.labels needs choices"),
        (
            {"kind": "table", "data": "a.csv", "columns": {"choices": "x", "answer_is": "yes_no"}},
            "'yes_no' is for questions without choices",
        ),
        (
            {"kind": "strategyqa", "data": "a.json", "split_file": "s.json", "test_share": 0.1},
            "split_file and test_share; keep one",
        ),
    ],
)
def test_options_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_task("mine", TaskConfig(**settings))


def test_options_given_as_their_defaults_are_fine():
    config = TaskConfig(kind="lab_choice")
    assert load_task("lab", TaskConfig(**config.model_dump())) == load_task("lab", config)


def test_loading_needs_no_torch():
    code = "import sys, sert.tasks.load; sys.exit('torch' in sys.modules or 'datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
