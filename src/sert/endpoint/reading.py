"""Reading what an endpoint sends back. Nothing is guessed: a reply that is not what it should be is no answer."""

import email.utils
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from sert.endpoint.calls import Call, Flag, Reply, TroubleError, Usage

Redact = Callable[[str], str]

MOST_TOKENS = 2**31
"""No count of tokens is larger; one that is, is none."""
RAW_SHOWN = 4096
"""Characters of a bad reply that are kept."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_FLAGS: dict[str, Flag] = {"length": "truncated", "max_tokens": "truncated", "content_filter": "filtered"}
_ENDS = ("stop", "eos", "end_turn", "stop_sequence")
_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")))
_DURATION_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
# Codes and types of errors that no further call can mend.
_EXHAUSTED = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "credit_balance_too_low")
_CODES = (*_EXHAUSTED, "rate_limit_exceeded", "invalid_api_key", "model_not_found")
_FATAL_STATUSES = {
    401: "the key is missing or wrong",
    402: "payment is required",
    403: "access is denied",
    404: "there is no such model or address",
    405: "the address takes no such calls",
    407: "a proxy wants a password",
}
_LONGEST_WAIT = 7 * 86400.0


def read_reply(body: bytes, call: Call, *, redact: Redact) -> Reply:
    """Read a reply with status 200.

    Raises:
        TroubleError: If it is no answer.
    """
    raw = shown(body, redact)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise TroubleError("transient", "the reply is not JSON", billed=True, raw=raw) from None
    if not isinstance(value, dict):
        raise TroubleError("transient", "the reply is no JSON object", billed=True, raw=raw)
    if value.get("error"):
        raise read_error(200, {}, body, redact=redact)
    usage = _usage(value.get("usage"))
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise TroubleError("transient", "the reply holds no choices", billed=True, usage=usage, raw=raw)
    finish = choice.get("finish_reason")
    finish = redact(finish)[:64] if isinstance(finish, str) else ""
    text = _text_of(choice, call)
    if text is None and finish in ("", *_ENDS):
        raise TroubleError("transient", "the answer is no text", billed=True, usage=usage, raw=raw)
    clean, damaged = _SURROGATE.subn("�", redact(text or ""))
    model = value.get("model")
    return Reply(
        text=clean,
        finish_reason=_SURROGATE.sub("�", finish),
        flag=_flag(clean, finish, usage, call, damaged=bool(damaged)),
        usage=usage,
        model=_SURROGATE.sub("�", redact(model)[:200]) if isinstance(model, str) else "",
    )


def read_error(
    status: int, headers: Mapping[str, str], body: bytes, *, redact: Redact, now: float = 0.0
) -> TroubleError:
    """Classify a reply that is an error; its headers have names in lower case.

    `now`, in seconds since the epoch, counts where the reply has no `Date` of its own.
    """
    raw = shown(body, redact)
    message, code = _error_of(body, redact)
    reason = redact(f"HTTP {status}" + (f": {message}" if message else ""))
    wait = retry_after(headers, now=now)
    if code in _EXHAUSTED:
        return TroubleError("fatal", f"the quota is used up ({reason})", raw=raw)
    if status == 429 or code == "rate_limit_exceeded":
        return TroubleError("limited", reason, wait=wait, raw=raw)
    if status in _FATAL_STATUSES or code in ("invalid_api_key", "model_not_found"):
        return TroubleError("fatal", f"{_FATAL_STATUSES.get(status, 'it refuses all calls')} ({reason})", raw=raw)
    if 300 <= status < 400:
        where = redact(headers.get("location", "another address"))
        return TroubleError("fatal", f"it sends us on to {where}; give that address", raw=raw)
    if status == 503 and wait is not None:
        return TroubleError("limited", reason, wait=wait, raw=raw)
    if status in (408, 409, 425) or status >= 500 or status == 200:
        # A gateway may give up on an answer that is written, and paid for, all the same.
        return TroubleError("transient", reason, wait=wait, billed=status >= 500 or status == 200, raw=raw)
    return TroubleError("refused", reason, raw=raw)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a JSON object; none where it is something else."""
    return value if isinstance(value, dict) else {}


def json_or_none(text: str | bytes) -> Any:
    """Read JSON; None where it is none, or too deep to be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def shown(body: bytes, redact: Redact) -> str:
    """Return the beginning of a body as a text, without the key; cut last, so that no part of a key is left over."""
    return redact(body.decode("utf-8", "replace"))[:RAW_SHOWN]


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Read how long to wait: `Retry-After` in seconds or as a date, `retry-after-ms`, and exhausted `x-ratelimit-*`.

    A date is compared with the reply's own `Date`, so that no clock has to be right.

    Returns:
        Seconds, the longest that is asked for; None when nothing readable is.
    """
    waits = [headroom(headers)]
    for name, unit in (("retry-after", 1.0), ("retry-after-ms", 0.001)):
        given = headers.get(name, "").strip()
        seconds = _number(given)
        if seconds is not None:
            waits.append(seconds * unit)
        elif given and (date := _date(given)) is not None:
            here = _date(headers.get("date", ""))
            waits.append(date - (now if here is None else here))
    usable = [min(wait, _LONGEST_WAIT) for wait in waits if wait > 0]
    return max(usable, default=None)


def headroom(headers: Mapping[str, str]) -> float:
    """Read from `x-ratelimit-*` for how many seconds nothing is left of requests or tokens; 0 when something is."""
    waits = [0.0]
    for what in ("requests", "tokens"):
        remaining = _number(headers.get(f"x-ratelimit-remaining-{what}", ""))
        reset = _duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        if remaining is not None and remaining < 1 and reset is not None:
            waits.append(min(reset, _LONGEST_WAIT))
    return max(waits)


def _text_of(choice: Mapping[str, Any], call: Call) -> str | None:
    text = choice.get("text") if call.path == "/completions" else fields_of(choice.get("message")).get("content")
    return text if isinstance(text, str) else None


def flag_of(finish_reason: str) -> Flag | None:
    """Tell what an endpoint's own word says against an answer: `truncated`, `filtered`, or nothing."""
    return _FLAGS.get(finish_reason)


def _flag(text: str, finish: str, usage: Usage | None, call: Call, *, damaged: bool) -> Flag | None:
    if finish in _FLAGS:
        return _FLAGS[finish]
    # Some endpoints say `stop` whatever happens.
    if usage is not None and usage.completion_tokens >= call.max_tokens:
        return "truncated"
    if finish not in _ENDS:
        return "unfinished"
    if not text.strip():
        return "empty"
    return "damaged" if damaged else None


def _usage(value: Any) -> Usage | None:
    counts: list[Any] = [fields_of(value).get(name) for name in Usage._fields]
    return Usage(*counts) if all(type(each) is int and 0 <= each < MOST_TOKENS for each in counts) else None


def _error_of(body: bytes, redact: Redact) -> tuple[str, str]:
    """Read message and code of an error; both may be missing."""
    value = json_or_none(body)
    error = value.get("error", value) if isinstance(value, dict) else value
    error = {"message": error} if isinstance(error, str) else fields_of(error)
    message = next((error[name] for name in ("message", "detail") if isinstance(error.get(name), str)), "")
    code = next((error[name] for name in ("code", "type") if error.get(name) in _CODES), "")
    return _SURROGATE.sub("�", redact(message))[:500], code


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _date(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _duration(text: str) -> float | None:
    """Read `1s`, `6m0s`, `120ms` or plain seconds."""
    plain = _number(text.strip())
    if plain is not None:
        return max(plain, 0.0)
    found = _DURATION.fullmatch(text.strip())
    if found is None or not text.strip():
        return None
    return sum(float(part or 0) * unit for part, unit in zip(found.groups(), _DURATION_SECONDS, strict=True))
