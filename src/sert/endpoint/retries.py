"""The retry policy for calls to an endpoint: how long to wait, what counts as a failure, and when to give up.

A single call gives up by `CallRetries`, an endpoint is left by `EndpointHealth`, and the requests of a batch, which
all depend on each other, are made by `insist` of `RequestRetries`. All wait by `backoff`.
"""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sert.config.endpoints import CallsConfig
from sert.endpoint.calls import Call, TroubleError
from sert.errors import EndpointError
from sert.seeds import derive_seed

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a second attempt; doubled each time, up to the longest."""
UNREACHABLE_PAUSE = 8.0
"""Longest pause, in seconds, between attempts that reach nobody."""
WORTH_TELLING = 10.0
"""Seconds of waiting that people are told of."""
WAITS_IN_A_ROW = 50
"""Requests to wait in a row, without an answer in between, after which an endpoint is left."""
REFUSALS_FIRST, REFUSALS_LATER = 3, 20
"""Refused calls in a row after which an endpoint is left: before the first answer, and after it."""
UNREACHABLE_ATTEMPTS = 3
"""Attempts at an endpoint that nobody has reached yet."""
LONGEST_ABSENCE = 30.0
"""Seconds for which an endpoint that was there may be out of reach, as one is that starts again."""
LONGEST_SILENCE = 60.0
"""Seconds of failures after which enough of them count, even where no call has used up its attempts."""

Pause = Callable[[float], Awaitable[None]]
T = TypeVar("T")


def backoff(failures: int, *, longest: float = LONGEST_PAUSE) -> float:
    """Say how many seconds to wait after so many failures in a row."""
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), longest)


def endpoint_error(
    what: str, reason: str, *, answers: int | None = None, kept: str = "Answers are kept"
) -> EndpointError:
    """Say why calls cannot be settled now, what is kept, and how many answers there are, where that is known."""
    kept = kept if answers is None else f"Answers kept: {answers}"
    return EndpointError(f"The endpoint {what}: {reason}. {kept}; the same command goes on.")


class CallRetries:
    """How long one call is tried.

    Attributes:
        seconds: What its attempts and pauses took.
    """

    def __init__(self, call: Call, config: CallsConfig) -> None:
        self._config = config
        self._random = random.Random(derive_seed(0, "pause", call.key))
        self._attempts = self._pauses = 0
        self.seconds = 0.0

    def pause(self, *, unreachable: bool) -> float | None:
        """Count a failed attempt and return the pause before the next one; None when there is none.

        A random half of the pause is left off. An attempt that reached nobody is not counted: the call was not even
        sent.
        """
        self._pauses += 1
        pause = backoff(self._pauses, longest=UNREACHABLE_PAUSE if unreachable else LONGEST_PAUSE)
        pause *= self._random.uniform(0.5, 1.0)
        if unreachable:
            return pause
        self._attempts += 1
        self.seconds += pause
        over = self._attempts >= self._config.max_attempts or self.seconds > self._config.max_item_seconds
        return None if over else pause


class EndpointHealth:
    """Whether failures are the endpoint's or a single call's, told by what came since the last answer.

    Attributes:
        answered: Whether it has answered a call.
    """

    def __init__(self, config: CallsConfig) -> None:
        self._config = config
        self.answered = False
        self._reached = self._used_up = False
        self._absences = self._failures = 0
        self._away_since = self._failing_since = 0.0

    def answer(self) -> None:
        """Note an answer."""
        self.answered, self._used_up, self._failures = True, False, 0
        self.reached()

    def reached(self) -> None:
        """Note that somebody is there, whatever came."""
        self._reached, self._absences = True, 0

    def absent(self, now: float) -> str | None:
        """Note that nobody was there; return what to say of the endpoint once it is to be left."""
        if not self._absences:
            self._away_since = now
        self._absences += 1
        if not self._reached:
            return "is not there" if self._absences >= UNREACHABLE_ATTEMPTS else None
        away = now - self._away_since
        return f"has been unreachable for {away:.0f} seconds" if away >= LONGEST_ABSENCE else None

    def failed(self, trouble: TroubleError, *, now: float, used_up: bool) -> str | None:
        """Note a failed attempt (`used_up`: a call's last one); return what to say once the endpoint is to be left."""
        if not self._failures:
            self._failing_since = now
        self._failures += 2 if trouble.timed_out else 1
        self._used_up = self._used_up or used_up
        many = self._failures >= self._most_failures(trouble)
        lasting = self._used_up or now - self._failing_since >= LONGEST_SILENCE
        return "does not answer, all attempts fail" if many and lasting else None

    def _most_failures(self, trouble: TroubleError) -> int:
        """Failures in a row that are no chance any more; one without any reply in time counts for two.

        Two calls may be to blame for all of their own failures; then each that is under way must have failed twice.
        """
        under_way = self._config.concurrency if self.answered else 1
        if trouble.usage is not None:  # one that counts tokens works, so that more calls may be to blame
            return self._config.max_attempts * 4 * under_way
        return 2 * (self._config.max_attempts + under_way)


class RequestRetries:
    """Makes a request again while that may help, for requests without which nothing goes on."""

    def __init__(
        self, config: CallsConfig, *, pause: Pause, say: Callable[[str], None], kept: str = "Answers are kept"
    ) -> None:
        self._most, self._pause, self._say, self._kept = config.max_attempts, pause, say, kept
        self._reached = False

    async def insist(self, attempt: Callable[[], Awaitable[T]], *, refusal: str = "refuses to go on") -> T:
        """Try until it works; `refusal` is what the endpoint does that answers with a refusal.

        Raises:
            EndpointError: If it is refused, or fails or has to wait too often in a row.
        """
        failures = waits = 0
        while True:
            try:
                result = await attempt()
            except TroubleError as trouble:
                waits += trouble.kind == "limited"
                failures += trouble.kind == "transient"
                self._reached = self._reached or not trouble.unreachable
                if trouble.kind in ("refused", "fatal"):
                    raise endpoint_error(refusal, trouble.reason, kept=self._kept) from None
                if failures >= (self._most if self._reached else min(self._most, UNREACHABLE_ATTEMPTS)):
                    what = f"failed {failures} times in a row" if self._reached else "is not there"
                    raise endpoint_error(what, trouble.reason, kept=self._kept) from None
                if waits >= WAITS_IN_A_ROW:
                    what = f"asked us {waits} times in a row to wait"
                    raise endpoint_error(what, trouble.reason, kept=self._kept) from None
                seconds = max(backoff(failures + waits), trouble.wait or 0.0)
                if seconds >= WORTH_TELLING:
                    self._say(f"trying again in {seconds:.0f} s ({trouble.reason})")
                await self._pause(seconds)
            else:
                self._reached = True
                return result
