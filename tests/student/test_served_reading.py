"""Replies of servers that sample, as vLLM writes them, and how they can be wrong."""

import json
import math
from typing import Any

import pytest

from sert.endpoint.calls import TroubleError
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.load import Student
from sert.student.outline import Outline
from sert.student.served.asking import Asking, Request
from sert.student.served.reading import Sample, check_kept, check_lively, read_first_tokens, read_samples

DECODING = Decoding(branches=2, samples=2, max_new_tokens=4, top_k=10, top_p=0.95)


@pytest.fixture
def outline(student: Student) -> Outline:
    """The tiny student: 257 tokens, of which 0 ends texts."""
    return Outline(student.tokenizer, "tiny", (0,), 192, 257)


@pytest.fixture
def asked(outline: Outline) -> Request:
    """Two samples of at most three tokens behind three tokens and a branch."""
    return Asking("m", outline, DECODING).continuations(DecodingPrompt("q", [7, 8, 9]), 1, 5)


def choice(index: int, token_ids: list[int], logprobs: list[float], finish: str, **changes: Any) -> dict[str, Any]:
    """One choice of a reply of vLLM 0.32."""
    return {
        "index": index,
        "text": "...",
        "logprobs": {
            "text_offset": [0] * len(token_ids),
            "token_logprobs": logprobs,
            "tokens": [f"token_id:{token}" for token in token_ids],
            "top_logprobs": [{f"token_id:{token}": value} for token, value in zip(token_ids, logprobs, strict=True)],
        },
        "finish_reason": finish,
        "stop_reason": None,
        "token_ids": token_ids,
        "prompt_logprobs": None,
        "prompt_token_ids": [7, 8, 9, 5],
        **changes,
    }


def reply(*choices: dict[str, Any], **changes: Any) -> bytes:
    usage = {"prompt_tokens": 4, "total_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": None}
    value = {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": choices, "usage": usage, **changes}
    return json.dumps(value).encode()


WHOLE = choice(0, [11, 12, 13], [-0.5, -1.5, -2.0], "length")
ENDED = choice(1, [11, 0], [-0.5, -3.0], "stop", stop_reason=0)


def test_what_is_asked(asked: Request) -> None:
    assert (asked.token_ids, asked.num_samples, asked.max_tokens) == ([7, 8, 9, 5], 2, 3)


def test_samples_come_in_their_order_without_the_end_of_text(outline: Outline, asked: Request) -> None:
    expected = [
        Sample([11, 12, 13], [-0.5, -1.5, -2.0], ended=False, tops=[], drawn=[-0.5, -1.5, -2.0]),
        Sample([11], [-0.5], ended=True, tops=[], drawn=[-0.5, -3.0]),
    ]
    assert read_samples(reply(WHOLE, ENDED), asked, outline) == expected
    assert read_samples(reply(ENDED, WHOLE), asked, outline) == expected


def test_what_stands_behind_an_end_of_text_is_cut_off(outline: Outline, asked: Request) -> None:
    """A server that goes on has sampled a whole text all the same."""
    going_on = choice(0, [11, 0, 13], [-0.5, -1.5, -2.0], "length")
    found = read_samples(reply(going_on, ENDED), asked, outline)[0]
    assert (found.token_ids, found.logprobs, found.ended) == ([11], [-0.5], True)


def test_ids_are_read_from_names_where_there_is_no_field(outline: Outline, asked: Request) -> None:
    named = [{name: value for name, value in each.items() if "token_ids" not in name} for each in (WHOLE, ENDED)]
    assert read_samples(reply(*named), asked, outline) == read_samples(reply(WHOLE, ENDED), asked, outline)


def test_a_log_probability_that_rounding_put_above_zero_is_zero(outline: Outline, asked: Request) -> None:
    sure = choice(0, [11, 12, 13], [1e-7, -1.5, -2.0], "length")
    assert read_samples(reply(sure, ENDED), asked, outline)[0].logprobs[0] == 0.0


def logprobs(**changes: Any) -> dict[str, Any]:
    return {"logprobs": WHOLE["logprobs"] | changes}


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"<html>", "transient", "the reply holds no choices"),
        (b"[]", "transient", "the reply holds no choices"),
        (reply(), "transient", "the reply holds no choices"),
        (reply(WHOLE), "fatal", "asked for 2 samples in one request (n), it gives 1"),
        (reply(WHOLE | {"finish_reason": "abort"}, ENDED), "transient", "finish_reason 'abort'"),
        (reply(WHOLE | {"finish_reason": None}, ENDED), "transient", "finish_reason None"),
        (reply(WHOLE | {"finish_reason": "stop"}, ENDED), "fatal", "no token that ends the student's (0)"),
        (reply(choice(0, [11], [-1.0], "length"), ENDED), "fatal", "it cut a text at 1 of 3 tokens"),
        (reply(choice(0, [11] * 4, [-1.0] * 4, "length"), ENDED), "fatal", "more than the 3 tokens"),
        (reply(choice(0, [11, 12, 257], [-1.0] * 3, "length"), ENDED), "fatal", "it gives the token 257"),
        (reply(choice(0, [11, 12, -1], [-1.0] * 3, "length"), ENDED), "fatal", "it gives the token -1"),
        (reply(WHOLE | {"token_ids": [11, True, 13]}, ENDED), "fatal", "it gives no token ids"),
        (reply(WHOLE | {"token_ids": None} | logprobs(tokens=["a", "b", "c"]), ENDED), "fatal", "no token ids"),
        (reply(WHOLE | {"token_ids": [11]}, ENDED), "fatal", "no log-probability for each token"),
        (reply(WHOLE | {"logprobs": None}, ENDED), "fatal", "no log-probability for each token"),
        (reply(WHOLE | logprobs(token_logprobs=[-1.0, None, -1.0]), ENDED), "fatal", "gives None for a log-prob"),
        (reply(WHOLE | logprobs(token_logprobs=[-1.0, 0.5, -1.0]), ENDED), "fatal", "gives 0.5 for a log-prob"),
        (reply(WHOLE | logprobs(token_logprobs=[-1.0, -math.inf, 0]), ENDED), "fatal", "gives -inf for a log-prob"),
        (reply(WHOLE | {"prompt_token_ids": [0, 7, 8, 9, 5]}, ENDED), "fatal", "it reads other tokens than the 4"),
    ],
)
def test_a_reply_that_is_not_what_was_asked_for(
    content: bytes, kind: str, says: str, outline: Outline, asked: Request
) -> None:
    with pytest.raises(TroubleError) as trouble:
        read_samples(content, asked, outline)
    assert (trouble.value.kind, says in trouble.value.reason) == (kind, True), trouble.value.reason


@pytest.mark.parametrize(("told", "is_taken"), [(4, True), (5, False), (None, False)])
def test_where_the_prompt_does_not_come_back_its_tokens_are_counted(
    told: int | None, is_taken: bool, outline: Outline, asked: Request
) -> None:
    silent = [each | {"prompt_token_ids": None} for each in (WHOLE, ENDED)]
    content = reply(*silent, usage={"prompt_tokens": told})
    if is_taken:
        assert len(read_samples(content, asked, outline)) == 2
        return
    with pytest.raises(TroubleError, match="it does not take ids"):
        read_samples(content, asked, outline)


def first(top: dict[str, float], drawn: int = 11) -> bytes:
    value = top.get(f"token_id:{drawn}", -1.0)
    found = choice(0, [drawn], [value], "length", prompt_token_ids=[7, 8, 9])
    found["logprobs"]["top_logprobs"] = [top]
    return reply(found)


def test_first_tokens_are_the_most_probable_ones_and_of_ties_the_lower(outline: Outline) -> None:
    asked = Asking("m", outline, DECODING).first_tokens(DecodingPrompt("q", [7, 8, 9]))
    top = {"token_id:11": -0.9, "token_id:40": -1.6, "token_id:13": -1.6}
    assert asked.body["logprobs"] == 3  # two branches, and the end of text may be among them
    assert read_first_tokens(first(top), asked, outline) == [(11, -0.9), (13, -1.6), (40, -1.6)]


@pytest.mark.parametrize(
    ("top", "says"),
    [
        ({"token_id:11": 0.0, "token_id:12": -9999.0, "token_id:13": -9999.0}, "raw_logprobs"),  # after top-k
        ({"token_id:11": -0.1, "token_id:12": -0.1, "token_id:13": -0.1}, "raw_logprobs"),  # more than 1 in all
        ({"token_id:11": -35.0, "token_id:12": -36.0, "token_id:13": -36.0}, "raw_logprobs"),  # logits
        ({"token_id:11": 4.0, "token_id:12": 3.0, "token_id:13": 2.0}, "raw_logprobs"),
        ({"token_id:11": -0.9, "token_id:12": -1.6}, "asked for the 3 most probable first tokens, it gives 2"),
        ({"a": -0.9, "b": -1.6, "c": -2.0}, "it gives no token ids"),
    ],
)
def test_first_tokens_that_are_none(top: dict[str, float], says: str, outline: Outline) -> None:
    asked = Asking("m", outline, DECODING).first_tokens(DecodingPrompt("q", [7, 8, 9]))
    content = first(top)
    if top.get("token_id:11", -1.0) > 0:
        content = content.replace(b'"token_logprobs": [4.0]', b'"token_logprobs": [0.0]')
    with pytest.raises(TroubleError, match=says):
        read_first_tokens(content, asked, outline)


def test_a_token_that_a_setting_rules_out_is_seen() -> None:
    likely = Sample([1, 2], [-0.1, -0.2], ended=False, tops=[{1: -0.1}, {2: -0.2, 3: -0.19}], drawn=[-0.1, -0.2])
    check_kept([likely], field="top_k", tolerance=0.05)  # 0.01 is rounding
    ruled_out = Sample([3], [-2.0], ended=True, tops=[{3: -2.0, 1: -0.1}, {0: -0.1}], drawn=[-2.0, -0.1])
    with pytest.raises(TroubleError, match="it does not keep to top_k"):
        check_kept([likely, ruled_out], field="top_k", tolerance=0.05)


def test_samples_that_are_all_the_same_are_seen() -> None:
    one, other = (Sample([token], [-1.0], ended=False, tops=[], drawn=[-1.0]) for token in (1, 2))
    check_lively([one, one, other])
    with pytest.raises(TroubleError, match="all samples of a request are the same"):
        check_lively([one, one, one])
