"""What one run of calls shares, however they are sent: where each ending is recorded, and what it cost."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sert.config.endpoints import CallsConfig
from sert.endpoint.calls import Call, Reply, TroubleError, Usage
from sert.endpoint.first_answer import warnings_about
from sert.endpoint.ledger import Ledger
from sert.endpoint.money import Budget, Charge, excess_error
from sert.errors import EndpointError


@dataclass(frozen=True)
class Account:
    """Keeps ledger and budget in step.

    Attributes:
        ledger: Where everything is recorded.
        budget: What may still be spent.
        config: Pace, retries and money.
        advance: Called once for each call that is settled, also for those that were settled earlier.
        say: Called with what people should know meanwhile.
        retry_quarantined: Make calls again that were put aside earlier.
    """

    ledger: Ledger
    budget: Budget
    config: CallsConfig
    advance: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None
    retry_quarantined: bool = False

    def is_settled(self, call: Call) -> bool:
        """Tell whether nothing is left to do for a call."""
        status = self.ledger.replay.status(call.key)
        return status == "answer" or (status == "quarantine" and not self.retry_quarantined)

    async def answer(self, call: Call, number: int, reply: Reply, *, reserved: Decimal) -> EndpointError | None:
        """Book an answer; return what is wrong if it cost more than any answer to this call can."""
        charge = self.budget.charge(reply.usage, reserved=reserved, billed=True)
        await self.ledger.answer(call, number, reply=reply, charge=charge)
        return self._settle(call, reply.usage, charge, reserved=reserved)

    async def failure(
        self, call: Call, number: int, trouble: TroubleError, *, reserved: Decimal, counted: bool = False
    ) -> EndpointError | None:
        """Book an attempt that brought no answer; `counted` and what is returned as `Ledger.failure` and `answer`."""
        charge = self.budget.charge(trouble.usage, reserved=reserved, billed=trouble.billed)
        await self.ledger.failure(call, number, reason=trouble.reason, charge=charge, counted=counted)
        return self._settle(call, trouble.usage, charge, reserved=reserved)

    def warn(self, call: Call, reply: Reply) -> None:
        """Say what is odd about the first answer."""
        for warning in warnings_about(call, reply):
            self.say(f"{warning}; `sert doctor` tells more")

    def _settle(self, call: Call, usage: Usage | None, charge: Charge, *, reserved: Decimal) -> EndpointError | None:
        self.budget.settle(reserved, spent=charge.spent, in_doubt=charge.in_doubt)
        return excess_error(call, usage) if self.budget.capped and charge.spent > reserved else None
