"""Money: the worst case of every call is set aside before it is sent, so that a cap cannot be passed."""

from decimal import ROUND_UP, Decimal
from typing import NamedTuple

from sert.config.endpoints import CallsConfig, Price
from sert.endpoint.calls import Call, Usage
from sert.errors import BudgetError, ConfigError, EndpointError

_MILLION = Decimal(1_000_000)
_ZERO = Decimal(0)


def check_money(calls: CallsConfig) -> None:
    """Check that it is said who pays, before anything is sent.

    Raises:
        ConfigError: If neither a cap with a price nor `free` is given, or both are.
    """
    if calls.free and calls.max_cost is not None:
        raise ConfigError("free and max_cost exclude each other; keep one.")
    if calls.free:
        return
    if calls.max_cost is None:
        raise ConfigError(
            "Calls cost money: give --max-cost DOLLARS (calls.max_cost) with --price PROMPT,COMPLETION (calls.price), "
            "or --free (calls.free) for an endpoint of your own."
        )
    if calls.price is None:
        raise ConfigError(
            "The price of this model is not known, and a guess would make the cap worthless: give "
            "--price PROMPT,COMPLETION, dollars a million tokens each (calls.price), or --free."
        )


class Charge(NamedTuple):
    """Dollars of one attempt: those that are known, and those that nobody can tell."""

    spent: Decimal = _ZERO
    in_doubt: Decimal = _ZERO


def cost_of(usage: Usage, price: Price | None) -> Decimal:
    """Price tokens, exactly."""
    if price is None:
        return _ZERO
    return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / _MILLION


def dollars(amount: Decimal) -> str:
    """Write an amount for people: cents, and smaller parts where there is less than a dollar. Never rounded down."""
    digits = "0.01" if amount >= 1 else "0.0001"
    return f"${amount.quantize(Decimal(digits), rounding=ROUND_UP)}"


class Budget:
    """What may still be spent.

    Attributes:
        spent: What the endpoint's own counts of tokens cost.
        in_doubt: The worst case of attempts that may have been charged though no count came back.
        reserved: The worst case of the calls that are under way.
    """

    def __init__(self, calls: CallsConfig, *, spent: Decimal = _ZERO, in_doubt: Decimal = _ZERO) -> None:
        self._cap = None if calls.free else calls.max_cost
        self._price = None if calls.free else calls.price
        self.spent, self.in_doubt, self.reserved = spent, in_doubt, _ZERO

    @property
    def capped(self) -> bool:
        """Whether there is a cap."""
        return self._cap is not None

    @property
    def left(self) -> Decimal:
        """What is not spent, in doubt or reserved. Infinite without a cap."""
        return Decimal("Infinity") if self._cap is None else self._cap - self.spent - self.in_doubt - self.reserved

    def cost(self, usage: Usage) -> Decimal:
        """Price tokens; 0 for a free endpoint."""
        return cost_of(usage, self._price)

    def charge(self, usage: Usage | None, *, reserved: Decimal, billed: bool) -> Charge:
        """Say what an attempt cost: what its tokens cost, or all that was set aside if it may have been charged for."""
        if usage is not None:
            return Charge(self.cost(usage))
        return Charge(in_doubt=reserved if billed else _ZERO)

    def reserve(self, amount: Decimal) -> bool:
        """Set an amount aside if there is that much left."""
        if amount > self.left:
            return False
        self.reserved += amount
        return True

    def settle(self, reserved: Decimal, *, spent: Decimal = _ZERO, in_doubt: Decimal = _ZERO) -> None:
        """Turn a reservation into what became of it."""
        self.reserved -= reserved
        self.spent += spent
        self.in_doubt += in_doubt

    def __str__(self) -> str:
        if self._cap is None:
            return "free"
        doubt = f", {dollars(self.in_doubt)} in doubt" if self.in_doubt else ""
        return f"{dollars(self.spent)} of {dollars(self._cap)} spent{doubt}"


def excess_error(call: Call, usage: Usage) -> EndpointError:
    """Say that an endpoint counts more tokens than a call can have."""
    counted, most = (" + ".join(map(str, each)) for each in (usage, call.most_usage))
    return EndpointError(
        f"The endpoint counts more tokens for {call.label!r} than the request allows ({counted} against {most}); "
        "no cap can be kept there. See `sert doctor`."
    )


def budget_error(call: Call, worst: Decimal, budget: Budget) -> BudgetError:
    """Say that the cap does not allow the worst case of a call."""
    return BudgetError(
        f"The call for {call.label!r} could cost {dollars(worst)}, which the cap does not allow ({budget}). "
        "Answers are kept; the same command with a higher max_cost, or a smaller max_tokens, goes on."
    )
