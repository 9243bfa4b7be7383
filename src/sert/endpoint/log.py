"""The log of calls: every request before it is sent, every result, in a journal that survives any crash."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
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


class Open(NamedTuple):
    """An attempt without a result: the call's key and what was set aside for it."""

    key: str
    label: str
    reserved: Decimal


@dataclass
class Submission:
    """A batch of calls: the numbers of its attempts, and its id at the endpoint once that is known."""

    name: str
    numbers: range
    batch: str | None = None


class _Settled(NamedTuple):
    start: int
    kind: Status


class Standing:
    """How far the calls of a journal have come. In memory is only where results stand, not what they hold.

    Attributes:
        totals: Counts over every restart.
        notes: Small facts that must outlive a restart.
        settled: How each call ended, and where the record of it starts.
        submissions: Batches that are not finished, by name.
        damaged: Records that cannot be read; what they held is asked for again.
    """

    def __init__(self) -> None:
        self.totals = Totals()
        self.notes: dict[str, str] = {}
        self.settled: dict[str, _Settled] = {}
        self.damaged = 0
        self.submissions: dict[str, Submission] = {}
        self._under_way: dict[int, Open] = {}

    def status(self, key: str) -> Status | None:
        """Tell how a call ended; None when it is still to be made."""
        settled = self.settled.get(key)
        return settled.kind if settled else None

    def close(self) -> None:
        """Note that nobody waits for results any more: what is under way may have been charged, or not.

        What was sent in a batch can still be fetched and is no doubt yet.
        """
        fetchable = {number for each in self.submissions.values() for number in each.numbers}
        for number in list(self._under_way.keys() - fetchable):
            self.totals.in_doubt += self._under_way.pop(number).reserved

    def open_calls(self, submission: Submission) -> dict[int, Open]:
        """Look up the calls of a batch that have no result yet."""
        return {number: self._under_way[number] for number in submission.numbers if number in self._under_way}

    def apply(self, start: int, record: Mapping[str, Any]) -> None:
        """Take in the next record of the journal."""
        kind, totals = record["type"], self.totals
        if kind == "note":
            self.notes.setdefault(record["name"], record["value"])
        elif kind == "intent":
            totals.requests += 1
            self._under_way[record["number"]] = Open(record["key"], record["label"], Decimal(record["reserved"]))
        elif kind == "submission":
            self._submit(record)
        elif kind == "quarantine":
            totals.quarantined += self.status(record["key"]) != "quarantine"
            self.settled[record["key"]] = _Settled(start, "quarantine")
        else:
            self._under_way.pop(record["number"], None)
            totals.spent += Decimal(record["spent"])
            totals.in_doubt += Decimal(record["in_doubt"])
        if kind == "answer":
            self._count_answer(start, record)

    def _submit(self, record: Mapping[str, Any]) -> None:
        if record["state"] == "done":
            submission = self.submissions.pop(record["name"])
            for number in submission.numbers:
                self._under_way.pop(number, None)  # never charged
        else:
            first, end = record["numbers"]
            self.submissions[record["name"]] = Submission(record["name"], range(first, end), record["batch"])

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
        self._journal = Journal(folder / FILE)
        self.standing = read_standing(folder)
        self._offload = offload
        self._waiting: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Task[None] | None = None

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
        await self._write(_intent_record(number, call, reserved))
        return number

    async def intend_together(self, calls: Sequence[Call], *, name: str, reserved: Sequence[Decimal]) -> Submission:
        """Record that calls are about to be sent as one batch, and what each may cost."""
        first = self.totals.requests
        submission = Submission(name, range(first, first + len(calls)))
        self._append(_submission_record(submission, "about to be sent"))
        for number, call, amount in zip(submission.numbers, calls, reserved, strict=True):
            self._append(_intent_record(number, call, amount))
        await self._offload(self._journal.sync)
        return submission

    async def submitted(self, submission: Submission, *, batch: str) -> None:
        """Record the id that the endpoint gave a batch."""
        await self._write(_submission_record(Submission(submission.name, submission.numbers, batch), "sent"))

    async def finish(self, submission: Submission) -> None:
        """Record that nothing more will come of a batch; calls of it without a result were not charged."""
        await self._write(_submission_record(submission, "done"))

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

    async def failure(self, key: str, number: int, *, reason: str, spent: Decimal, in_doubt: Decimal) -> None:
        """Record an attempt that brought no answer and what it cost."""
        record = {"type": "failure", "number": number, "key": key, "reason": reason}
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

    async def _write(self, record: Mapping[str, Any]) -> None:
        """Append a record and wait until it is on the disk; those that come meanwhile share the wait."""
        self._append(record)
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


def _intent_record(number: int, call: Call, reserved: Decimal) -> dict[str, Any]:
    return {"type": "intent", "number": number, "key": call.key, "label": call.label, "reserved": str(reserved)}


def _submission_record(submission: Submission, state: str) -> dict[str, Any]:
    numbers = [submission.numbers.start, submission.numbers.stop]
    return {
        "type": "submission",
        "name": submission.name,
        "numbers": numbers,
        "batch": submission.batch,
        "state": state,
    }
