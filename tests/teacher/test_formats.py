"""Completions of Fine-tune-CoT; logs and JSONL are tested by what is made of them, in `test_recorded.py`."""

import json

import pytest

from sert.errors import TeacherError
from sert.records import Question
from sert.teacher.formats import RecordedRow, read_recorded_rows
from sert.teacher.recorded import read_recorded

WADE = Question("q1", "demo", "train", "Can a heron wade?", (), "yes", "")
FLY = Question("q2", "demo", "train", "Can a mole fly?", (), "no", "")
ROOF = Question("q3", "demo", "train", "What reaches a roof?", ("rake", "spoon", "ladder"), "C", "")


def completion(question, reasoning, index=0, **others):
    return {
        "sample_index": 7,
        "completion_index": index,
        "question": question,
        "answer": "Yes",
        "reasoning_prompt": f"Q: {question}\nA: Let's think step by step.",
        "reasoning_completion": reasoning,
        "reasoning_finish_reason": "stop",
        "prompt": "..",
        "completion": " Yes.",
        "finish_reason": "length",
        **others,
    }


def without(value, key):
    return {name: each for name, each in value.items() if name != key}


def write(folder, data, **others):
    file = folder / "D_strategy_qa.json"
    whole = {"metadata": {"base_model": "owl-1", "dataset_key": "strategy_qa"}, "data": data, **others}
    file.write_text(json.dumps(whole, indent=4), encoding="utf-8")
    return file


def test_completion_is_read(tmp_path):
    file = write(tmp_path, {"7": [completion("Can a heron wade?", " Long legs. ")]})
    assert list(read_recorded_rows(file)) == [
        RecordedRow(
            where=f"{file}, sample '7', completion 0",
            question_id=None,
            question="Can a heron wade?",
            text="Long legs.",
            answer=" Yes.",
            model="owl-1",
            prompt="Q: Can a heron wade?\nA: Let's think step by step.",
            finish_reason="stop",
        )
    ]


def test_completions_become_rationales(tmp_path):
    text = "What reaches a roof? Answer choices: (A) rake, (B) spoon, (C) ladder."
    data = {
        "0": [completion("Can a mole fly?", " It has", completion=" No, it can't.", reasoning_finish_reason="length")],
        "1": [completion(text, " A spoon is small.", completion=" (B).")],
        "2": [completion("Can a fox sing?", " Foxes bark.")],
    }
    result = read_recorded(write(tmp_path, data), [WADE, FLY, ROOF])
    fly, roof = result.rationales
    assert (fly.question_id, fly.text, fly.extracted, fly.correct) == ("q2", "It has", "no", True)
    assert (fly.model, fly.finish_reason, fly.source) == ("owl-1", "length", "D_strategy_qa.json")
    assert (roof.question_id, roof.extracted, roof.correct) == ("q3", "B", False)
    assert (fly.flag, roof.flag, result.seem_cut_off) == ("truncated", None, 0)
    assert (result.unmatched, result.missing, result.duplicates, result.held_out) == (1, 1, 0, 0)


def test_lowest_completion_is_used(tmp_path):
    data = {
        "0": [completion(WADE.question, f" Reason {index}.", index) for index in (2, 1, 10)],
        "1": [completion("can a heron wade", " Twin.")],
        "2": [completion(FLY.question, " No wings.")],
    }
    result = read_recorded(write(tmp_path, data), [WADE, FLY])
    assert [rationale.text for rationale in result.rationales] == ["Reason 1.", "No wings."]
    assert (result.duplicates, result.unmatched) == (3, 0)


@pytest.mark.parametrize("completed", [{}, {"completion": None}])
def test_without_a_second_call_the_rationale_tells_the_answer(tmp_path, completed):
    rows = [
        completion(WADE.question, " Long legs. So the answer is yes."),
        completion(FLY.question, " It cannot, no."),
    ]
    data = {str(place): [{**without(row, "completion"), **completed}] for place, row in enumerate(rows)}
    result = read_recorded(write(tmp_path, data), [WADE, FLY])
    assert [(each.extracted, each.correct) for each in result.rationales] == [("yes", True), (None, False)]


def test_an_empty_answer_is_none_even_if_the_rationale_concludes(tmp_path):
    data = {"0": [completion(WADE.question, " Long legs. So the answer is yes.", completion="")]}
    (rationale,) = read_recorded(write(tmp_path, data), [WADE]).rationales
    assert rationale.extracted is None


def test_local_models_have_no_finish_reason(tmp_path):
    finished = completion(WADE.question, " Long legs.", reasoning_finish_reason=None)
    broken = without(completion(FLY.question, " Moles have no"), "reasoning_finish_reason")
    result = read_recorded(write(tmp_path, {"0": [finished], "1": [broken]}), [WADE, FLY])
    assert [rationale.finish_reason for rationale in result.rationales] == ["", ""]
    assert result.seem_cut_off == 1


@pytest.mark.parametrize(("metadata", "model"), [({}, "unknown"), ({"base_model": "owl-2"}, "owl-2")])
def test_model_is_in_the_metadata(tmp_path, metadata, model):
    file = write(tmp_path, {"0": [completion(WADE.question, " Long legs.")]}, metadata=metadata)
    assert read_recorded(file, [WADE]).rationales[0].model == model
    assert read_recorded(file, [WADE], model="own").rationales[0].model == "own"


GOOD = completion("Can a heron wade?", " Long legs.", 4)


@pytest.mark.parametrize(
    ("completions", "message"),
    [
        ({"0": GOOD}, r"sample '12': a list of completions is needed, not \{'0'"),
        ([GOOD, "x"], "sample '12', entry 1: a JSON object is needed, not 'x'"),
        (
            [without(GOOD, "completion_index")],
            "sample '12', entry 0: completion_index must be a whole .*, not None",
        ),
        ([{**GOOD, "completion_index": True}], "entry 0: completion_index must be a whole number, not True"),
        (
            [without(GOOD, "question")],
            "sample '12', completion 4: the key question is missing; the row holds sample",
        ),
        (
            [{**GOOD, "reasoning_completion": None}],
            "sample '12', completion 4: the key reasoning_completion is",
        ),
        ([{**GOOD, "reasoning_completion": ["x"]}], "completion 4: reasoning_completion must be a text, not "),
        ([{**GOOD, "completion": True}], "completion 4: completion must be a text, not True"),
        ([{**GOOD, "reasoning_finish_reason": 0}], "completion 4: reasoning_finish_reason must be a text, not 0"),
        ([{**GOOD, "question": "\ud800"}], "completion 4: question holds half a character"),
    ],
)
def test_bad_sample_is_named(tmp_path, completions, message):
    with pytest.raises(TeacherError, match=message):
        read_recorded(write(tmp_path, {"3": [GOOD], "12": completions}), [WADE])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": {', r"own\.json: not JSON"),
        ("[" * 200_000, r"own\.json: "),
        ('[{"question": "a"}]', r"own\.json: a JSON object is needed, not \[\{"),
        ('{"question_id": "1", "text": "a"}', r"the key data is missing; .* metadata and data.* must end in \.jsonl"),
        ('{"data": []}', r"own\.json, data: a JSON object is needed, not \[\]"),
        ('{"metadata": 3, "data": {}}', r"own\.json, metadata: a JSON object is needed, not 3"),
        ('{"metadata": {"base_model": 3}, "data": {}}', "metadata: base_model must be a text, not 3"),
    ],
)
def test_bad_file_is_named(tmp_path, text, message):
    file = tmp_path / "own.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TeacherError, match=message):
        read_recorded(file, [WADE])
