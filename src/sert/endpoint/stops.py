"""Why calls stop: what people are told, whichever way the calls are made."""

from decimal import Decimal

from sert.endpoint.calls import Call, Usage
from sert.endpoint.money import Budget, dollars
from sert.errors import BudgetError, EndpointError


def endpoint_error(what: str, reason: str, *, answers: int | None = None) -> EndpointError:
    """Say why calls cannot be settled now, and how many answers there are, where that is known."""
    kept = "Answers are kept" if answers is None else f"Answers kept: {answers}"
    return EndpointError(f"The endpoint {what}: {reason}. {kept}; the same command goes on.")


def excess_error(call: Call, usage: Usage | None) -> EndpointError:
    """Say that an endpoint counts more tokens than a call can have."""
    return EndpointError(
        f"The endpoint counts more tokens for {call.label!r} than the request allows ({_tokens(usage)} "
        f"against {_tokens(call.most_usage)}); no cap can be kept there. See `sert doctor`."
    )


def budget_error(call: Call, worst: Decimal, budget: Budget) -> BudgetError:
    """Say that the cap does not allow the worst case of a call."""
    return BudgetError(
        f"The call for {call.label!r} could cost {dollars(worst)}, which the cap does not allow ({budget}). "
        "Answers are kept; the same command with a higher max_cost, or a smaller max_tokens, goes on."
    )


def _tokens(usage: Usage | None) -> str:
    return f"{usage.prompt_tokens} + {usage.completion_tokens}" if usage else "none"
