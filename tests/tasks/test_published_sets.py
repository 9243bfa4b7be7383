"""GSM8K, ARC, OpenBookQA and BoolQ, each in the form of its release and in that of the hub."""

import json

import pytest

from sert.config.load import stage_config
from sert.config.prompts import OF_KIND
from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.answers import extract_loose, extract_strict, is_correct
from sert.tasks.load import load_task

DOG = {
    "id": "a1",
    "question": "How many legs has a dog?",
    "choices": {"text": ["2", "4", "1", "3"], "label": ["1", "2", "3", "4"]},
    "answerKey": "2",
}
DOG_OF_THE_RELEASE = {
    "id": "a2",
    "question": {
        "stem": "What melts in the sun?",
        "choices": [{"text": "stone", "label": "A"}, {"text": "ice", "label": "B"}, {"text": "B", "label": "C"}],
    },
    "answerKey": "B",
}
SUN = {
    "id": "o1",
    "question_stem": "The sun",
    "choices": {"text": ["warms", "cools"], "label": ["A", "B"]},
    "answerKey": "A",
}
PENS = {"question": "Tim has 2 pens and buys 1,070. How many?", "answer": "2 + 1070 = <<2+1070=1072>>1072\n#### 1,072"}
TOWER = {"question": "is the tower old", "answer": False, "passage": "The tower was built in 2020."}


def load(folder, kind, *rows, **settings):
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_task("t", TaskConfig(kind=kind, data=file, **settings)).questions


@pytest.mark.parametrize("kind", ["arc_easy", "arc_challenge"])
def test_arc_is_read_by_its_labels_in_both_forms(tmp_path, kind):
    first, second = load(tmp_path, kind, DOG, DOG_OF_THE_RELEASE)
    assert (first.question_id, first.question, first.answer) == ("a1", "How many legs has a dog?", "B")
    assert (second.question_id, second.choices, second.answer) == ("a2", ("stone", "ice", "B"), "B")


def test_an_answer_that_is_no_label_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"the answer 'ice' is the label of no choices, not of one of \['A', 'B', 'C'\]"
    ):
        load(tmp_path, "arc_easy", {**DOG_OF_THE_RELEASE, "answerKey": "ice"})


def test_openbookqa_may_have_a_choice_twice(tmp_path):
    twice = {**SUN, "id": "o2", "question": SUN["question_stem"] + " also"}
    del twice["question_stem"]
    twice["choices"] = {"text": ["sky", "sea", "sky"], "label": ["A", "B", "C"]}
    sun, sky = load(tmp_path, "openbookqa", SUN, {**twice, "answerKey": "C"})
    assert (sun.question_id, sun.question, sun.answer) == ("o1", "The sun", "A")
    assert (sky.question, sky.choices, sky.answer) == ("The sun also", ("sky", "sea", "sky"), "C")


def test_the_answer_of_gsm8k_is_the_number_behind_its_sign(tmp_path):
    (pens,) = load(tmp_path, "gsm8k", PENS)
    assert (pens.question_id, pens.answer, pens.answer_type) == ("0", "1,072", "text")
    assert is_correct("1072", pens) and is_correct("$1,072.00", pens) and not is_correct("1070", pens)
    assert extract_strict(" 2 + 1070 = 1072. So the answer is 1072.", pens) == "1072"
    assert extract_loose(" He has 2 and 1070, that is 1072 of them, or so", pens) == "1072"


@pytest.mark.parametrize(
    ("answer", "message"),
    [("many\n#### many", "behind #### stands 'many'; a number is needed"), ("72", "holds no '####'")],
)
def test_an_answer_of_gsm8k_without_a_number_is_refused(tmp_path, answer, message):
    with pytest.raises(DataError, match=message):
        load(tmp_path, "gsm8k", {**PENS, "answer": answer})


def test_boolq_shows_its_passage_and_the_closed_book_does_not(tmp_path):
    (shown,) = load(tmp_path, "boolq", TOWER)
    assert shown.prompt == "Passage: The tower was built in 2020.\nQuestion: is the tower old\nAnswer:"
    assert (shown.question_id, shown.answer) == ("0", "no")
    (closed,) = load(tmp_path, "boolq_closed", {**TOWER, "id": "b7"})
    assert (closed.question_id, closed.prompt) == ("b7", "Question: is the tower old\nAnswer:")


def test_boolq_without_passages_names_the_closed_book(tmp_path):
    with pytest.raises(DataError, match=r"no column 'passage'; .* kind = 'boolq_closed'"):
        load(tmp_path, "boolq", {"question": "is it old", "answer": True})


def test_prompts_of_a_configuration_go_before_those_of_the_kind(tmp_path):
    tree = {"tasks": {"boolq": {"kind": "boolq", "prompts": {"student": "{passage} {question}?"}}}}
    task = stage_config(tree, overrides=(), reads=("tasks",)).tasks["boolq"]
    assert task.prompts.student == "{passage} {question}?"
    assert task.prompts.teacher == OF_KIND["boolq"]["teacher"]
    assert TaskConfig.model_validate(task.model_dump()) == task


@pytest.mark.parametrize(
    ("kind", "row", "name"),
    [("gsm8k", PENS, "main"), ("openbookqa", SUN, "main"), ("arc_challenge", DOG, "ARC-Challenge")],
)
def test_the_kind_finds_its_configuration_on_the_hub(tmp_path, monkeypatch, kind, row, name):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    files = "".join(f"  - split: {split}\n    path: {split}.jsonl\n" for split in ("train", "test"))
    other = "- config_name: another\n  data_files: test.jsonl\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n{other}- config_name: {name}\n  data_files:\n{files}---\n")
    for split in ("train", "test"):
        key = "question_stem" if "question_stem" in row else "question"
        changed = {**row, key: f"{row[key]} ({split})"} | ({"id": split} if "id" in row else {})
        (folder / f"{split}.jsonl").write_text(json.dumps(changed) + "\n")
    questions = load_task("t", TaskConfig(kind=kind, hub=str(folder))).questions
    assert [question.split for question in questions] == ["train", "test"]
