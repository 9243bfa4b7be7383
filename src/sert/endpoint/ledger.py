"""The ledger of calls: every request before it is sent, every result, in a journal that survives any crash."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from sert.endpoint.calls import Call, Reply, TroubleError, Usage
from sert.endpoint.money import Charge
from sert.endpoint.replay import FILE, Attempt, Status, Submission, Totals, replay_journal
from sert.store.journal import Journal

Offload = Callable[[Callable[[], None]], Awaitable[None]]


class Quarantined(NamedTuple):
    """A call that was put aside: why, and what came back last."""

    label: str
    reason: str
    raw: str


class Ledger:
    """The open ledger of a folder; use it as a context manager.

    Attributes:
        folder: Where its journal lies.
        replay: How far the calls have come.
    """

    def __init__(self, folder: Path, *, offload: Offload = asyncio.to_thread) -> None:
        """Open the ledger in a folder of its own; `offload` runs what blocks (waiting for the disk) beside the loop.

        Raises:
            DataError: If the journal cannot be opened.
        """
        self.folder = folder
        self._journal = Journal(folder / FILE)
        self.replay = replay_journal(folder)
        self._offload = offload
        self._last_sync: asyncio.Task[None] | None = None
        self._next_sync: asyncio.Task[None] | None = None
        self._together = False

    @property
    def totals(self) -> Totals:
        """Counts over every restart."""
        return self.replay.totals

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__(None, None, None)

    def reply(self, key: str) -> Reply | None:
        """Read the answer to a call; None when there is none."""
        record = self._settled(key, "answer")
        if record is None:
            return None
        usage = Usage(*record["usage"]) if record["usage"] else None
        thinking = record.get("thinking", "")  # which earlier versions did not keep
        return Reply(record["text"], record["finish_reason"], record["flag"], usage, record["model"], thinking)

    def quarantined(self, key: str) -> Quarantined | None:
        """Read why a call was put aside; None when it was not."""
        record = self._settled(key, "quarantine")
        return None if record is None else Quarantined(record["label"], record["reason"], record["raw"])

    def _settled(self, key: str, status: Status) -> dict[str, Any] | None:
        settled = self.replay.settled.get(key)
        return self._journal.read(settled.start) if settled is not None and settled.kind == status else None

    async def intend(self, call: Call, *, reserved: Decimal, **more: str | int) -> Attempt:
        """Record that a call is about to be sent, what it may cost, and `more` of a call that goes with others."""
        number = self.replay.next_number
        asked = {"key": call.key, "label": call.label, "reserved": str(reserved)}
        await self._write({"type": "intent", "number": number, **asked, **more})
        return Attempt(call, number, reserved)

    async def submit(
        self, submission_id: str, *, url: str, path: str, calls: Sequence[tuple[Call, Decimal]]
    ) -> Submission:
        """Record that calls are about to be sent as one batch, and what each may cost."""
        record = {"type": "submission", "submission": submission_id, "url": url, "path": path, "calls": len(calls)}
        async with self.together():
            await self._write(record)
            for call, reserved in calls:
                await self.intend(call, reserved=reserved, submission=submission_id, max_tokens=call.max_tokens)
        return self.replay.submissions[submission_id]

    async def name_batch(self, submission: Submission, batch_id: str) -> None:
        """Record the batch that a submission became."""
        await self._write({"type": "batch", "submission": submission.submission_id, "batch": batch_id})

    async def finish(self, submission: Submission) -> None:
        """Record that nothing more comes of a submission; calls of it without a result cost nothing."""
        await self._write({"type": "finished", "submission": submission.submission_id})

    async def answer(self, attempt: Attempt, *, reply: Reply, charge: Charge) -> None:
        """Record an answer and what it cost."""
        await self._end("answer", attempt, charge, asdict(reply))

    async def failure(self, attempt: Attempt, *, reason: str, charge: Charge, counted: bool = False) -> None:
        """Record an attempt that brought no answer, what it cost, and whether it counts as one of the call's."""
        await self._end("failure", attempt, charge, {"reason": reason, "counted": counted})

    async def unsent(self, attempt: Attempt) -> None:
        """Record that an attempt was not made after all."""
        await self._end("failure", attempt, Charge(), {"reason": "it was not sent", "sent": False})

    async def _end(self, kind: str, attempt: Attempt, charge: Charge, told: Mapping[str, Any]) -> None:
        costs = {"spent": str(charge.spent), "in_doubt": str(charge.in_doubt)}
        await self._write({"type": kind, "number": attempt.number, "key": attempt.call.key, **told, **costs})

    async def quarantine(self, call: Call, trouble: TroubleError) -> None:
        """Record that a call is put aside, and what its last attempt brought."""
        told = {"reason": trouble.reason, "raw": trouble.raw}
        await self._write({"type": "quarantine", "key": call.key, "label": call.label, **told})

    def note(self, name: str, value: str) -> str:
        """Keep a fact, or return the one that was kept earlier under this name."""
        if name not in self.replay.notes:
            self._append({"type": "note", "name": name, "value": value})
            self._journal.sync()
        return self.replay.notes[name]

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
        if self._next_sync is None or self._next_sync.done():
            self._next_sync = asyncio.create_task(self._sync(self._last_sync))
        await asyncio.shield(self._next_sync)  # others wait for it, too

    async def _sync(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None and not earlier.done():
            await asyncio.wait([earlier])
        self._last_sync, self._next_sync = self._next_sync, None  # what is written from now on needs another one
        await self._offload(self._journal.sync)

    def _append(self, record: Mapping[str, Any]) -> None:
        self.replay.apply(self._journal.append(record), record)
