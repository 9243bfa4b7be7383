"""Proxies that the environment names, which stand between us and an endpoint without being asked for."""

import os
import urllib.parse
import urllib.request
from typing import NamedTuple

_SCHEMES = ("http", "https", "all")


class Proxy(NamedTuple):
    """A proxy that calls go by, without its address, which may hold a password.

    Attributes:
        variable: What names it.
        host: The endpoint's.
        is_astray: Whether the endpoint is on this machine, where hardly anybody means a proxy.
    """

    variable: str
    host: str
    is_astray: bool

    def __str__(self) -> str:
        return f"calls go by the proxy in {self.variable}; NO_PROXY={self.host} goes without it"


def find_proxy(url: str) -> Proxy | None:
    """Find the proxy that calls to an address go by; None if they go by none."""
    parts = urllib.parse.urlsplit(url)
    host, found = parts.hostname or "", urllib.request.getproxies()
    scheme = next((name for name in (parts.scheme, "all") if found.get(name)), None)
    if scheme is None or urllib.request.proxy_bypass(host):
        return None
    return Proxy(_variable(scheme), host, host == "localhost" or host.startswith("127.") or host == "::1")


def proxy_variables() -> str:
    """List what names a proxy, whatever it is for."""
    found = urllib.request.getproxies()
    return ", ".join(_variable(scheme) for scheme in _SCHEMES if found.get(scheme))


def _variable(scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    return next((name for name in names if os.environ.get(name)), "the system's settings")
