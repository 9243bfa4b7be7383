"""Decoding by a server, in units: the first tokens of a question by one request, the samples of each branch by another.

What comes back becomes the same lanes that our own engine leaves. Others come each time: a server's batches round as
they are put together, so a unit that is done again differs, and what is finished stays.
"""

import asyncio
import shlex
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from sert.config.mining import MiningCalls, MiningEndpoint
from sert.config.tree import StudentConfig
from sert.endpoint.session import run_to_end
from sert.records import Question
from sert.store.units import Run, Unit
from sert.student.decoding.lanes import Lane, pack, pack_unit
from sert.student.decoding.prompts import encode_prompts
from sert.student.decoding.schedule import Decoding, DecodingPrompt, longest_text
from sert.student.decoding.units import decoding_units
from sert.student.folder import find_student
from sert.student.form import form_of
from sert.student.load import load_outline
from sert.student.outline import Outline
from sert.student.served.asking import Asking, Request
from sert.student.served.reading import Sample, read_samples
from sert.student.served.server import Server, called, context_of
from sert.terminal.progress import Advance, Silent
from sert.terminal.text import counted

DRIVEN_BY = "openai"
"""What manifests say of paths that a server sampled."""
NOT_REPEATABLE = "a server's samples cannot be repeated: another attempt gives other paths"

T = TypeVar("T")


@dataclass(frozen=True)
class ServedDecoding:
    """What a server is to sample.

    Attributes:
        student: The student that the server has; here its tokenizer and its configuration are read.
        questions: Whose prompts are continued; their ids stand in the seeds that are sent.
        decoding: How.
        endpoint: The server.
        calls: How it is called.
        say: Tells people what it is.
    """

    student: StudentConfig
    questions: tuple[Question, ...]
    decoding: Decoding
    endpoint: MiningEndpoint
    calls: MiningCalls
    say: Callable[[str], None] = field(default=Silent().say, compare=False)

    def units(self) -> list[Unit]:
        """Split the prompts as our own engine does."""
        return decoding_units(self.questions, self.decoding)

    def telling(self, say: Callable[[str], None]) -> "ServedDecoding":
        """Tell people what the server is."""
        return replace(self, say=say)

    def start(self, worker: int) -> Run:
        """Tokenize all prompts, see whether the server does as it is asked, and return what does a unit.

        Raises:
            StudentError: If tokenizer or configuration cannot be read, or all prompts are too long.
            EndpointError: If the server cannot mine, refuses, or cannot be reached.
        """
        outline = load_outline(self.student)
        encoded = encode_prompts(outline, self.questions, self.decoding)
        prompts = encoded.fitting
        sampler = Sampler.of(outline, self.decoding, self.endpoint, self.calls, say=self.say)
        about = sampler.examine([*prompts.values()])
        notice = form_of(self.student, find_student(self.student)).notice
        told = [*encoded.told, *told_of(about), *([notice] if notice else [])]
        for line in told:
            self.say(line)
        notes = {
            "driven_by": DRIVEN_BY,
            "repeatable": False,
            "surroundings": {"server": about},
            "told": told,
            "stopped": {},
            "eos_id": outline.eos_ids[0],
        }

        def run(unit: Unit, advance: Advance) -> bytes:
            rows = [row for row in unit.rows if row in prompts]
            advance((len(unit.rows) - len(rows)) * self.decoding.lanes_per_question)
            wanted = [prompts[row] for row in rows]
            lanes = dict(zip(rows, sampler.sample(wanted, advance=advance), strict=True))
            return pack_unit([pack(lanes.get(row, ())) for row in unit.rows], notes)

        return run


@dataclass(frozen=True)
class Sampler:
    """Samples the paths of questions, many requests at a time."""

    server: Server

    @staticmethod
    def of(
        student: Outline,
        decoding: Decoding,
        endpoint: MiningEndpoint,
        calls: MiningCalls,
        *,
        say: Callable[[str], None] | None = None,
    ) -> "Sampler":
        """Make the sampler of one decoding."""
        say = say or Silent().say
        return Sampler(Server(Asking(endpoint.model, student, decoding), endpoint, calls, say=say))

    def examine(self, prompts: Sequence[DecodingPrompt]) -> dict[str, Any]:
        """Find out what the server is, and whether it does as it is asked (`Server.examine`), by the shortest prompt.

        Raises:
            EndpointError: If it does not, refuses, or cannot be reached.
        """
        shortest = min(prompts, key=lambda prompt: len(prompt.token_ids))
        longest = longest_text(prompts, self.server.asking.decoding)
        return _result_of(self.server, lambda: self.server.examine(shortest, longest=longest))

    def sample(self, prompts: Sequence[DecodingPrompt], *, advance: Advance) -> list[list[Lane]]:
        """Return the lanes of each prompt by branch and sample.

        Raises:
            EndpointError: If the server refuses, or fails too often.
        """
        return _result_of(self.server, lambda: self._all(prompts, advance=advance))

    async def _all(self, prompts: Sequence[DecodingPrompt], *, advance: Advance) -> list[list[Lane]]:
        """Sample all, and tell of the progress from here: a signal that it raises would tear a part of the work."""
        done = asyncio.Queue[int]()
        sampling = asyncio.ensure_future(_together([self._question(prompt, done) for prompt in prompts]))
        sampling.add_done_callback(lambda _: done.put_nowait(0))
        try:
            while count := await done.get():
                advance(count)
            return await sampling
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)

    async def _question(self, prompt: DecodingPrompt, done: "asyncio.Queue[int]") -> list[Lane]:
        if self.server.asking.decoding.branches is None:
            return await self._branch(prompt, 0, None, done)
        firsts = await self.server.first_tokens(prompt)
        lanes = await _together([self._branch(prompt, *each, done) for each in enumerate(firsts)])
        return [lane for of_branch in lanes for lane in of_branch]

    async def _branch(
        self, prompt: DecodingPrompt, branch: int, first: tuple[int, float] | None, done: "asyncio.Queue[int]"
    ) -> list[Lane]:
        asking = self.server.asking
        decoding = asking.decoding
        token_ids, logprobs = ([], []) if first is None else ([first[0]], [first[1]])
        if len(token_ids) == decoding.max_new_tokens:
            samples = [Sample([], [], ended=False, tops=[], drawn=[])] * decoding.samples
        else:
            request = asking.continuations(prompt, branch, token_ids[0] if token_ids else None)
            samples = await self.server.ask(request, partial(_samples, request=request, student=asking.student))
        done.put_nowait(decoding.samples)
        return [
            Lane(
                branch,
                number,
                token_ids=token_ids + sample.token_ids,
                logprobs=logprobs + sample.logprobs,
                finish="eos" if sample.ended else "length",
            )
            for number, sample in enumerate(samples)
        ]


def _samples(content: bytes, *, request: Request, student: Outline) -> list[Sample]:
    return read_samples(content, request, student)


def told_of(about: dict[str, Any]) -> list[str]:
    """Say what a server is, for people."""
    return [
        f"sampled by {called(about)}, which takes texts of {context_of(about)}, by token ids; no path is stopped early",
        f"warning: {NOT_REPEATABLE}; manifest and report say so",
    ]


def foretold(endpoint: MiningEndpoint, *, questions: int, branches: int) -> list[str]:
    """Say before it is asked what a server will be asked, for people."""
    requests = counted(questions * (branches + 1), "requests")
    named = f"--endpoint {shlex.quote(endpoint.url)} --model {shlex.quote(endpoint.model)}"
    return [
        f"sampled by {endpoint.model!r} at {endpoint.url}, in {requests}; a dry run asks it nothing: "
        f"`sert doctor --mining {named} --student ...` says whether it does as it is asked",
        f"warning: {NOT_REPEATABLE}; manifest and report say so",
    ]


async def _together(parts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all at a time; where one fails, end the others first."""
    running = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*running)
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _result_of(server: Server, part: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do something while the server's connections are open."""
    found: list[T] = []

    async def run() -> None:
        async with server:
            found.append(await part())

    run_to_end(run)
    return found[0]
