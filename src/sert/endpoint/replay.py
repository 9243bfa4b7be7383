"""How far the calls of a journal have come: what is settled, what is under way, and what it all cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sert.endpoint.calls import Call
from sert.store.journal import read_records

FILE = "calls.journal"

Status = Literal["answer", "quarantine"]

_ZERO = Decimal(0)


@dataclass
class Totals:
    """What a ledger counts, over every restart.

    Attributes:
        requests: Attempts that were sent, or were about to be.
        spent: Dollars of the answers whose tokens the endpoint counted.
        in_doubt: Dollars that other attempts may have cost.
    """

    requests: int = 0
    answers: int = 0
    quarantined: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    spent: Decimal = _ZERO
    in_doubt: Decimal = _ZERO


class _Settled(NamedTuple):
    start: int
    kind: Status


class Attempt(NamedTuple):
    """A call that is under way: the number of the attempt, and what is reserved for it."""

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
        members: The calls without a result, by key, and without their bodies.
    """

    submission_id: str
    url: str
    path: str
    calls: int
    batch_id: str | None = None
    members: dict[str, Attempt] = field(default_factory=dict)

    @property
    def reserved(self) -> Decimal:
        """What the calls without a result may still cost."""
        return sum((member.reserved for member in self.members.values()), _ZERO)


class Replay:
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
        self.next_number = 0  # of the next attempt; counting would give one twice after damage
        self.notes: dict[str, str] = {}
        self.settled: dict[str, _Settled] = {}
        self.submissions: dict[str, Submission] = {}
        self.submitted = 0
        self.damaged = 0
        self._under_way: dict[int, Decimal] = {}
        self._failed_at: dict[str, int] = {}  # the answers that there were when a call first failed

    def status(self, key: str) -> Status | None:
        """Tell how a call ended; None when it is still to be made."""
        settled = self.settled.get(key)
        return settled.kind if settled else None

    def is_suspect(self, key: str) -> bool:
        """Tell whether a call failed and another one was answered afterwards, so that the fault may be its own."""
        return self._failed_at.get(key, self.totals.answers) < self.totals.answers

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
            self.next_number = max(self.next_number, record["number"] + 1)
            self._intend(record)
        elif kind in ("submission", "batch", "finished"):
            self._follow(kind, record)
        elif kind == "quarantine":
            totals.quarantined += self.status(record["key"]) != "quarantine"
            self.settled[record["key"]] = _Settled(start, "quarantine")
        else:
            self._end(record["number"], record["key"])
            totals.requests -= record.get("sent") is False
            totals.spent += Decimal(record["spent"])
            totals.in_doubt += Decimal(record["in_doubt"])
        if kind == "answer":
            self._count_answer(start, record)
        elif kind == "failure" and record.get("counted"):
            self._failed_at.setdefault(record["key"], totals.answers)

    def _intend(self, record: Mapping[str, Any]) -> None:
        number, key, reserved = record["number"], record["key"], Decimal(record["reserved"])
        submission = self.submissions.get(record.get("submission", ""))
        if submission is None:
            self._under_way[number] = reserved
            return
        call = Call(record["label"], key, submission.path, {}, prompt_bytes=0, max_tokens=record["max_tokens"])
        submission.members[key] = Attempt(call, number, reserved)

    def _follow(self, kind: str, record: Mapping[str, Any]) -> None:
        submission_id = record["submission"]
        if kind == "submission":
            self.submitted += 1
            handed_in = Submission(submission_id, record["url"], record["path"], calls=record["calls"])
            self.submissions[submission_id] = handed_in
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


def replay_journal(folder: Path) -> Replay:
    """Read how far the calls of a folder have come, without writing there; nothing when there is no journal."""
    replay = Replay()
    for start, record in read_records(folder / FILE):
        if record is None:
            replay.damaged += 1
        else:
            replay.apply(start, record)
    replay.close()
    return replay
