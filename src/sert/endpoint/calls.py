"""What is sent to an endpoint and what comes back: calls, replies, and what can go wrong with one attempt."""

import hashlib
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple

from sert.config.endpoints import EndpointConfig
from sert.store.artifacts import canonical_json

PROTOCOL = 1
"""Raised when the way in which calls are made or read changes, so that older answers are not taken for new ones."""

BYTES_A_TOKEN = 4
"""What a token of English text has on average; for estimates, never for caps."""

# Tokens that chat templates put around messages, and what endpoints add to them of their own.
_MESSAGE_TOKENS = 16
_TEMPLATE_TOKENS = 128


class Usage(NamedTuple):
    """Tokens of one call, as the endpoint counts them."""

    prompt_tokens: int
    completion_tokens: int

    def plus(self, other: "Usage") -> "Usage":
        """Add the tokens of another call."""
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


Flag = Literal["truncated", "filtered", "empty", "unfinished", "damaged"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        label: What people call it: a question's id.
        key: Hash of all that decides the answer: endpoint, fields of the request, the repeat, and our protocol.
        path: Behind the endpoint's base URL.
        prompt_bytes: UTF-8 bytes of the texts that are sent.
        max_tokens: Most tokens that may come back.
    """

    label: str
    key: str
    path: str
    body: dict[str, Any]
    prompt_bytes: int
    max_tokens: int

    @property
    def most_usage(self) -> Usage:
        """Bound the tokens from above: no byte-level vocabulary makes more tokens than there are bytes."""
        return Usage(self.prompt_bytes + _MESSAGE_TOKENS + _TEMPLATE_TOKENS, self.max_tokens)

    @property
    def least_usage(self) -> Usage:
        """Estimate the tokens of a terse answer: five bytes a token, a twentieth of the limit."""
        return Usage(self.prompt_bytes // 5, max(1, self.max_tokens // 20))

    @property
    def likely_usage(self) -> Usage:
        """Estimate the tokens: four bytes a token, and an answer of at most a third of the limit."""
        return Usage(self.prompt_bytes // BYTES_A_TOKEN + _MESSAGE_TOKENS, -(-self.max_tokens // 3))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        text: What the model wrote; half characters are replaced.
        finish_reason: The endpoint's word, empty if it gave none.
        flag: Why the answer should not be used, None when it can be: `truncated` (cut by the token limit, also where
            the endpoint says otherwise), `filtered`, `empty`, `unfinished` (another reason than an end), `damaged`
            (held half characters).
        usage: None when the endpoint does not tell.
        model: The model that the endpoint says it was.
        thinking: What the model thought before it answered, where the endpoint tells it apart from the text.
    """

    text: str
    finish_reason: str
    flag: Flag | None
    usage: Usage | None
    model: str
    thinking: str = ""


Kind = Literal["transient", "limited", "refused", "fatal"]


@dataclass(eq=False)
class TroubleError(Exception):
    """One attempt brought no answer.

    Attributes:
        kind: `transient` (try again), `limited` (wait, then try again), `refused` (this call never succeeds), `fatal`
            (no call does, until somebody mends it).
        reason: For people, without secrets.
        wait: Seconds that the endpoint asks to wait, None when it does not say.
        unreachable: Whether nobody listens there.
        timed_out: Whether nothing came back in time.
        billed: Whether the endpoint may charge for the attempt.
        usage: Tokens that it says it charges for.
        raw: The reply's body, cut and without secrets.
        odd: Whether a reply came with status 200 that holds no answer, in a form that may be that of all replies.
        proxied: Whether it may be the doing of a proxy, which the reason names.
    """

    kind: Kind
    reason: str
    _: KW_ONLY
    wait: float | None = None
    unreachable: bool = False
    timed_out: bool = False
    billed: bool = False
    usage: Usage | None = None
    raw: str = ""
    odd: bool = False
    proxied: bool = False

    def __str__(self) -> str:
        return self.reason


def make_call(
    prompt: str,
    endpoint: EndpointConfig,
    *,
    label: str,
    repeat: int = 0,
    response_format: dict[str, Any] | None = None,
) -> Call:
    """Write the request for a prompt: a user's message, or the whole text for `completions`.

    `repeat` numbers the answers where the same is asked several times, and `response_format` is the form of the answer
    where the endpoint can be told.
    """
    body: dict[str, Any] = {"model": endpoint.model}
    if endpoint.api == "chat":
        path = "/chat/completions"
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        path = "/completions"
        body["prompt"] = prompt
    body[endpoint.token_limit_field] = endpoint.max_tokens
    optional = {
        "temperature": None if endpoint.temperature == "unset" else endpoint.temperature,
        "top_p": endpoint.top_p,
        "stop": list(endpoint.stop) or None,
        "seed": endpoint.seed,
        "response_format": response_format,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    body |= endpoint.extra_body
    also_sent = len(canonical_json([response_format, endpoint.extra_body]))
    return Call(
        label=label,
        key=hash_of([PROTOCOL, endpoint.url.rstrip("/"), path, body, repeat]),
        path=path,
        body=body,
        prompt_bytes=len(prompt.encode("utf-8", "surrogatepass")) + also_sent,
        max_tokens=endpoint.max_tokens,
    )


def hash_of(parts: list[Any]) -> str:
    """Hash what decides something to 32 hexadecimal digits."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:32]


def json_form(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Describe an answer that is a JSON object of just these properties, as OpenAI does; fit for `strict`."""
    required = list(properties)
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
