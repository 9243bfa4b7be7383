"""The way to an endpoint: HTTP that tries once, follows nobody, and takes nothing on trust that a server sends."""

import asyncio
import importlib.metadata
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.endpoint.calls import Call, Reply, TroubleError
from sert.endpoint.proxies import find_proxy, proxy_variables
from sert.endpoint.reading import headroom, read_error, read_reply
from sert.endpoint.refusals import MENDS
from sert.endpoint.secrets import Redactor, read_key
from sert.errors import ConfigError

if TYPE_CHECKING:
    import httpx2


SLOWEST_BYTES = 2**16
"""Bytes a second below which sending or fetching a file is given up."""
PROXY_STATUSES = frozenset({403, 407, 502, 503, 504})
"""Statuses with which proxies answer for themselves."""


class Received(NamedTuple):
    """A reply, and the seconds until more can be sent, as the endpoint says; 0 = now."""

    reply: Reply
    wait: float


Send = Callable[[Call], Awaitable[Received]]
"""Sends one call, once, and reads the reply; a `TroubleError` if no answer came."""


class Response(NamedTuple):
    """What came back with a status of success: headers, names in lower case, and the whole body."""

    headers: dict[str, str]
    content: bytes


class HttpTransport:
    """Sends calls over HTTP. Use it as an asynchronous context manager."""

    def __init__(self, endpoint: EndpointConfig, calls: CallsConfig, *, mends: Mapping[str, str] = MENDS) -> None:
        """Check the address and read the key; `mends` say how to do without a field that is refused.

        Raises:
            ConfigError: If one of them cannot be used.
        """
        self._endpoint, self._calls, self._mends = endpoint, calls, mends
        self._key = read_key(endpoint, calls)
        self.redact = Redactor(self._key)
        self._proxy = find_proxy(endpoint.url)
        self._client: httpx2.AsyncClient

    async def __aenter__(self) -> "HttpTransport":
        import httpx2

        connections = self._calls.concurrency
        try:
            self._client = self._open(connections)
        except (ImportError, ValueError, httpx2.InvalidURL):  # all of which may repeat a password
            raise ConfigError(
                f"A proxy of the environment ({proxy_variables()}) cannot be used: it has no http address, or it is a "
                "SOCKS proxy and the package socksio is not there. Mend the variable, or unset it for this command."
            ) from None
        return self

    def _open(self, connections: int) -> "httpx2.AsyncClient":
        import httpx2

        return httpx2.AsyncClient(
            base_url=self._endpoint.url,
            headers={
                "Authorization": f"Bearer {self._key}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"sert/{importlib.metadata.version('sert')}",
            },
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=httpx2.Timeout(self._calls.timeout, pool=None),
            follow_redirects=False,
        )

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, call: Call) -> Received:
        """Send a call and read the reply.

        Raises:
            TroubleError: If no answer came.
        """
        response = await self.post(call.path, call.body)
        try:
            reply = read_reply(response.content, call, redact=self.redact)
        except TroubleError as trouble:
            raise self._with_proxy(trouble, status=200) from None
        return Received(reply, headroom(response.headers))

    async def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """Post JSON and return the reply with status 200, whatever it holds.

        Raises:
            TroubleError: If the endpoint cannot be reached, takes too long or answers with an error.
        """
        return await self._ask(self._client.build_request("POST", path, json=dict(body)), self._calls.timeout)

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Response:
        """Get the reply with status 200, whatever it holds.

        Raises:
            TroubleError: As `post`.
        """
        return await self._ask(self._client.build_request("GET", path, params=query), self._calls.timeout)

    async def upload(self, file: IO[bytes], *, size: int, purpose: str) -> Response:
        """Send a file from its beginning and return the reply with status 200, whatever it holds.

        Raises:
            TroubleError: As `post`.
        """
        file.seek(0)
        sent = {"file": ("calls.jsonl", file, "application/jsonl")}
        request = self._client.build_request("POST", "/files", data={"purpose": purpose}, files=sent)
        return await self._ask(request, self._calls.timeout + size / SLOWEST_BYTES)

    async def download(self, file_id: str, into: IO[bytes], *, most: int) -> bool:
        """Fetch a file of at most so many bytes, and nothing else, into another; False if there is no such file.

        Raises:
            TroubleError: As `post`, and if the file is larger.
        """
        into.seek(0)
        into.truncate()
        end, size = asyncio.get_running_loop().time() + self._calls.timeout, 0
        request = self._client.build_request("GET", f"/files/{file_id}/content", headers={"Accept": "*/*"})
        async with self._exchange(request, self._calls.timeout, expected=404) as (response, deadline):
            if response.status_code == 404:
                await self._read(response)
                return False
            async with aclosing(response.aiter_raw()) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise _useless(f"the file {file_id} is larger than {most} bytes")
                    into.write(chunk)
                    deadline.reschedule(end + size / SLOWEST_BYTES)
        return True

    async def _ask(self, request: "httpx2.Request", seconds: float) -> Response:
        async with self._exchange(request, seconds) as (response, _):
            return Response(_headers(response), await self._read(response))

    @asynccontextmanager
    async def _exchange(
        self, request: "httpx2.Request", seconds: float, *, expected: int = 200
    ) -> AsyncIterator[tuple["httpx2.Response", asyncio.Timeout]]:
        """Send a request and limit the time of all that is done within; what goes wrong there is a `TroubleError`.

        So is a status other than one of success, or the `expected` one.
        """
        import anyio
        import httpx2

        try:
            async with asyncio.timeout(seconds) as deadline:
                response = await self._client.send(request, stream=True)
                try:
                    if response.headers.get("content-encoding", "identity") != "identity":
                        raise _useless("the reply is compressed, which was not asked for")
                    if not response.is_success and response.status_code != expected:
                        status, headers, body = response.status_code, _headers(response), await self._read(response)
                        redact, mends = self.redact, self._mends
                        trouble = read_error(status, headers, body, redact=redact, now=time.time(), mends=mends)
                        raise self._with_proxy(trouble, status=status)
                    yield response, deadline
                finally:
                    await response.aclose()
        except (TimeoutError, httpx2.TimeoutException):
            reason = f"no reply within {seconds:g} seconds"
            raise self._with_proxy(TroubleError("transient", reason, timed_out=True, billed=True)) from None
        except (httpx2.HTTPError, ssl.SSLError, anyio.EndOfStream) as error:  # the client lets some of TLS through
            unreachable = isinstance(error, httpx2.ConnectError | httpx2.ProxyError)
            what = "it cannot be reached" if unreachable else "the connection broke"
            reason = self.redact(f"{what} ({type(error).__name__}: {error})")
            trouble = TroubleError("transient", reason, unreachable=unreachable, billed=not unreachable)
            raise self._with_proxy(trouble) from None

    def _with_proxy(self, trouble: TroubleError, *, status: int | None = None) -> TroubleError:
        """Name the proxy that calls go by, where what went wrong may be its doing."""
        proxy = self._proxy
        if proxy is not None and (proxy.is_astray or status is None or status in PROXY_STATUSES):
            trouble.reason, trouble.proxied = f"{trouble.reason}; {proxy}", True
        return trouble

    async def _read(self, response: "httpx2.Response") -> bytes:
        """Read a body that takes no more memory than allowed."""
        content, limit = bytearray(), self._calls.max_reply_bytes
        async with aclosing(response.aiter_raw()) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > limit:
                    raise _useless(f"the reply is larger than {limit} bytes (calls.max_reply_bytes)")
        return bytes(content)


def _headers(response: "httpx2.Response") -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _useless(reason: str) -> TroubleError:
    """Say why a reply is not read any further; it may be charged for all the same."""
    return TroubleError("transient", reason, billed=True)
