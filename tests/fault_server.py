"""An OpenAI-compatible endpoint on loopback that fails as a script tells it to and keeps exact books.

In a test: `with FaultServer(faults=FaultScript(1, 0.3, TRANSIENT)) as server: ... server.base_url`. As a process
of its own: `python -m fault_server --port 0 --seed 1` prints its port and serves until SIGTERM.
"""

import asyncio
import contextlib
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from batch_server import Batches, BatchScript
from fault_answers import Answer, Model, digest, limit_of, prompt_of
from fault_books import Log, Window
from fault_http import SLOW, ApiError, Reply, Request, deliver, error_reply, json_reply, read_request
from fault_kinds import BILLABLE, FLAGGED, HARMLESS, Exchange, FaultScript, Settings, fault_reply

COMPLETIONS = frozenset({"/v1/chat/completions", "/v1/completions"})


@dataclass(kw_only=True)
class FaultServer:
    """The endpoint; a context manager that serves from a thread of its own.

    Args:
        seed: Of the texts; the faults have their own.
        faults: The script of failures, or None. May be replaced while the server runs.
        answer: Writes the text for a request body, instead of the made-up rationale. An error in it fails the test.
        scripted: Answers every completion in its own way, given the request's body; nothing else is done with it.
        variant: How the endpoint behaves at a probe, see `fault_answers.VARIANTS`. None is like "honest", except that
            a text without a `seed` is the same at every temperature.
        models: The names it knows; others are answered by 404.
        latency: The least and the most seconds before an answer; where between follows from the prompt and attempt.
        limit: So many requests in so many seconds, in fixed windows; others are answered by 429.
        limit_headers: Whether good answers carry the state of that limit.
        prices: Of a million prompt and completion tokens.
        settings: Sizes of faults.
        batches: How batches go.
        port: 0 takes a free one.
    """

    seed: int = 0
    faults: FaultScript | None = None
    answer: Callable[[dict[str, Any]], str] | None = None
    scripted: Callable[[dict[str, Any]], Reply] | None = None
    variant: str | None = None
    models: tuple[str, ...] = ("teacher",)
    latency: tuple[float, float] = (0.0, 0.0)
    limit: tuple[int, float] | None = None
    limit_headers: bool = False
    prices: tuple[Decimal, Decimal] = (Decimal("0.15"), Decimal("0.60"))
    settings: Settings = field(default_factory=Settings)
    batches: BatchScript = field(default_factory=BatchScript)
    port: int = 0

    def __post_init__(self) -> None:
        self.log = Log()
        self.errors: list[Exception] = []
        self._model = Model(seed=self.seed, models=self.models, variant=self.variant, answer=self.answer)
        self._batches = Batches(script=self.batches, model=self._model, log=self.log, settings=self.settings)
        self._window = Window(*self.limit) if self.limit else None
        self._attempts: Counter[tuple[str, object]] = Counter()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fault-server")
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[Reply]]] = {
            **{("POST", path): self._completion for path in COMPLETIONS},
            ("GET", "/v1/models"): self._list_models,
            ("GET", "/_log"): self._show_log,
        }

    @property
    def base_url(self) -> str:
        """The URL that a client is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def cost(self) -> Decimal:
        """What was billed."""
        return self.log.cost(self.prices)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the server did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if error is None and self.errors:
            raise self.errors[0]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=2**20, backlog=1024)
        self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        listener.close()
        for _ in range(3):
            await asyncio.sleep(0)  # a connection accepted just now gets its task
        tasks, writers = list(self._connections), list(self._connections.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()  # a client that reads nothing must not hold up the end
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        await listener.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._converse(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        except Exception as error:
            self.errors.append(error)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await read_request(reader)
        if request is None:
            return False
        with self.log.flight() if request.path in COMPLETIONS else contextlib.nullcontext():
            reply = await self._route(request)
            if reply.then in SLOW:
                return await deliver(reply, reader=reader, writer=writer)
        # Not in flight any more: the client may start its next request as soon as it has the last byte of this one.
        return await deliver(reply, reader=reader, writer=writer)

    async def _route(self, request: Request) -> Reply:
        self.log.paths[request.path] += 1
        serve = self._routes.get((request.method, request.path))
        if request.path.startswith(("/v1/files", "/v1/batches")):
            serve = self._batches.serve
        try:
            if serve is None:
                raise ApiError(404, f"Invalid URL ({request.method} {request.path})")
            return await serve(request)
        except ApiError as error:
            return error_reply(error)

    async def _completion(self, request: Request) -> Reply:
        self.log.requests += 1
        number, authorization = self.log.requests, request.headers.get("authorization", "")
        self.log.arrivals.append(time.monotonic())
        self.log.authorizations[authorization] += 1
        body = json.loads(request.body)
        prompt = prompt_of(body)
        self.log.bodies.append(body)
        self.log.per_prompt[prompt] += 1
        if self._window and not self._window.admit(time.monotonic()):
            return self._limited()
        if self.scripted is not None:
            return self.scripted(body)
        answer = self._model.complete(body, number=number)
        repeat = body.get("seed")
        self._attempts[prompt, repeat] += 1
        attempt = self._attempts[prompt, repeat]
        await self._wait(prompt, repeat=repeat, attempt=attempt)
        kind = self.faults.fault(prompt, attempt, repeat=repeat) if self.faults else None
        if kind is None:
            self._account(kind, answer)
            state = self._window.headers(time.monotonic()) if self._window and self.limit_headers else None
            return json_reply(answer.payload, headers=state)
        reply = fault_reply(kind, Exchange(answer, prompt, attempt, limit_of(body), authorization, self.settings))
        self._account(kind, answer)
        return reply

    async def _wait(self, prompt: str, *, repeat: object, attempt: int) -> None:
        least, most = self.latency
        if most > 0:
            share = digest("latency", self.seed, repeat, attempt, prompt)[0] / 255
            await asyncio.sleep(least + share * (most - least))

    def _account(self, kind: str | None, answer: Answer) -> None:
        if kind is not None:
            self.log.faults[kind] += 1
        if kind is None or kind in HARMLESS:
            self.log.good += 1
        elif kind in FLAGGED:
            self.log.flagged += 1
        elif not (kind in BILLABLE and self.faults and self.faults.billed):
            return
        self.log.bill(answer)

    def _limited(self) -> Reply:
        assert self._window is not None
        self.log.limited += 1
        error = ApiError(429, "Rate limit reached for requests", code="rate_limit_exceeded", kind="requests")
        left = math.ceil(self._window.left(time.monotonic()) * 1000) / 1000  # never earlier than the window's end
        return error_reply(error, headers={"Retry-After": f"{left:.3f}"})

    async def _list_models(self, request: Request) -> Reply:
        known = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self.models]
        return json_reply({"object": "list", "data": known})

    async def _show_log(self, request: Request) -> Reply:
        return json_reply({**vars(self.log), "cost": str(self.cost)})


if __name__ == "__main__":
    from fault_process import main

    main()
