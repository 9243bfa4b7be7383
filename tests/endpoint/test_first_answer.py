import pytest

from endpoint.fakes import ENDPOINT
from sert.endpoint.answers import DEFAULT_READER
from sert.endpoint.calls import Reply, Usage, make_call
from sert.endpoint.first_answer import cut_prompt, warnings_about

CALL = make_call("one two three four", ENDPOINT, label="q")  # asks model `m` for at most 20 tokens


def reply(usage: Usage | None = None, *, finish: str = "stop", model: str = "m") -> Reply:
    return Reply("text", finish, None, usage, model)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (reply(None), "does not count tokens"),
        (reply(Usage(4, 21)), "21 tokens where 20"),
        (reply(Usage(4, 20)), "'stop' for an answer that the limit cut"),
        (reply(Usage(4, 3), model="gpt"), "answers as 'gpt', not as 'm'"),
        (Reply("<think>So.</think>Text", "stop", None, Usage(4, 3), "m"), "left out of rationales"),
    ],
)
def test_what_is_odd_is_said(answer: Reply, word: str) -> None:
    (warning,) = warnings_about(CALL, answer, DEFAULT_READER)
    assert word in warning


@pytest.mark.parametrize(
    "answer", [reply(Usage(4, 3)), reply(Usage(4, 20), finish="length"), reply(Usage(4, 3), model="org/M-2026")]
)
def test_what_is_as_asked_for_raises_no_warning(answer: Reply) -> None:
    assert list(warnings_about(CALL, answer, DEFAULT_READER)) == []


@pytest.mark.parametrize(("tokens", "cut"), [(1, True), (2, False), (4, False), (40, False)])
def test_a_prompt_of_more_words_than_twice_its_tokens_was_cut(tokens: int, cut: bool) -> None:
    assert (cut_prompt(CALL, reply(Usage(tokens, 3))) is not None) == cut
