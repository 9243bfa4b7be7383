import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

from fault_answers import cut, text_for
from fault_server import FaultServer

Client = openai.AsyncOpenAI


def test_a_text_follows_from_the_request_alone() -> None:
    first = text_for(1, "Is ice cold?")
    assert first == text_for(1, "Is ice cold?")
    assert first.endswith(("So the answer is yes.", "So the answer is no."))
    assert len({first, text_for(2, "Is ice cold?"), text_for(1, "Is it?"), text_for(1, "Is ice cold?", repeat=0)}) == 4


def test_cut_keeps_the_white_space_it_does_not_cut() -> None:
    assert cut("a  b\nc d", 3) == ("a  b\nc", "length")
    assert cut("a b c ", 3) == ("a b c ", "stop")
    assert cut("a b", None) == ("a b", "stop")


def probe(variant: str | None, use: Callable[[Client], Awaitable[Any]]) -> Any:
    """What a use of the real client gives at an endpoint of this kind."""

    async def main(base_url: str) -> Any:
        async with Client(base_url=base_url, api_key="k", max_retries=0, timeout=5.0) as client:
            return await use(client)

    with FaultServer(variant=variant) as server:
        return asyncio.run(main(server.base_url))


async def ask(client: Client, prompt: str, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": prompt}]
    return await client.chat.completions.create(model="teacher", messages=messages, **options)


def content(reply: Any) -> str:
    return reply.choices[0].message.content


SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "scores",
        "schema": {
            "type": "object",
            "properties": {"sound": {"type": "integer", "minimum": 1, "maximum": 5}, "share": {"type": "number"}},
        },
    },
}


def test_an_honest_endpoint_does_as_asked() -> None:
    async def use(client: Client) -> Any:
        wanted: dict[str, Any] = {"n": 3, "seed": 1, "logprobs": True, "top_logprobs": 2}
        return await ask(client, "a", **wanted), await ask(client, "a", response_format=SCHEMA)

    several, scores = probe("honest", use)
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    texts = [choice.message.content for choice in several.choices]
    assert texts == [text_for(0, "a", repeat=1, index=index) for index in range(3)]
    assert several.usage.completion_tokens == sum(len(text.split()) for text in texts)
    tokens = several.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == texts[0]
    assert all(len(token.top_logprobs) == 2 and token.logprob == token.top_logprobs[0].logprob for token in tokens)
    made = json.loads(content(scores))
    assert made.keys() == {"sound", "share"}
    assert made["sound"] in range(1, 6) and 0 <= made["share"] <= 1


@pytest.mark.parametrize(
    ("variant", "options", "same"),
    [
        (None, {}, True),
        ("honest", {}, False),
        ("honest", {"seed": 1}, True),
        ("honest", {"temperature": 0}, True),
        ("ignores_seed", {"seed": 1}, False),
        ("ignores_seed", {"seed": 1, "temperature": 0}, True),
    ],
)
def test_when_two_requests_get_the_same_text(variant: str | None, options: dict[str, Any], same: bool) -> None:
    async def use(client: Client) -> Any:
        return [content(await ask(client, "a", **options)) for _ in range(2)]

    first, second = probe(variant, use)
    assert (first == second) is same


@pytest.mark.parametrize(
    ("variant", "options", "seen"),
    [
        ("ignores_n", {"n": 3}, lambda reply: len(reply.choices) == 1),
        ("no_logprobs", {"logprobs": True}, lambda reply: reply.choices[0].logprobs is None),
        ("exceeds_max_tokens", {"max_tokens": 2}, lambda reply: reply.usage.completion_tokens > 2),
        ("lies_about_finish", {"max_tokens": 2}, lambda reply: reply.choices[0].finish_reason == "stop"),
        ("no_usage", {}, lambda reply: reply.usage is None),
        ("ignores_json_schema", {"response_format": SCHEMA}, lambda reply: "So the answer" in content(reply)),
        ("other_model", {}, lambda reply: reply.model == "teacher-mini"),
    ],
)
def test_endpoints_that_do_not_do_as_asked(variant: str, options: dict[str, Any], seen: Callable[[Any], bool]) -> None:
    assert seen(probe(variant, lambda client: ask(client, "a", **options)))
    assert not seen(probe("honest", lambda client: ask(client, "a", **options)))


def test_an_endpoint_that_refuses_schemas() -> None:
    with pytest.raises(openai.BadRequestError, match="json_schema"):
        probe("no_json_schema", lambda client: ask(client, "a", response_format=SCHEMA))
    with pytest.raises(ValueError, match="no variant"):
        FaultServer(variant="honset")


def test_an_endpoint_that_forgets_the_start_of_a_long_prompt() -> None:
    async def use(client: Client) -> Any:
        rest = " word" * 2047
        return [await ask(client, f"{start}{rest}", temperature=0) for start in ("a b", "c b", "c d")]

    one, other, third = probe("truncates_prompt", use)
    assert content(one) == content(other) != content(third)
    assert one.usage.prompt_tokens == 2048
    one, other, _ = probe("honest", use)
    assert content(one) != content(other)
    assert one.usage.prompt_tokens == 2054
