"""Whether failures are the endpoint's or a single call's, told by what came since the last answer."""

from sert.config.endpoints import CallsConfig
from sert.endpoint.calls import TroubleError

UNREACHABLE_ATTEMPTS = 3
"""Attempts at an endpoint that nobody has reached yet."""
LONGEST_ABSENCE = 30.0
"""Seconds for which an endpoint that was there may be out of reach, as one is that starts again."""
LONGEST_SILENCE = 60.0
"""Seconds of failures after which enough of them count, even where no call has used up its attempts."""


class Health:
    """What the failures since the last answer say about the endpoint.

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
        """Note a failed attempt; return what to say of the endpoint once it is to be left.

        Args:
            trouble: What went wrong.
            now: The time.
            used_up: Whether it was the call's last attempt.
        """
        if not self._failures:
            self._failing_since = now
        self._failures += 2 if trouble.timed_out else 1
        self._used_up = self._used_up or used_up
        if self._failures < self._most_failures(trouble):
            return None
        if self._used_up or now - self._failing_since >= LONGEST_SILENCE:
            return "does not answer, all attempts fail"
        return None

    def _most_failures(self, trouble: TroubleError) -> int:
        """Failures in a row that are no chance any more; one without any reply in time counts for two.

        Two calls may be to blame for all of their own failures; then each that is under way must have failed twice.
        """
        under_way = self._config.concurrency if self.answered else 1
        if trouble.usage is not None:  # one that counts tokens works, so that more calls may be to blame
            return self._config.max_attempts * 4 * under_way
        return 2 * (self._config.max_attempts + under_way)
