import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, NamedTuple

import openai
import pytest

from batch_server import BatchScript, read_lines
from fault_answers import text_for
from fault_kinds import FaultScript
from fault_process import log_of, server_process
from fault_server import FaultServer

Client = openai.AsyncOpenAI


class Files(NamedTuple):
    """A finished batch and the lines of its files."""

    batch: Any
    outputs: list[dict[str, Any]]
    errors: list[dict[str, Any]]


def row(name: str, *, prompt: str = "a b", **changes: Any) -> dict[str, Any]:
    body = {"model": "teacher", "messages": [{"role": "user", "content": prompt}]}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body, **changes}


def rows(number: int) -> list[dict[str, Any]]:
    return [row(f"r{i}", prompt=f"prompt {i}") for i in range(number)]


async def submit(client: Client, lines: list[dict[str, Any]]) -> Any:
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"run": "7"}
    )


async def lines_of(client: Client, name: str | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await client.files.content(name)).text.splitlines()] if name else []


async def finish(client: Client, name: str) -> Files:
    batch = await client.batches.retrieve(name)
    while batch.status in ("validating", "in_progress", "cancelling"):
        batch = await client.batches.retrieve(name)
    return Files(batch, await lines_of(client, batch.output_file_id), await lines_of(client, batch.error_file_id))


def with_batches(script: BatchScript, use: Callable[[Client], Awaitable[Any]], **options: Any) -> Any:
    """What a use of the real client gives, and the server."""

    async def main(base_url: str) -> Any:
        async with Client(base_url=base_url, api_key="k", max_retries=0, timeout=2.0) as client:
            return await use(client)

    with FaultServer(batches=script, **options) as server:
        return asyncio.run(main(server.base_url)), server


def whole(script: BatchScript, lines: list[dict[str, Any]]) -> tuple[Files, FaultServer]:
    async def use(client: Client) -> Files:
        return await finish(client, (await submit(client, lines)).id)

    return with_batches(script, use)


def test_a_batch_finishes_after_so_many_looks() -> None:
    async def use(client: Client) -> Any:
        made = await submit(client, rows(4))
        looks = [await client.batches.retrieve(made.id) for _ in range(3)]
        return [made, *looks], await finish(client, made.id)

    (looks, files), server = with_batches(BatchScript(polls=2), use, prices=(Decimal(2), Decimal(4)))
    assert [look.status for look in looks] == ["validating", "in_progress", "completed", "completed"]
    assert [look.request_counts.completed for look in looks] == [0, 2, 4, 4]
    assert [line["custom_id"] for line in files.outputs] == ["r0", "r1", "r2", "r3"]
    answers = [line["response"]["body"]["choices"][0]["message"]["content"] for line in files.outputs]
    assert answers == [text_for(0, f"prompt {i}") for i in range(4)]
    assert (files.batch.error_file_id, files.batch.metadata) == (None, {"run": "7"})
    assert (server.log.batches, server.log.uploads, server.log.per_batched_prompt["prompt 3"]) == (1, 1, 1)
    assert server.cost == (4 * 7 * 1 + sum(len(text.split()) for text in answers) * 2) / Decimal(1_000_000)


def test_some_requests_expire_and_a_second_batch_answers_them() -> None:
    async def use(client: Client) -> Any:
        first = await finish(client, (await submit(client, rows(40))).id)
        late = [line["custom_id"] for line in first.errors]
        left = [line for line in rows(40) if line["custom_id"] in late]
        return first, await finish(client, (await submit(client, left)).id)

    (first, second), server = with_batches(BatchScript(expired=0.3), use)
    assert first.batch.status == "expired"
    assert 5 < len(first.errors) < 20 and len(first.outputs) + len(first.errors) == 40
    assert {line["error"]["code"] for line in first.errors} == {"batch_expired"}
    assert first.errors[0]["response"] is None
    assert 0 < len(second.outputs) <= len(first.errors)
    assert sum(server.log.per_batched_prompt.values()) == 40 + len(first.errors)


def test_some_requests_fail() -> None:
    files, _ = whole(BatchScript(failed=0.5), rows(20))
    assert files.batch.status == "completed"
    assert 4 < len(files.errors) < 16 and len(files.outputs) + len(files.errors) == 20
    assert {line["response"]["status_code"] for line in files.errors} == {500}
    assert (files.batch.request_counts.completed, files.batch.request_counts.failed) == (
        len(files.outputs),
        len(files.errors),
    )
    unknown, _ = whole(BatchScript(empty_ids=True), [row("x", body={**row("x")["body"], "model": "other"})])
    assert unknown.errors[0]["response"]["body"]["error"]["code"] == "model_not_found"
    assert unknown.batch.output_file_id == ""


def test_lines_come_in_another_order_and_twice() -> None:
    files, _ = whole(BatchScript(shuffled=True, duplicated=0.5), rows(12))
    names = [line["custom_id"] for line in files.outputs]
    assert set(names) == {f"r{i}" for i in range(12)}
    assert 12 < len(names) < 24
    assert names != sorted(names, key=lambda name: int(name[1:]))
    assert files.batch.request_counts.completed == 12


def test_a_cancelled_batch_keeps_what_was_done() -> None:
    async def use(client: Client) -> Any:
        made = await submit(client, rows(8))
        await client.batches.retrieve(made.id)
        cancelling = await client.batches.cancel(made.id)
        files = await finish(client, made.id)
        with pytest.raises(openai.ConflictError):
            await client.batches.cancel(made.id)
        return cancelling, files

    (cancelling, files), _ = with_batches(BatchScript(polls=4), use)
    assert (cancelling.status, files.batch.status) == ("cancelling", "cancelled")
    assert [line["custom_id"] for line in files.outputs] == ["r0", "r1"]


def test_what_validation_refuses() -> None:
    files, _ = whole(BatchScript(), [row("a"), row("a", prompt="other")])
    assert (files.batch.status, files.outputs) == ("failed", [])
    assert [(error.code, error.line) for error in files.batch.errors.data] == [("duplicate_custom_id", 2)]
    assert whole(BatchScript(invalid=True), [row("a")])[0].batch.status == "failed"

    def codes(content: bytes) -> list[str]:
        return [error["code"] for error in read_lines(content, endpoint="/v1/chat/completions", most=2)[1]]

    assert codes(b"") == ["invalid_file"]
    assert codes(json.dumps(row("a")).encode() + b"\n{}\n") == ["invalid_json_line"]
    assert codes(json.dumps(row("a", url="/v1/completions")).encode()) == ["mismatched_endpoint"]
    other = row("b", body={**row("b")["body"], "model": "other"})
    assert codes(f"{json.dumps(row('a'))}\n{json.dumps(other)}\n".encode()) == ["mismatched_model"]


def test_a_lost_reply_leaves_a_batch_that_the_list_shows() -> None:
    async def use(client: Client) -> Any:
        for _ in range(2):  # the upload loses its first reply, then the creation does
            with pytest.raises(openai.APIConnectionError):
                await submit(client, rows(1))
        with pytest.raises(openai.APIConnectionError):
            await client.batches.list()
        return [batch async for batch in client.batches.list()]

    faults = FaultScript(1, 1.0, ("reset",), until=1)
    found, server = with_batches(BatchScript(faults=faults), use)
    assert [batch.metadata for batch in found] == [{"run": "7"}]
    assert (server.log.uploads, server.log.batches, server.log.faults) == (2, 1, {"reset": 3})
    found, server = with_batches(BatchScript(faults=faults, faults_after=False), use)
    assert (found, server.log.uploads, server.log.batches) == ([], 1, 0)
    with pytest.raises(ValueError, match="cannot have"):
        BatchScript(faults=FaultScript(1, 1.0, ("empty_text",)))


def test_the_list_comes_in_pages_newest_first() -> None:
    async def use(client: Client) -> Any:
        made = [(await submit(client, rows(1))).id for _ in range(5)]
        page = await client.batches.list(limit=2)
        return made, [batch.id for batch in page.data], [batch.id async for batch in client.batches.list(limit=2)]

    (made, page, everything), _ = with_batches(BatchScript(), use)
    assert page == made[:2:-1]
    assert everything == made[::-1]


def test_calls_that_are_refused() -> None:
    async def use(client: Client) -> None:
        with pytest.raises(openai.NotFoundError):
            await client.batches.retrieve("batch_9")
        with pytest.raises(openai.BadRequestError, match="purpose"):
            await client.files.create(file=("a", b"b"), purpose="user_data")

    with_batches(BatchScript(), use)


def test_batches_in_a_process_of_its_own() -> None:
    async def use(base_url: str) -> Any:
        async with Client(base_url=base_url, api_key="k", max_retries=0) as client:
            made = await submit(client, rows(1))
            return await client.batches.retrieve(made.id)

    with server_process("--batches", '{"polls": 1}') as base_url:
        assert asyncio.run(use(base_url)).status == "completed"
        log = log_of(base_url)
    assert (log["batches"], log["per_batched_prompt"], log["batch_prompt_tokens"]) == (1, {"prompt 0": 1}, 7)
