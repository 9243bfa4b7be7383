"""Real HTTP on loopback, against an endpoint that fails in every way."""

import contextlib
import itertools
import resource
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from fault_answers import text_for
from fault_kinds import FLAGGED, HARMLESS, REFUSED, TRANSIENT, FaultScript
from fault_server import FaultServer
from sert.config.endpoints import CallsConfig, EndpointConfig, Price
from sert.endpoint.calls import Call, make_call
from sert.endpoint.ledger import Ledger
from sert.endpoint.session import Session
from sert.errors import BudgetError, EndpointError
from sert.terminal.progress import Silent

FLAGS = {
    "null_content_length": "truncated",
    "stop_at_limit": "truncated",
    "content_filter": "filtered",
    "empty_text": "empty",
    "surrogate": "damaged",
}


def endpoint_of(server: FaultServer, **asked: object) -> EndpointConfig:
    return EndpointConfig(**({"url": server.base_url, "model": "teacher", "max_tokens": 200} | asked))  # type: ignore[arg-type]


def prompt(number: int) -> str:
    return f"Question: Is {number} a number?\nAnswer: Let's think step by step."


def calls_of(endpoint: EndpointConfig, number: int) -> list[Call]:
    return [make_call(prompt(i), endpoint, label=f"q{i}") for i in range(number)]


def settle(ledger: Ledger, endpoint: EndpointConfig, number: int, **settings: object) -> None:
    config = CallsConfig(**({"free": True} | settings))  # type: ignore[arg-type]
    Session(ledger, endpoint, config, "test", Silent()).settle(lambda: calls_of(endpoint, number), total=number)


@pytest.mark.soak
@pytest.mark.usefixtures("short_pauses")
def test_many_requests_of_which_a_third_fail(tmp_path: Path, full: bool) -> None:
    """In full ten thousand requests."""
    questions = 8_200 if full else 820
    kinds = tuple(sorted(TRANSIENT | FLAGGED | HARMLESS | REFUSED))
    assert len(kinds) >= 15
    slow = {"hang", "drip", "rate_limit_date"}  # each costs a whole timeout, or holds all calls up for a second
    quick = tuple(kind for kind in kinds if kind not in slow)
    script = FaultScript(seed=3 if full else 265, rate=0.3, kinds=kinds + quick * 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with FaultServer(seed=1, faults=script) as server, Ledger(tmp_path) as ledger:
        endpoint = endpoint_of(server)
        concurrency, timeout = (256, 8.0) if full else (64, 2.0)
        settle(ledger, endpoint, questions, concurrency=concurrency, timeout=timeout, max_attempts=4)
        seen = server.log
        totals = ledger.totals
        assert totals.requests == seen.requests >= (10_000 if full else 1_000)
        assert set(seen.faults) == set(kinds)
        assert totals.answers + totals.quarantined == questions
        for number, call in enumerate(calls_of(endpoint, questions)):
            kept = [script.fault(prompt(number), attempt) for attempt in range(1, seen.per_prompt[prompt(number)] + 1)]
            reply, aside = ledger.reply(call.key), ledger.quarantined(call.key)
            assert (reply is None) != (aside is None)
            if reply is not None:
                assert reply.flag == FLAGS.get(str(kept[-1]))
                if reply.flag is None:
                    assert reply.text == text_for(1, prompt(number))
            else:
                tried = [kind for kind in kept if not str(kind).startswith("rate_limit")]
                assert kept[-1] in REFUSED or (len(tried) == 4 and set(tried) <= TRANSIENT)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 200


def worst_cost(endpoint: EndpointConfig, price: Price) -> Decimal:
    usage = calls_of(endpoint, 1)[0].most_usage
    return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1_000_000


# A server may charge for what never arrived; being told to wait is free everywhere.
UNCHARGED = {"rate_limit_seconds", "rate_limit_date", "rate_limit_bad"}
CHARGED = tuple(sorted(TRANSIENT - UNCHARGED - {"huge_body", "gzip_bomb"}))


@pytest.mark.soak
@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("share", ["0.01", "0.1", "0.5", "0.9", "1.001"])
def test_no_cap_is_ever_passed(tmp_path: Path, share: str, full: bool) -> None:
    """In full 700 runs; the server charges for failed attempts too, and keeps its own books."""
    questions, price = 12, Price(Decimal(5), Decimal(20))
    concurrencies, seeds = ([1, 2, 4, 8, 16, 32, 64], range(20)) if full else ([1, 8, 64], range(2))

    def run(concurrency: int, seed: int) -> tuple[Decimal, Decimal, Decimal]:
        script = FaultScript(seed=seed, rate=0.3, kinds=CHARGED, billed=True)
        with (
            FaultServer(seed=seed, faults=script, prices=(price.prompt, price.completion)) as server,
            Ledger(tmp_path / f"{concurrency} {seed}") as ledger,
        ):
            endpoint = endpoint_of(server, max_tokens=60)
            cap = worst_cost(endpoint, price) * questions * Decimal(share)
            money = {"free": False, "price": price, "max_cost": cap}
            patience = {"timeout": 0.5 if full else 0.3, "max_attempts": 2}
            with contextlib.suppress(BudgetError, EndpointError):
                settle(ledger, endpoint, questions, concurrency=concurrency, **patience, **money)
            return server.cost, ledger.totals.spent + ledger.totals.in_doubt, cap

    chosen = list(itertools.product(concurrencies, seeds))
    with ThreadPoolExecutor(10) as executor:
        runs = list(executor.map(lambda pair: run(*pair), chosen))
    assert all(charged <= known <= cap for charged, known, cap in runs)
    has_charged = {concurrency for (concurrency, _), (charged, _, _) in zip(chosen, runs, strict=True) if charged}
    assert has_charged == (set() if share == "0.01" else set(concurrencies))
