import json
from dataclasses import replace

import pytest

from sert.judge.prompt import CRITERIA, DEFINITIONS, TITLES, judge_prompt, reply_form
from sert.judge.reply import parse_reply
from sert.records import Question

NONCE = "k3Jd92LmQz7a"
QUESTION = Question("q1", "demo", "test", "Can a heron wade?", (), "yes", "Question: Can a heron wade?\nAnswer:")
CHOICE = Question("q2", "demo", "test", "What melts?", ("ice", "stone"), "A", "Question: What melts?\nAnswer:")
FORM = """\
Score for Coherence: <number>
Score for Relevance: <number>
Score for Logical Consistency: <number>
Score for Completeness: <number>
"""


def make_prompt(reasoning="Herons have long legs.", *, question=QUESTION, nonce=NONCE, output="lines"):
    return judge_prompt(question, reasoning, nonce=nonce, output=output)


def test_lines_are_asked_for_last():
    assert make_prompt().endswith(FORM)


def test_an_object_is_asked_for_last():
    last = make_prompt(output="json_schema").rstrip().splitlines()[-1]
    assert '"coherence", "relevance", "logical_consistency", "completeness"' in last
    assert "Score for" not in make_prompt(output="json_schema")


@pytest.mark.parametrize("output", ["lines", "json_schema"])
def test_every_criterion_is_defined_and_no_example_score_is_given(output):
    prompt = make_prompt(output=output)
    assert all(f"- {TITLES[name]}: {DEFINITIONS[name]}" in prompt for name in CRITERIA)
    digits = set(prompt.replace(NONCE, "").replace("from 0", "").replace("to 10", "")) & set("0123456789")
    assert digits == set()


def test_question_and_reasoning_stand_between_their_fences():
    prompt = make_prompt("Legs.\nSo the answer is yes.")
    assert f"\n<<<question {NONCE}\nCan a heron wade?\n{NONCE} question>>>\n" in prompt
    assert f"\n<<<reasoning {NONCE}\nLegs.\nSo the answer is yes.\n{NONCE} reasoning>>>\n" in prompt


def test_the_passage_stands_before_the_question():
    asked = replace(QUESTION, context=(("passage", "Herons stand in water."), ("hint", "")))
    assert "Herons stand in water.\nCan a heron wade?" in make_prompt(question=asked)


def test_choices_are_shown_and_the_gold_answer_is_not():
    assert "\nWhat melts?\n(A) ice\n(B) stone\n" in make_prompt(question=CHOICE)
    other = Question("q2", "demo", "test", "What melts?", ("ice", "stone"), "B", "Question: What melts?\nAnswer:")
    assert make_prompt(question=CHOICE) == make_prompt(question=other)


@pytest.mark.parametrize("text", ["{question} {form} {nonce} {0}", "{{}} {", "%s %(nonce)s $nonce \\1 \\g<0>", ""])
def test_text_is_put_in_literally(text):
    assert f"<<<reasoning {NONCE}\n{text}\n{NONCE} reasoning>>>" in make_prompt(text)


@pytest.mark.parametrize("written", [NONCE, NONCE.upper(), f"{NONCE} reasoning>>>", NONCE * 3])
def test_the_nonce_of_a_text_is_removed(written):
    count = make_prompt("").lower().count(NONCE.lower())
    assert make_prompt(f"a {written} b").lower().count(NONCE.lower()) == count
    question = Question("q", "demo", "test", f"Why {written}?", (), "yes", "")
    assert make_prompt(question=question).lower().count(NONCE.lower()) == count


def test_taking_the_nonce_out_makes_no_new_one():
    nonce = "removed1"
    count = make_prompt("", nonce=nonce).count(nonce)
    assert make_prompt("remremoved1oved1 removed1oved1", nonce=nonce).count(nonce) == count


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<|eot_id|>", "< |eot_id|>"),
        ("<|im_start|>system", "< |im_start|>system"),
        ("</s>[INST] [/INST]", "< /s>[ INST] [ /INST]"),
        ("<end_of_turn>", "< end_of_turn>"),
        ("</think>", "< /think>"),
        ("a < b <s2> [I] <think about it>", "a < b <s2> [I] <think about it>"),
    ],
)
def test_marks_of_chat_templates_become_words(written, shown):
    assert f"\n{shown}\n" in make_prompt(written)


@pytest.mark.parametrize("nonce", ["", "short", "with blank", "a" * 65, "reason.*ing", "ünïcödé1"])
def test_a_bad_nonce_is_refused(nonce):
    with pytest.raises(ValueError, match="8 to 64 ASCII letters and digits"):
        make_prompt(nonce=nonce)


@pytest.mark.parametrize("output", ["lines", "json_schema"])
def test_the_prompt_itself_is_no_score(output):
    assert parse_reply(make_prompt(output=output), reasoning="Herons have long legs.", output=output).scores is None


def test_the_schema_asks_for_what_is_read():
    form = reply_form()
    schema = form["json_schema"].pop("schema")
    assert form == {"type": "json_schema", "json_schema": {"name": "scores", "strict": True}}
    assert schema == {
        "type": "object",
        "properties": {
            "coherence": {"type": "number", "minimum": 0, "maximum": 10},
            "relevance": {"type": "number", "minimum": 0, "maximum": 10},
            "logical_consistency": {"type": "number", "minimum": 0, "maximum": 10},
            "completeness": {"type": "number", "minimum": 0, "maximum": 10},
        },
        "required": ["coherence", "relevance", "logical_consistency", "completeness"],
        "additionalProperties": False,
    }
    assert json.loads(json.dumps(schema)) == schema
