"""The faults of the test endpoint: each has a name, and what it sends follows from the exchange alone."""

import email.utils
import json
import math
import struct
import time
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from fault_answers import Answer, cut, digest
from fault_http import ApiError, Reply, error_reply, json_reply, response

HTML = b"<html><head><title>Bad gateway</title></head><body><h1>Please wait</h1></body></html>"
BOMB_MEBIBYTES = 1024
BOMB_CRC = 0x9AC47FA6  # of 2**30 spaces: reckoning it would hold the server up for a third of a second
DEEP = 100_000

TRANSIENT = frozenset(
    "html_200 cut_body half_json null_choices error_200 empty_choices number_content nan_content huge_body deep_json "
    "rate_limit_seconds rate_limit_date rate_limit_bad server_error unavailable hang drip reset close_early gzip_bomb "
    "bad_utf8".split()
)
"""A retry helps."""

BILLABLE = TRANSIENT - {"rate_limit_seconds", "rate_limit_date", "rate_limit_bad"}
"""An endpoint may have done the work before it failed, and charge for it."""

FLAGGED = frozenset("null_content_length surrogate stop_at_limit content_filter empty_text".split())
"""An answer comes, but must be flagged; it is billed like any other."""

HARMLESS = frozenset("duplicate_keys extra_fields wrong_content_type".split())
"""Odd, but the text that a JSON parser finds is the true answer."""

REFUSED = frozenset("bad_request context_length".split())
"""This prompt cannot be answered; others can."""

FATAL = frozenset("quota unauthorized forbidden payment redirect".split())
"""No request can succeed: the pool must stop."""

WIRE = frozenset(
    "html_200 cut_body half_json error_200 deep_json rate_limit_seconds rate_limit_date rate_limit_bad server_error "
    "unavailable hang drip reset close_early gzip_bomb quota unauthorized forbidden payment redirect".split()
)
"""Faults that any endpoint may have, because they spoil no part of an answer."""

SETS = {"transient": TRANSIENT, "flagged": FLAGGED, "harmless": HARMLESS, "refused": REFUSED, "fatal": FATAL}


class Exchange(NamedTuple):
    """What a fault may use: the good answer that it spoils and where it stands."""

    answer: Answer
    prompt: str
    attempt: int
    limit: int | None
    authorization: str
    settings: "Settings"
    body: bytes | None = None  # what is spoiled where it is not a completion


class Settings(NamedTuple):
    """Sizes of faults."""

    retry_after: float = 0.05
    hang_seconds: float = 30.0
    huge_bytes: int = 50_000_000


@dataclass(frozen=True)
class FaultScript:
    """Decides whether and how an attempt fails, from (seed, prompt, attempt) alone.

    Args:
        seed: Other seeds fail other attempts.
        rate: The probability of a failure.
        kinds: Names of faults, all equally likely.
        until: The last attempt that may fail; None for no such limit.
        billed: Whether attempts that fail with a kind in `BILLABLE` are billed as if they had been answered.
    """

    seed: int
    rate: float
    kinds: Collection[str]
    until: int | None = None
    billed: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.kinds) - set(KINDS):
            raise ValueError(f"no faults {sorted(unknown)}; there are {', '.join(sorted(KINDS))}")
        if not self.kinds or not 0 <= self.rate <= 1:
            raise ValueError("a script needs at least one kind, and a rate from 0 to 1")

    def fault(self, prompt: str, attempt: int, *, repeat: object = None) -> str | None:
        """The fault of the `attempt`-th try, counted from 1, of a prompt; `repeat` is the request's `seed`."""
        if self.until is not None and attempt > self.until:
            return None
        bits = digest("fault", self.seed, repeat, attempt, prompt)
        if int.from_bytes(bits[:8]) >= self.rate * 2**64:
            return None
        return sorted(self.kinds)[int.from_bytes(bits[8:]) % len(self.kinds)]  # sets have no order of their own


def fault_reply(kind: str, exchange: Exchange) -> Reply:
    """What is sent for a fault; flagged kinds change the answer, and with it what is billed."""
    return KINDS[kind](exchange)


def _body(exchange: Exchange) -> bytes:
    return json.dumps(exchange.answer.payload).encode() if exchange.body is None else exchange.body


def _edited(exchange: Exchange, **fields: Any) -> Reply:
    return json_reply({**exchange.answer.payload, **fields})


def _replaced(exchange: Exchange, text: Any, *, finish: str = "stop", tokens: int | None = None) -> Reply:
    """The same text in all choices; without `tokens` the usage stays as it is."""
    answer = exchange.answer
    spent = answer.completion_tokens if tokens is None else tokens
    answer.replace([text] * len(answer.choices), finish=finish, tokens=spent)
    return json_reply(answer.payload)


def _cut_body(exchange: Exchange) -> Reply:
    body = _body(exchange)
    return Reply(response(200, body[: len(body) // 2], length=len(body)), "close")


def _half_json(exchange: Exchange) -> Reply:
    body = _body(exchange)
    return Reply(response(200, body[: len(body) // 2]))


def _huge_body(exchange: Exchange) -> Reply:
    """A whole answer whose text is as long as the settings say."""
    exchange.answer.replace(["@@"] * len(exchange.answer.choices), finish="stop", tokens=1)
    before, after = _body(exchange).split(b"@@", 1)
    size = exchange.settings.huge_bytes
    head = response(200, before, length=len(before) + size + len(after), headers={"Connection": "close"})
    return Reply(head, "flood", size, after)


def _spoiled(exchange: Exchange, mark: bytes) -> Reply:
    """Bytes that are not UTF-8 within the text."""
    answer = exchange.answer
    answer.replace([f"@@ {text}" for text in answer.texts], finish="stop", tokens=answer.completion_tokens)
    return Reply(response(200, _body(exchange).replace(b"@@", mark)))


def _surrogate(exchange: Exchange) -> Reply:
    answer = exchange.answer
    texts = [f"{text[: len(text) // 2]}\ud835{text[len(text) // 2 :]}" for text in answer.texts]
    answer.replace(texts, finish="stop", tokens=answer.completion_tokens)
    return json_reply(answer.payload)


def _stop_at_limit(exchange: Exchange) -> Reply:
    """Half of the text and a false "stop"; the usage says that the limit was reached, if there is one."""
    answer = exchange.answer
    texts = [cut(text, max(1, len(text.split()) // 2))[0] for text in answer.texts]
    tokens = sum(len(text.split()) for text in texts)
    answer.replace(texts, finish="stop", tokens=exchange.limit * len(texts) if exchange.limit else tokens)
    return json_reply(answer.payload)


@lru_cache(maxsize=1)
def gzip_bomb() -> bytes:
    """A megabyte of gzip that holds a gibibyte of spaces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)  # a full flush lets blocks stand alone
    end = b"\x03\x00" + struct.pack("<II", BOMB_CRC, BOMB_MEBIBYTES * 2**20)
    return b"\x1f\x8b\x08" + bytes(7) + block * BOMB_MEBIBYTES + end


def _rate_limit(retry_after: str | None) -> Reply:
    error = ApiError(429, "Rate limit reached, try again later", code="rate_limit_exceeded", kind="requests")
    return error_reply(error, headers={} if retry_after is None else {"Retry-After": retry_after})


def _rate_limit_date(exchange: Exchange) -> Reply:
    moment = math.ceil(time.time() + exchange.settings.retry_after)  # an HTTP date knows only whole seconds
    return _rate_limit(email.utils.formatdate(moment, usegmt=True))


def _rate_limit_bad(exchange: Exchange) -> Reply:
    values = ("NaN", "-5", None)
    return _rate_limit(values[(zlib.crc32(exchange.prompt.encode("utf-8", "surrogatepass")) + exchange.attempt) % 3])


def _refusal(status: int, message: str, *, code: str | None = None, kind: str = "invalid_request_error") -> Reply:
    return error_reply(ApiError(status, message, code=code, kind=kind))


def _unauthorized(exchange: Exchange) -> Reply:
    key = exchange.authorization.removeprefix("Bearer ")
    return _refusal(401, f"Incorrect API key provided: {key}. You can find your key elsewhere.", code="invalid_api_key")


def _drip(exchange: Exchange) -> Reply:
    return Reply(response(200, b"", length=10**9, headers={"Connection": "close"}), "drip")


def _redirect(exchange: Exchange) -> Reply:
    return Reply(response(307, b"", headers={"Location": "/elsewhere/v1/chat/completions"}))


KINDS: dict[str, Callable[[Exchange], Reply]] = {
    "html_200": lambda _: Reply(response(200, HTML, kind="text/html")),
    "cut_body": _cut_body,
    "half_json": _half_json,
    "null_choices": lambda x: _edited(x, choices=None),
    "error_200": lambda _: json_reply({"error": {"message": "Overloaded", "type": "server_error", "code": 502}}),
    "empty_choices": lambda x: _edited(x, choices=[]),
    "null_content_length": lambda x: _replaced(x, None, finish="length"),
    "number_content": lambda x: _replaced(x, 12),
    "nan_content": lambda x: _replaced(x, math.nan),
    "surrogate": _surrogate,
    "huge_body": _huge_body,
    "deep_json": lambda _: Reply(response(200, b"[" * DEEP + b"]" * DEEP)),
    "rate_limit_seconds": lambda x: _rate_limit(f"{x.settings.retry_after:g}"),
    "rate_limit_date": _rate_limit_date,
    "rate_limit_bad": _rate_limit_bad,
    "server_error": lambda _: Reply(response(500, HTML, kind="text/html")),
    "unavailable": lambda _: _refusal(503, "The engine is overloaded", kind="server_error"),
    "hang": lambda x: Reply(b"", "hang", x.settings.hang_seconds),
    "drip": _drip,
    "reset": lambda _: Reply(b"", "reset"),
    "close_early": lambda _: Reply(b"", "close"),
    "gzip_bomb": lambda _: Reply(response(200, gzip_bomb(), headers={"Content-Encoding": "gzip"})),
    "bad_utf8": lambda x: _spoiled(x, b"\xc3\x28"),
    "wrong_content_type": lambda x: Reply(response(200, _body(x), kind="text/plain")),
    "stop_at_limit": _stop_at_limit,
    "content_filter": lambda x: _replaced(x, "", finish="content_filter", tokens=0),
    "empty_text": lambda x: _replaced(x, "", tokens=0),
    "duplicate_keys": lambda x: Reply(response(200, b'{"choices": [], "model": 1, ' + _body(x)[1:])),
    "extra_fields": lambda x: _edited(x, provider={"name": "elsewhere"}, notes=[None, 1.5]),
    "quota": lambda _: _refusal(429, "You exceeded your quota", code="insufficient_quota", kind="insufficient_quota"),
    "unauthorized": _unauthorized,
    "forbidden": lambda _: _refusal(403, "Your country is not served", code="unsupported_country_region_territory"),
    "payment": lambda _: _refusal(402, "Insufficient credits"),
    "bad_request": lambda _: _refusal(400, "The prompt could not be parsed"),
    "context_length": lambda _: _refusal(
        400, "This model's maximum context length is 4096 tokens", code="context_length_exceeded"
    ),
    "redirect": _redirect,
}
