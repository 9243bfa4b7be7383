"""The books of the test endpoint: what it saw, what it billed, and how many requests it still admits."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fault_answers import Answer

MILLION = 1_000_000
BATCH_SHARE = Decimal("0.5")


@dataclass
class Log:
    """What the server saw. `good` counts answers that a client can use as they are, `flagged` those it must flag."""

    requests: int = 0
    good: int = 0
    flagged: int = 0
    limited: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uploads: int = 0
    batches: int = 0
    batch_prompt_tokens: int = 0
    batch_completion_tokens: int = 0
    per_prompt: Counter[str] = field(default_factory=Counter)
    per_batched_prompt: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    authorizations: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    arrivals: list[float] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.contextmanager
    def flight(self) -> Iterator[None]:
        """A request in flight."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def bill(self, answer: Answer, *, batch: bool = False) -> None:
        """Charge the true usage of an answer."""
        if batch:
            self.batch_prompt_tokens += answer.prompt_tokens
            self.batch_completion_tokens += answer.completion_tokens
        else:
            self.prompt_tokens += answer.prompt_tokens
            self.completion_tokens += answer.completion_tokens

    def cost(self, prices: tuple[Decimal, Decimal]) -> Decimal:
        """What was billed, for prices of a million prompt and completion tokens; batches cost half."""
        prompt = self.prompt_tokens + self.batch_prompt_tokens * BATCH_SHARE
        completion = self.completion_tokens + self.batch_completion_tokens * BATCH_SHARE
        return (prompt * prices[0] + completion * prices[1]) / MILLION


@dataclass
class Window:
    """A fixed window of so many requests in so many seconds; the first request opens the first window."""

    requests: int
    seconds: float
    opened: float | None = None
    used: int = 0

    def admit(self, now: float) -> bool:
        """Whether a request at this moment is within the limit."""
        if self.opened is None:
            self.opened = now
        elif now - self.opened >= self.seconds:
            self.opened += self.seconds * ((now - self.opened) // self.seconds)
            self.used = 0
        self.used += 1
        return self.used <= self.requests

    def left(self, now: float) -> float:
        """The seconds to the window's end."""
        assert self.opened is not None
        return max(0.0, self.opened + self.seconds - now)

    def headers(self, now: float) -> dict[str, str]:
        """The state of the window as the API tells it with each answer."""
        return {
            "x-ratelimit-limit-requests": str(self.requests),
            "x-ratelimit-remaining-requests": str(max(0, self.requests - self.used)),
            "x-ratelimit-reset-requests": duration(self.left(now)),
        }


def duration(seconds: float) -> str:
    """Seconds as rate limit headers write them: "120ms", "1s", "6m0s", "1h0m30s"."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    large = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{large}{rest / 1000:g}s"
