"""Calls as OpenAI batches: written into a file, done by the endpoint within a day, paid for once.

A batch is recorded before it is made, under a name that the endpoint keeps with it. After a crash the same command
finds it there by this name, so that none is made twice.
"""

import asyncio
import json
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from decimal import Decimal
from typing import IO, Any, NamedTuple

from sert.endpoint.batch_files import BatchFiles, State
from sert.endpoint.calls import Call, Reply, TroubleError
from sert.endpoint.log import CallLog, Submission
from sert.endpoint.money import Budget
from sert.endpoint.reading import read_error, read_reply
from sert.errors import BudgetError, EndpointError

MAX_CALLS, MAX_BYTES = 50_000, 100_000_000
"""Most calls and bytes of a batch; OpenAI takes 50,000 calls and 200 MB."""
MAX_ROUNDS = 3
"""Batches that a call may be part of in one run before it is left for the next."""
FIRST_LOOK, LAST_LOOK = 5.0, 60.0
"""Seconds between looks at a batch, doubled up to the second figure."""

Pause = Callable[[float], Awaitable[None]]

_ZERO = Decimal(0)


class _Chunk(NamedTuple):
    calls: list[Call]
    reserved: list[Decimal]
    complete: bool


class _Line(NamedTuple):
    """What became of one call of a batch: an answer, or what went wrong."""

    call: Call
    number: int
    reserved: Decimal
    outcome: Reply | TroubleError


class Batcher:
    """Settles calls by batches, one after the other."""

    def __init__(
        self,
        files: BatchFiles,
        *,
        log: CallLog,
        budget: Budget,
        advance: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
        pause: Pause = asyncio.sleep,
        max_calls: int = MAX_CALLS,
        max_bytes: int = MAX_BYTES,
        retry_quarantined: bool = False,
    ) -> None:
        """Prepare the batches.

        Args:
            files: The endpoint's files and batches.
            log: Where everything is recorded.
            budget: What may still be spent.
            advance: Called once for each call that is settled, also for those that were settled earlier.
            say: Called with what people should know meanwhile.
            pause: Waits so many seconds.
            max_calls: Most calls of a batch.
            max_bytes: Most bytes of a batch.
            retry_quarantined: Make calls again that were put aside earlier.
        """
        self._files, self._log, self._budget = files, log, budget
        self._advance, self._say, self._pause = advance, say, pause
        self._max_calls, self._max_bytes = max_calls, max_bytes
        settled = log.standing.settled if retry_quarantined else {}
        self._again = {key for key in settled if log.standing.status(key) == "quarantine"}
        self._answered = False

    async def run(self, calls: Callable[[], Iterable[Call]]) -> None:
        """Settle every call.

        Raises:
            EndpointError: If the endpoint refuses or fails, or calls are left over after three batches.
            BudgetError: If the cap does not allow the rest.
        """
        for submission in list(self._log.standing.submissions.values()):
            await self._go_on(submission, calls)
        for call in calls():
            if self._is_settled(call):
                self._advance()
        for _ in range(MAX_ROUNDS):
            for chunk in self._chunks(calls):
                if chunk.calls:
                    await self._submit(chunk)
                if not chunk.complete:
                    raise BudgetError(
                        f"The cap does not allow the rest of the calls ({self._budget}). Answers are kept; the same "
                        "command with a higher max_cost goes on."
                    )
            if not (left := sum(not self._is_settled(call) for call in calls())):
                return
        raise EndpointError(
            f"{left} calls have no answer after {MAX_ROUNDS} batches. Answers are kept; the same command goes on."
        )

    def _is_settled(self, call: Call) -> bool:
        status = self._log.standing.status(call.key)
        return status == "answer" or (status == "quarantine" and call.key not in self._again)

    def _chunks(self, calls: Callable[[], Iterable[Call]]) -> Iterator[_Chunk]:
        """Cut what is still to be made into batches that fit, and that the cap allows."""
        chunk, size, seen = _Chunk([], [], True), 0, set[str]()
        for call in calls():
            if call.key in seen or self._is_settled(call):
                continue
            seen.add(call.key)
            length = len(_line_of(call))
            if chunk.calls and (len(chunk.calls) == self._max_calls or size + length > self._max_bytes):
                yield chunk
                chunk, size = _Chunk([], [], True), 0
            reserved = self._budget.cost(call.most_usage)
            if not self._budget.reserve(reserved):
                yield chunk._replace(complete=False)
                return
            chunk.calls.append(call)
            chunk.reserved.append(reserved)
            size += length
        if chunk.calls:
            yield chunk

    async def _submit(self, chunk: _Chunk) -> None:
        name = secrets.token_hex(8)
        submission = await self._log.intend_together(chunk.calls, name=name, reserved=chunk.reserved)
        with tempfile.TemporaryFile() as stream:
            for call in chunk.calls:
                stream.write(_line_of(call))
            batch = await self._create(stream, submission, path=chunk.calls[0].path)
        await self._finish(submission, batch, {call.key: call for call in chunk.calls})

    async def _create(self, stream: IO[bytes], submission: Submission, *, path: str) -> str:
        """Make the batch; after a failure it may be there all the same and is looked for before another try."""
        unsure = False
        try:
            file, batch = await self._files.upload(stream), None
            while batch is None:
                try:
                    batch = await self._files.create(file, path=path, name=submission.name)
                except TroubleError as trouble:
                    if trouble.kind in ("fatal", "refused"):
                        raise
                    unsure = True
                    self._say(f"the batch could not be made ({trouble.reason}), looking whether it was")
                    await self._pause(trouble.wait or FIRST_LOOK)
                    batch = await self._files.find(submission.name)
                    unsure = batch is not None
        except TroubleError as trouble:
            if not unsure:
                await self._drop(submission)
            raise EndpointError(f"The endpoint takes no batch: {trouble.reason}. The same command goes on.") from None
        await self._log.submitted(submission, batch=batch)
        return batch

    async def _go_on(self, submission: Submission, calls: Callable[[], Iterable[Call]]) -> None:
        """Take up a batch of an earlier run."""
        opened = self._log.standing.open_calls(submission)
        self._budget.hold(sum((each.reserved for each in opened.values()), _ZERO))
        try:
            batch = submission.batch or await self._files.find(submission.name)
        except TroubleError as trouble:
            raise EndpointError(f"The endpoint does not list its batches: {trouble.reason}.") from None
        if batch is None:
            self._say("a batch that was about to be made before the restart was not")
            return await self._drop(submission)
        if submission.batch is None:
            await self._log.submitted(submission, batch=batch)
        keys = {each.key for each in opened.values()}
        await self._finish(submission, batch, {call.key: call for call in calls() if call.key in keys})

    async def _drop(self, submission: Submission) -> None:
        for each in self._log.standing.open_calls(submission).values():
            self._budget.settle(each.reserved)
        await self._log.finish(submission)

    async def _finish(self, submission: Submission, batch: str, calls: dict[str, Call]) -> None:
        """Wait for a batch and take in all that came of it."""
        try:
            state = await self._wait(batch, total=len(submission.numbers))
            lines = [line async for line in self._lines(submission, state, calls)]
        except TroubleError as trouble:
            raise EndpointError(
                f"Batch {batch} cannot be fetched: {trouble.reason}. The same command goes on."
            ) from None
        refused = sum(isinstance(line.outcome, TroubleError) and line.outcome.kind == "refused" for line in lines)
        all_refused = refused == len(calls) and not self._answered and refused > 1
        for line in lines:
            await self._take(line, put_aside=not all_refused)
        for number, each in self._log.standing.open_calls(submission).items():
            if each.key not in calls:  # charged, but nobody asks for it any more
                money = {"spent": _ZERO, "in_doubt": each.reserved}
                await self._log.failure(each.key, number, reason="the settings have changed meanwhile", **money)
                self._budget.settle(each.reserved, **money)
        await self._drop(submission)
        if all_refused:
            assert isinstance(lines[0].outcome, TroubleError)
            raise EndpointError(f"The endpoint refused every call of batch {batch}: {lines[0].outcome.reason}.")
        if state.status == "failed":
            raise EndpointError(f"Batch {batch} was not accepted: {state.reason}.")

    async def _wait(self, batch: str, *, total: int) -> State:
        look, last = FIRST_LOOK, ""
        while True:
            state = await self._files.state(batch)
            line = f"batch {batch}: {state.status}, {state.done} of {total} done"
            if line != last:
                self._say(line)
            if state.is_final:
                return state
            last = line
            await self._pause(look)
            look = min(2 * look, LAST_LOOK)

    async def _lines(self, submission: Submission, state: State, calls: dict[str, Call]) -> Any:
        """Read the lines of a batch's files; of two about one call the first counts."""
        numbers = {each.key: (number, each) for number, each in self._log.standing.open_calls(submission).items()}
        for file in state.files:
            async for line in self._files.read(file):
                key = line.get("custom_id")
                if not isinstance(key, str) or key not in numbers or key not in calls:
                    continue
                number, opened = numbers.pop(key)
                yield _Line(calls[key], number, opened.reserved, self._outcome(line, calls[key]))

    def _outcome(self, line: dict[str, Any], call: Call) -> Reply | TroubleError:
        response = line.get("response")
        if not isinstance(response, dict):
            error = line.get("error")
            return read_error(500, {}, json.dumps({"error": error}).encode(), redact=self._files.redact)
        status, body = response.get("status_code"), json.dumps(response.get("body")).encode()
        if status != 200:
            status = status if type(status) is int else 500
            return read_error(status, {}, body, redact=self._files.redact)
        try:
            return read_reply(body, call, redact=self._files.redact)
        except TroubleError as trouble:
            return trouble

    async def _take(self, line: _Line, *, put_aside: bool) -> None:
        outcome = line.outcome
        usage = outcome.usage
        spent = self._budget.cost(usage) if usage else _ZERO
        charged = isinstance(outcome, Reply) or outcome.billed
        in_doubt = line.reserved if charged and usage is None else _ZERO
        money = {"spent": spent, "in_doubt": in_doubt}
        if isinstance(outcome, Reply):
            await self._log.answer(line.call, line.number, reply=outcome, **money)
            self._answered = True
            self._advance()
        else:
            await self._log.failure(line.call.key, line.number, reason=outcome.reason, **money)
            if outcome.kind == "refused" and put_aside:
                await self._log.quarantine(line.call, reason=outcome.reason, raw=outcome.raw)
                self._again.discard(line.call.key)
                self._advance()
        self._budget.settle(line.reserved, **money)


def _line_of(call: Call) -> bytes:
    line = {"custom_id": call.key, "method": "POST", "url": f"/v1{call.path}", "body": call.body}
    return json.dumps(line).encode() + b"\n"
