"""The Batch API of the test endpoint, in memory: files, batches that finish after so many looks, and their mishaps."""

import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs

from fault_answers import Answer, Model, digest, prompt_of
from fault_books import Log
from fault_http import ApiError, Reply, Request, json_reply, response
from fault_kinds import WIRE, Exchange, FaultScript, Settings, fault_reply

PAGE = 20
FINAL = frozenset({"completed", "expired", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class BatchScript:
    """How batches go. Which requests of a batch expire or fail follows from (seed, prompt, how often it was batched).

    Args:
        seed: Other seeds fail other requests.
        polls: The status request that finds a batch finished.
        expired: The share of requests that do not finish in time; one is enough to make the status "expired".
        failed: The share of requests that end in the error file.
        duplicated: The share of output lines that are written twice.
        shuffled: Whether output lines come in another order.
        empty_ids: Whether a file that does not exist has the id "" instead of null.
        invalid: Whether batches fail their validation, whatever they hold.
        max_requests: Batches of more fail their validation.
        faults: Failures of the calls themselves; each method and path has attempts of its own.
        faults_after: Whether a failing call has taken effect all the same: a batch is made, but the reply is lost.
    """

    seed: int = 0
    polls: int = 2
    expired: float = 0.0
    failed: float = 0.0
    duplicated: float = 0.0
    shuffled: bool = False
    empty_ids: bool = False
    invalid: bool = False
    max_requests: int = 50_000
    faults: FaultScript | None = None
    faults_after: bool = True

    def __post_init__(self) -> None:
        if self.faults and (unfit := set(self.faults.kinds) - WIRE):
            raise ValueError(
                f"the Batch API cannot have the faults {sorted(unfit)}; it can have {', '.join(sorted(WIRE))}"
            )

    def hits(self, mishap: str, share: float, *key: object) -> bool:
        """Whether a mishap befalls one request."""
        return int.from_bytes(digest(mishap, self.seed, *key)[:8]) < share * 2**64


@dataclass
class _Batch:
    """One batch: what the API shows of it, and the requests it was made of."""

    shown: dict[str, Any]
    lines: list[dict[str, Any]]
    tries: list[int] = field(default_factory=list)  # for each line: how often its prompt has been batched
    polled: int = 0


@dataclass(kw_only=True)
class Batches:
    """All files and batches of one server."""

    script: BatchScript
    model: Model
    log: Log
    settings: Settings

    def __post_init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, _Batch] = {}
        self._calls: Counter[str] = Counter()
        self._numbers = count(1)
        self._tries: Counter[tuple[str, object]] = Counter()

    async def serve(self, request: Request) -> Reply:
        """Answer one call, or fail as the script says."""
        call = f"{request.method} {request.path}"
        self._calls[call] += 1
        kind = self.script.faults.fault(call, self._calls[call]) if self.script.faults else None
        if kind is None:
            return self._answer(request)
        self.log.faults[kind] += 1
        body = b"{}"
        if self.script.faults_after:
            body = self._answer(request).data.partition(b"\r\n\r\n")[2]
        authorization = request.headers.get("authorization", "")
        nothing = Answer({}, 0, 0)
        return fault_reply(
            kind, Exchange(nothing, call, self._calls[call], None, authorization, self.settings, body=body)
        )

    def _answer(self, request: Request) -> Reply:
        match request.method, request.path.split("/")[2:]:
            case "POST", ["files"]:
                return json_reply(self._upload(request))
            case "GET", ["files", name, "content"]:
                return Reply(response(200, _known(self._files, name), kind="application/octet-stream"))
            case "POST", ["batches"]:
                return json_reply(self._create(json.loads(request.body)))
            case "GET", ["batches"]:
                return json_reply(self._list(request.query))
            case "GET", ["batches", name]:
                return json_reply(self._poll(_known(self._batches, name)))
            case "POST", ["batches", name, "cancel"]:
                return json_reply(self._cancel(_known(self._batches, name)))
        raise ApiError(404, f"Invalid URL ({request.method} {request.path})")

    def _upload(self, request: Request) -> dict[str, Any]:
        parts = _multipart(request)
        if parts.get("purpose") != b"batch" or "file" not in parts:
            raise ApiError(400, "an upload needs a file and the purpose 'batch'")
        self.log.uploads += 1
        return {**self._store(parts["file"]), "purpose": "batch", "filename": "batch.jsonl", "status": "processed"}

    def _store(self, content: bytes) -> dict[str, Any]:
        name = f"file-{len(self._files) + 1}"
        self._files[name] = content
        return {"id": name, "object": "file", "bytes": len(content), "created_at": int(time.time())}

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        content = _known(self._files, asked["input_file_id"])
        if asked["completion_window"] != "24h":
            raise ApiError(400, "completion_window must be '24h'")
        self.log.batches += 1
        lines, errors = read_lines(content, endpoint=asked["endpoint"], most=self.script.max_requests)
        if self.script.invalid:
            errors = [_error("invalid_request", "the batch was refused")]
        now = int(time.time())
        shown: dict[str, Any] = {
            "id": f"batch_{self.log.batches}",
            "object": "batch",
            **{name: asked.get(name) for name in ("endpoint", "input_file_id", "completion_window", "metadata")},
            "status": "validating",
            "errors": {"object": "list", "data": errors} if errors else None,
            "output_file_id": self._no_file,
            "error_file_id": self._no_file,
            "created_at": now,
            "expires_at": now + 24 * 3600,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        batch = self._batches[shown["id"]] = _Batch(shown, [] if errors else lines)
        for line in batch.lines:
            prompt = prompt_of(line["body"])
            self.log.per_batched_prompt[prompt] += 1
            self._tries[prompt, line["body"].get("seed")] += 1
            batch.tries.append(self._tries[prompt, line["body"].get("seed")])
        return shown

    @property
    def _no_file(self) -> str | None:
        return "" if self.script.empty_ids else None

    def _list(self, query: str) -> dict[str, Any]:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        names = list(reversed(self._batches))  # the newest first
        if "after" in asked:
            names = names[names.index(asked["after"]) + 1 :]
        page = names[: int(asked.get("limit", PAGE))]
        data = [self._batches[name].shown for name in page]
        ends = {"first_id": page[0], "last_id": page[-1]} if page else {"first_id": None, "last_id": None}
        return {"object": "list", "data": data, **ends, "has_more": len(page) < len(names)}

    def _poll(self, batch: _Batch) -> dict[str, Any]:
        if batch.shown["status"] in FINAL:
            return batch.shown
        batch.polled += 1
        if batch.shown["errors"]:
            self._end(batch, "failed")
        elif batch.shown["status"] == "cancelling":
            done = len(batch.lines) * (batch.polled - 1) // self.script.polls
            self._finish(batch, reached=done, status="cancelled")
        elif batch.polled >= self.script.polls:
            self._finish(batch, reached=len(batch.lines), status="completed")
        else:
            done = len(batch.lines) * batch.polled // self.script.polls
            batch.shown["status"] = "in_progress"
            batch.shown["request_counts"] = {"total": len(batch.lines), "completed": done, "failed": 0}
        return batch.shown

    def _cancel(self, batch: _Batch) -> dict[str, Any]:
        if batch.shown["status"] in FINAL:
            raise ApiError(409, f"Cannot cancel a batch with status '{batch.shown['status']}'.")
        batch.shown.update(status="cancelling", cancelling_at=int(time.time()))
        return batch.shown

    def _end(self, batch: _Batch, status: str) -> None:
        batch.shown.update({"status": status, f"{status}_at": int(time.time())})

    def _finish(self, batch: _Batch, *, reached: int, status: str) -> None:
        """Answer the first lines, as many as were reached, and write the files."""
        outputs: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        expired = False
        for line, tries in zip(batch.lines[:reached], batch.tries, strict=False):
            key = (prompt_of(line["body"]), line["body"].get("seed"), tries)
            if self.script.hits("expired", self.script.expired, *key):
                expired = True
                errors.append(self._line(line, error=_EXPIRED))
                continue
            code, body = self._run(line, key)
            copies = 2 if code == 200 and self.script.hits("duplicated", self.script.duplicated, *key) else 1
            (outputs if code == 200 else errors).extend([self._line(line, code=code, body=body)] * copies)
        if self.script.shuffled:
            random.Random(self.script.seed).shuffle(outputs)
        completed = len({line["custom_id"] for line in outputs})
        for name, lines in (("output_file_id", outputs), ("error_file_id", errors)):
            if lines:
                batch.shown[name] = self._store("".join(json.dumps(line) + "\n" for line in lines).encode())["id"]
        batch.shown["request_counts"] = {"total": len(batch.lines), "completed": completed, "failed": len(errors)}
        self._end(batch, "expired" if expired and status == "completed" else status)

    def _run(self, line: dict[str, Any], key: tuple[object, ...]) -> tuple[int, dict[str, Any]]:
        """The status and the body for one request."""
        try:
            if self.script.hits("failed", self.script.failed, *key):
                raise ApiError(500, "The server had an error while processing your request", kind="server_error")
            answer = self.model.complete(line["body"], number=next(self._numbers))
        except ApiError as error:
            return error.status, error.content
        self.log.bill(answer, batch=True)
        return 200, answer.payload

    def _line(
        self, line: dict[str, Any], *, code: int = 0, body: dict[str, Any] | None = None, error: Any = None
    ) -> dict[str, Any]:
        name = f"batch_req_{line['custom_id']}"
        answer = None if body is None else {"status_code": code, "request_id": name, "body": body}
        return {"id": name, "custom_id": line["custom_id"], "response": answer, "error": error}


_EXPIRED = {"code": "batch_expired", "message": "This request could not be executed before the window expired."}


def read_lines(content: bytes, *, endpoint: str, most: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests of an input file, and what is wrong with them."""
    lines, errors, seen = [], [], set()
    rows = content.splitlines()
    if not rows or len(rows) > most:
        errors.append(_error("invalid_file", f"a batch has 1 to {most} requests, not {len(rows)}"))
    for number, row in enumerate(rows, start=1):
        try:
            line = json.loads(row)
            name, method, url = line["custom_id"], line["method"], line["url"]
            prompt_of(line["body"])
        except (ValueError, KeyError, TypeError, AttributeError, ApiError) as problem:
            errors.append(_error("invalid_json_line", f"not a request: {problem!r}", line=number))
            continue
        if name in seen:
            errors.append(_error("duplicate_custom_id", f"the custom_id {name!r} came before", line=number))
        if (method, url) != ("POST", endpoint):
            errors.append(_error("mismatched_endpoint", f"{method} {url} is not POST {endpoint}", line=number))
        seen.add(name)
        lines.append(line)
    if len({line["body"].get("model") for line in lines}) > 1:
        errors.append(_error("mismatched_model", "all requests of a batch must have the same model"))
    return lines, errors


def _error(code: str, message: str, *, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def _known(things: dict[str, Any], name: str) -> Any:
    if name not in things:
        raise ApiError(404, f"No such object: {name}")
    return things[name]


def _multipart(request: Request) -> dict[str, bytes]:
    """The parts of a form by name."""
    boundary = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
    if boundary is None:
        raise ApiError(400, "an upload must be multipart/form-data")
    parts = {}
    for piece in request.body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)
        if name is not None:
            parts[name[1].decode()] = content.removesuffix(b"\r\n")
    return parts
