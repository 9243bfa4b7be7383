"""Reading what an endpoint sends back. Nothing is guessed: a reply that is not what it should be is no answer."""

import email.utils
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sert.endpoint.answers import flag_reply
from sert.endpoint.calls import Call, Reply, TroubleError, Usage
from sert.endpoint.finish import flag_of, meaning_of
from sert.endpoint.refusals import MENDS, Redact, read_refusal
from sert.endpoint.shapes import fields_of, read_choice
from sert.terminal.text import cut

MOST_TOKENS = 2**31
"""No count of tokens is larger; one that is, is none."""
RAW_SHOWN = 4096
"""Characters of a bad reply that are kept."""
NAMES_SHOWN = 200
"""Characters that a reason shows of a reply."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")))
_DURATION_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
# Codes and types of errors that no further call can mend.
_EXHAUSTED = frozenset(
    ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "credit_balance_too_low")
)
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
    """Read a reply with status 200. What the text is used for is another matter (`sert.endpoint.answers`).

    Raises:
        TroubleError: If it is no answer.
    """
    raw = shown(body, redact)
    value = json_or_none(body)
    if not isinstance(value, dict):
        raise TroubleError("transient", _no_object(raw, is_json=value is not None), billed=True, raw=raw, odd=True)
    usage = _usage(value.get("usage"))
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if value.get("error") or (choice is None and (value.get("object") == "error" or "detail" in value)):
        raise read_error(200, {}, body, redact=redact)
    if not isinstance(choice, dict):
        reason = _no_choices(value, redact)
        raise TroubleError("transient", reason, billed=True, usage=usage, raw=raw, odd=True)
    if choice.get("error"):
        raise read_error(200, {}, json.dumps({"error": choice["error"]}).encode(), redact=redact)
    written = read_choice(choice)
    finish = redact(written.finish_reason)[:64]
    if written.text is None and flag_of(meaning_of(finish)) in (None, "unfinished"):
        reason = _no_text(choice, redact)
        raise TroubleError("transient", reason, billed=True, usage=usage, raw=raw, odd=True)
    clean, damaged = _SURROGATE.subn("�", redact(written.text or ""))
    thought, damaged_too = _SURROGATE.subn("�", redact(written.thinking))
    model = value.get("model")
    reply = Reply(
        text=clean,
        finish_reason=_SURROGATE.sub("�", finish),
        flag="damaged" if damaged or damaged_too else None,
        usage=usage,
        model=_SURROGATE.sub("�", redact(model)[:200]) if isinstance(model, str) else "",
        thinking=thought,
    )
    return replace(reply, flag=flag_reply(reply, call, meaning_of(finish)))


def read_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    redact: Redact,
    now: float = 0.0,
    mends: Mapping[str, str] = MENDS,
) -> TroubleError:
    """Classify a reply that is an error; its headers have names in lower case, `mends` say how to do without a field.

    `now`, in seconds since the epoch, counts where the reply has no `Date` of its own. An error that comes with status
    200 and names another is classified by that.
    """
    raw = shown(body, redact)
    message, words, named = read_refusal(body, redact=redact, mends=mends)
    message = _SURROGATE.sub("�", message)
    told = f"HTTP {status}"
    if status == 200 and named is not None:
        status, told = named, f"HTTP 200 with error {named}"
    reason = redact(told + (f": {message}" if message else ""))
    wait = retry_after(headers, now=now)
    if words & _EXHAUSTED:
        return TroubleError("fatal", f"the quota is used up ({reason})", raw=raw)
    if status == 429 or "rate_limit_exceeded" in words:
        return TroubleError("limited", reason, wait=wait, raw=raw)
    if status in _FATAL_STATUSES or words & {"invalid_api_key", "model_not_found"}:
        return TroubleError("fatal", f"{_FATAL_STATUSES.get(status, 'it refuses all calls')} ({reason})", raw=raw)
    if 300 <= status < 400:
        where = redact(headers.get("location", "another address"))
        return TroubleError("fatal", f"it sends us on to {where}; give that address", raw=raw)
    if status == 503 and wait is not None:
        return TroubleError("limited", reason, wait=wait, raw=raw)
    if status in (408, 409, 425) or status >= 500 or status == 200:
        # A gateway may give up on an answer that is written, and paid for, all the same.
        billed = status >= 500 or status == 200
        return TroubleError("transient", reason, wait=wait, billed=billed, raw=raw, odd=status == 200)
    return TroubleError("refused", reason, raw=raw)


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


def _no_object(raw: str, *, is_json: bool) -> str:
    """Say what a reply is that is no JSON object."""
    if is_json:
        return "the reply is no JSON object"
    if raw.lstrip().startswith(("data:", "event:")):
        return "the reply is a stream, which was not asked for"
    held = read_refusal(raw.encode("utf-8", "replace"), redact=str).message
    return f"the reply is not JSON, but {cut(held, most=NAMES_SHOWN)}"


def _no_choices(value: Mapping[str, Any], redact: Redact) -> str:
    held = "an empty list" if value.get("choices") == [] else _names(value, redact)
    return f"the reply holds no choices, but {held}; give the address of an interface like OpenAI's, up to /v1"


def _no_text(choice: Mapping[str, Any], redact: Redact) -> str:
    if "delta" in choice:
        return "the reply is a part of a stream, which was not asked for"
    message = fields_of(choice.get("message")) or choice
    return f"the answer is no text; what came is {_names(message, redact)}"


def _names(fields: Mapping[str, Any], redact: Redact) -> str:
    """List the fields of an object, and which of them hold nothing."""
    names = ", ".join(f"{name} = null" if each is None else name for name, each in fields.items())
    return cut(_SURROGATE.sub("�", redact(names)), most=NAMES_SHOWN) or "nothing"


def _usage(value: Any) -> Usage | None:
    counts: list[Any] = [fields_of(value).get(name) for name in Usage._fields]
    return Usage(*counts) if all(type(each) is int and 0 <= each < MOST_TOKENS for each in counts) else None


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
