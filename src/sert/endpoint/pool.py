"""Making many calls: some at a time, each settled exactly once, none beyond the cap, nothing lost on the way.

A call ends as an answer or in quarantine; what is neither is still to be made, and the same command makes it.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain

from sert.endpoint.account import Account
from sert.endpoint.calls import Call, TroubleError
from sert.endpoint.first_answer import cut_prompt
from sert.endpoint.gate import Gate, Ticket
from sert.endpoint.money import budget_error
from sert.endpoint.replay import Attempt
from sert.endpoint.retries import (
    REFUSALS_FIRST,
    REFUSALS_LATER,
    WAITS_IN_A_ROW,
    WORTH_TELLING,
    CallRetries,
    EndpointHealth,
    backoff,
    endpoint_error,
)
from sert.endpoint.transport import Received, Send
from sert.errors import EndpointError, SertError


class Pool:
    """Calls to one endpoint that share its limits, its ledger and its budget."""

    def __init__(self, send: Send, account: Account) -> None:
        """Prepare the pool inside a running event loop; the account also says by what rules the calls are made."""
        config = account.config
        self._send, self._account, self._config = send, account, config
        self._ledger, self._budget = account.ledger, account.budget
        self._gate = Gate(requests_per_minute=config.requests_per_minute, tokens_per_minute=config.tokens_per_minute)
        self._health = EndpointHealth(config)
        self._error: Callable[[], SertError] | None = None
        self._under_way: set[str] = set()
        self._proven = False  # that this endpoint answers such calls, now or when these were asked earlier
        self._first = account.first
        self._again: list[Call] = []  # first calls that brought an odd reply
        self._held: list[tuple[Call, TroubleError]] = []
        self._room = asyncio.Event()

    async def run(self, calls: Iterable[Call]) -> None:
        """Settle every call.

        The first calls go alone, until the answer to one of them can be used.

        Raises:
            EndpointError: If the endpoint refuses, fails or cannot be reached, or none of its first answers can be
                used.
            BudgetError: If the next call could pass the cap.
            DiskError: If the ledger cannot be written.
        """
        todo = self._unsettled(calls)
        await self._try_out(todo)
        left = chain(self._again, todo)
        workers = [asyncio.create_task(self._work(left)) for _ in range(self._config.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            self._gate.stop()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if not self._proven:
            self._check_held()
        if self._error is not None:
            raise self._error()
        await self._put_held_aside()

    async def _try_out(self, todo: Iterator[Call]) -> None:
        """Make calls one after the other until the endpoint has answered and one of its answers can be used."""
        while not (self._error or (self._health.answered and self._first.passed)):
            call = next(todo, None) or (self._again.pop(0) if self._again else None)
            if call is not None:
                await self._settle(call)
            if self._first.over or (call is None and self._first.failed):
                self._stop(self._first.error)
            if call is None:
                return

    def _unsettled(self, calls: Iterable[Call]) -> Iterator[Call]:
        for call in calls:
            self._proven = self._proven or self._ledger.replay.status(call.key) == "answer"
            # What is under way is the same question twice: one answer is for both.
            if self._account.is_settled(call) or call.key in self._under_way:
                self._account.advance()
            else:
                self._under_way.add(call.key)
                yield call

    async def _work(self, todo: Iterator[Call]) -> None:
        for call in todo:
            if self._gate.stopped:
                return
            await self._settle(call)
            if self._ledger.replay.status(call.key) is not None:
                self._under_way.discard(call.key)  # the ledger knows it from now on

    async def _settle(self, call: Call) -> None:
        retries = CallRetries(call, self._config)
        loop = asyncio.get_running_loop()
        while True:
            reserved = self._budget.cost(call.most_usage)
            ticket = await self._admit(call, reserved)
            if ticket is None:
                return
            attempt = await self._ledger.intend(call, reserved=reserved)
            if not self._gate.lets_through():  # closed while the intent was written
                await self._ledger.unsent(attempt)
                self._budget.settle(reserved)
                self._room.set()
                self._gate.leave(ticket)
                continue
            started = loop.time()
            try:
                received = await self._send(call)
            except TroubleError as trouble:
                retries.seconds += loop.time() - started
                await self._pay_for_trouble(attempt, trouble)
                if not await self._go_on(call, ticket, trouble, retries):
                    return
            else:
                return await self._take(attempt, received, ticket)

    async def _admit(self, call: Call, reserved: Decimal) -> Ticket | None:
        """Wait for money, then for the endpoint; None when the pool has stopped."""
        while not self._gate.stopped and not self._budget.reserve(reserved):
            if not self._budget.reserved:
                self._stop(lambda: budget_error(call, reserved, self._budget))
                return None
            self._room.clear()
            await self._room.wait()
        return None if self._gate.stopped else await self._gate.enter(sum(call.likely_usage))

    async def _take(self, attempt: Attempt, received: Received, ticket: Ticket) -> None:
        call, reply = attempt.call, received.reply
        if not self._health.answered and (cut := cut_prompt(call, reply)) is not None:
            trouble = TroubleError("fatal", cut, billed=True, usage=reply.usage)
            await self._pay_for_trouble(attempt, trouble)
            self._gate.leave(ticket)
            message = f"Stopped: {cut}. Give it a longer context, and look with `sert doctor`."
            self._stop(lambda: EndpointError(message))
            return
        excess = await self._account.answer(attempt, reply)
        self._room.set()
        self._gate.answered(ticket, wait=received.wait)
        if not self._health.answered:
            self._account.warn(call, reply)
        self._proven = True
        self._health.answer()
        self._stop_if(excess)
        await self._put_held_aside()
        self._account.advance()

    async def _pay_for_trouble(self, attempt: Attempt, trouble: TroubleError) -> None:
        counted = trouble.kind == "transient" and not trouble.unreachable
        self._stop_if(await self._account.failure(attempt, trouble, counted=counted))
        self._room.set()

    async def _go_on(self, call: Call, ticket: Ticket, trouble: TroubleError, retries: CallRetries) -> bool:
        """Decide what follows a failed attempt; True = another one."""
        if not trouble.unreachable:
            self._health.reached()
        if trouble.kind == "limited":
            self._wait(ticket, trouble)
            if self._gate.refusals_in_a_row >= WAITS_IN_A_ROW:
                self._leave(f"asked us {WAITS_IN_A_ROW} times in a row to wait", trouble)
            return not self._gate.stopped
        if trouble.wait is not None:
            self._wait(ticket, trouble)
        else:
            self._gate.leave(ticket)
        if trouble.kind == "transient":
            return await self._try_again(call, trouble, retries)
        if trouble.kind == "fatal":
            self._leave("takes no more calls", trouble)
        else:
            self._refuse(call, trouble)
        return False

    def _wait(self, ticket: Ticket, trouble: TroubleError) -> None:
        wait = self._gate.asked_to_wait(ticket, wait=trouble.wait)
        if wait >= WORTH_TELLING:
            self._account.say(f"the endpoint is busy, going on in {wait:.0f} s ({trouble.reason})")

    async def _try_again(self, call: Call, trouble: TroubleError, retries: CallRetries) -> bool:
        if trouble.odd and not self._first.passed:
            self._again.append(call)
            await self._gate.pause(backoff(self._first.seen))  # it may be a gateway whose server starts
            return False
        pause, now = retries.pause(unreachable=trouble.unreachable), asyncio.get_running_loop().time()
        verdict = None
        if trouble.unreachable:
            verdict = self._health.absent(now)
        elif not self._ledger.replay.is_suspect(call.key):
            verdict = self._health.failed(trouble, now=now, used_up=pause is None)
        if verdict is not None:
            self._leave(verdict, trouble)
        if pause is None:
            self._held.append((call, trouble))
            return False
        await self._gate.pause(pause)
        return not self._gate.stopped

    def _refuse(self, call: Call, trouble: TroubleError) -> None:
        self._held.append((call, trouble))
        refused = sum(each.kind == "refused" for _, each in self._held)
        if refused >= (REFUSALS_LATER if self._ledger.totals.answers else REFUSALS_FIRST):
            self._leave(f"refused {refused} calls in a row", trouble)

    async def _put_held_aside(self) -> None:
        """Put aside what is held until the endpoint takes another call: the fault may be its own, or in every call."""
        if self._error is not None:
            return
        held, self._held = self._held, []
        for call, trouble in held:
            await self._ledger.quarantine(call, trouble)
            self._account.advance()

    def _check_held(self) -> None:
        """Stop if calls have come to nothing at an endpoint of which nothing shows that it works."""
        for _, trouble in self._held:
            if trouble.kind == "transient" and trouble.usage is None:
                self._leave("does not answer", trouble)

    def _leave(self, what: str, trouble: TroubleError) -> None:
        self._stop(lambda: endpoint_error(what, trouble.reason, answers=self._ledger.totals.answers))

    def _stop_if(self, error: EndpointError | None) -> None:
        if error is not None:
            self._stop(lambda: error)

    def _stop(self, error: Callable[[], SertError]) -> None:
        """Send nothing more; the error is made once all that is under way has ended."""
        self._error = self._error or error
        self._gate.stop()
        self._room.set()
