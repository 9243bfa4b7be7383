"""OpenAI's Batch API: its requests, and reading what comes back. Nothing that a server says is taken on trust."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from sert.endpoint.calls import Call, Reply, TroubleError
from sert.endpoint.reading import RAW_SHOWN, json_or_none, read_error, read_reply
from sert.endpoint.refusals import Redact
from sert.endpoint.shapes import fields_of
from sert.endpoint.transport import HttpTransport, Response

ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
"""Statuses after which nothing more comes."""
PAGE = 20
"""Batches on a page of the list; one may be described in many kilobytes."""
MESSAGES_SHOWN = 5

_SUBMISSION = "sert_submission"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
# Errors of single calls that were never run.
_NOT_RUN = {"batch_expired": "the batch expired", "batch_cancelled": "the batch was cancelled"}


class BatchState(NamedTuple):
    """What the endpoint says of a batch.

    Attributes:
        completed: Calls that were answered.
        failed: Calls that were not.
        files: Ids of the files with the results, answers first.
        messages: What is wrong with a batch that failed as a whole.
    """

    batch_id: str
    status: str
    completed: int
    failed: int
    files: tuple[str, ...]
    messages: tuple[str, ...]


class BatchApi:
    """The requests, each made once."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport, self._redact = transport, transport.redact

    async def upload(self, file: IO[bytes], *, size: int) -> str:
        """Upload calls and return the file's id.

        Raises:
            TroubleError: If the endpoint does not take them.
        """
        response = await self._transport.upload(file, size=size, purpose="batch")
        return self._id(_object(response).get("id"))

    async def create(self, file_id: str, *, path: str, submission_id: str) -> str:
        """Have a batch made and return its id. There may be one also where this fails.

        Raises:
            TroubleError: If no id came back.
        """
        wanted = {
            "input_file_id": file_id,
            "endpoint": batch_url(path),
            "completion_window": "24h",
            "metadata": {_SUBMISSION: submission_id},
        }
        response = await self._transport.post("/batches", wanted)
        return self._id(_object(response).get("id"))

    async def find(self, submission_id: str) -> str | None:
        """Look through all batches for that of a submission.

        Raises:
            TroubleError: If they cannot be listed.
        """
        query: dict[str, str | int] = {"limit": PAGE}
        while True:
            page = _object(await self._transport.get("/batches", query))
            listed = page.get("data")
            if not isinstance(listed, list):
                raise TroubleError("transient", "the reply is no list of batches")
            batches = [batch for batch in listed if isinstance(batch, dict)]
            for batch in batches:
                if fields_of(batch.get("metadata")).get(_SUBMISSION) == submission_id:
                    return self._id(batch.get("id"))
            if not batches or page.get("has_more") is not True:
                return None
            last = self._id(batches[-1].get("id"))
            if last == query.get("after"):
                raise TroubleError("transient", "the list of batches does not go on")
            query["after"] = last

    async def look(self, batch_id: str) -> BatchState:
        """Ask how far a batch is.

        Raises:
            TroubleError: If that does not come back.
        """
        batch = _object(await self._transport.get(f"/batches/{batch_id}"))
        status = batch.get("status")
        if batch.get("id") != batch_id or not isinstance(status, str):
            raise TroubleError("transient", "the reply does not tell how far the batch is")
        counts = fields_of(batch.get("request_counts"))
        files = [batch.get(name) for name in ("output_file_id", "error_file_id")]
        return BatchState(
            batch_id=batch_id,
            status=self._redact(status)[:64],
            completed=_count(counts, "completed"),
            failed=_count(counts, "failed"),
            files=tuple(self._id(file) for file in files if file),
            messages=tuple(self._messages(batch.get("errors"))),
        )

    def _id(self, value: Any) -> str:
        if not isinstance(value, str) or not _ID.fullmatch(value) or self._redact(value) != value:
            raise TroubleError("transient", "the reply holds no usable id")
        return value

    def _messages(self, errors: Any) -> Iterator[str]:
        found = fields_of(errors).get("data")
        for error in map(fields_of, found[:MESSAGES_SHOWN] if isinstance(found, list) else []):
            if isinstance(error.get("message"), str):
                line = error.get("line")
                where = f"line {line}: " if type(line) is int else ""
                yield where + self._redact(error["message"])[:500]


def batch_url(path: str) -> str:
    """Name an interface as the Batch API does, whatever the endpoint's base URL is."""
    return f"/v1{path}"


def write_line(call: Call) -> bytes:
    """Write a call as a line of a batch's input."""
    line = {"custom_id": call.key, "method": "POST", "url": batch_url(call.path), "body": call.body}
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"


def read_results(file: IO[bytes], *, longest: int) -> Iterator[dict[str, Any] | None]:
    """Read the results in a file from its beginning; None for a line that is too long, or no result."""
    file.seek(0)
    while line := file.readline(longest + 1):
        if len(line) > longest:
            while line and not line.endswith(b"\n"):
                line = file.readline(longest + 1)
            yield None
        elif line.strip():
            yield _result(line)


def is_answer(line: dict[str, Any]) -> bool:
    """Whether the endpoint calls a result an answer."""
    return bool(fields_of(line.get("response")).get("status_code") == 200)


def read_result(line: dict[str, Any], call: Call, *, redact: Redact) -> Reply:
    """Read the result of a call.

    Raises:
        TroubleError: If it is no answer.
    """
    response = fields_of(line.get("response"))
    status = response.get("status_code")
    if type(status) is int:
        body = json.dumps(response.get("body")).encode("ascii")
        if status == 200:
            return read_reply(body, call, redact=redact)
        raise read_error(status, {}, body, redact=redact)
    code = fields_of(line.get("error")).get("code")
    if isinstance(code, str) and code in _NOT_RUN:
        raise TroubleError("transient", _NOT_RUN[code])
    raw = redact(json.dumps(line))[:RAW_SHOWN]
    raise TroubleError("transient", "the line holds neither a response nor why there is none", billed=True, raw=raw)


def _result(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
        json.dumps(value)  # what can be read is not always shallow enough to be written again
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("custom_id"), str) else None


def _object(response: Response) -> dict[str, Any]:
    value = json_or_none(response.content)
    if not isinstance(value, dict):
        raise TroubleError("transient", "the reply is no JSON object")
    return value


def _count(counts: dict[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if type(value) is int else 0
