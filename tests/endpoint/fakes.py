"""An endpoint without a network, driven in virtual time."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from sert.config.endpoints import CallsConfig, EndpointConfig, Price
from sert.endpoint.account import Account
from sert.endpoint.answers import DEFAULT_READER
from sert.endpoint.calls import Call, Reply, TroubleError, Usage, make_call
from sert.endpoint.first_answer import FirstAnswers
from sert.endpoint.ledger import Ledger
from sert.endpoint.money import Budget
from sert.endpoint.pool import Pool
from sert.endpoint.transport import Received
from virtual_time import run_virtual

ENDPOINT = EndpointConfig(url="http://127.0.0.1:1/v1", model="m", max_tokens=20)
PRICE = Price(Decimal(10), Decimal(30))

Script = Callable[[Call, int, float], TroubleError | Received | None]
"""What an attempt brings: (call, number of the attempt at this call from 0, time) -> None is an ordinary answer."""


def calls_of(number: int, endpoint: EndpointConfig = ENDPOINT) -> list[Call]:
    return [make_call(f"Question {i:04d}?", endpoint, label=f"q{i}") for i in range(number)]


USAGE = Usage(5, 6)


def reply(text: str = "So the answer is yes.", *, usage: Usage | None = USAGE) -> Reply:
    return Reply(text, "stop", None, usage, "m")


class FakeTransport:
    """Answers after `seconds`, as a script says; notes when each attempt came in."""

    def __init__(self, script: Script = lambda call, attempt, now: None, *, seconds: float = 1.0) -> None:
        self.script, self.seconds = script, seconds
        self.arrivals: list[tuple[float, str]] = []
        self.attempts: dict[str, int] = {}
        self.under_way = self.most_under_way = 0

    async def send(self, call: Call) -> Received:
        now = asyncio.get_running_loop().time()
        attempt = self.attempts.get(call.label, 0)
        self.attempts[call.label] = attempt + 1
        self.arrivals.append((now, call.label))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        outcome = self.script(call, attempt, now)
        if isinstance(outcome, TroubleError):
            raise outcome
        return outcome or Received(reply(f"{call.label}: so the answer is yes."), 0.0)


async def inline(work: Callable[[], None]) -> None:
    work()


def settle(
    calls: list[Call], transport: FakeTransport, folder: Path, *, retry_quarantined: bool = False, **settings: object
) -> tuple[Ledger, Budget, float]:
    """Run a pool to its end in virtual time; return its closed ledger, its budget, and the seconds it took."""
    config = CallsConfig(**({"free": True} | settings))  # type: ignore[arg-type]
    with Ledger(folder, offload=inline) as ledger:
        budget = Budget(config, spent=ledger.totals.spent, in_doubt=ledger.totals.in_doubt)

        async def run() -> float:
            first = FirstAnswers(DEFAULT_READER, most=config.first_answers)
            account = Account(ledger, budget, config, DEFAULT_READER, first, retry_quarantined=retry_quarantined)
            await Pool(transport.send, account).run(calls)
            return asyncio.get_running_loop().time()

        return ledger, budget, run_virtual(run())
