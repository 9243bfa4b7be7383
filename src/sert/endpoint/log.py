"""The log of calls: every request before it is sent, every result, in a journal that survives any crash."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sert.endpoint.calls import Call, Reply, Usage
from sert.store.journal import Journal, read_records

FILE = "calls.journal"

Status = Literal["answer", "quarantine"]
Offload = Callable[[Callable[[], None]], Awaitable[None]]

_ZERO = Decimal(0)


class Quarantined(NamedTuple):
    """A call that was put aside: why, and what came back last."""

    label: str
    reason: str
    raw: str


@dataclass
class Totals:
    """What a log counts, over every restart.

    Attributes:
        requests: Attempts that were sent, or were about to be.
        spent: Dollars of the answers whose tokens the endpoint counted.
        in_doubt: Dollars that other attempts may have cost.
        flags: Answers that should not be used, by why.
    """

    requests: int = 0
    answers: int = 0
    quarantined: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    spent: Decimal = _ZERO
    in_doubt: Decimal = _ZERO
    flags: dict[str, int] = field(default_factory=dict)


class _Settled(NamedTuple):
    start: int
    kind: Status


class Member(NamedTuple):
    """A call of a submission, without its body: the number of the attempt, and what is reserved for it."""

    call: Call
    number: int
    reserved: Decimal


@dataclass
class Submission:
    """Calls that go to the endpoint as one batch, until all of its results are recorded.

    Attributes:
        submission_id: What the batch carries in its metadata.
        url: The endpoint's base URL.
        path: Of all its calls, behind the base URL.
        calls: Number of its calls.
        batch_id: The endpoint's own; None while it is not known whether there is a batch.
        members: The calls without a result, by key.
    """

    submission_id: str
    url: str
    path: str
    calls: int
    batch_id: str | None = None
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def reserved(self) -> Decimal:
        """What the calls without a result may still cost."""
        return sum((member.reserved for member in self.members.values()), _ZERO)


class Standing:
    """How far the calls of a journal have come. In memory is only where results stand, not what they hold.

    Attributes:
        totals: Counts over every restart.
        notes: Small facts that must outlive a restart.
        settled: How each call ended, and where the record of it starts.
        submissions: Those that are not finished, by id. Their calls are not in doubt: the results can still be had.
        submitted: Number of submissions so far, finished or not.
        damaged: Records that cannot be read; what they held is asked for again.
    """

    def __init__(self) -> None:
        self.totals = Totals()
        self.notes: dict[str, str] = {}
        self.settled: dict[str, _Settled] = {}
        self.submissions: dict[str, Submission] = {}
        self.submitted = 0
        self.damaged = 0
        self._under_way: dict[int, Decimal] = {}

    def status(self, key: str) -> Status | None:
        """Tell how a call ended; None when it is still to be made."""
        settled = self.settled.get(key)
        return settled.kind if settled else None

    def close(self) -> None:
        """Note that nobody waits for results any more: whatever is under way may have been charged, or not."""
        self.totals.in_doubt += sum(self._under_way.values(), _ZERO)
        self._under_way.clear()

    def apply(self, start: int, record: Mapping[str, Any]) -> None:
        """Take in the next record of the journal."""
        kind, totals = record["type"], self.totals
        if kind == "note":
            self.notes.setdefault(record["name"], record["value"])
        elif kind == "intent":
            totals.requests += 1
            self._intend(record)
        elif kind in ("submission", "batch", "finished"):
            self._follow(kind, record)
        elif kind == "quarantine":
            totals.quarantined += self.status(record["key"]) != "quarantine"
            self.settled[record["key"]] = _Settled(start, "quarantine")
        else:
            self._end(record["number"], record["key"])
            totals.spent += Decimal(record["spent"])
            totals.in_doubt += Decimal(record["in_doubt"])
        if kind == "answer":
            self._count_answer(start, record)

    def _intend(self, record: Mapping[str, Any]) -> None:
        number, key, reserved = record["number"], record["key"], Decimal(record["reserved"])
        submission = self.submissions.get(record.get("submission", ""))
        if submission is None:
            self._under_way[number] = reserved
            return
        call = Call(record["label"], key, submission.path, {}, prompt_bytes=0, max_tokens=record["max_tokens"])
        submission.members[key] = Member(call, number, reserved)

    def _follow(self, kind: str, record: Mapping[str, Any]) -> None:
        submission_id = record["submission"]
        if kind == "submission":
            self.submitted += 1
            self.submissions[submission_id] = Submission(
                submission_id, record["url"], record["path"], calls=record["calls"]
            )
        elif kind == "finished":
            self.submissions.pop(submission_id, None)
        elif submission_id in self.submissions:
            self.submissions[submission_id].batch_id = record["batch"]

    def _end(self, number: int, key: str) -> None:
        self._under_way.pop(number, None)
        for submission in self.submissions.values():
            if key in submission.members and submission.members[key].number == number:
                del submission.members[key]

    def _count_answer(self, start: int, record: Mapping[str, Any]) -> None:
        totals, earlier = self.totals, self.status(record["key"])
        totals.quarantined -= earlier == "quarantine"
        totals.answers += earlier != "answer"
        self.settled[record["key"]] = _Settled(start, "answer")
        if record["usage"]:
            totals.prompt_tokens += record["usage"][0]
            totals.completion_tokens += record["usage"][1]
        if record["flag"]:
            totals.flags[record["flag"]] = totals.flags.get(record["flag"], 0) + 1


def read_standing(folder: Path) -> Standing:
    """Read how far the calls of a folder have come, without writing there; nothing when there is no journal."""
    standing = Standing()
    for start, record in read_records(folder / FILE):
        if record is None:
            standing.damaged += 1
        else:
            standing.apply(start, record)
    standing.close()
    return standing


class CallLog:
    """The open log of a folder; use it as a context manager.

    Attributes:
        folder: Where its journal lies.
        standing: How far the calls have come.
    """

    def __init__(self, folder: Path, *, offload: Offload = asyncio.to_thread) -> None:
        """Open the log in a folder of its own.

        Args:
            folder: Where the journal lies.
            offload: Runs what blocks (waiting for the disk) beside the event loop.

        Raises:
            DataError: If the journal cannot be opened.
        """
        self.folder = folder
        self._journal = Journal(folder / FILE)
        self.standing = read_standing(folder)
        self._offload = offload
        self._waiting: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Task[None] | None = None
        self._together = False

    @property
    def totals(self) -> Totals:
        """Counts over every restart."""
        return self.standing.totals

    def __enter__(self) -> "CallLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__(None, None, None)

    def reply(self, key: str) -> Reply | None:
        """Read the answer to a call; None when there is none."""
        settled = self.standing.settled.get(key)
        if settled is None or settled.kind != "answer":
            return None
        record = self._journal.read(settled.start)
        usage = Usage(*record["usage"]) if record["usage"] else None
        return Reply(record["text"], record["finish_reason"], record["flag"], usage, record["model"])

    def quarantined(self, key: str) -> Quarantined | None:
        """Read why a call was put aside; None when it was not."""
        settled = self.standing.settled.get(key)
        if settled is None or settled.kind != "quarantine":
            return None
        record = self._journal.read(settled.start)
        return Quarantined(record["label"], record["reason"], record["raw"])

    async def intend(self, call: Call, *, reserved: Decimal) -> int:
        """Record that a call is about to be sent and what it may cost; return the attempt's number."""
        number = self.totals.requests
        record = {"type": "intent", "number": number, "key": call.key, "label": call.label, "reserved": str(reserved)}
        await self._write(record)
        return number

    async def submit(
        self, submission_id: str, *, url: str, path: str, calls: Sequence[tuple[Call, Decimal]]
    ) -> Submission:
        """Record that calls are about to be sent as one batch, and what each may cost."""
        record = {"type": "submission", "submission": submission_id, "url": url, "path": path, "calls": len(calls)}
        async with self.together():
            await self._write(record)
            for call, reserved in calls:
                intent = {"number": self.totals.requests, "key": call.key, "label": call.label}
                more = {"reserved": str(reserved), "submission": submission_id, "max_tokens": call.max_tokens}
                await self._write({"type": "intent", **intent, **more})
        return self.standing.submissions[submission_id]

    async def name_batch(self, submission: Submission, batch_id: str) -> None:
        """Record the batch that a submission became."""
        await self._write({"type": "batch", "submission": submission.submission_id, "batch": batch_id})

    async def finish(self, submission: Submission) -> None:
        """Record that nothing more comes of a submission; calls of it without a result cost nothing."""
        await self._write({"type": "finished", "submission": submission.submission_id})

    async def answer(self, call: Call, number: int, *, reply: Reply, spent: Decimal, in_doubt: Decimal) -> None:
        """Record an answer and what it cost."""
        await self._write(
            {
                "type": "answer",
                "number": number,
                "key": call.key,
                "text": reply.text,
                "finish_reason": reply.finish_reason,
                "flag": reply.flag,
                "usage": list(reply.usage) if reply.usage else None,
                "model": reply.model,
                "spent": str(spent),
                "in_doubt": str(in_doubt),
            }
        )

    async def failure(self, call: Call, number: int, *, reason: str, spent: Decimal, in_doubt: Decimal) -> None:
        """Record an attempt that brought no answer and what it cost."""
        record = {"type": "failure", "number": number, "key": call.key, "reason": reason}
        await self._write({**record, "spent": str(spent), "in_doubt": str(in_doubt)})

    async def quarantine(self, call: Call, *, reason: str, raw: str) -> None:
        """Record that a call is put aside."""
        await self._write({"type": "quarantine", "key": call.key, "label": call.label, "reason": reason, "raw": raw})

    def note(self, name: str, value: str) -> str:
        """Keep a fact, or return the one that was kept earlier under this name."""
        if name not in self.standing.notes:
            self._append({"type": "note", "name": name, "value": value})
            self._journal.sync()
        return self.standing.notes[name]

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Let all records that are written within wait for the disk once, at the end."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
        await self._offload(self._journal.sync)

    async def _write(self, record: Mapping[str, Any]) -> None:
        """Append a record and wait until it is on the disk; those that come meanwhile share the wait."""
        self._append(record)
        if self._together:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        await waiting

    async def _sync(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._offload(self._journal.sync)
            except OSError as error:
                for each in waiting:
                    if not each.done():
                        each.set_exception(error)
            for each in waiting:
                if not each.done():
                    each.set_result(None)
        self._syncing = None

    def _append(self, record: Mapping[str, Any]) -> None:
        self.standing.apply(self._journal.append(record), record)
