"""Keys: read from the environment, sent to the endpoint, and nowhere else."""

import base64
import os
import urllib.parse

from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.errors import ConfigError

NO_KEY = "none"
"""What is sent where no key is needed."""

_OPENAI_HOST = "api.openai.com"
_OPENAI_VARIABLE = "OPENAI_API_KEY"
_SHOWN = "[key]"


def check_url(url: str) -> urllib.parse.SplitResult:
    """Check an endpoint's address.

    Raises:
        ConfigError: If it is no http(s) address, or holds a user, a password, a query or a fragment. These may be
            secrets and are not repeated.
    """
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ConfigError("The endpoint's address holds blanks or characters that no address has; write it in ASCII.")
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("The endpoint is no address; give one such as http://127.0.0.1:8000/v1.") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"The endpoint's address at {host} holds a user, a password, a query or a fragment. Give the address alone "
            "and put the key into an environment variable (api_key_env)."
        )
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("The endpoint is no http address; give one such as http://127.0.0.1:8000/v1.")
    return parts


def read_key(endpoint: EndpointConfig, calls: CallsConfig) -> str:
    """Check an endpoint's address and read its key from the environment variable.

    Raises:
        ConfigError: As `check_url`; or if the variable is not set, or holds what cannot be sent as a key.
    """
    host = check_url(endpoint.url).hostname
    variable = calls.api_key_env or (_OPENAI_VARIABLE if host == _OPENAI_HOST else None)
    if variable is None:
        return NO_KEY
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"The environment variable {variable} is not set; put the endpoint's key there.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"The environment variable {variable} holds blanks or characters that no key has.")
    return key


class Redactor:
    """Takes a key out of texts, as it is and in the encodings that servers and libraries put it in."""

    def __init__(self, key: str) -> None:
        # A short key is a placeholder of one's own server ("none", "x"), and part of any text.
        self._forms = sorted(_encodings(key), key=len, reverse=True) if len(key) >= 8 else []

    def __call__(self, text: str) -> str:
        """Replace every occurrence by `[key]`."""
        for form in self._forms:
            text = text.replace(form, _SHOWN)
        return text


def _encodings(key: str) -> set[str]:
    raw = key.encode()
    forms = {key, urllib.parse.quote(key, safe=""), urllib.parse.quote_plus(key), raw.hex(), raw.hex().upper()}
    forms.add(key.replace("/", "\\/"))
    for before in range(3):  # base64 has three alignments; the characters that depend on neighbours are left off
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * before + raw).decode().rstrip("=")
            forms.add(encoded[-(-before * 8 // 6) : len(encoded) - 1])
    return forms
