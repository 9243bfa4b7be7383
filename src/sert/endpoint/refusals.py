"""Why an endpoint refuses: OpenAI's errors, FastAPI's lists of fields, plain texts, and the pages of gateways."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from sert.endpoint.shapes import fields_of

Redact = Callable[[str], str]

MESSAGE_SHOWN = 500
"""Characters of a message that are shown."""
FIELDS_SHOWN = 5

_MESSAGE_FIELDS = ("message", "msg", "detail", "error", "errors", "title", "reason", "Message")
_PAGE = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_HEADLINE = re.compile(r"<(title|h1)\b[^<>]{0,200}>([^<]{1,500})", re.IGNORECASE)
MENDS: Mapping[str, str] = {
    "temperature": 'endpoint.temperature="unset" leaves it out',
    "top_p": "leave endpoint.top_p out",
    "seed": "leave endpoint.seed out",
    "stop": "leave endpoint.stop out",
    "max_tokens": "see endpoint.max_tokens and endpoint.token_limit_field",
    "max_completion_tokens": "see endpoint.max_tokens and endpoint.token_limit_field",
    "response_format": 'judge.output="lines" does without',
}
"""How teachers and judges do without a field that is refused."""


class Refusal(NamedTuple):
    """What an error says.

    Attributes:
        message: In one line, with the fields that are refused and how to do without; empty if it says nothing.
        words: Its codes and types.
        status: The status of HTTP that it names itself.
    """

    message: str
    words: frozenset[str]
    status: int | None


def read_refusal(body: bytes, *, redact: Redact, mends: Mapping[str, str] = MENDS) -> Refusal:
    """Read the body of an error; what is cut off is cut last, so that no part of a key is left over."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Refusal(_headline(redact(text)), frozenset(), None)
    if isinstance(value, list) and value:  # Gemini wraps its error so
        value = value[0]
    whole = fields_of(value)
    error = fields_of(whole.get("error")) or whole
    message, field = redact(one_line(_message(value))), redact(_refused_field(error))[:64]
    if field and not re.search(rf"\b{re.escape(field)}\b", message):
        message = f"{field}: {message}"
    mend = mends.get(field)
    message = message[:MESSAGE_SHOWN] + (f" ({mend})" if mend else "")
    words = frozenset(each for name in ("code", "type") if isinstance(each := error.get(name), str))
    codes = (error.get(name) for name in ("code", "status", "status_code"))
    return Refusal(message, words, next((code for code in codes if type(code) is int and 400 <= code < 600), None))


def one_line(text: str) -> str:
    """Put a text into one line."""
    return " ".join(text.split())


def _message(value: Any, *, depth: int = 4) -> str:
    """Find what is meant for people, not too deep below."""
    if isinstance(value, str):
        return value
    if not depth:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_message(each, depth=depth - 1) for each in value[:FIELDS_SHOWN])))
    fields = fields_of(value)
    place = ".".join(_place(fields))
    found = (_message(fields.get(name), depth=depth - 1) for name in _MESSAGE_FIELDS)
    message = next(filter(None, found), "")
    return f"{place}: {message}" if place and message else message


def _place(fields: dict[str, Any]) -> Iterator[str]:
    """Read the way to a field that is refused, as pydantic writes it, without the `body` that it begins with."""
    loc = fields.get("loc")
    for number, part in enumerate(loc[:8] if isinstance(loc, list) else []):
        if isinstance(part, str | int) and (number or part != "body"):
            yield str(part)


def _refused_field(error: dict[str, Any]) -> str:
    """Name the field that is refused, or the first of several."""
    param = error.get("param")
    if isinstance(param, str):
        return param
    for listed in (error.get("detail"), fields_of(error.get("message")).get("detail")):
        for each in listed if isinstance(listed, list) else []:
            return next(_place(fields_of(each)), "")
    return ""


def _headline(text: str) -> str:
    """Read a plain text, or of a page its title or first heading."""
    if _PAGE.search(text[:2000]) is None:
        return one_line(text[:MESSAGE_SHOWN])
    found = _HEADLINE.search(text)
    title = one_line(html.unescape(found[2])) if found else ""
    return f"a web page, {title!r}" if title else "a web page"
