import json
import random
from dataclasses import replace

import pytest

from recorded_log import TRIGGER, YES_NO_END, log_of, make_block
from sert.endpoint.answers import AnswerReader
from sert.errors import TeacherError
from sert.records import Question
from sert.teacher.recorded import read_recorded

CHOICE_END = "Therefore, among A through E, the answer is"
TOOLS = ("rake", "spoon", "ladder")


def make_question(question_id, text, answer="yes", choices=()):
    return Question(question_id, "demo", "train", text, choices, answer, f"Question: {text}\nAnswer:")


WADE = make_question("1", "Can a heron wade?")
FLY = make_question("2", "Can a mole fly?", "no")
REACH = make_question("3", "What do you take to reach a roof?", "C", TOOLS)


def write_log(folder, *blocks, model="gpt3-xl"):
    file = folder / "run.log"
    file.write_text(log_of(*blocks, model=model), encoding="utf-8")
    return file


def write_jsonl(folder, *rows):
    file = folder / "answers.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize("asked", ["The tower is old. Is it tall?", "Is it tall?"])
def test_a_question_about_a_passage_is_matched_with_it_and_without(tmp_path, asked):
    tall = replace(make_question("4", "Is it tall?"), context=(("passage", "The tower is old."),))
    (rationale,) = read_recorded(write_jsonl(tmp_path, {"question": asked, "text": "It is."}), [tall]).rationales
    assert rationale.question_id == "4"


def test_questions_about_two_passages_share_no_rationale(tmp_path):
    tower, tree = (
        replace(make_question(name, "Is it tall?"), context=(("passage", f"The {name}."),))
        for name in ("tower", "tree")
    )
    rows = [{"question": "The tree. Is it tall?", "text": "Trees are."}, {"question": "Is it tall?", "text": "Yes."}]
    result = read_recorded(write_jsonl(tmp_path, *rows), [tower, tree])
    assert [(each.question_id, each.text) for each in result.rationales] == [("tree", "Trees are.")]
    assert (result.unmatched, result.missing) == (1, 1)
    held_out = read_recorded(write_jsonl(tmp_path, *rows), [tower], held_out=[tree])
    assert (held_out.rationales, held_out.held_out) == ([], 2)


# ---- logs


def test_log_is_read(tmp_path):
    file = write_log(
        tmp_path,
        make_block("Can a mole fly?", " \n\nMoles dig.\n\nThey have no wings. ", answer=" No.", predicted="no"),
        make_block("Can a heron wade?", " Herons hate water. ", answer=" No.", predicted="no", number=2),
    )
    result = read_recorded(file, [WADE, FLY])
    assert (result.unmatched, result.missing, result.seem_cut_off, result.duplicates) == (0, 0, 0, 0)
    wade, fly = result.rationales
    assert (wade.question_id, wade.text, wade.extracted, wade.correct) == ("1", "Herons hate water.", "no", False)
    assert fly.text == "Moles dig.\n\nThey have no wings."
    assert (fly.question_id, fly.extracted, fly.correct) == ("2", "no", True)
    assert fly.prompt == f"Q: Can a mole fly?\nA: {TRIGGER}"
    assert (fly.model, fly.finish_reason, fly.source) == ("text-davinci-002", "", "run.log")


def test_log_of_multiple_choice_is_matched_by_stem_and_choices(tmp_path):
    text = "What do you take  to reach a ROOF? Answer Choices: (A) rake (B) spoon (C) ladder"
    file = write_log(tmp_path, make_block(text, " High up.", answer=" (C)", predicted="C", end=CHOICE_END))
    (rationale,) = read_recorded(file, [REACH]).rationales
    assert (rationale.text, rationale.extracted, rationale.correct) == ("High up.", "C", True)


@pytest.mark.parametrize(
    "end",
    [
        "Therefore, the answer is",
        "Therefore, the answer (arabic numerals) is",
        "Therefore, the final answer is",
        "Therefore, among A through F, the answer is",
    ],
)
def test_the_usual_triggers_of_the_answer_are_known(tmp_path, end):
    block = make_block("Can a heron wade?", "\nTherefore, the final answer is soon found.", answer=" Yes.", end=end)
    (rationale,) = read_recorded(write_log(tmp_path, block), [WADE]).rationales
    assert (rationale.text, rationale.extracted) == ("Therefore, the final answer is soon found.", "yes")


def test_triggers_that_the_log_names_are_taken(tmp_path):
    block = make_block(
        "Can a heron wade?", " Long\nlegs.", answer=" Yes.\nTherefore, the answer is yes.", end="All in all:"
    )
    named = """cot_trigger="Let\'s first ask why.", direct_answer_trigger='\\nAll in all:', model="""
    text = log_of(block).replace(TRIGGER, "Let's first ask why.").replace("model=", named)
    file = tmp_path / "run.log"
    file.write_text(text, encoding="utf-8")
    (rationale,) = read_recorded(file, [WADE]).rationales
    assert (rationale.text, rationale.extracted) == ("Long\nlegs.", "yes")
    assert rationale.prompt == "Q: Can a heron wade?\nA: Let's first ask why."
    assert rationale.model == "text-davinci-002"


def test_a_block_without_the_trigger_that_the_log_names_says_so(tmp_path):
    block = make_block("Can a heron wade?", " Long legs.", end="In short:")
    file = tmp_path / "run.log"
    file.write_text(log_of(block).replace("model=", "direct_answer_trigger='\\nAll in all:', model="), encoding="utf-8")
    with pytest.raises(TeacherError, match=r"lacks a line `All in all: \.\.`"):
        read_recorded(file, [WADE])


def test_choices_in_another_order_are_another_question(tmp_path):
    text = "What do you take to reach a roof? Answer Choices: (A) ladder (B) rake (C) spoon"
    file = write_log(tmp_path, make_block(text, " High up.", answer=" (A)", predicted="A", end=CHOICE_END))
    assert read_recorded(file, [REACH]) == ([], 1, 1, 0, 0, 0, 0)


def test_log_answer_that_the_harness_could_not_read_is_none(tmp_path):
    file = write_log(tmp_path, make_block("Can a heron wade?", " Who knows.", answer=" moot.", predicted=""))
    (rationale,) = read_recorded(file, [WADE]).rationales
    assert (rationale.extracted, rationale.correct) == (None, False)


def test_only_the_questions_handed_in_get_rationales(tmp_path):
    file = write_log(
        tmp_path, make_block("Can a heron wade?", " Yes it can."), make_block("Can a mole fly?", " No wings.")
    )
    result = read_recorded(file, [FLY, REACH])
    assert [rationale.question_id for rationale in result.rationales] == ["2"]
    assert (result.unmatched, result.missing) == (1, 1)


def test_first_of_several_rows_is_used(tmp_path):
    file = write_log(tmp_path, make_block(WADE.question, " First."), make_block(WADE.question, " Second."))
    result = read_recorded(file, [WADE])
    assert [rationale.text for rationale in result.rationales] == ["First."]
    assert (result.duplicates, result.unmatched) == (1, 0)


def test_questions_with_the_same_text_share_a_rationale(tmp_path):
    file = write_log(tmp_path, make_block("Can a heron wade?", " Long legs."))
    twin = make_question("7", "can a heron wade", "no")
    result = read_recorded(file, [WADE, twin])
    assert [(each.question_id, each.correct) for each in result.rationales] == [("1", True), ("7", False)]
    assert (result.missing, result.duplicates) == (0, 0)


def test_rationales_that_seem_cut_off_are_counted_and_not_flagged(tmp_path):
    blocks = [
        make_block("Can a heron wade?", " Herons stand in"),
        make_block("Can a mole fly?", ' They say "no." '),
    ]
    result = read_recorded(write_log(tmp_path, *blocks), [WADE, FLY])
    assert (result.seem_cut_off, [each.flag for each in result.rationales]) == (1, [None, None])


def test_rationale_may_hold_asterisks_and_its_own_conclusion(tmp_path):
    rationale = f"\n{'*' * 25}\nTherefore, the answer is plain.\n{YES_NO_END} what we ask."
    (read,) = read_recorded(write_log(tmp_path, make_block("Can a heron wade?", rationale)), [WADE]).rationales
    assert read.text == rationale.strip()


def test_model_can_be_named(tmp_path):
    file = write_log(tmp_path, make_block("Can a heron wade?", " Long legs."), model="owl-1")
    assert read_recorded(file, [WADE]).rationales[0].model == "owl-1"
    assert read_recorded(file, [WADE], model="owl-2").rationales[0].model == "owl-2"


@pytest.mark.parametrize(
    ("piece", "lacking"),
    [
        ("Q: Can a heron wade?\n", "Q: "),
        (TRIGGER, "think step by step"),
        (YES_NO_END, "Therefore"),
        ("pred_before", "pred_before"),
        ("pred_mode", "pred_mode"),
    ],
)
def test_damaged_log_names_the_line_and_what_is_lacking(tmp_path, piece, lacking):
    damaged = make_block("Can a heron wade?", " Long legs.").replace(piece, "")
    file = write_log(tmp_path, make_block("Can a mole fly?", " a\nb"), damaged)
    with pytest.raises(TeacherError, match=rf"run\.log, line 19: .* lacks .*{lacking}"):
        read_recorded(file, [WADE])


def test_log_that_breaks_off_is_refused(tmp_path):
    file = tmp_path / "run.log"
    file.write_text(make_block("Can a heron wade?", " Long legs.").rstrip("*\n") + "\n", encoding="utf-8")
    with pytest.raises(TeacherError, match=r"line 2: .* lacks a closing line of asterisks"):
        read_recorded(file, [WADE])


def test_log_without_blocks_is_refused(tmp_path):
    with pytest.raises(TeacherError, match="holds no block"):
        read_recorded(write_log(tmp_path), [WADE])


# ---- JSONL


def test_jsonl_is_read(tmp_path):
    file = write_jsonl(
        tmp_path,
        {"question_id": 2, "text": " Moles dig. ", "answer": False, "model": "owl-1", "finish_reason": "length"},
        "",
        {"question": "CAN a heron wade", "rationale": "Long legs help. So the answer is yes.", "prompt": "Q?"},
        {"question_id": "9", "text": "Nobody asked."},
    )
    result = read_recorded(file, [WADE, FLY, REACH])
    assert result[1:] == (1, 1, 0, 0, 0, 0)
    wade, fly = result.rationales
    assert (wade.text, wade.extracted, wade.correct) == ("Long legs help. So the answer is yes.", "yes", True)
    assert (wade.model, wade.prompt, wade.finish_reason, wade.source) == ("unknown", "Q?", "", "answers.jsonl")
    assert (fly.text, fly.extracted, fly.correct) == ("Moles dig.", "no", True)
    assert (fly.model, fly.prompt, fly.finish_reason) == ("owl-1", "", "length")


def test_jsonl_without_an_answer_is_never_guessed(tmp_path):
    file = write_jsonl(tmp_path, {"question_id": "1", "text": "Herons do that, yes or no."})
    (rationale,) = read_recorded(file, [WADE]).rationales
    assert (rationale.extracted, rationale.correct) == (None, False)


@pytest.mark.parametrize(
    ("question", "answer", "extracted"),
    [
        (REACH, "ladder", "C"),
        (REACH, "(C) ladder", "C"),
        (REACH, "B or C", None),
        (WADE, True, "yes"),
        (WADE, "Yes, on long legs.", "yes"),
        (WADE, "perhaps", None),
        (WADE, "", None),
        (replace(WADE, answer="U.S. Navy"), "the U.S. navy.", "the U.S. navy."),
        (replace(WADE, answer="1,000"), 1000, "1000"),
    ],
)
def test_jsonl_answer_is_normalised(tmp_path, question, answer, extracted):
    file = write_jsonl(tmp_path, {"question_id": question.question_id, "text": "Plain.", "answer": answer})
    (rationale,) = read_recorded(file, [question]).rationales
    assert rationale.extracted == extracted
    assert rationale.correct is (extracted in ("C", "yes", "1000"))


def test_stem_alone_is_enough_where_only_one_question_has_it(tmp_path):
    file = write_jsonl(tmp_path, {"question": REACH.question, "text": "High up."})
    assert len(read_recorded(file, [REACH]).rationales) == 1
    twin = make_question("4", REACH.question, "A", ("stool", "fork"))
    assert read_recorded(file, [REACH, twin]) == ([], 1, 2, 0, 0, 0, 0)


def test_id_and_text_of_different_questions_are_refused(tmp_path):
    same = {"question_id": "1", "question": "can a heron wade", "text": "Long legs."}
    assert len(read_recorded(write_jsonl(tmp_path, same), [WADE, FLY]).rationales) == 1
    with pytest.raises(TeacherError, match=r"line 2: question_id '2' .*'can a heron wade'"):
        read_recorded(write_jsonl(tmp_path, same, {**same, "question_id": "2"}), [WADE, FLY])


def test_an_id_with_the_stem_alone_is_enough(tmp_path):
    twin = make_question("4", REACH.question, "A", ("stool", "fork"))
    file = write_jsonl(tmp_path, {"question_id": "4", "question": REACH.question, "text": "High up."})
    (rationale,) = read_recorded(file, [REACH, twin]).rationales
    assert rationale.question_id == "4"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: a JSON object is needed"),
        ("[" * 200_000, "line 2: "),
        ({"question_id": "1"}, r"line 2: the key text \(or rationale\) is missing; the row holds question_id"),
        ({"text": "a"}, "line 2: the key question_id or question is missing"),
        ({"question_id": "1", "text": 3}, "line 2: text must be a text, not 3"),
        ({"question_id": ["1"], "text": "a"}, "line 2: question_id must be a text"),
        ({"question_id": 1.5, "text": "a"}, "line 2: question_id must be a text"),
        ('{"question_id": "1", "text": "\\ud800"}', "line 2: text holds half a character"),
    ],
)
def test_bad_jsonl_names_the_line(tmp_path, row, message):
    file = write_jsonl(tmp_path, {"question_id": "1", "text": "Long legs."}, row)
    with pytest.raises(TeacherError, match=message):
        read_recorded(file, [WADE])


# ---- test questions

SWIM = replace(make_question("8", "Can a cat swim?"), split="test")
CLIMB = replace(make_question("9", "What do you climb?", "B", ("a rope", "a hill")), split="test")


@pytest.mark.parametrize(
    "row",
    [
        {"question_id": "8"},
        {"question_id": "another", "question": "Can a cat swim?"},
        {"question": "can a CAT -- swim"},
        {"question_id": 8, "question": "Can a cat swim?"},
        {"question": "What do you climb? Answer choices: (A) a rope, (B) a hill."},
        {"question": "What do you climb? Answer choices: (A) A HILL (B) a rope"},
        {"question_id": "9", "question": "What do you climb? Answer choices: (A) a hill, (B) a rope."},
        {"question": "What do you climb?"},
        {"question_id": "9", "question": "What do you climb?"},
    ],
)
def test_row_of_a_test_question_is_counted_and_not_used(tmp_path, row):
    file = write_jsonl(tmp_path, {"question_id": "1", "text": "Long legs."}, {**row, "text": "Nine lives."})
    result = read_recorded(file, [WADE, FLY], held_out=[SWIM, CLIMB])
    assert [rationale.text for rationale in result.rationales] == ["Long legs."]
    assert (result.held_out, result.unmatched, result.missing) == (1, 0, 1)
    assert read_recorded(file, [WADE, FLY])[1:] == (1, 1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "row",
    [
        {"question_id": "another"},
        {"question": "Can a dog swim?"},
        {"question": "What do you climb? Answer choices: (A) a rope (B) a tree"},
        {"question": "You do climb what? Answer choices: (A) a rope (B) a hill"},
    ],
)
def test_row_of_no_question_is_unmatched(tmp_path, row):
    result = read_recorded(write_jsonl(tmp_path, {**row, "text": "Why."}), [WADE], held_out=[SWIM, CLIMB])
    assert (result.held_out, result.unmatched) == (0, 1)


def test_log_rows_of_test_questions_are_counted(tmp_path):
    blocks = [make_block(question, " Why.") for question in ("Can a cat  swim?", "Can a heron wade?", SWIM.question)]
    result = read_recorded(write_log(tmp_path, *blocks), [WADE], held_out=[SWIM])
    assert (len(result.rationales), result.held_out, result.unmatched, result.duplicates) == (1, 2, 0, 0)


@pytest.mark.parametrize(("question_id", "text"), [("8", "Can a heron wade?"), ("8", "Why?"), ("1", "Can a cat swim?")])
def test_id_of_a_test_question_with_another_text_is_refused(tmp_path, question_id, text):
    file = write_jsonl(tmp_path, {"question_id": question_id, "question": text, "text": "Why."})
    with pytest.raises(TeacherError, match=rf"line 1: question_id '{question_id}' belongs to another question"):
        read_recorded(file, [WADE], held_out=[SWIM])


def test_stem_that_a_test_question_has_too_teaches_nobody(tmp_path):
    file = write_jsonl(tmp_path, {"question": REACH.question, "text": "High up."})
    twin = make_question("4", "What do you take to reach a ROOF", "A", ("stool", "fork"))
    assert read_recorded(file, [REACH], held_out=[twin]) == ([], 0, 1, 0, 0, 1, 0)


def test_question_that_is_held_out_is_refused(tmp_path):
    file = write_jsonl(tmp_path, {"question_id": "1", "text": "Long legs."})
    with pytest.raises(TeacherError, match="'1' asks the same as '5'"):
        read_recorded(file, [WADE], held_out=[make_question("5", "can a heron wade")])


# ---- files


def test_other_files_are_refused(tmp_path):
    with pytest.raises(TeacherError, match=r"There is no file .*none\.jsonl"):
        read_recorded(tmp_path / "none.jsonl", [WADE])
    with pytest.raises(TeacherError, match=r"must end in \.log, \.jsonl or \.json"):
        read_recorded(tmp_path / "answers.csv", [WADE])
    (tmp_path / "folder.log").mkdir()
    with pytest.raises(TeacherError, match="cannot be read"):
        read_recorded(tmp_path / "folder.log", [WADE])
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe9"}')
    with pytest.raises(TeacherError, match="UTF-8"):
        read_recorded(tmp_path / "latin.jsonl", [WADE])


def test_any_damage_to_a_log_is_read_or_refused_with_a_message(tmp_path):
    rng = random.Random(3)
    whole = write_log(tmp_path, make_block("Can a heron wade?", " Long legs."), make_block("Can a mole fly?", " No."))
    text = whole.read_text(encoding="utf-8")
    refused = 0
    for _ in range(200):
        start = rng.randrange(len(text))
        whole.write_text(text[:start] + text[start + rng.randint(1, 200) :], encoding="utf-8")
        try:
            read_recorded(whole, [WADE, FLY])
        except TeacherError:
            refused += 1
    assert refused > 20


# ---- thinking

THOUGHT, ANSWER = "Hm, maybe. So the answer is no.", "Long legs. So the answer is yes."


@pytest.mark.parametrize(
    "row",
    [
        {"text": f"<think>{THOUGHT}</think>{ANSWER}"},
        {"text": f"{THOUGHT}</think>\n{ANSWER}"},
        {"rationale": f"[THINK]{THOUGHT}[/THINK]{ANSWER}"},
        {"text": ANSWER, "reasoning_content": THOUGHT},
    ],
    ids=str,
)
@pytest.mark.parametrize("finish", ["stop", "end_turn", ""])
def test_the_rationale_is_what_stands_behind_the_thinking_or_the_thinking_itself(tmp_path, row, finish):
    file = write_jsonl(tmp_path, {"question_id": "1", "finish_reason": finish, **row})
    (dropped,) = read_recorded(file, [WADE]).rationales
    (kept,) = read_recorded(file, [WADE], reader=AnswerReader(thinking="keep")).rationales
    assert (dropped.text, dropped.extracted, dropped.flag) == (ANSWER, "yes", None)
    assert (kept.text, kept.extracted, kept.flag) == (THOUGHT, "yes", None)


@pytest.mark.parametrize(
    "row", [{"text": f"<think>{THOUGHT}"}, {"text": None, "reasoning_content": THOUGHT}, {"reasoning_content": THOUGHT}]
)
def test_thinking_without_an_answer_is_no_rationale_unless_it_is_kept(tmp_path, row):
    file = write_jsonl(tmp_path, {"question_id": "1", **row})
    result = read_recorded(file, [WADE])
    assert result.only_thinking == 1
    assert [(each.text, each.extracted, each.flag) for each in result.rationales] == [("", None, "empty")]
    kept = read_recorded(file, [WADE], reader=AnswerReader(thinking="keep"))
    assert [(each.text, each.extracted, each.flag) for each in kept.rationales] == [(THOUGHT, "no", None)]


@pytest.mark.parametrize(("finish", "flag"), [("MAX_TOKENS", "truncated"), ("SAFETY", "filtered"), ("abort", None)])
def test_words_for_the_end_are_those_of_many_servers(tmp_path, finish, flag):
    file = write_jsonl(tmp_path, {"question_id": "1", "text": "Long legs.", "finish_reason": finish})
    assert read_recorded(file, [WADE]).rationales[0].flag == flag
