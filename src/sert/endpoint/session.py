"""One run of calls from beginning to end, and what it would cost."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sert.config.endpoints import CallsConfig, EndpointConfig, Price
from sert.endpoint.account import Account
from sert.endpoint.answers import DEFAULT_READER, AnswerReader
from sert.endpoint.batch.stage import settle_batches
from sert.endpoint.calls import Call, Usage
from sert.endpoint.first_answer import FirstAnswers
from sert.endpoint.ledger import Ledger
from sert.endpoint.money import Budget, check_money, cost_of, dollars
from sert.endpoint.pool import Pool
from sert.endpoint.replay import replay_journal
from sert.endpoint.secrets import read_key
from sert.endpoint.transport import HttpTransport
from sert.errors import ConfigError
from sert.store.lock import run_lock
from sert.terminal.progress import Reporter, Silent

ENOUGH_ANSWERS = 10
"""Answers of which the mean is a better guess than a rule of thumb."""


class CallPlan(NamedTuple):
    """What is to be sent.

    Attributes:
        answered: Those that were answered earlier; they cost nothing.
        tokens: Of the others: if answers are short, as usual, and at the very most.
        price: Dollars a million tokens; None for a free endpoint or an unknown price.
        basis: How the likely figures were found.
    """

    calls: int
    answered: int
    tokens: tuple[Usage, Usage, Usage]
    price: Price | None
    basis: str

    def describe(self) -> dict[str, Any]:
        """Write it for people and for JSON."""
        return {
            "calls": self.calls,
            "answered_earlier": self.answered,
            "prompt_tokens": " / ".join(str(usage.prompt_tokens) for usage in self.tokens),
            "completion_tokens": " / ".join(str(usage.completion_tokens) for usage in self.tokens),
            "cost (low / likely / most)": self.price_tag(),
            "likely by": self.basis,
        }

    def price_tag(self) -> str:
        """Write what the calls may cost: low, likely and at most."""
        if self.price is None:
            return "free or of unknown price"
        costs = [cost_of(usage, self.price).quantize(Decimal("0.000001")) for usage in self.tokens]
        return " / ".join(map(dollars, costs))


def plan_calls(calls: Iterable[Call], *, folder: Path, config: CallsConfig) -> CallPlan:
    """Count what is to be sent and what it may cost. Opens no connection and writes nothing."""
    replay = replay_journal(folder)
    keys: set[str] = set()
    answered = 0
    low = likely = most = Usage(0, 0)
    for call in calls:
        if call.key in keys or replay.status(call.key) == "answer":
            answered += 1
            continue
        keys.add(call.key)
        low, likely, most = low.plus(call.least_usage), likely.plus(call.likely_usage), most.plus(call.most_usage)
    totals, basis = replay.totals, "4 bytes a token, a third of max_tokens"
    if totals.answers >= ENOUGH_ANSWERS and totals.prompt_tokens:
        so_far = (totals.prompt_tokens, totals.completion_tokens)
        likely = Usage(*(len(keys) * tokens // totals.answers for tokens in so_far))
        basis = f"the {totals.answers} answers so far"
    tokens = (Usage(*map(min, low, likely)), likely, most)
    price = None if config.free else config.price
    return CallPlan(len(keys) + answered, answered, tokens, price, basis)


def check_endpoint(endpoint: EndpointConfig, config: CallsConfig) -> None:
    """Check all that can be checked before a connection is opened.

    Raises:
        ConfigError: If it is not said who pays, or the address or the key cannot be used.
    """
    check_money(config)
    read_key(endpoint, config)


@dataclass(frozen=True)
class Session:
    """Calls to one endpoint, under the ledger of a folder.

    Attributes:
        ledger: Where everything is recorded; what is answered there is not asked again.
        label: What the progress is called.
        reader: How answers are read.
        retry_quarantined: Make calls again that were put aside earlier.
    """

    ledger: Ledger
    endpoint: EndpointConfig
    config: CallsConfig
    label: str
    reporter: Reporter
    reader: AnswerReader = DEFAULT_READER
    retry_quarantined: bool = False

    @cached_property
    def _first(self) -> FirstAnswers:
        return FirstAnswers(self.reader, most=self.config.first_answers)

    def looking_at(self, first_answers: int) -> "Session":
        """Return the session with another number of first answers, one of which must be usable."""
        return replace(self, config=self.config.model_copy(update={"first_answers": first_answers}))

    def settle(self, calls: Callable[[], Iterable[Call]], *, total: int, label: str | None = None) -> None:
        """Settle every call, made one at a time, of a `total`; read the answers from the ledger afterwards.

        `label` is what the progress is called, where it is not the session's.

        Raises:
            ConfigError: If it is not said who pays, the address or the key cannot be used, or a batch is under way and
                no batches are wanted.
            EndpointError: If the endpoint refuses, fails or cannot be reached, or none of its first answers can be
                used, of these calls or of those that were settled before.
            BudgetError: If the next call could pass the cap.
        """
        label, totals, url = label or self.label, self.ledger.totals, self.endpoint.url.rstrip("/")
        check_money(self.config)
        transport = HttpTransport(self.endpoint, self.config)
        self._first.look_back(calls(), self.ledger)
        if self._first.over:
            raise self._first.error()
        budget = Budget(self.config, spent=totals.spent, in_doubt=totals.in_doubt + self._reserved_elsewhere(url))

        async def run() -> None:
            with self.reporter.track(label, total, "calls") as advance:

                def one_more() -> None:
                    aside = f", {totals.quarantined} put aside" if totals.quarantined else ""
                    advance(1, f"{budget}{aside}")

                account = Account(
                    self.ledger,
                    budget,
                    self.config,
                    self.reader,
                    self._first,
                    advance=one_more,
                    say=lambda line: self.reporter.say(f"{label}: {line}"),
                    retry_quarantined=self.retry_quarantined,
                )
                async with transport:
                    if self.config.batch:
                        await settle_batches(calls, account, transport=transport, url=url)
                    else:
                        await Pool(transport.send, account).run(calls())

        run_to_end(run)

    def _reserved_elsewhere(self, url: str) -> Decimal:
        """Add up what batches at other addresses may still cost.

        Raises:
            ConfigError: If batches are under way at this address, and no batches are wanted.
        """
        under_way = self.ledger.replay.submissions.values()
        here = sum(len(each.members) for each in under_way if each.url == url)
        if here and not self.config.batch:
            raise ConfigError(
                f"{here} calls are under way in a batch; take their answers with --batch (calls.batch), so that none "
                "is paid for twice."
            )
        return sum((each.reserved for each in under_way if each.url != url), Decimal(0))


@contextmanager
def open_session(
    folder: Path,
    endpoint: EndpointConfig,
    config: CallsConfig,
    *,
    label: str,
    reader: AnswerReader = DEFAULT_READER,
    reporter: Reporter | None = None,
    retry_quarantined: bool = False,
) -> Iterator[Session]:
    """Open the ledger in a folder, as its only writer, for calls to an endpoint (see `Session`).

    Raises:
        RunLockedError: If another process makes calls there.
    """
    reporter = reporter or Silent()
    with run_lock(folder), Ledger(folder) as ledger:
        if ledger.replay.damaged:
            reporter.say(f"{label}: {ledger.replay.damaged} damaged records in {folder} are passed over")
        yield Session(ledger, endpoint, config, label, reporter, reader, retry_quarantined)


def run_to_end(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine, in a thread of its own where this one has an event loop already, as notebooks do."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(run)
    with ThreadPoolExecutor(1) as executor:
        executor.submit(lambda: _run(run)).result()


def _run(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(_say_unless_stopped)
        runner.run(run())


def _say_unless_stopped(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of a signal that ended a task: it ends the loop, too, and is raised there."""
    if not isinstance(context.get("exception"), KeyboardInterrupt | SystemExit):
        loop.default_exception_handler(context)
