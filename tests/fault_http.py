"""As much of HTTP/1.1 as a test server needs, over asyncio streams, and the ways in which a reply can go wrong."""

import asyncio
import contextlib
import json
import socket
import struct
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

DRIP_SECONDS = 0.05
CHUNK = b"x " * 32768
REASONS = {int(status): status.phrase for status in HTTPStatus}

SLOW = frozenset({"hang", "drip", "flood"})
"""What may follow a reply and keeps its request in flight until the client gives up or the flood is over."""


class ApiError(Exception):
    """A refusal in the shape of the API."""

    def __init__(self, status: int, message: str, *, code: str | None = None, kind: str = "invalid_request_error"):
        super().__init__(message)
        self.status = status
        self.content = {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Request(NamedTuple):
    """One request; names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """Bytes to send, and what happens to the connection afterwards.

    `then` is "keep", "close", "reset" (RST), "hang" (silence for `amount` seconds), "drip" (a space every 50 ms for
    ever) or "flood" (`amount` bytes of filler, then `tail`).
    """

    data: bytes
    then: str = "keep"
    amount: float = 0
    tail: bytes = b""


def response(
    status: int,
    body: bytes,
    *,
    kind: str = "application/json",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """One response as bytes; `length` lies about the length of the body."""
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body) if length is None else length}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def json_reply(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A complete response with a JSON body."""
    return Reply(response(status, json.dumps(content).encode(), headers=headers))


def error_reply(error: ApiError, *, headers: Mapping[str, str] | None = None) -> Reply:
    """A refusal as a response."""
    return json_reply(error.content, status=error.status, headers=headers)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, or None where the client closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise ValueError("this server reads only bodies of a known length (Content-Length)")
    length = int(headers.get("content-length", 0))
    body = await reader.readexactly(length) if length else b""
    asked = urllib.parse.urlsplit(target)  # a proxy is given the whole address
    return Request(method, asked.path, asked.query, headers, body)


async def deliver(reply: Reply, *, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send a reply and do what follows it; returns whether the connection stays open."""
    if reply.data:
        writer.write(reply.data)
        await writer.drain()
    if reply.then == "reset":
        # A linger time of zero makes the kernel send RST instead of FIN.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif reply.then == "hang":
        await _client_gone(reader, reply.amount)
    elif reply.then == "drip":
        while not await _client_gone(reader, DRIP_SECONDS):
            writer.write(b" ")
            await writer.drain()
    elif reply.then == "flood":
        for _ in range(int(reply.amount) // len(CHUNK)):
            writer.write(CHUNK)
            await writer.drain()
        writer.write(CHUNK[: int(reply.amount) % len(CHUNK)] + reply.tail)
        await writer.drain()
    return reply.then == "keep"


async def _client_gone(reader: asyncio.StreamReader, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(reader.read(1), seconds) == b""
    return False
