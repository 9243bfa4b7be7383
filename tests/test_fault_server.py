import asyncio
import contextlib
import http.client
import json
import threading
import time
import zlib
from collections.abc import Awaitable, Callable
from decimal import Decimal
from email.message import Message
from typing import Any

import openai
import pytest

from fault_answers import text_for
from fault_books import Window, duration
from fault_kinds import FATAL, FLAGGED, HARMLESS, KINDS, REFUSED, TRANSIENT, FaultScript, Settings
from fault_process import log_of, server_process
from fault_server import FaultServer

Client = openai.AsyncOpenAI


def with_client(base_url: str, use: Callable[[Client], Awaitable[Any]], *, timeout: float = 5.0) -> Any:
    """Run a use of the real client."""

    async def main() -> Any:
        async with Client(base_url=base_url, api_key="sk-test", max_retries=0, timeout=timeout) as client:
            return await use(client)

    return asyncio.run(main())


async def ask(client: Client, prompt: str, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": prompt}]
    return await client.chat.completions.create(model="teacher", messages=messages, **options)


def outcome(kind: str, *, settings: Settings | None = None, **options: Any) -> tuple[Any, FaultServer]:
    """What the real client makes of one fault: the parsed answer, or the error."""

    patience = 0.5 if kind in ("hang", "drip") else 1.0  # seconds without a byte

    async def use(client: Client) -> Any:
        try:
            return await asyncio.wait_for(ask(client, "Is ice cold?", **options), 2 * patience)
        except Exception as error:
            return error

    with FaultServer(faults=FaultScript(1, 1.0, (kind,)), settings=settings or Settings()) as server:
        return with_client(server.base_url, use, timeout=patience), server


def test_an_honest_answer_and_the_books() -> None:
    async def use(client: Client) -> Any:
        return [await ask(client, "Is ice cold?"), await ask(client, "Is ice cold?", seed=3, max_tokens=4)]

    with FaultServer(seed=1, prices=(Decimal(1), Decimal(2))) as server:
        whole, short = with_client(server.base_url, use)
    text = text_for(1, "Is ice cold?")
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (text, "stop")
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (8, len(text.split()))
    cut_text = " ".join(text_for(1, "Is ice cold?", repeat=3).split()[:4])
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == (cut_text, "length")
    assert (server.log.requests, server.log.good, server.log.per_prompt) == (2, 2, {"Is ice cold?": 2})
    assert server.cost == (16 * Decimal(1) + (len(text.split()) + 4) * Decimal(2)) / 1_000_000
    assert server.log.authorizations == {"Bearer sk-test": 2}
    assert server.log.bodies[1]["seed"] == 3


def test_an_answer_can_be_supplied_and_its_error_fails_the_test() -> None:
    with FaultServer(answer=lambda body: f"You asked {body['prompt']}") as server:
        reply = with_client(server.base_url, lambda client: client.completions.create(model="teacher", prompt="a b"))
    assert (reply.choices[0].text, reply.usage.total_tokens) == ("You asked a b", 11)

    def broken(body: dict[str, Any]) -> str:
        raise LookupError("no answer")

    with pytest.raises(LookupError, match="no answer"), FaultServer(answer=broken) as server:
        with_client(server.base_url, lambda client: asyncio.gather(ask(client, "a"), return_exceptions=True))


def test_a_script_is_a_pure_function_with_its_rate() -> None:
    script = FaultScript(5, 0.25, ("reset", "hang"))
    faults = [script.fault(f"prompt {i}", 1) for i in range(2000)]
    assert faults == [FaultScript(5, 0.25, ("hang", "reset")).fault(f"prompt {i}", 1) for i in range(2000)]
    assert 425 < sum(fault is not None for fault in faults) < 575
    assert 190 < faults.count("reset") < 310
    assert faults != [script.fault(f"prompt {i}", 2) for i in range(2000)]
    assert FaultScript(5, 1.0, ("reset",), until=2).fault("a", 2) == "reset"
    assert FaultScript(5, 1.0, ("reset",), until=2).fault("a", 3) is None
    with pytest.raises(ValueError, match="no faults"):
        FaultScript(5, 1.0, ("rset",))


def test_the_server_fails_as_the_script_says_whatever_the_order() -> None:
    script = FaultScript(3, 0.5, ("server_error",))

    async def use(client: Client) -> list[tuple[str, int]]:
        failed = []
        for attempt in (1, 2, 3):
            for name in ("a", "b", "c", "d")[:: 1 if attempt == 2 else -1]:
                try:
                    await ask(client, name)
                except openai.InternalServerError:
                    failed.append((name, attempt))
        return failed

    with FaultServer(faults=script) as server:
        failed = with_client(server.base_url, use)
    assert sorted(failed) == [(n, k) for n in "abcd" for k in (1, 2, 3) if script.fault(n, k) is not None]
    assert 0 < server.log.faults["server_error"] == len(failed) < 12


def test_each_fault_is_in_one_set() -> None:
    sets = [TRANSIENT, FLAGGED, HARMLESS, REFUSED, FATAL]
    assert sorted(kind for group in sets for kind in group) == sorted(KINDS)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("cut_body", openai.APIConnectionError, ""),
        ("half_json", json.JSONDecodeError, ""),
        ("deep_json", RecursionError, ""),
        ("rate_limit_seconds", openai.RateLimitError, "rate_limit_exceeded"),
        ("server_error", openai.InternalServerError, "500"),
        ("unavailable", openai.InternalServerError, "503"),
        ("hang", openai.APITimeoutError, ""),
        ("drip", TimeoutError, ""),
        ("reset", openai.APIConnectionError, ""),
        ("close_early", openai.APIConnectionError, ""),
        ("bad_utf8", UnicodeDecodeError, ""),
        ("quota", openai.RateLimitError, "insufficient_quota"),
        ("unauthorized", openai.AuthenticationError, "sk-test"),
        ("forbidden", openai.PermissionDeniedError, ""),
        ("payment", openai.APIStatusError, "402"),
        ("bad_request", openai.BadRequestError, ""),
        ("context_length", openai.BadRequestError, "context_length_exceeded"),
        ("redirect", openai.NotFoundError, "elsewhere"),
    ],
)
def test_faults_that_the_client_reports(kind: str, error: type[Exception], words: str) -> None:
    result, server = outcome(kind)
    assert isinstance(result, error)
    assert words in f"{result} {getattr(result, 'body', '')}"
    assert (server.log.faults[kind], server.log.good, server.cost) == (1, 0, 0)


@pytest.mark.parametrize(
    ("kind", "content", "finish"),
    [
        ("null_content_length", None, "length"),
        ("number_content", 12, "stop"),
        ("content_filter", "", "content_filter"),
        ("empty_text", "", "stop"),
        ("duplicate_keys", text_for(0, "Is ice cold?"), "stop"),
        ("extra_fields", text_for(0, "Is ice cold?"), "stop"),
        ("wrong_content_type", text_for(0, "Is ice cold?"), "stop"),
        ("huge_body", "x x x ", "stop"),
    ],
)
def test_faults_that_look_like_an_answer(kind: str, content: object, finish: str) -> None:
    result, server = outcome(kind, settings=Settings(huge_bytes=6))
    assert (result.choices[0].message.content, result.choices[0].finish_reason) == (content, finish)
    assert server.log.good == (kind in HARMLESS)
    assert server.log.flagged == (kind in FLAGGED)
    assert server.log.completion_tokens == (0 if kind in TRANSIENT else result.usage.completion_tokens)


def test_faults_that_carry_no_usable_answer() -> None:
    assert "<html>" in outcome("html_200")[0]
    assert outcome("error_200")[0].choices is None
    assert outcome("null_choices")[0].choices is None
    assert outcome("empty_choices")[0].choices == []
    nan = outcome("nan_content")[0].choices[0].message.content
    assert nan != nan
    text = outcome("surrogate")[0].choices[0].message.content
    assert text.replace("\ud835", "") == text_for(0, "Is ice cold?") != text


def test_a_false_stop_shows_in_the_usage_alone() -> None:
    result, _ = outcome("stop_at_limit", max_tokens=6)
    assert result.choices[0].finish_reason == "stop"
    assert result.choices[0].message.content == " ".join(text_for(0, "Is ice cold?").split()[:3])
    assert result.usage.completion_tokens == 6


def get_raw(base_url: str) -> tuple[Message, bytes]:
    """The headers and the body of one answer as they come over the wire."""
    connection = http.client.HTTPConnection(base_url.split("/")[2], timeout=5)
    with contextlib.closing(connection):
        body = json.dumps({"model": "teacher", "messages": [{"role": "user", "content": "a"}]})
        connection.request("POST", "/v1/chat/completions", body)
        with connection.getresponse() as reply:
            return reply.headers, reply.read()


def test_a_bomb_unpacks_to_a_thousand_times_its_size() -> None:
    with FaultServer(faults=FaultScript(1, 1.0, ("gzip_bomb",))) as server:
        headers, body = get_raw(server.base_url)
    assert headers["content-encoding"] == "gzip" and len(body) < 1_100_000
    assert len(zlib.decompressobj(31).decompress(body[:100_000])) > 90_000_000


def test_a_huge_body_is_as_huge_as_it_says() -> None:
    with FaultServer(faults=FaultScript(1, 1.0, ("huge_body",)), settings=Settings(huge_bytes=1_000_000)) as server:
        headers, body = get_raw(server.base_url)
    assert len(body) == int(headers["content-length"]) > 1_000_000


def test_ways_to_say_when_to_retry() -> None:
    def header(kind: str, settings: Settings) -> str | None:
        with FaultServer(faults=FaultScript(1, 1.0, (kind,)), settings=settings) as server:
            return get_raw(server.base_url)[0].get("retry-after")

    assert header("rate_limit_seconds", Settings(retry_after=0.25)) == "0.25"
    date = header("rate_limit_date", Settings(retry_after=60))
    assert date is not None and date.endswith(" GMT")
    with FaultServer(faults=FaultScript(1, 1.0, ("rate_limit_bad",))) as server:
        bad = [get_raw(server.base_url)[0].get("retry-after") for _ in range(3)]
    assert set(bad) == {"NaN", "-5", None}


def test_failed_attempts_are_billed_where_the_script_says_so() -> None:
    async def use(client: Client) -> Any:
        return await asyncio.gather(*(ask(client, "a b") for _ in range(3)), return_exceptions=True)

    with FaultServer(faults=FaultScript(1, 1.0, ("server_error",), until=2, billed=True)) as server:
        results = with_client(server.base_url, use)
    assert sum(isinstance(result, openai.InternalServerError) for result in results) == 2
    assert (server.log.good, server.log.prompt_tokens) == (1, 21)
    assert server.log.completion_tokens == 3 * len(text_for(0, "a b").split())


def test_what_was_never_admitted_is_not_billed() -> None:
    with FaultServer(faults=FaultScript(1, 1.0, ("rate_limit_seconds",), billed=True)) as server:
        get_raw(server.base_url)
    assert (server.log.faults["rate_limit_seconds"], server.cost) == (1, 0)


def test_an_error_in_a_server_process_fails_the_test() -> None:
    def send_nonsense() -> None:
        with server_process() as base_url:
            connection = http.client.HTTPConnection(base_url.split("/")[2], timeout=5)
            with contextlib.closing(connection), contextlib.suppress(ConnectionResetError):
                connection.request("POST", "/v1/completions", "not JSON")
                connection.getresponse()

    with pytest.raises(RuntimeError, match="server process"):
        send_nonsense()


def test_requests_in_flight_are_counted() -> None:
    async def use(client: Client) -> Any:
        return await asyncio.gather(*(ask(client, f"prompt {i}") for i in range(5)))

    with FaultServer(latency=(0.5, 0.5)) as server:
        with_client(server.base_url, use)
    assert (server.log.max_in_flight, server.log.in_flight) == (5, 0)
    assert len(server.log.arrivals) == 5 and max(server.log.arrivals) - min(server.log.arrivals) < 0.5


def test_a_limit_of_requests() -> None:
    with FaultServer(limit=(2, 60), limit_headers=True) as server:
        first, second, third = (get_raw(server.base_url)[0] for _ in range(3))
    assert [reply.get("x-ratelimit-remaining-requests") for reply in (first, second, third)] == ["1", "0", None]
    assert first["x-ratelimit-limit-requests"] == "2"
    assert 59 < float(third["retry-after"]) <= 60
    assert (server.log.good, server.log.limited) == (2, 1)


def test_windows_follow_each_other() -> None:
    window = Window(2, 10.0)
    assert [window.admit(now) for now in (3.0, 5.0, 12.9, 13.0, 14.0, 15.0)] == [True, True, False, True, True, False]
    assert window.left(15.0) == 8.0
    assert window.admit(39.0) and window.left(39.0) == 4.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.12, "120ms"), (1, "1s"), (360, "6m0s"), (61.5, "1m1.5s"), (3630, "1h0m30s"), (0, "0ms")]
)
def test_durations_as_headers_write_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_refusals_of_the_endpoint_itself() -> None:
    async def use(client: Client) -> Any:
        models = await client.models.list()
        calls = [client.completions.create(model="other", prompt="a"), ask(client, "a", max_tokens=0)]
        return models, await asyncio.gather(*calls, return_exceptions=True)

    with FaultServer(models=("teacher", "judge")) as server:
        models, (unknown, limit) = with_client(server.base_url, use)
    assert [model.id for model in models.data] == ["teacher", "judge"]
    assert isinstance(unknown, openai.NotFoundError) and unknown.code == "model_not_found"
    assert isinstance(limit, openai.BadRequestError)


def test_the_end_waits_for_no_client() -> None:
    def wait_in_vain() -> None:
        with pytest.raises(ConnectionResetError):
            get_raw(server.base_url)

    began = time.monotonic()
    client = threading.Thread(target=wait_in_vain)
    with FaultServer(faults=FaultScript(1, 1.0, ("hang",))) as server:
        client.start()
        while not server.log.faults:
            time.sleep(0.01)
    client.join()
    assert time.monotonic() - began < 5


def test_a_server_in_a_process_of_its_own() -> None:
    arguments = "--seed 4 --rate 1 --kinds fatal,reset --until 1 --latency 0.001 0.002 --limit 9 60".split()
    with server_process(*arguments) as base_url:
        with_client(base_url, lambda client: asyncio.gather(ask(client, "a"), return_exceptions=True))
        reply = with_client(base_url, lambda client: ask(client, "a"))
        log = log_of(base_url)
    assert reply.choices[0].message.content == text_for(4, "a")
    assert (log["requests"], log["good"], log["per_prompt"], sum(log["faults"].values())) == (2, 1, {"a": 2}, 1)
    tokens = len(text_for(4, "a").split())
    assert Decimal(log["cost"]) == (6 * Decimal("0.15") + tokens * Decimal("0.60")) / 1_000_000
