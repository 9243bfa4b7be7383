"""When the next call may be sent: rate limits of one's own, and waiting when the endpoint says so."""

import asyncio
from contextlib import suppress
from typing import NamedTuple

from sert.endpoint.retries import backoff


class Ticket(NamedTuple):
    """Leave to send one call: when it was given, and whether it tries out if a cool-down is over."""

    at: float
    trial: bool


class Gate:
    """One gate for all calls.

    When the endpoint asks to wait, nothing is sent before that time; then one call goes first, and the others follow
    once it was answered. Times are those of the event loop.

    Attributes:
        refusals_in_a_row: How often we were asked to wait without an answer in between.
    """

    def __init__(self, *, requests_per_minute: float | None = None, tokens_per_minute: float | None = None) -> None:
        self.refusals_in_a_row = 0
        self._seconds_a_request = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._seconds_a_token = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._request_slot = self._token_slot = 0.0
        self._closed_since = self._closed_until = -1.0
        self._recovering = self._trial_under_way = False
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether nothing may be sent any more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let nothing through any more, and wake everybody who waits."""
        self._stopped.set()
        self._changed.set()

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond a stop."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopped.wait()

    async def enter(self, tokens: int) -> Ticket | None:
        """Wait for leave to send a call of so many tokens; None when the gate was stopped."""
        loop = asyncio.get_running_loop()
        slot: float | None = None
        while not self.stopped:
            now = loop.time()
            if now < self._closed_until:
                slot = None  # those who waited together do not go together
                await self.pause(self._closed_until - now)
            elif self._recovering and self._trial_under_way:
                slot = None
                self._changed.clear()
                await self._changed.wait()
            elif (slot := self._slot(tokens, now) if slot is None else slot) > now:
                await self.pause(slot - now)
            else:
                self._trial_under_way = self._recovering
                return Ticket(now, self._recovering)
        return None

    def lets_through(self) -> bool:
        """Tell whether what has leave may still be sent."""
        return not self.stopped and asyncio.get_running_loop().time() >= self._closed_until

    def answered(self, ticket: Ticket, *, wait: float) -> None:
        """Note an answer, and for how long the endpoint says that nothing more can be sent."""
        if ticket.at > self._closed_since:  # an answer to what was sent before proves nothing
            self.refusals_in_a_row = 0
            self._recovering = False
        if wait > 0:
            now = asyncio.get_running_loop().time()
            self._closed_until = max(self._closed_until, now + wait)
        self.leave(ticket)

    def asked_to_wait(self, ticket: Ticket, *, wait: float | None) -> float:
        """Close the gate for as long as the endpoint says, or for a while that doubles each time.

        Returns:
            Seconds that this adds to the wait; 0 when a longer one is known already.
        """
        now = asyncio.get_running_loop().time()
        if ticket.at > self._closed_since:  # not one of those that were sent before we knew
            self.refusals_in_a_row += 1
            self._closed_since = now
        until = now + (backoff(self.refusals_in_a_row) if wait is None else wait)
        longer = until - max(now, self._closed_until)
        self._closed_until = max(self._closed_until, until)
        self._recovering = True
        self.leave(ticket)
        return max(longer, 0.0)

    def leave(self, ticket: Ticket) -> None:
        """Note a call that is over and told nothing."""
        if ticket.trial:
            self._trial_under_way = False
        self._changed.set()

    def _slot(self, tokens: int, now: float) -> float:
        """Take the next places in the queues of requests and of tokens."""
        at = max(now, self._request_slot, self._token_slot)
        self._request_slot = at + self._seconds_a_request
        self._token_slot = at + tokens * self._seconds_a_token
        return at
