"""OpenAI batches over real HTTP on loopback."""

import asyncio
import contextlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batch_server import BatchScript
from endpoint.test_faults import calls_of, endpoint_of
from fault_kinds import FaultScript
from fault_server import FaultServer
from sert.config import CallsConfig, EndpointConfig, Price
from sert.endpoint.batch import Batcher
from sert.endpoint.batch_files import BatchFiles
from sert.endpoint.calls import TroubleError
from sert.endpoint.log import CallLog, read_standing
from sert.endpoint.money import Budget
from sert.endpoint.pool import Pool
from sert.endpoint.session import make_calls, open_calls
from sert.endpoint.transport import OpenAITransport
from sert.errors import BudgetError, ConfigError, EndpointError

PRICE = Price(Decimal(5), Decimal(20))
FREE: dict[str, Any] = {"free": True}


async def at_once(seconds: float) -> None:
    """Wait for nothing; the server counts looks, not seconds."""


def settle(
    folder: Path,
    endpoint: EndpointConfig,
    number: int,
    *,
    files: type[BatchFiles] = BatchFiles,
    say: Callable[[str], None] = lambda line: None,
    money: dict[str, Any] = FREE,
    **more: Any,
) -> Budget:
    config = CallsConfig(batch=True, timeout=5.0, **money)

    async def run() -> Budget:
        with CallLog(folder) as log:
            budget = Budget(config, spent=log.totals.spent, in_doubt=log.totals.in_doubt)
            async with OpenAITransport(endpoint, config) as transport:
                reached = files(transport, max_line_bytes=2**20, seconds=5.0, pause=at_once)
                batcher = Batcher(reached, log=log, budget=budget, say=say, pause=at_once, **more)
                await batcher.run(lambda: calls_of(endpoint, number))
            return budget

    return asyncio.run(run())


def texts(folder: Path, endpoint: EndpointConfig, number: int) -> list[str | None]:
    with CallLog(folder) as log:
        replies = [log.reply(call.key) for call in calls_of(endpoint, number)]
    return [reply and reply.text for reply in replies]


def pool_texts(folder: Path, endpoint: EndpointConfig, number: int) -> list[str | None]:
    """What the ordinary way of asking brings."""

    async def run() -> None:
        config = CallsConfig(free=True)
        with CallLog(folder) as log:
            async with OpenAITransport(endpoint, config) as transport:
                await Pool(transport, log=log, budget=Budget(config), config=config).run(calls_of(endpoint, number))

    asyncio.run(run())
    return texts(folder, endpoint, number)


@pytest.mark.parametrize(
    "script",
    [
        BatchScript(),
        BatchScript(expired=0.3, empty_ids=True),
        BatchScript(failed=0.2, shuffled=True),
        BatchScript(duplicated=0.4, shuffled=True),
        BatchScript(expired=0.2, failed=0.2, duplicated=0.2, shuffled=True, empty_ids=True, polls=5),
    ],
    ids=["well", "expired", "failed lines", "duplicates", "all"],
)
def test_batches_bring_what_single_calls_bring(tmp_path: Path, script: BatchScript) -> None:
    with FaultServer(batches=script) as server:
        endpoint = endpoint_of(server)
        for _ in range(3):  # what expired in three batches is left for the same command again
            with contextlib.suppress(EndpointError):
                settle(tmp_path / "batch", endpoint, 40)
        assert texts(tmp_path / "batch", endpoint, 40) == pool_texts(tmp_path / "pool", endpoint, 40)
        assert server.log.batches >= 1
    totals = read_standing(tmp_path / "batch").totals
    assert (totals.answers, totals.quarantined, totals.in_doubt) == (40, 0, 0)


def test_large_jobs_are_cut_into_several_batches(tmp_path: Path) -> None:
    with FaultServer(batches=BatchScript(max_requests=16)) as server:
        endpoint = endpoint_of(server)
        settle(tmp_path, endpoint, 40, max_calls=16)
        assert server.log.batches == 3
        settle(tmp_path, endpoint, 45, max_calls=16)
        assert server.log.batches == 4
    assert None not in texts(tmp_path, endpoint, 45)


def test_batches_are_cut_by_bytes_too(tmp_path: Path) -> None:
    with FaultServer() as server:
        settle(tmp_path, endpoint_of(server), 10, max_bytes=1000)
        assert server.log.batches > 2


def test_a_batch_that_is_not_accepted_says_why_and_loses_nothing(tmp_path: Path) -> None:
    money = {"price": PRICE, "max_cost": Decimal(1)}
    with (
        FaultServer(batches=BatchScript(invalid=True)) as server,
        pytest.raises(EndpointError, match="was not accepted"),
    ):
        settle(tmp_path, endpoint_of(server), 5, money=money)
    totals = read_standing(tmp_path).totals
    assert (totals.answers, totals.quarantined, totals.in_doubt) == (0, 0, 0)


class DiesBeforeCreate(BatchFiles):
    async def create(self, file: str, *, path: str, name: str) -> str:
        raise KeyboardInterrupt


class DiesAfterCreate(BatchFiles):
    async def create(self, file: str, *, path: str, name: str) -> str:
        await super().create(file, path=path, name=name)
        raise KeyboardInterrupt


class DiesWhileLooking(BatchFiles):
    async def state(self, batch: str) -> Any:
        raise KeyboardInterrupt


class DiesWhileReading(BatchFiles):
    async def read(self, file: str) -> Any:
        raise KeyboardInterrupt
        yield


@pytest.mark.parametrize("files", [DiesBeforeCreate, DiesAfterCreate, DiesWhileLooking, DiesWhileReading])
def test_no_batch_is_made_twice_whenever_it_dies(tmp_path: Path, files: type[BatchFiles]) -> None:
    money = {"price": PRICE, "max_cost": Decimal(1)}
    with FaultServer() as server:
        endpoint = endpoint_of(server)
        with pytest.raises(KeyboardInterrupt):
            settle(tmp_path, endpoint, 12, files=files, money=money)
        with contextlib.suppress(KeyboardInterrupt):  # one that dies while making batches makes none the second time
            settle(tmp_path, endpoint, 12, files=files, money=money)
        budget = settle(tmp_path, endpoint, 12, money=money)
        assert server.log.batches == 1
        assert budget.spent == charged(server)
        assert (budget.in_doubt, budget.reserved) == (0, 0)
    assert None not in texts(tmp_path, endpoint, 12)


def charged(server: FaultServer) -> Decimal:
    """What the server's own count of tokens costs."""
    log = server.log
    return (log.batch_prompt_tokens * PRICE.prompt + log.batch_completion_tokens * PRICE.completion) / 1_000_000


def test_a_batch_that_was_made_though_the_reply_was_lost_is_found(tmp_path: Path) -> None:
    faults = FaultScript(3, 0.5, ("close_early", "reset", "server_error"), until=3)
    with FaultServer(batches=BatchScript(faults=faults)) as server:
        endpoint = endpoint_of(server)
        said: list[str] = []
        for number in (6, 12, 18, 24):
            settle(tmp_path, endpoint, number, say=said.append)
        assert server.log.batches == 4
    assert any("looking whether it was" in line for line in said)
    assert None not in texts(tmp_path, endpoint, 24)


@pytest.mark.parametrize("share", ["0.3", "0.6", "1.001"])
def test_only_what_the_cap_allows_is_submitted(tmp_path: Path, share: str) -> None:
    with FaultServer() as server:
        endpoint = endpoint_of(server, max_tokens=60)
        worst = [call.most_usage for call in calls_of(endpoint, 20)]
        each = [(use.prompt_tokens * PRICE.prompt + use.completion_tokens * PRICE.completion) for use in worst]
        cap = sum(each, Decimal(0)) / 1_000_000 * Decimal(share)
        money = {"price": PRICE, "max_cost": cap}
        if share == "1.001":
            settle(tmp_path, endpoint, 20, money=money)
        else:
            with pytest.raises(BudgetError, match="higher max_cost"):
                settle(tmp_path, endpoint, 20, money=money)
        assert 0 < charged(server) <= cap
        totals = read_standing(tmp_path).totals
        assert totals.spent == charged(server)
    assert (totals.answers == 20) == (share == "1.001")


def test_calls_that_keep_expiring_are_left_for_the_next_run(tmp_path: Path) -> None:
    with FaultServer(batches=BatchScript(expired=1.0)) as server:
        with pytest.raises(EndpointError, match="5 calls have no answer after 3 batches"):
            settle(tmp_path, endpoint_of(server), 5)
        assert server.log.batches == 3
    assert read_standing(tmp_path).totals.answers == 0


def test_a_batch_that_nobody_asks_for_any_more_is_held_to_be_charged(tmp_path: Path) -> None:
    money = {"price": PRICE, "max_cost": Decimal(1)}
    with FaultServer() as server:
        with pytest.raises(KeyboardInterrupt):
            settle(tmp_path, endpoint_of(server), 3, files=DiesWhileLooking, money=money)
        other = endpoint_of(server, max_tokens=150)
        budget = settle(tmp_path, other, 3, money=money)
        assert server.log.batches == 2
    worst = [call.most_usage for call in calls_of(endpoint_of(server), 3)]
    held = sum(use.prompt_tokens * PRICE.prompt + use.completion_tokens * PRICE.completion for use in worst)
    assert budget.in_doubt == held / 1_000_000 == read_standing(tmp_path).totals.in_doubt


class Unlisted(BatchFiles):
    """The reply to making a batch is lost, and then the endpoint lists nothing."""

    async def create(self, file: str, *, path: str, name: str) -> str:
        await super().create(file, path=path, name=name)
        raise TroubleError("transient", "the connection broke")

    async def find(self, name: str) -> str | None:
        raise TroubleError("fatal", "the key was withdrawn")


def test_a_batch_of_which_nobody_knows_whether_it_was_made_is_looked_for_later(tmp_path: Path) -> None:
    with FaultServer() as server:
        with pytest.raises(EndpointError, match="withdrawn"):
            settle(tmp_path, endpoint_of(server), 3, files=Unlisted)
        settle(tmp_path, endpoint_of(server), 3)
        assert server.log.batches == 1
    assert None not in texts(tmp_path, endpoint_of(server), 3)


def test_single_refused_calls_are_put_aside_and_made_again_when_asked(tmp_path: Path) -> None:
    with FaultServer() as server:
        endpoint = endpoint_of(server)
        settle(tmp_path, endpoint, 3)
        refusing = type("Refusing", (BatchFiles,), {"read": _refuse_the_last})
        settle(tmp_path, endpoint, 5, files=refusing)
        assert read_standing(tmp_path).totals.quarantined == 1
        settle(tmp_path, endpoint, 5)
        assert server.log.batches == 2
        settle(tmp_path, endpoint, 5, files=refusing, retry_quarantined=True)
        assert (server.log.batches, read_standing(tmp_path).totals.quarantined) == (3, 1)
        settle(tmp_path, endpoint, 5, retry_quarantined=True)
    assert read_standing(tmp_path).totals.quarantined == 0
    assert None not in texts(tmp_path, endpoint, 5)


async def _refuse_the_last(self: BatchFiles, file: str) -> Any:
    *others, last = [line async for line in BatchFiles.read(self, file)]
    for line in others:
        yield line
    yield {**last, "response": {"status_code": 400, "body": {"error": {"message": "too long"}}}}


def test_a_batch_under_way_is_fetched_before_single_calls_are_made(tmp_path: Path) -> None:
    with FaultServer() as server:
        endpoint = endpoint_of(server)
        with pytest.raises(KeyboardInterrupt):
            settle(tmp_path, endpoint, 3, files=DiesWhileLooking)
        free = CallsConfig(free=True)
        with open_calls(tmp_path, label="test") as log, pytest.raises(ConfigError, match="--batch"):
            make_calls(log, list, total=3, endpoint=endpoint, config=free, label="test")
        assert server.log.requests == 0
