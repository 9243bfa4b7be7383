"""The settings of an OpenAI-compatible endpoint, and of how it is called."""

from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from sert.config.section import PositiveInt, Section

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
"""What the end of an answer can mean, in OpenAI's words."""
Thinking = Literal["drop", "keep"]
VARIABLE = r"^[A-Z_][A-Z0-9_]{0,63}$"
"""How the environment variable of a key may be called."""


class EndpointConfig(Section):
    """What is asked of an OpenAI-compatible endpoint. All of it decides what comes back."""

    url: str
    """OpenAI-compatible endpoint, up to `/v1`."""
    model: str
    """The model's name at the endpoint."""
    api: Literal["chat", "completions"] = "chat"
    """`chat` sends the prompt as a user's message, `completions` as plain text."""
    temperature: Annotated[float, Field(ge=0)] | Literal["unset"] = 0.0
    """`unset` = not sent, for models that refuse it."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: PositiveInt = 512
    """Longest answer."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How the endpoint calls this limit; OpenAI's newer models take the second."""
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra_body: dict[str, Any] = Field(default={})
    """Fields of the request that only some endpoints know, such as `top_k`."""
    finish_reasons: dict[str, FinishReason] = Field(default={})
    """What words of the endpoint for the end of an answer mean that are not known here, such as `{done = "stop"}`;
    `none` is for an endpoint that gives no word. Answers are read by it, nothing is asked again."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what came later only where it is on, so that results that were made before it keep their keys."""
        return {name: value for name, value in write(self).items() if value or name != "finish_reasons"}

    @field_validator("extra_body")
    @classmethod
    def _hold_no_fields_of_ours(cls, extra: dict[str, Any]) -> dict[str, Any]:
        ours = {"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p"}
        # Several answers, or a stream of them, would be neither paid for nor read rightly.
        taken = sorted(extra.keys() & (ours | {"stop", "seed", "response_format", "n", "best_of", "stream"}))
        if taken:
            raise ValueError(
                f"it may not hold {', '.join(taken)}; these have settings of their own or stay as they are"
            )
        return extra


class Price(NamedTuple):
    """Dollars a million tokens."""

    prompt: Annotated[Decimal, Field(ge=0)]
    completion: Annotated[Decimal, Field(ge=0)]


class CallsConfig(Section):
    """How an endpoint is called: key, pace, patience and money. None of it changes what comes back."""

    api_key_env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    """Name, in capitals, of the environment variable with the key; without it OPENAI_API_KEY at api.openai.com, and no
    key elsewhere."""
    max_cost: Annotated[Decimal, Field(gt=0)] | None = None
    """Dollars that may be spent in all, over every restart. Never passed."""
    free: bool = False
    """The endpoint costs nothing, so there is no cap."""
    price: Price | None = None
    """Dollars a million prompt tokens and a million completion tokens."""
    batch: bool = False
    """Send the calls as OpenAI batches, which cost less and are done within a day; give their own price."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Calls that are under way at a time."""
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds that one attempt may take."""
    max_attempts: PositiveInt = 8
    """Attempts after which a question is put aside; being told to wait is none."""
    max_item_seconds: Annotated[float, Field(gt=0)] = 1800.0
    """Seconds of attempts and pauses after which a question is put aside."""
    first_answers: Annotated[int, Field(ge=0)] = 3
    """First answers after which everything stops if none of them can be used; 0 = never."""
    max_reply_bytes: Annotated[int, Field(ge=1024)] = 2**20
    """Largest reply that is read."""
