"""The Batch API over real HTTP on loopback; time is counted, not waited for."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import commands
from batch_server import BatchScript
from fault_answers import prompt_of, text_for
from fault_http import ApiError
from fault_kinds import FaultScript
from fault_server import FaultServer
from sert.config.endpoints import CallsConfig, EndpointConfig, Price
from sert.endpoint.account import Account
from sert.endpoint.answers import DEFAULT_READER
from sert.endpoint.batch.api import read_results
from sert.endpoint.batch.stage import BatchLimits, settle_batches
from sert.endpoint.calls import Call, make_call
from sert.endpoint.first_answer import FirstAnswers
from sert.endpoint.ledger import Ledger
from sert.endpoint.money import Budget
from sert.endpoint.replay import replay_journal
from sert.endpoint.session import open_session
from sert.endpoint.transport import HttpTransport
from sert.errors import BudgetError, ConfigError, EndpointError

PRICE = Price(Decimal(5), Decimal(20))
KEY = "sk-a-key-of-the-batch-tests"


class Killed(BaseException):
    """What stands for the end of the process: nothing catches it."""


@dataclass
class Run:
    """What one command did."""

    ledger: Ledger
    budget: Budget
    advanced: int = 0
    waits: int = 0
    said: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)


def batch_server(script: BatchScript | None = None, **options: Any) -> FaultServer:
    """A server whose batches cost what the price says."""
    return FaultServer(batches=script or BatchScript(), prices=(2 * PRICE.prompt, 2 * PRICE.completion), **options)


def endpoint_of(server: FaultServer) -> EndpointConfig:
    return EndpointConfig(url=server.base_url, model="teacher", max_tokens=60)


def prompt(number: int) -> str:
    return f"Question: Is {number:02d} a number?"


def calls_of(server: FaultServer, number: int) -> list[Call]:
    return [make_call(prompt(i), endpoint_of(server), label=f"q{i}") for i in range(number)]


def worst(server: FaultServer) -> Decimal:
    usage = calls_of(server, 1)[0].most_usage
    return (usage.prompt_tokens * PRICE.prompt + usage.completion_tokens * PRICE.completion) / 1_000_000


def settle(
    folder: Path,
    server: FaultServer,
    calls: list[Call],
    *,
    transport: type[HttpTransport] = HttpTransport,
    ledger_type: type[Ledger] = Ledger,
    on_pause: Callable[[float], None] = lambda seconds: None,
    limits: BatchLimits | None = None,
    retry_quarantined: bool = False,
    **settings: object,
) -> Run:
    given = {"price": PRICE, "max_cost": Decimal(1), "timeout": 2.0, "first_answers": 0} | settings
    config = CallsConfig(**given)  # type: ignore[arg-type]

    async def offload(work: Callable[[], None]) -> None:
        run.waits += 1
        work()

    with ledger_type(folder, offload=offload) as ledger:
        run = Run(ledger, Budget(config, spent=ledger.totals.spent, in_doubt=ledger.totals.in_doubt))

        async def pause(seconds: float) -> None:
            run.pauses.append(seconds)
            on_pause(seconds)

        def advance() -> None:
            run.advanced += 1

        async def main() -> None:
            async with transport(endpoint_of(server), config) as way:
                say, again = run.said.append, retry_quarantined
                first = FirstAnswers(DEFAULT_READER, most=config.first_answers)
                account = Account(
                    ledger, run.budget, config, DEFAULT_READER, first, advance=advance, say=say, retry_quarantined=again
                )
                where = {"transport": way, "url": server.base_url}
                await settle_batches(lambda: iter(calls), account, **where, limits=limits, pause=pause)

        asyncio.run(main())
    return run


def texts(folder: Path, calls: list[Call]) -> list[str | None]:
    with Ledger(folder) as ledger:
        replies = [ledger.reply(call.key) for call in calls]
    return [reply.text if reply else None for reply in replies]


def expected(number: int) -> list[str]:
    return [text_for(0, prompt(i)) for i in range(number)]


# ---- everything goes well


def test_all_calls_are_answered_by_one_batch_and_paid_for_once(tmp_path: Path) -> None:
    with batch_server(BatchScript(polls=3)) as server:
        calls = calls_of(server, 40)
        run = settle(tmp_path, server, [*calls, *calls[:3]], max_reply_bytes=2048)  # a line, not a file
        assert texts(tmp_path, calls) == expected(40)
        assert (server.log.batches, server.log.uploads, server.log.requests) == (1, 1, 0)
        assert set(server.log.per_batched_prompt.values()) == {1}
        assert run.budget.spent == run.ledger.totals.spent == server.cost
    assert (run.budget.in_doubt, run.budget.reserved, run.advanced) == (0, 0, 43)
    assert run.waits == 3  # for the disk: before the batch is made, with its id, with its results
    assert run.said == [
        "batch batch_1: 40 calls handed in",
        "batch batch_1: in_progress, 13 of 40 done",
        "batch batch_1: in_progress, 26 of 40 done",
        "batch batch_1: completed, 40 of 40 done",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["calls.journal"]
    assert replay_journal(tmp_path).submissions == {}


def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    with batch_server() as server:
        settle(tmp_path, server, calls_of(server, 3))
        run = settle(tmp_path, server, calls_of(server, 5))
        settle(tmp_path, server, calls_of(server, 5))
        assert (server.log.batches, run.advanced) == (2, 5)
        assert set(server.log.per_batched_prompt.values()) == {1}


def test_looks_come_at_growing_intervals(tmp_path: Path) -> None:
    with batch_server(BatchScript(polls=9)) as server:
        run = settle(tmp_path, server, calls_of(server, 2))
    assert run.pauses == [5.0, 7.5, 11.25, 16.875, 25.3125, 37.96875, 56.953125, 60.0]


def test_the_answers_are_those_of_the_pool(tmp_path: Path) -> None:
    with batch_server(BatchScript(polls=1)) as server:
        calls = calls_of(server, 20)
        for name in ("pool", "batch"):
            config = CallsConfig(free=True, batch=name == "batch")
            with open_session(tmp_path / name, endpoint_of(server), config, label="test") as session:
                session.settle(lambda: calls, total=20)
        assert (server.log.requests, server.log.batches) == (20, 2)
        assert texts(tmp_path / "batch", calls) == texts(tmp_path / "pool", calls) == expected(20)


def test_completions_have_batches_too(tmp_path: Path) -> None:
    with batch_server() as server:
        plain = endpoint_of(server).model_copy(update={"api": "completions"})
        calls = [make_call(prompt(i), plain, label=f"q{i}") for i in range(3)]
        settle(tmp_path, server, calls)
        assert texts(tmp_path, calls) == expected(3)


def test_batches_are_no_larger_than_allowed(tmp_path: Path) -> None:
    with batch_server(BatchScript(max_requests=4)) as server:
        settle(tmp_path / "calls", server, calls_of(server, 10), limits=BatchLimits(calls=4))
        assert server.log.batches == 3
        run = settle(tmp_path / "size", server, calls_of(server, 6), limits=BatchLimits(size=600))
        assert [line for line in run.said if "handed in" in line] == [
            f"batch batch_{number}: 2 calls handed in" for number in (4, 5, 6)
        ]


# ---- results that are late, missing, odd


def test_calls_that_expire_go_into_the_next_batch(tmp_path: Path) -> None:
    with batch_server(BatchScript(seed=8, expired=0.3)) as server:
        calls = calls_of(server, 30)
        run = settle(tmp_path, server, calls)
        assert texts(tmp_path, calls) == expected(30)
        assert server.log.batches == 3
        tries = server.log.per_batched_prompt
        assert 4 < sum(count > 1 for count in tries.values()) < 15
        assert run.ledger.totals.requests == sum(tries.values())
        assert (run.ledger.totals.spent, run.ledger.totals.in_doubt) == (server.cost, 0)
    assert run.advanced == 30


def test_calls_that_expire_three_times_stay_to_be_made(tmp_path: Path) -> None:
    with batch_server(BatchScript(expired=1.0)) as server:
        calls = calls_of(server, 6)
        with pytest.raises(EndpointError, match="left 6 calls unanswered in 3 batches each: the batch expired"):
            settle(tmp_path, server, calls)
        assert server.log.batches == 3
        totals = replay_journal(tmp_path).totals
        assert (totals.answers, totals.quarantined, totals.in_doubt, totals.requests) == (0, 0, 0, 18)


@pytest.mark.parametrize("empty_ids", [False, True])
def test_lines_come_in_any_order_and_twice(tmp_path: Path, empty_ids: bool) -> None:
    with batch_server(BatchScript(shuffled=True, duplicated=0.5, empty_ids=empty_ids)) as server:
        calls = calls_of(server, 30)
        run = settle(tmp_path, server, calls)
        assert texts(tmp_path, calls) == expected(30)
        assert (run.ledger.totals.answers, run.ledger.totals.spent, server.log.batches) == (30, server.cost, 1)


def test_calls_in_the_error_file_are_made_again(tmp_path: Path) -> None:
    with batch_server(BatchScript(seed=10, failed=0.3)) as server:
        calls = calls_of(server, 30)
        run = settle(tmp_path, server, calls)
        assert texts(tmp_path, calls) == expected(30)
        again = run.ledger.totals.requests - 30
        assert again > 3
        assert run.budget.in_doubt == again * worst(server)  # a status 500 may have been charged


def test_a_cancelled_batch_keeps_what_was_done(tmp_path: Path) -> None:
    with batch_server(BatchScript(polls=4)) as server:

        def cancel(seconds: float) -> None:
            if server.log.batches == 1:
                urllib.request.urlopen(f"{server.base_url}/batches/batch_1/cancel", data=b"", timeout=5).close()
                server.log.batches = 2  # cancelled once

        calls = calls_of(server, 8)
        run = settle(tmp_path, server, calls, on_pause=cancel)
        assert texts(tmp_path, calls) == expected(8)
        assert (run.ledger.totals.requests, run.ledger.totals.in_doubt) == (8 + 6, 0)


def test_a_batch_that_fails_as_a_whole_is_told_and_costs_nothing(tmp_path: Path) -> None:
    with batch_server(BatchScript(invalid=True)) as server:
        with pytest.raises(EndpointError, match="refused a batch: the batch was refused") as caught:
            settle(tmp_path, server, calls_of(server, 4))
        replay = replay_journal(tmp_path)
        assert (replay.totals.in_doubt, replay.totals.quarantined, replay.submissions) == (0, 0, {})
        assert (caught.value.exit_code, server.log.batches) == (7, 1)


class Odd(HttpTransport):
    """Puts lines into the files of results that no call has."""

    async def download(self, file_id, into, *, most):
        await super().download(file_id, into, most=most)
        into.seek(0)
        lines = into.read()
        into.seek(0)
        answer = json.dumps({"custom_id": "nobody", "response": {"status_code": 200, "body": {}}}).encode()
        into.write(answer + b'\n{"custom_id": 5}\nnot JSON\n\n' + b"[" * 99_999 + b"\n" + b"x" * 2**20 + b"y\n" + lines)
        return True


def test_lines_that_are_no_results_are_passed_over(tmp_path: Path) -> None:
    with batch_server() as server:
        calls = calls_of(server, 3)
        run = settle(tmp_path, server, calls, transport=Odd)
        assert texts(tmp_path, calls) == expected(3)
    assert run.said[-1] == "batch batch_1: 4 lines cannot be read"


def test_a_line_that_is_too_long_is_not_read() -> None:
    file = io.BytesIO(b'{"custom_id":"a"}\n' + b"x" * 100 + b'\n{"custom_id":"b"}')
    assert list(read_results(file, longest=18)) == [{"custom_id": "a"}, None, {"custom_id": "b"}]


class Lossy(HttpTransport):
    """Loses the first file of results."""

    async def download(self, file_id, into, *, most):
        return file_id != "file-2" and await super().download(file_id, into, most=most)


def test_answers_that_are_gone_are_asked_for_again_and_held_as_paid(tmp_path: Path) -> None:
    with batch_server() as server:
        calls = calls_of(server, 3)
        run = settle(tmp_path, server, calls, transport=Lossy)
        assert texts(tmp_path, calls) == expected(3)
        assert run.budget.in_doubt == 3 * worst(server)
        assert run.ledger.totals.spent == server.cost / 2
    assert any("file-2 with results is not whole" in line for line in run.said)


# ---- refused calls


def refusing(*numbers: int) -> Callable[[dict[str, Any]], str]:
    def answer(body: dict[str, Any]) -> str:
        if prompt_of(body) in map(prompt, numbers):
            raise ApiError(400, f"Bad request by {KEY}")
        return text_for(0, prompt_of(body))

    return answer


def test_refused_calls_are_put_aside_and_made_again_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    with batch_server(answer=refusing(1, 4)) as server:
        calls = calls_of(server, 6)
        run = settle(tmp_path, server, calls, api_key_env="TEACHER_KEY")
        assert (run.ledger.totals.answers, run.ledger.totals.quarantined, run.advanced) == (4, 2, 6)
        with Ledger(tmp_path) as ledger:
            aside = ledger.quarantined(calls[4].key)
        assert aside is not None and aside.reason == "HTTP 400: Bad request by [key]"
        assert KEY not in (tmp_path / "calls.journal").read_text()
        assert settle(tmp_path, server, calls).ledger.totals.requests == 6
        run = settle(tmp_path, server, calls, retry_quarantined=True)
        assert (run.ledger.totals.requests, run.ledger.totals.quarantined, run.budget.in_doubt) == (8, 2, 0)


def test_a_fault_that_every_call_has_puts_nothing_aside(tmp_path: Path) -> None:
    with batch_server(answer=refusing(*range(9))) as server:
        with pytest.raises(EndpointError, match="refused all 9 calls of a batch: HTTP 400"):
            settle(tmp_path, server, calls_of(server, 9))
        totals = replay_journal(tmp_path).totals
        assert (totals.quarantined, totals.in_doubt, server.log.batches) == (0, 0, 1)


# ---- crashes and failures on the way


class KilledBeforeCreate(HttpTransport):
    async def post(self, path, body):
        raise Killed


class KilledAfterCreate(HttpTransport):
    async def post(self, path, body):
        await super().post(path, body)
        raise Killed


class KilledWhileWaiting(HttpTransport):
    looks = 0

    async def get(self, path, query=None):
        self.looks += 1
        if self.looks == 2:
            raise Killed
        return await super().get(path, query)


class KilledWhileFetching(HttpTransport):
    async def download(self, file_id, into, *, most):
        await super().download(file_id, into, most=most)
        raise Killed


CRASHES = [KilledBeforeCreate, KilledAfterCreate, KilledWhileWaiting, KilledWhileFetching]


@pytest.mark.parametrize("crash", CRASHES)
def test_a_batch_is_handed_in_once_whenever_the_process_ends(tmp_path: Path, crash: type[HttpTransport]) -> None:
    with batch_server() as server:
        settle(tmp_path / "other", server, calls_of(server, 12)[9:])
        billed = server.cost
        calls = calls_of(server, 9)
        with pytest.raises(Killed):
            settle(tmp_path / "own", server, calls, transport=crash)
        before = replay_journal(tmp_path / "own")
        assert before.totals.in_doubt == 0
        assert sum(each.reserved for each in before.submissions.values()) == 9 * worst(server)
        run = settle(tmp_path / "own", server, calls, max_cost=9 * worst(server))
        assert texts(tmp_path / "own", calls) == expected(9)
        assert server.log.batches == 2
        assert set(server.log.per_batched_prompt.values()) == {1}
        assert (run.advanced, run.ledger.totals.spent) == (9, server.cost - billed)
        assert (run.budget.in_doubt, run.budget.reserved) == (0, 0)
    assert replay_journal(tmp_path / "own").totals.in_doubt == 0


def test_a_batch_is_found_behind_many_newer_ones(tmp_path: Path) -> None:
    with batch_server(BatchScript(polls=1)) as server:
        *others, call = calls_of(server, 22)
        with pytest.raises(Killed):
            settle(tmp_path / "own", server, [call], transport=KilledAfterCreate)
        settle(tmp_path / "other", server, others, limits=BatchLimits(calls=1))
        settle(tmp_path / "own", server, [call])
        assert server.log.batches == 22


class KilledInTheMiddle(Ledger):
    """Ends the process at the fifth answer."""

    async def answer(self, attempt, **result):
        if self.totals.answers == 4:
            raise Killed
        await super().answer(attempt, **result)


def test_results_that_were_half_taken_in_are_taken_in_once(tmp_path: Path) -> None:
    with batch_server(answer=refusing(7)) as server:
        calls = calls_of(server, 9)
        with pytest.raises(Killed):
            settle(tmp_path, server, calls, ledger_type=KilledInTheMiddle)
        assert replay_journal(tmp_path).totals.answers == 4
        run = settle(tmp_path, server, calls)
        assert (run.ledger.totals.answers, run.ledger.totals.quarantined, server.log.batches) == (8, 1, 1)
        assert (run.ledger.totals.spent, run.ledger.totals.in_doubt, run.advanced) == (server.cost, 0, 9)


CHILD = """
import os, signal, sys
from pathlib import Path
from endpoint.test_batch import Run, calls_of, endpoint_of, settle
from sert.endpoint.transport import HttpTransport

class Server:
    base_url = sys.argv[1]

class Ended(HttpTransport):
    async def post(self, path, body):
        await super().post(path, body)
        os.kill(os.getpid(), signal.SIGKILL)

settle(Path(sys.argv[2]), Server, calls_of(Server, 9), transport=Ended)
"""


def test_a_killed_process_leaves_a_batch_that_the_next_one_finds(tmp_path: Path) -> None:
    with batch_server() as server:
        path = os.pathsep.join(part for part in sys.path if part)
        command = [sys.executable, "-c", CHILD, server.base_url, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([path, str(Path(__file__).parents[1])])}
        child = subprocess.run(command, env=environment, timeout=60, check=False, capture_output=True, text=True)
        assert (child.returncode, server.log.batches) == (-signal.SIGKILL, 1), child.stderr
        calls = calls_of(server, 9)
        settle(tmp_path, server, calls)
        assert texts(tmp_path, calls) == expected(9)
        assert server.log.batches == 1


def test_a_batch_whose_reply_is_lost_is_found_and_not_made_again(tmp_path: Path) -> None:
    faults = FaultScript(1, 1.0, ("reset",), until=1)  # the first call of each kind
    with batch_server(BatchScript(faults=faults)) as server:
        calls = calls_of(server, 5)
        settle(tmp_path, server, calls)
        assert texts(tmp_path, calls) == expected(5)
        assert (server.log.uploads, server.log.batches) == (2, 1)
    with batch_server(BatchScript(faults=faults, faults_after=False)) as server:
        settle(tmp_path / "2", server, calls_of(server, 5))
        assert (server.log.uploads, server.log.batches) == (1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_failures_on_the_way_cost_time_only(tmp_path: Path, seed: int) -> None:
    kinds = ("server_error", "unavailable", "reset", "close_early", "cut_body", "html_200", "rate_limit_seconds")
    with batch_server(BatchScript(polls=6, faults=FaultScript(seed, 0.5, kinds))) as server:
        calls = calls_of(server, 12)
        run = settle(tmp_path, server, calls, max_attempts=20)
        assert texts(tmp_path, calls) == expected(12)
        assert (server.log.batches, run.budget.spent, run.budget.in_doubt) == (1, server.cost, 0)
        assert sum(server.log.faults.values()) >= 3


@pytest.mark.parametrize(("kind", "word"), [("unauthorized", "key is missing or wrong"), ("quota", "quota is used up")])
def test_what_no_repetition_mends_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, word: str
) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    with batch_server(BatchScript(faults=FaultScript(0, 1.0, (kind,)), faults_after=False)) as server:
        with pytest.raises(EndpointError, match=word) as caught:
            settle(tmp_path, server, calls_of(server, 3), api_key_env="TEACHER_KEY")
        assert sum(server.log.faults.values()) == 1
        assert KEY not in str(caught.value)


def test_a_batch_that_is_refused_leaves_nothing_reserved(tmp_path: Path) -> None:
    class Refused(HttpTransport):
        async def post(self, path, body):
            return await super().post(path, {**body, "completion_window": "1h"})

    with batch_server() as server:
        with pytest.raises(EndpointError, match="completion_window must be '24h'"):
            settle(tmp_path, server, calls_of(server, 3), transport=Refused)
        replay = replay_journal(tmp_path)
        assert (replay.submissions, replay.totals.in_doubt) == ({}, 0)


def test_nobody_there_is_said_soon(tmp_path: Path) -> None:
    with batch_server() as server:
        calls = calls_of(server, 3)
    pauses: list[float] = []
    with pytest.raises(EndpointError, match="is not there"):
        settle(tmp_path, server, calls, on_pause=pauses.append)
    assert pauses == [1.0, 2.0]


# ---- money


@pytest.mark.parametrize("share", ["0.5", "1", "3.5", "7.001"])
def test_no_more_is_handed_in_than_the_cap_allows(tmp_path: Path, share: str) -> None:
    with batch_server(BatchScript(seed=5, expired=0.2)) as server:
        cap = worst(server) * Decimal(share)
        with pytest.raises(BudgetError, match="higher max_cost"):
            settle(tmp_path, server, calls_of(server, 40), max_cost=cap)
        totals = replay_journal(tmp_path).totals
        assert totals.in_doubt == 0
        assert server.cost == totals.spent <= cap
        assert cap - totals.spent < worst(server)  # what was left over was handed in, too
        answered = totals.answers
        assert (answered > 0) == (cap >= worst(server))
        run = settle(tmp_path, server, calls_of(server, 40), max_cost=Decimal(1))
        assert run.ledger.totals.answers == 40


def test_the_first_batch_holds_what_the_cap_allows(tmp_path: Path) -> None:
    with batch_server() as server:
        cap = worst(server) * Decimal("3.5")
        with pytest.raises(Killed):
            settle(tmp_path, server, calls_of(server, 40), max_cost=cap, transport=KilledAfterCreate)
        assert sum(server.log.per_batched_prompt.values()) == 3


def test_an_endpoint_that_counts_more_than_was_asked_for_is_left(tmp_path: Path) -> None:
    long = " ".join(["word"] * 500)
    with batch_server(variant="exceeds_max_tokens", answer=lambda body: long) as server:
        with pytest.raises(EndpointError, match="no cap can be kept"):
            settle(tmp_path, server, calls_of(server, 9), limits=BatchLimits(calls=3))
        assert server.log.batches == 1


def test_a_cut_prompt_is_seen_before_the_second_batch(tmp_path: Path) -> None:
    with batch_server(variant="truncates_prompt") as server:
        calls = [make_call(f"{i} " + "word " * 5000, endpoint_of(server), label=f"q{i}") for i in range(4)]
        with pytest.raises(EndpointError, match="cut the prompt"):
            settle(tmp_path, server, calls, limits=BatchLimits(calls=2))
        assert server.log.batches == 1


def test_calls_under_way_are_not_made_another_way(tmp_path: Path) -> None:
    with batch_server() as server, batch_server() as elsewhere:
        with pytest.raises(Killed):
            settle(tmp_path, server, calls_of(server, 9), transport=KilledWhileWaiting)

        def make(at: FaultServer, **settings: Any) -> None:
            config = CallsConfig(price=PRICE, **settings)
            with open_session(tmp_path, endpoint_of(at), config, label="test") as session:
                session.settle(lambda: calls_of(at, 2), total=2)

        with pytest.raises(ConfigError, match="9 calls are under way in a batch"):
            make(server, max_cost=Decimal(1))
        with pytest.raises(BudgetError):
            make(elsewhere, max_cost=9 * worst(server))  # all of it may still be needed for the batch
        make(elsewhere, max_cost=11 * worst(server))
        assert (server.log.requests, elsewhere.log.requests) == (0, 2)


# ---- the command


TEACH = "teach --task lab_choice --limit 6 --model teacher --batch --free --out taught --json".split()


def test_teach_takes_batches_and_goes_on_after_an_interrupt(tmp_path: Path) -> None:
    with batch_server(BatchScript(polls=2)) as server:
        command = [*TEACH, "--endpoint", server.base_url]
        child = commands.start(*command, cwd=tmp_path)
        while not child.errors().exists() or "in_progress" not in child.errors().read_text():
            time.sleep(0.01)
        stopped = time.monotonic()
        os.kill(child.pid, signal.SIGINT)  # it waits for its second look
        assert commands.wait(child).returncode == 130
        assert time.monotonic() - stopped < 10
        done = commands.sert(*command, cwd=tmp_path, constants={"sert.endpoint.batch.stage:FIRST_LOOK": 0.1})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rationales"] == 6
        assert (server.log.batches, server.log.requests) == (2, 0)
    assert "teach: batch batch_1: completed, 3 of 3 done" in done.stderr
    assert "teach: batch batch_2: completed, 3 of 3 done" in done.stderr


@pytest.mark.parametrize(("usable", "batches"), [((), 1), (("03",), 3)], ids=["none", "one"])
def test_no_second_batch_is_paid_for_where_nothing_of_the_first_can_be_used(
    tmp_path: Path, usable: tuple[str, ...], batches: int
) -> None:
    def answer(body: dict[str, Any]) -> str:
        return "So the answer is yes." if any(number in prompt_of(body) for number in usable) else ""

    stops = contextlib.nullcontext() if usable else pytest.raises(EndpointError, match="the answer is empty")
    with batch_server(answer=answer) as server, stops:
        settle(tmp_path, server, calls_of(server, 12), limits=BatchLimits(calls=4), first_answers=4)
    assert server.log.batches == batches


def asked_of(server: FaultServer) -> int:
    return sum(server.log.per_batched_prompt.values())


@pytest.mark.parametrize(("first_answers", "asked"), [(3, 3), (1, 1), (0, 12)])
def test_a_batch_of_the_first_answers_goes_before_the_others(tmp_path: Path, first_answers: int, asked: int) -> None:
    stops = pytest.raises(EndpointError, match="the answer is empty") if first_answers else contextlib.nullcontext()
    with batch_server(answer=lambda body: "") as server, stops:
        settle(tmp_path, server, calls_of(server, 12), first_answers=first_answers)
    assert (server.log.batches, asked_of(server)) == (1, asked)


def test_all_others_are_one_batch_once_an_answer_was_usable(tmp_path: Path) -> None:
    with batch_server() as server:
        settle(tmp_path, server, calls_of(server, 12), first_answers=3)
        assert (server.log.batches, asked_of(server)) == (2, 12)
        settle(tmp_path, server, [make_call(f"more of {i}", endpoint_of(server), label="q") for i in range(9)])
        assert server.log.batches == 3


def test_nothing_more_is_handed_in_when_a_killed_process_left_a_batch_of_unusable_answers(tmp_path: Path) -> None:
    with batch_server(answer=lambda body: "") as server:
        with pytest.raises(Killed):
            settle(tmp_path, server, calls_of(server, 12), first_answers=3, transport=KilledWhileWaiting)
        with pytest.raises(EndpointError, match="the answer is empty"):
            settle(tmp_path, server, calls_of(server, 12), first_answers=3)
        assert (server.log.batches, asked_of(server)) == (1, 3)
