"""The way to an endpoint: the `openai` client, with its retries off and its trust in servers taken away."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.endpoint.calls import Call, Reply, TroubleError
from sert.endpoint.reading import headroom, read_error, read_reply
from sert.endpoint.secrets import Redactor, check_url, read_key

if TYPE_CHECKING:
    import httpx2
    import openai


SLOWEST_BYTES = 2**16
"""Bytes a second below which sending or fetching a file is given up."""


class Received(NamedTuple):
    """A reply, and the seconds until more can be sent, as the endpoint says; 0 = now."""

    reply: Reply
    wait: float


class Transport(Protocol):
    """Sends one call, once."""

    async def send(self, call: Call) -> Received:
        """Send it and read the reply.

        Raises:
            TroubleError: If no answer came.
        """
        ...


class _ReplyError(Exception):
    """A reply that is not read any further."""


class OpenAITransport:
    """Sends calls through the `openai` client. Use it as an asynchronous context manager."""

    def __init__(self, endpoint: EndpointConfig, calls: CallsConfig) -> None:
        """Check the address and read the key.

        Raises:
            ConfigError: If one of them cannot be used.
        """
        check_url(endpoint.url)
        self._endpoint, self._calls = endpoint, calls
        self._key = read_key(endpoint, calls)
        self.redact = Redactor(self._key)
        self.client: openai.AsyncOpenAI

    async def __aenter__(self) -> "OpenAITransport":
        import httpx2
        import openai

        connections = self._calls.concurrency
        http = httpx2.AsyncClient(
            event_hooks={"response": [self._guard]},
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=httpx2.Timeout(self._calls.timeout, pool=None),
            follow_redirects=False,
        )
        # What the client would take from the environment may belong to another endpoint.
        headers: dict[str, Any] = {
            "Authorization": f"Bearer {self._key}",
            "Accept-Encoding": "identity",
            "OpenAI-Organization": openai.omit,
            "OpenAI-Project": openai.omit,
        }
        self.client = openai.AsyncOpenAI(
            api_key=self._key,
            admin_api_key="",
            base_url=self._endpoint.url,
            organization="",
            project="",
            max_retries=0,
            timeout=httpx2.Timeout(self._calls.timeout, pool=None),
            http_client=http,
            default_headers=headers,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def send(self, call: Call) -> Received:
        """Send a call and read the reply.

        Raises:
            TroubleError: If no answer came.
        """
        response = await self.post(call.path, call.body)
        reply = read_reply(response.content, call, redact=self.redact)
        return Received(reply, headroom(_headers(response)))

    async def post(self, path: str, body: Mapping[str, Any]) -> "httpx2.Response":
        """Post JSON and return the reply with status 200, whatever it holds.

        Raises:
            TroubleError: If the endpoint cannot be reached, takes too long or answers with an error.
        """
        import httpx2

        async with self._exchange(self._calls.timeout):
            return await self.client.post(path, cast_to=httpx2.Response, body=dict(body))

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> "httpx2.Response":
        """Get the reply with status 200, whatever it holds.

        Raises:
            TroubleError: As `post`.
        """
        import httpx2

        async with self._exchange(self._calls.timeout):
            return await self.client.get(path, cast_to=httpx2.Response, options={"params": dict(query or {})})

    async def upload(self, file: IO[bytes], *, size: int, purpose: "openai.types.FilePurpose") -> "httpx2.Response":
        """Send a file from its beginning and return the reply with status 200, whatever it holds.

        Raises:
            TroubleError: As `post`.
        """
        file.seek(0)
        async with self._exchange(self._calls.timeout + size / SLOWEST_BYTES):
            sent = ("calls.jsonl", file, "application/jsonl")
            reply = await self.client.files.with_raw_response.create(file=sent, purpose=purpose)
            return reply.http_response

    async def download(self, file_id: str, into: IO[bytes], *, most: int) -> bool:
        """Fetch a file of at most so many bytes; False if there is no such file.

        Raises:
            TroubleError: As `post`, and if the file is larger.
        """
        import openai

        end, size = asyncio.get_running_loop().time() + self._calls.timeout, 0
        async with self._exchange(self._calls.timeout) as deadline:
            try:
                async with self.client.files.with_streaming_response.content(file_id) as response:
                    async for chunk in response.iter_bytes():
                        size += len(chunk)
                        if size > most:
                            raise _ReplyError(f"the file {file_id} is larger than {most} bytes")
                        into.write(chunk)
                        deadline.reschedule(end + size / SLOWEST_BYTES)
            except openai.NotFoundError:
                return False
        return True

    @asynccontextmanager
    async def _exchange(self, seconds: float) -> AsyncIterator[asyncio.Timeout]:
        """Limit the time of what is done within, and tell what goes wrong there as a `TroubleError`."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(seconds) as deadline:
                yield deadline
        except openai.APIStatusError as error:
            response = error.response
            raise read_error(
                error.status_code, _headers(response), response.content, redact=self.redact, now=time.time()
            ) from None
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException):
            reason = f"no reply within {seconds:g} seconds"
            raise TroubleError("transient", reason, timed_out=True, billed=True) from None
        except openai.APIConnectionError as error:
            raise self._connection_trouble(error.__cause__) from None
        except httpx2.HTTPError as error:
            raise self._connection_trouble(error) from None
        except _ReplyError as error:
            raise TroubleError("transient", str(error), billed=True) from None

    def _connection_trouble(self, cause: BaseException | None) -> TroubleError:
        import httpx2

        if isinstance(cause, _ReplyError):
            return TroubleError("transient", str(cause), billed=True)
        unreachable = isinstance(cause, httpx2.ConnectError)
        what = "it cannot be reached" if unreachable else "the connection broke"
        reason = self.redact(f"{what} ({type(cause).__name__}: {cause})")
        return TroubleError("transient", reason, unreachable=unreachable, billed=not unreachable)

    async def _guard(self, response: "httpx2.Response") -> None:
        """Let no reply take more memory than allowed. Files go to the disk, and `download` counts them itself."""
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise _ReplyError("the reply is compressed, which was not asked for")
        if response.status_code == 200 and response.request.url.path.endswith("/content"):
            return
        response.stream = _bounded(response.stream, self._calls.max_reply_bytes)


def _headers(response: "httpx2.Response") -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _bounded(stream: Any, limit: int) -> Any:
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in stream:
                size += len(chunk)
                if size > limit:
                    raise _ReplyError(f"the reply is larger than {limit} bytes (calls.max_reply_bytes)")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()
