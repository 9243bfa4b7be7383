"""Files and batches at an endpoint, read as distrustfully as replies."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import IO, Any, NamedTuple, TypeVar

from sert.endpoint.calls import TroubleError
from sert.endpoint.reading import Redact
from sert.endpoint.transport import OpenAITransport

UPLOAD_SECONDS = 1800.0
"""Longest time that a file may take on its way."""
ATTEMPTS = 8
"""Attempts at looking, listing and fetching, which can be repeated without harm."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0

_FINAL = ("completed", "expired", "cancelled", "failed")

T = TypeVar("T")


class State(NamedTuple):
    """How far a batch is, and the files in which its results lie.

    Attributes:
        reason: Why it failed, as the endpoint says.
    """

    status: str
    done: int
    files: tuple[str, ...]
    reason: str

    @property
    def is_final(self) -> bool:
        """Whether nothing more will come."""
        return self.status in _FINAL


class BatchFiles:
    """The files and batches of one endpoint."""

    def __init__(
        self,
        transport: OpenAITransport,
        *,
        max_line_bytes: int,
        seconds: float,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport, self._max_line_bytes, self._seconds, self._pause = transport, max_line_bytes, seconds, pause
        self.redact: Redact = transport.redact

    async def upload(self, stream: IO[bytes]) -> str:
        """Upload the input of a batch and return the file's id. Twice does no harm."""

        async def attempt() -> str:
            stream.seek(0)
            async with self._transport.troubles(UPLOAD_SECONDS):
                file = await self._transport.client.files.create(
                    file=("calls.jsonl", stream), purpose="batch", timeout=UPLOAD_SECONDS
                )
            return _id_of({"id": getattr(file, "id", None)})

        return await self._patiently(attempt)

    async def create(self, file: str, *, path: str, name: str) -> str:
        """Make a batch, once, and return its id.

        Raises:
            TroubleError: If no reply came. It may have been made all the same.
        """
        body = {
            "input_file_id": file,
            "endpoint": f"/v1{path}",
            "completion_window": "24h",
            "metadata": {"sert_submission": name},
        }
        return _id_of(_object(await self._transport.post("/batches", body)))

    async def find(self, name: str) -> str | None:
        """Look for the batch of this name among all batches."""
        after: str | None = None
        while True:
            query = "/batches?limit=100" + (f"&after={after}" if after else "")
            page = await self._get(query)
            batches = [each for each in page.get("data") or [] if isinstance(each, dict)]
            for batch in batches:
                metadata = batch.get("metadata")
                if isinstance(metadata, dict) and metadata.get("sert_submission") == name:
                    return _id_of(batch)
            if not batches or not page.get("has_more"):
                return None
            after = _id_of(batches[-1])

    async def state(self, batch: str) -> State:
        """Look at a batch."""
        value = await self._get(f"/batches/{batch}")
        counts = value.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        done = sum(count for name in ("completed", "failed") if type(count := counts.get(name)) is int)
        # A file that does not exist is null, missing, or an empty text.
        files = tuple(file for name in ("output_file_id", "error_file_id") if isinstance(file := value.get(name), str))
        errors = value.get("errors")
        return State(
            status=self.redact(str(value.get("status"))[:40]),
            done=done,
            files=tuple(file for file in files if _is_id(file)),
            reason=self.redact(json.dumps(errors)[:500]) if errors else "it does not say why",
        )

    async def read(self, file: str) -> AsyncIterator[dict[str, Any]]:
        """Read the objects of a JSONL file; lines that are none, or too long, are passed over."""

        async def attempt() -> list[dict[str, Any]]:
            return [line async for line in self._read_once(file)]

        for line in await self._patiently(attempt):
            yield line

    async def _read_once(self, file: str) -> AsyncIterator[dict[str, Any]]:
        rest = b""
        async with (
            self._transport.troubles(UPLOAD_SECONDS),
            self._transport.client.files.with_streaming_response.content(file) as response,
        ):
            async for chunk in response.iter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if (value := _parse(line)) is not None:
                        yield value
                if len(rest) > self._max_line_bytes:
                    rest = b"!"  # no JSON any more, whatever follows
        if (value := _parse(rest)) is not None:
            yield value

    async def _get(self, path: str) -> dict[str, Any]:
        import httpx2

        async def attempt() -> dict[str, Any]:
            async with self._transport.troubles(self._seconds):
                return _object(await self._transport.client.get(path, cast_to=httpx2.Response))

        return await self._patiently(attempt)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make an attempt that can be repeated without harm until it succeeds."""
        pause = FIRST_PAUSE
        for number in range(1, ATTEMPTS + 1):
            try:
                return await attempt()
            except TroubleError as trouble:
                if trouble.kind in ("fatal", "refused") or number == ATTEMPTS:
                    raise
                await self._pause(max(pause, trouble.wait or 0.0))
                pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError("the last attempt raises")


def _object(response: Any) -> dict[str, Any]:
    value = _parse(response.content)
    if value is None or value.get("error"):
        raise TroubleError("transient", "the reply is no JSON object")
    return value


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _id_of(value: dict[str, Any]) -> str:
    found = value.get("id")
    if not isinstance(found, str) or not _is_id(found):
        raise TroubleError("transient", "the reply holds no id")
    return found


def _is_id(text: str) -> bool:
    """Tell whether a text can stand in an address as it is."""
    return 0 < len(text) <= 200 and text.isascii() and all(each.isalnum() or each in "-_." for each in text)
