"""What one run of calls shares, however they are sent: where each ending is recorded, and what it cost."""

from collections.abc import Callable
from dataclasses import dataclass

from sert.config.endpoints import CallsConfig
from sert.endpoint.answers import AnswerReader
from sert.endpoint.calls import Call, Reply, TroubleError, Usage
from sert.endpoint.first_answer import FirstAnswers, warnings_about
from sert.endpoint.ledger import Ledger
from sert.endpoint.money import Budget, Charge, excess_error
from sert.endpoint.replay import Attempt
from sert.errors import EndpointError


@dataclass(frozen=True)
class Account:
    """Keeps ledger and budget in step.

    Attributes:
        reader: How answers are read.
        first: What the first of them tell.
        advance: Called once for each call that is settled, also for those that were settled earlier.
        say: Called with what people should know meanwhile.
        retry_quarantined: Make calls again that were put aside earlier.
    """

    ledger: Ledger
    budget: Budget
    config: CallsConfig
    reader: AnswerReader
    first: FirstAnswers
    advance: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None
    retry_quarantined: bool = False

    def is_settled(self, call: Call) -> bool:
        """Tell whether nothing is left to do for a call."""
        status = self.ledger.replay.status(call.key)
        return status == "answer" or (status == "quarantine" and not self.retry_quarantined)

    async def answer(self, attempt: Attempt, reply: Reply) -> EndpointError | None:
        """Book an answer; return what is wrong if it cost more than any answer to this call can."""
        charge = self.budget.charge(reply.usage, reserved=attempt.reserved, billed=True)
        await self.ledger.answer(attempt, reply=reply, charge=charge)
        self.first.take(reply, attempt.call)
        return self._settle(attempt, reply.usage, charge)

    async def failure(self, attempt: Attempt, trouble: TroubleError, *, counted: bool = False) -> EndpointError | None:
        """Book an attempt that brought no answer; `counted` and what is returned as `Ledger.failure` and `answer`."""
        charge = self.budget.charge(trouble.usage, reserved=attempt.reserved, billed=trouble.billed)
        await self.ledger.failure(attempt, reason=trouble.reason, charge=charge, counted=counted)
        if trouble.odd:
            self.first.take_odd(trouble)
        return self._settle(attempt, trouble.usage, charge)

    def warn(self, call: Call, reply: Reply) -> None:
        """Say what is odd about the first answer."""
        for warning in warnings_about(call, reply, self.reader):
            self.say(f"{warning}; `sert doctor` tells more")

    def _settle(self, attempt: Attempt, usage: Usage | None, charge: Charge) -> EndpointError | None:
        self.budget.settle(attempt.reserved, spent=charge.spent, in_doubt=charge.in_doubt)
        if usage is None or not self.budget.capped or charge.spent <= attempt.reserved:
            return None
        return excess_error(attempt.call, usage)
