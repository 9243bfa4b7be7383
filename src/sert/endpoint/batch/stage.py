"""Making calls as OpenAI batches: cheaper, done within a day, and handed in once whatever happens in between.

A batch is recorded before it is made and carries the record's id, so that after a crash it is found again. One batch is
under way at a time: its money is settled before the next one is filled, and endpoints limit what may wait in batches.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import IO, NamedTuple, Self

from sert.endpoint.account import Account
from sert.endpoint.batch.api import ENDED, BatchApi, BatchState, read_results, write_line
from sert.endpoint.batch.results import Results
from sert.endpoint.calls import Call, TroubleError, hash_of
from sert.endpoint.first_answer import cut_prompt
from sert.endpoint.money import budget_error
from sert.endpoint.replay import Submission
from sert.endpoint.retries import Pause, RequestRetries, endpoint_error
from sert.endpoint.transport import HttpTransport
from sert.errors import EndpointError
from sert.store.disk import writing

SEARCH_PAUSES = (5.0, 15.0, 40.0, 60.0)
"""Seconds between looks for a batch of which nobody knows whether it was made, before it is made again."""
ROUNDS = 3
"""Batches in which a call is handed in before it is left for another time."""
FIRST_LOOK, LONGEST_LOOK = 5.0, 60.0
"""Seconds between looks at a batch; each is half as long again as the one before."""

FILE_LOOKS = 3
"""Times that a file of results is fetched that is not there, or not whole."""


class BatchLimits(NamedTuple):
    """How large a batch may be: its calls, and the bytes that describe them."""

    calls: int = 50_000
    size: int = 100_000_000

    def for_first(self, answers: int) -> Self:
        """Return the limits of a batch that is made for the first answers alone."""
        return self._replace(calls=min(self.calls, answers))


async def settle_batches(
    calls: Callable[[], Iterable[Call]],
    account: Account,
    *,
    transport: HttpTransport,
    url: str,
    limits: BatchLimits | None = None,
    pause: Pause = asyncio.sleep,
) -> None:
    """Settle every call, as a pool does. First the batches are waited for that an earlier process left under way.

    `calls` makes them, all of one model and interface, one at a time, and is called once a round. What the batches
    under way may cost is reserved in the account; those at another base URL than `url` are left alone.

    Raises:
        EndpointError: If the endpoint refuses, fails or cannot be reached, calls come back unanswered too often, or
            none of the first batch's answers can be used.
        BudgetError: If the next call could pass the cap.
        DiskError: If the ledger or a batch cannot be written.
    """
    with writing(account.ledger.folder):
        await _Settler(transport, account, url=url, pause=pause).run(calls, limits or BatchLimits())


@dataclass
class _Draft:
    """Calls for one batch: their lines in a file, and here what is needed to read the results.

    Only the first call keeps its body, as its answer is looked at.
    """

    file: IO[bytes]
    size: int = 0
    calls: list[tuple[Call, Decimal]] = field(default_factory=list)

    def takes(self, line: bytes, limits: BatchLimits) -> bool:
        return not self.calls or (len(self.calls) < limits.calls and self.size + len(line) <= limits.size)

    def add(self, call: Call, line: bytes, reserved: Decimal) -> None:
        self.file.write(line)
        self.size += len(line)
        self.calls.append((replace(call, body={}) if self.calls else call, reserved))

    def clear(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.size, self.calls = 0, []


class _Settler:
    def __init__(self, transport: HttpTransport, account: Account, *, url: str, pause: Pause) -> None:
        self._transport, self._api = transport, BatchApi(transport)
        self._account, self._url, self._pause = account, url, pause
        self._ledger, self._budget = account.ledger, account.budget
        self._config, self._say = account.config, account.say
        self._retries = RequestRetries(account.config, pause=pause, say=account.say)
        self._rounds: dict[str, int] = {}  # the calls that are to be settled: in how many batches each was
        self._failed: dict[str, TroubleError] = {}
        self._unanswered = ""
        self._checked = False

    async def run(self, calls: Callable[[], Iterable[Call]], limits: BatchLimits) -> None:
        for call in calls():
            if self._account.is_settled(call) or call.key in self._rounds:
                self._account.advance()
            else:
                self._rounds[call.key] = 0
        await self._resume()
        self._check_usable()
        for number in range(ROUNDS):
            if self._rounds:
                await self._round((call for call in calls() if self._rounds.get(call.key) == number), limits)
        await self._put_aside(calls)
        if self._rounds:
            what = f"left {len(self._rounds)} calls unanswered in {ROUNDS} batches each"
            raise endpoint_error(what, self._unanswered)

    async def _put_aside(self, calls: Callable[[], Iterable[Call]]) -> None:
        """Put aside what the endpoint answered in every round, but never with a text, while it answered others."""
        if not self._ledger.totals.answers:
            return
        for call in calls():
            trouble = self._failed.get(call.key)
            if call.key in self._rounds and trouble is not None and trouble.usage is not None:
                await self._ledger.quarantine(call, trouble)
                self._settled(call.key)

    async def _resume(self) -> None:
        """Settle the batches that an earlier process left under way."""
        under_way = [each for each in self._ledger.replay.submissions.values() if each.url == self._url]
        for submission in under_way:
            self._budget.reserved += submission.reserved  # even where a lower cap is given by now
        for submission in under_way:
            if not await self._is_open(submission):
                await self._give_up(submission)
                continue
            for key in submission.members.keys() & self._rounds.keys():
                self._rounds[key] += 1
            await self._settle(submission)

    async def _is_open(self, submission: Submission) -> bool:
        """Tell whether results are missing and there is a batch that may have them."""
        if submission.members and submission.batch_id is None:
            submission_id = submission.submission_id
            found = await self._retries.insist(lambda: self._api.find(submission_id))
            if found is not None:
                await self._ledger.name_batch(submission, found)
        return bool(submission.members) and submission.batch_id is not None

    async def _round(self, calls: Iterable[Call], limits: BatchLimits) -> None:
        with tempfile.TemporaryFile(dir=self._ledger.folder) as file:
            for draft in self._drafts(calls, _Draft(file), limits):
                submission = await self._submit(draft)
                first, _ = draft.calls[0]
                draft.clear()
                await self._settle(submission)
                self._check_first(first)

    def _drafts(self, calls: Iterable[Call], draft: _Draft, limits: BatchLimits) -> Iterator[_Draft]:
        """Fill batches, as far as the limits and the money go; who takes one settles and clears it before the next.

        Until an answer came that can be used, a batch holds no more than the first answers that are looked at.
        """
        for call in calls:
            line, worst = write_line(call), self._budget.cost(call.most_usage)
            now = limits if self._account.first.passed else limits.for_first(self._config.first_answers)
            if draft.calls and (worst > self._budget.left or not draft.takes(line, now)):
                yield draft
            if not self._budget.reserve(worst):
                raise budget_error(call, worst, self._budget)
            self._rounds[call.key] += 1
            draft.add(call, line, worst)
        if draft.calls:
            yield draft

    async def _submit(self, draft: _Draft) -> Submission:
        """Hand a batch in, recorded before and after."""
        file_id = await self._retries.insist(
            lambda: self._api.upload(draft.file, size=draft.size), refusal="takes no batches"
        )
        keys = sorted(call.key for call, _ in draft.calls)
        name, path = hash_of([keys, self._ledger.replay.submitted]), draft.calls[0][0].path
        submission = await self._ledger.submit(name, url=self._url, path=path, calls=draft.calls)
        batch_id = await self._create(submission, file_id)
        await self._ledger.name_batch(submission, batch_id)
        self._say(f"batch {batch_id}: {len(draft.calls)} calls handed in")
        return submission

    async def _create(self, submission: Submission, file_id: str) -> str:
        may_exist = False

        async def attempt() -> str:
            nonlocal may_exist
            for seconds in SEARCH_PAUSES if may_exist else ():
                if found := await self._api.find(submission.submission_id):
                    return found
                await self._pause(seconds)
            try:
                return await self._api.create(file_id, path=submission.path, submission_id=submission.submission_id)
            except TroubleError as trouble:
                if trouble.kind in ("refused", "fatal") and not may_exist:
                    await self._give_up(submission)
                may_exist = True
                raise

        return await self._retries.insist(attempt, refusal="takes no batches")

    async def _give_up(self, submission: Submission) -> None:
        """Close a submission of which nothing comes, and release its money."""
        self._budget.settle(submission.reserved)
        await self._ledger.finish(submission)

    async def _settle(self, submission: Submission) -> None:
        """Wait for a batch and take in its results."""
        state = await self._wait(submission)
        results = Results(submission, self._account, redact=self._transport.redact)
        longest = self._config.max_reply_bytes
        most = longest * 2 * submission.calls  # each line may be there twice
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile(dir=self._ledger.folder)) for _ in state.files]
            for file_id, file in zip(state.files, files, strict=True):
                await self._download(file_id, file, most)
            async with self._ledger.together():
                for file in files:
                    await results.take(read_results(file, longest=longest))
                await results.close(state)
        if results.damaged:
            self._say(f"batch {state.batch_id}: {results.damaged} lines cannot be read")
        self._failed |= results.failed
        for trouble in results.failed.values():
            self._unanswered = trouble.reason
        for key in results.settled:
            self._settled(key)
        if state.status == "failed":
            raise endpoint_error("refused a batch", "; ".join(state.messages) or "it does not say why")
        if results.error is not None:
            raise results.error

    async def _download(self, file_id: str, file: IO[bytes], most: int) -> None:
        """Fetch a file of results; what it still lacks after some attempts is taken for lost."""
        for look in range(FILE_LOOKS):
            if look:
                await self._pause(LONGEST_LOOK)
            found = await self._retries.insist(lambda: self._transport.download(file_id, file, most=most))
            if found and all(read_results(file, longest=self._config.max_reply_bytes)):
                return
        self._say(f"the file {file_id} with results is not whole; calls without a result are made again")

    async def _wait(self, submission: Submission) -> BatchState:
        """Look at a batch until nothing more comes of it."""
        batch_id, seconds, said = str(submission.batch_id), FIRST_LOOK, ""
        while True:
            state = await self._retries.insist(lambda: self._api.look(batch_id))
            done = f"{state.completed + state.failed} of {submission.calls} done"
            line = f"batch {batch_id}: {state.status}, {done}"
            if line != said:
                self._say(line)
                said = line
            if state.status in ENDED:
                return state
            await self._pause(seconds)
            seconds = min(seconds * 1.5, LONGEST_LOOK)

    def _settled(self, key: str) -> None:
        if self._rounds.pop(key, None) is not None:
            self._account.advance()

    def _check_usable(self) -> None:
        """Stop before more batches are paid for if none of the first answers can be used."""
        if self._account.first.failed:
            raise self._account.first.error()

    def _check_first(self, call: Call) -> None:
        """Look at the first answers, and of the first one also at what is odd about it."""
        self._check_usable()
        reply = None if self._checked else self._ledger.reply(call.key)
        if reply is None:
            return
        self._checked = True
        self._account.warn(call, reply)
        if (cut := cut_prompt(call, reply)) is not None:
            raise EndpointError(f"{cut[0].upper()}{cut[1:]}. Give it a longer context, and look with `sert doctor`.")
