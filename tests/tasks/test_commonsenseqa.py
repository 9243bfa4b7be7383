import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sert.config.tree import TaskConfig
from sert.errors import ConfigError, DataError
from sert.tasks.load import load_task

CHOICES = [{"label": label, "text": text} for label, text in zip("AB", ("oven", "hook"), strict=True)]
COAT = {"id": "c1", "answerKey": "B", "question": {"stem": "Where do coats hang?", "choices": CHOICES}}
HUB_COAT = {
    "id": "c2",
    "answerKey": "A",
    "question": "Where do hats hang?",
    "choices": {"label": ["A", "B"], "text": ["hook", "oven"]},
}


def load(folder, *rows, **settings):
    file = folder / "train.jsonl"
    file.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return load_task("csqa", TaskConfig(kind="commonsenseqa", data=file, **settings))


def test_official_file(tmp_path):
    test = tmp_path / "dev.jsonl"
    test.write_text(json.dumps({**COAT, "id": "d1", "question": {**COAT["question"], "stem": "Hang?"}}))
    data = load(tmp_path, COAT, test_data=test)
    (question,) = data.split("train")
    assert (question.question_id, question.question, question.answer) == ("c1", "Where do coats hang?", "B")
    assert question.choices == ("oven", "hook")
    assert [each.question_id for each in data.split("test")] == ["d1"]


def test_columns_of_the_hub(tmp_path):
    (question,) = load(tmp_path, HUB_COAT).questions
    assert (question.question_id, question.choices, question.answer) == ("c2", ("hook", "oven"), "A")


def test_parquet_of_the_hub(tmp_path):
    row = {**HUB_COAT, "question_concept": "hat"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train.parquet")
    (question,) = load_task("csqa", TaskConfig(kind="commonsenseqa", data=tmp_path / "train.parquet")).questions
    assert (question.question_id, question.choices, question.answer) == ("c2", ("hook", "oven"), "A")


def test_a_column_can_stand_in_the_prompt(tmp_path):
    row = {**HUB_COAT, "question_concept": "hat"}
    (question,) = load(tmp_path, row, prompts={"student": "{question_concept}: {question}"}).questions
    assert question.prompt.startswith("hat: Where do hats hang?")
    with pytest.raises(ConfigError, match=r"\{answerKey\} would show the gold answer"):
        load(tmp_path, row, prompts={"student": "{answerKey}: {question}"})


def test_answer_key_is_a_letter_whatever_the_texts(tmp_path):
    row = {**HUB_COAT, "answerKey": "B", "choices": {"label": ["A", "B", "C"], "text": ["B", "oven", "oven"]}}
    assert load(tmp_path, row).questions[0].answer == "B"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**HUB_COAT, "answerKey": "C"}, "answerKey is 'C', which is none of A, B"),
        ({**HUB_COAT, "answerKey": ""}, "The official test questions have no answers"),
        (
            {key: HUB_COAT[key] for key in ("id", "question", "choices")},
            "no column 'answerKey'. The official test questions have no answers; test on the dev file",
        ),
        ({**HUB_COAT, "choices": {"label": ["A"], "text": ["hook", "oven"]}}, "must have a label and a text each"),
        ({**HUB_COAT, "choices": ["hook", "oven"]}, "must have a label and a text each"),
        ({**HUB_COAT, "choices": {"label": ["B", "A"], "text": ["x", "y"]}}, "must be A, B, C, ... in order"),
        ({**HUB_COAT, "choices": []}, "the question has 0 choices"),
        (
            {**HUB_COAT, "choices": {"label": list("ABCDEFGHIJK"), "text": list("abcdefghijk")}},
            "the question has 11 choices",
        ),
        ({**COAT, "question": {"choices": CHOICES}}, "no column 'question.stem'; did you mean"),
    ],
)
def test_bad_row(tmp_path, row, message):
    with pytest.raises(DataError, match=f"train.jsonl, line 3: .*{message}"):
        load(tmp_path, {**COAT, "id": "first"}, row)
