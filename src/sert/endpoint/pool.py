"""Making many calls: some at a time, each settled exactly once, none beyond the cap, nothing lost on the way.

A call ends as an answer or in quarantine; what is neither is still to be made, and the same command makes it.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from sert.config_endpoints import CallsConfig
from sert.endpoint.calls import Call, TroubleError, Usage
from sert.endpoint.doubts import cut_prompt, doubts_about
from sert.endpoint.log import CallLog
from sert.endpoint.money import Budget
from sert.endpoint.pacing import Gate, Ticket
from sert.endpoint.stops import budget_error, endpoint_error, excess_error
from sert.endpoint.transport import Received, Transport
from sert.errors import EndpointError, SertError
from sert.seeds import derive_seed

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a second attempt, doubled each time; a random half of it is left off."""
UNREACHABLE_ATTEMPTS = 3
"""Attempts at an endpoint that nobody has reached yet."""
REFUSALS_FIRST, REFUSALS_LATER = 3, 20
"""Refused calls in a row that stop the pool: before the first answer, and after it."""
WORTH_TELLING = 10.0
"""Seconds of waiting that people are told of."""
WAITS_IN_A_ROW = 50
"""Requests to wait in a row, without an answer in between, that stop the pool."""

Advance = Callable[[], None]

_ZERO = Decimal(0)


class _Patience:
    """How long one call is tried."""

    def __init__(self, call: Call, config: CallsConfig) -> None:
        self._config = config
        self._random = random.Random(derive_seed(0, "pause", call.key))
        self.attempts = 0
        self.seconds = 0.0

    def pause(self) -> float | None:
        """Count a failed attempt and return the pause before the next one; None when there is none."""
        self.attempts += 1
        longest = min(FIRST_PAUSE * 2.0 ** (self.attempts - 1), LONGEST_PAUSE)
        pause = longest * self._random.uniform(0.5, 1.0)
        self.seconds += pause
        over = self.attempts >= self._config.max_attempts or self.seconds > self._config.max_item_seconds
        return None if over else pause


class Pool:
    """Calls to one endpoint that share its limits, its log and its budget."""

    def __init__(
        self,
        transport: Transport,
        *,
        log: CallLog,
        budget: Budget,
        config: CallsConfig,
        advance: Advance = lambda: None,
        say: Callable[[str], None] = lambda line: None,
        retry_quarantined: bool = False,
    ) -> None:
        """Prepare the pool; must be made inside a running event loop.

        Args:
            transport: Sends one call, once.
            log: Where everything is recorded.
            budget: What may still be spent.
            config: Pace and patience.
            advance: Called once for each call that is settled, also for those that were settled earlier.
            say: Called with what people should know meanwhile.
            retry_quarantined: Make calls again that were put aside earlier.
        """
        self._transport, self._log, self._budget, self._config = transport, log, budget, config
        self._advance, self._say = advance, say
        self._retry_quarantined = retry_quarantined
        self._gate = Gate(requests_per_minute=config.requests_per_minute, tokens_per_minute=config.tokens_per_minute)
        self._error: SertError | None = None
        self._under_way: set[str] = set()
        self._answered = False
        self._proven = log.totals.answers > 0  # that it answers at all, in this run or before
        self._failures_in_a_row = 0
        self._refused: list[tuple[Call, TroubleError]] = []
        self._room = asyncio.Event()

    async def run(self, calls: Iterable[Call]) -> None:
        """Settle every call.

        The first call goes alone, and its answer is checked before a second one is sent.

        Raises:
            EndpointError: If the endpoint refuses, fails or cannot be reached.
            BudgetError: If the next call could pass the cap.
            DiskError: If the log cannot be written.
        """
        todo = self._unsettled(calls)
        for call in todo:
            await self._settle(call)
            if self._answered or self._error:
                break
        workers = [asyncio.create_task(self._work(todo)) for _ in range(self._config.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            self._gate.stop()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self._error is None:
            await self._put_refused_aside()
        else:
            raise self._error

    def _unsettled(self, calls: Iterable[Call]) -> Iterator[Call]:
        for call in calls:
            status = self._log.standing.status(call.key)
            if status == "answer" or (status == "quarantine" and not self._retry_quarantined):
                self._advance()
            elif call.key in self._under_way:
                self._advance()  # the same question twice: one answer is for both
            else:
                self._under_way.add(call.key)
                yield call

    async def _work(self, todo: Iterator[Call]) -> None:
        for call in todo:
            if self._gate.stopped:
                return
            await self._settle(call)
            if self._log.standing.status(call.key) is not None:
                self._under_way.discard(call.key)  # the log knows it from now on

    async def _settle(self, call: Call) -> None:
        patience = _Patience(call, self._config)
        loop = asyncio.get_running_loop()
        while True:
            reserved = self._budget.cost(call.most_usage)
            ticket = await self._admit(call, reserved)
            if ticket is None:
                return
            number = await self._log.intend(call, reserved=reserved)
            if not self._gate.lets_through():  # closed while the intent was written
                await self._log.unsent(call, number)
                self._book(reserved, spent=_ZERO, in_doubt=_ZERO)
                self._gate.failed(ticket)
                continue
            started = loop.time()
            try:
                received = await self._transport.send(call)
            except TroubleError as trouble:
                patience.seconds += loop.time() - started
                await self._pay_for_trouble(call, number, trouble, reserved)
                if not await self._go_on(call, ticket, trouble, patience):
                    return
            else:
                return await self._take(call, number, received, ticket, reserved)

    async def _admit(self, call: Call, reserved: Decimal) -> Ticket | None:
        """Wait for money, then for the endpoint; None when the pool has stopped."""
        while not self._gate.stopped and not self._budget.reserve(reserved):
            if not self._budget.reserved:
                self._stop(budget_error(call, reserved, self._budget))
                return None
            self._room.clear()
            await self._room.wait()
        return None if self._gate.stopped else await self._gate.enter(sum(call.likely_usage))

    async def _take(self, call: Call, number: int, received: Received, ticket: Ticket, reserved: Decimal) -> None:
        reply = received.reply
        if not self._answered and (cut := cut_prompt(call, reply)) is not None:
            trouble = TroubleError("fatal", cut, billed=True, usage=reply.usage)
            await self._pay_for_trouble(call, number, trouble, reserved)
            self._gate.failed(ticket)
            self._stop(EndpointError(f"Stopped: {cut}. Give it a longer context, and look with `sert doctor`."))
            return
        spent, in_doubt = self._budget.charge(reply.usage, reserved=reserved, billed=True)
        await self._log.answer(call, number, reply=reply, spent=spent, in_doubt=in_doubt)
        self._book(reserved, spent=spent, in_doubt=in_doubt)
        self._gate.answered(ticket, wait=received.wait)
        self._failures_in_a_row = 0
        if not self._answered:
            for doubt in doubts_about(call, reply):
                self._say(f"{doubt}; `sert doctor` tells more")
        self._answered = self._proven = True
        self._check_usage(call, reply.usage, spent=spent, reserved=reserved)
        await self._put_refused_aside()
        self._advance()

    async def _pay_for_trouble(self, call: Call, number: int, trouble: TroubleError, reserved: Decimal) -> None:
        spent, in_doubt = self._budget.charge(trouble.usage, reserved=reserved, billed=trouble.billed)
        await self._log.failure(call, number, reason=trouble.reason, spent=spent, in_doubt=in_doubt)
        self._book(reserved, spent=spent, in_doubt=in_doubt)
        self._check_usage(call, trouble.usage, spent=spent, reserved=reserved)

    def _check_usage(self, call: Call, usage: Usage | None, *, spent: Decimal, reserved: Decimal) -> None:
        if self._budget.capped and spent > reserved:
            self._stop(excess_error(call, usage))

    def _book(self, reserved: Decimal, *, spent: Decimal, in_doubt: Decimal) -> None:
        self._budget.settle(reserved, spent=spent, in_doubt=in_doubt)
        self._room.set()

    async def _go_on(self, call: Call, ticket: Ticket, trouble: TroubleError, patience: _Patience) -> bool:
        """Decide what follows a failed attempt; True = another one."""
        if trouble.kind == "limited":
            self._wait(ticket, trouble)
            if self._gate.refusals_in_a_row >= WAITS_IN_A_ROW:
                self._stop(endpoint_error(f"asked us {WAITS_IN_A_ROW} times in a row to wait", trouble.reason))
            return not self._gate.stopped
        if trouble.wait is not None:
            self._wait(ticket, trouble)
        else:
            self._gate.failed(ticket)
        if trouble.kind == "fatal":
            self._stop(endpoint_error("takes no more calls", trouble.reason))
            return False
        if trouble.kind == "refused":
            self._refuse(call, trouble)
            return False
        return await self._try_again(call, trouble, patience)

    def _wait(self, ticket: Ticket, trouble: TroubleError) -> None:
        wait = self._gate.asked_to_wait(ticket, wait=trouble.wait)
        if wait >= WORTH_TELLING:
            self._say(f"the endpoint is busy, going on in {wait:.0f} s ({trouble.reason})")

    async def _try_again(self, call: Call, trouble: TroubleError, patience: _Patience) -> bool:
        self._failures_in_a_row += 1
        if not self._proven and trouble.unreachable and self._failures_in_a_row >= UNREACHABLE_ATTEMPTS:
            self._stop(endpoint_error("is not there", trouble.reason))
        elif self._failures_in_a_row >= self._most_failures(trouble):
            self._stop(endpoint_error(f"failed {self._failures_in_a_row} times in a row", trouble.reason))
        pause = patience.pause()
        if self._gate.stopped:
            return False
        if pause is None and not self._proven:
            self._refuse(call, trouble)  # it answers, but this call not: others may fare better
            return False
        if pause is None:
            await self._log.quarantine(call, reason=trouble.reason, raw=trouble.raw)
            self._advance()
            return False
        await self._gate.pause(pause)
        return not self._gate.stopped

    def _most_failures(self, trouble: TroubleError) -> int:
        """Failures in a row that are no chance any more: every call under way has used up its attempts."""
        if self._proven:
            return self._config.max_attempts * 4 * self._config.concurrency
        # One that counts tokens works; it may be the first call that it cannot answer.
        return self._config.max_attempts * (REFUSALS_FIRST if trouble.usage else 1)

    def _refuse(self, call: Call, trouble: TroubleError) -> None:
        """Hold a refused call until the endpoint takes another one: the fault may be ours, and in every call."""
        self._refused.append((call, trouble))
        if len(self._refused) >= (REFUSALS_LATER if self._proven else REFUSALS_FIRST):
            self._stop(endpoint_error(f"refused {len(self._refused)} calls in a row", trouble.reason))

    async def _put_refused_aside(self) -> None:
        refused, self._refused = self._refused, []
        for call, trouble in refused:
            await self._log.quarantine(call, reason=trouble.reason, raw=trouble.raw)
            self._advance()

    def _stop(self, error: SertError) -> None:
        self._error = self._error or error
        self._gate.stop()
        self._room.set()
