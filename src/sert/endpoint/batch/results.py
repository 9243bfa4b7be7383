"""Taking the results of one batch into the account."""

from collections.abc import Iterable
from typing import Any

from sert.endpoint.account import Account
from sert.endpoint.batch.api import BatchState, is_answer, read_result
from sert.endpoint.calls import TroubleError
from sert.endpoint.refusals import Redact
from sert.endpoint.replay import Attempt, Submission
from sert.endpoint.retries import REFUSALS_LATER, endpoint_error
from sert.errors import EndpointError

_NO_LINE = {"expired": "the batch expired", "cancelled": "the batch was cancelled", "failed": "the batch failed"}

CUT_BYTES = 16
"""Bytes of a prompt a token above which it was cut; no vocabulary's tokens are that long on average."""


class Results:
    """The results of one submission; the caller lets the records share one wait for the disk.

    Attributes:
        settled: Keys of the calls that are answered or put aside.
        failed: Key of each call that can be made again -> why it failed.
        damaged: Lines that could not be read.
        error: Why no more calls can be made; None when they can.
    """

    def __init__(self, submission: Submission, account: Account, *, redact: Redact) -> None:
        self._submission, self._account, self._ledger, self._redact = submission, account, account.ledger, redact
        self.settled: list[str] = []
        self.failed: dict[str, TroubleError] = {}
        self._seen: set[str] = set()
        self._answers = 0  # also of calls whose result is known already
        self._refused: list[tuple[Attempt, TroubleError]] = []  # held until it is known whether all others are, too
        self._first_batch = not self._ledger.totals.answers
        self.damaged = 0
        self.error: EndpointError | None = None

    async def take(self, lines: Iterable[dict[str, Any] | None]) -> None:
        """Take in the lines of a file: the first for a call counts, and what is for no call is passed over."""
        for line in lines:
            if line is None:
                self.damaged += 1
                continue
            key = line["custom_id"]
            if key in self._seen:
                continue
            self._seen.add(key)
            self._answers += is_answer(line)
            member = self._submission.members.get(key)
            if member is not None:
                await self._take_line(line, member)

    async def close(self, state: BatchState) -> None:
        """Settle the calls that are still open, once all lines are in."""
        await self._settle_refused()
        reason = _NO_LINE.get(state.status, "the batch holds no result for it")
        # The endpoint may have answered, and charged for, what did not come through.
        lost = self.damaged > 0 or state.status == "completed" or state.completed > self._answers
        for member in list(self._submission.members.values()):
            await self._fail(member, TroubleError("transient", reason, billed=lost))
        await self._ledger.finish(self._submission)

    async def _take_line(self, line: dict[str, Any], member: Attempt) -> None:
        try:
            reply = read_result(line, member.call, redact=self._redact)
        except TroubleError as trouble:
            if trouble.kind == "refused":
                self._refused.append((member, trouble))
                return
            await self._fail(member, trouble)
            if trouble.kind == "fatal":
                self.error = self.error or endpoint_error("takes no more calls", trouble.reason)
        else:
            if reply.usage is not None and reply.usage.prompt_tokens * CUT_BYTES < member.call.prompt_bytes:
                counted = f"{reply.usage.prompt_tokens} tokens in a prompt of {member.call.prompt_bytes} bytes"
                cut = f"the endpoint counts {counted}"
                await self._fail(member, TroubleError("transient", cut, billed=True, usage=reply.usage))
                self.error = self.error or EndpointError(f"Stopped: {cut}, so it cut the prompt. See `sert doctor`.")
                return
            excess = await self._account.answer(member, reply)
            self.settled.append(member.call.key)
            self.error = self.error or excess

    async def _fail(self, member: Attempt, trouble: TroubleError) -> None:
        await self._account.failure(member, trouble)
        if trouble.kind != "refused":
            self.failed[member.call.key] = trouble

    async def _settle_refused(self) -> None:
        """Put refused calls aside, unless there is nothing else: then the fault may be ours, and in every call."""
        alone = bool(self._refused) and not self._answers and not self.failed
        spared = alone and (self._first_batch or len(self._refused) >= REFUSALS_LATER)
        if spared:
            what = f"refused all {len(self._refused)} calls of a batch"
            self.error = endpoint_error(what, self._refused[0][1].reason)
        for member, trouble in self._refused:
            await self._fail(member, trouble)
            if not spared:
                await self._ledger.quarantine(member.call, trouble)
                self.settled.append(member.call.key)
