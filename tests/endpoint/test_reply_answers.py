"""What of an answer is used, and why none can be."""

import pytest

from endpoint.fakes import ENDPOINT
from sert.endpoint.answers import AnswerReader
from sert.endpoint.calls import Reply, Usage, make_call
from sert.endpoint.finish import meaning_of

CALL = make_call("Do birds fly?", ENDPOINT, label="q")  # asks for at most 20 tokens


def reply(text: str = "Yes.", finish: str = "stop", *, tokens: int = 2, thinking: str = "") -> Reply:
    return Reply(text, finish, None, Usage(4, tokens), "m", thinking)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end-turn", "stop"),
        (" Eos_Token ", "stop"),
        ("FinishReason.MAX_TOKENS", "length"),
        ("FINISH_REASON_STOP", "stop"),
        ("model_length", "length"),
        ("SAFETY", "content_filter"),
        ("tool_use", "tool_calls"),
        ("abort", None),
        ("error", None),
        ("not stop", None),
        ("", None),
        ("none", None),
    ],
)
def test_words_for_the_end_of_an_answer(word: str, meaning: str | None) -> None:
    assert meaning_of(word) == meaning


def test_a_word_of_ones_own_comes_first() -> None:
    assert meaning_of("stop", {"Stop": "length"}) == "length"
    assert meaning_of("", {"none": "stop"}) == "stop"
    assert meaning_of("Done-Now", {"done_now": "stop"}) == "stop"


@pytest.mark.parametrize(
    ("answer", "flag"),
    [
        (reply(), None),
        (reply("<think>Hm.</think>Yes."), None),
        (reply("<think>Hm."), "empty"),
        (reply("Yes.<think>Or"), "unfinished"),
        (reply("<think>Hm.", "length"), "truncated"),
        (reply("", thinking="Hm."), "empty"),
        (reply(tokens=20), "truncated"),
        (reply(finish="SAFETY"), "filtered"),
        (reply(finish="abort"), "unfinished"),
    ],
)
def test_the_flag_is_that_of_the_text_that_is_used(answer: Reply, flag: str | None) -> None:
    assert AnswerReader().read(answer, CALL).flag == flag


@pytest.mark.parametrize(
    ("answer", "text", "whole"),
    [
        (reply("No.<think>Hm.</think>Yes.", thinking="First."), "First.\nHm.", "First.\nHm.\nNo.\nYes."),
        (reply("Yes."), "Yes.", "Yes."),
        (reply("<think>Hm."), "Hm.", "Hm.\n"),
    ],
)
def test_kept_thinking_takes_the_place_of_the_answer(answer: Reply, text: str, whole: str) -> None:
    reader = AnswerReader(thinking="keep")
    assert reader.read(answer, CALL).flag is None
    used = reader.use(answer.text, answer.thinking)
    assert (used.text, used.whole) == (text, whole)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(), None),
        (reply("Yes", "length"), None),  # the next one may be shorter
        (reply("Yes", "SAFETY"), None),
        (reply("", "length"), "limit of 20 tokens"),
        (reply("", thinking="Hm."), "judge.endpoint.extra_body"),
        (reply(finish="<|im_end|>"), 'judge.endpoint.finish_reasons={"<|im_end|>"="stop"}'),
        (reply("", "tool_calls"), "calls a tool"),
        (reply("Yes.<think>"), "not closed"),
    ],
)
def test_a_fault_says_how_to_mend_it(answer: Reply, says: str | None) -> None:
    fault = AnswerReader("judge").fault(answer, CALL)
    assert fault is None if says is None else says in str(fault)
    assert "judge.thinking" not in str(fault)  # which is no setting
