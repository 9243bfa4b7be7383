"""An OpenAI-compatible endpoint on loopback that fails as a script tells it to and keeps exact books.

In a test: `with FaultServer(faults=FaultScript(1, 0.3, tuple(TRANSIENT))) as server: ... server.base_url`. As a process
of its own: `python -m fault_server --port 0 --seed 1` prints its port and serves until SIGTERM.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from fault_answers import Answer, Model, digest, limit_of, prompt_of
from fault_http import (
    SLOW,
    ApiError,
    Reply,
    Request,
    deliver,
    error_reply,
    json_reply,
    read_request,
)
from fault_kinds import FLAGGED, HARMLESS, TRANSIENT, Exchange, FaultScript, Settings, fault_reply

COMPLETIONS = frozenset({"/v1/chat/completions", "/v1/completions"})
MILLION = 1_000_000


@dataclass
class Log:
    """What the server saw. `good` counts answers that a client can use as they are, `flagged` those it must flag."""

    requests: int = 0
    good: int = 0
    flagged: int = 0
    limited: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    per_prompt: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    authorizations: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    arrivals: list[float] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.contextmanager
    def flight(self) -> Iterator[None]:
        """A request in flight."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def bill(self, answer: Answer) -> None:
        """Charge the true usage of an answer."""
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens

    def cost(self, prices: tuple[Decimal, Decimal]) -> Decimal:
        """What was billed, for prices of a million prompt and completion tokens."""
        return (self.prompt_tokens * prices[0] + self.completion_tokens * prices[1]) / MILLION


@dataclass
class Window:
    """A fixed window of so many requests in so many seconds; the first request opens the first window."""

    requests: int
    seconds: float
    opened: float | None = None
    used: int = 0

    def admit(self, now: float) -> bool:
        """Whether a request at this moment is within the limit."""
        if self.opened is None:
            self.opened = now
        elif now - self.opened >= self.seconds:
            self.opened += self.seconds * ((now - self.opened) // self.seconds)
            self.used = 0
        self.used += 1
        return self.used <= self.requests

    def left(self, now: float) -> float:
        """The seconds to the window's end."""
        assert self.opened is not None
        return max(0.0, self.opened + self.seconds - now)

    def headers(self, now: float) -> dict[str, str]:
        """The state of the window as the API tells it with each answer."""
        return {
            "x-ratelimit-limit-requests": str(self.requests),
            "x-ratelimit-remaining-requests": str(max(0, self.requests - self.used)),
            "x-ratelimit-reset-requests": duration(self.left(now)),
        }


def duration(seconds: float) -> str:
    """Seconds as rate limit headers write them: "120ms", "1s", "6m0s", "1h0m30s"."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    large = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{large}{rest / 1000:g}s"


@dataclass(kw_only=True)
class FaultServer:
    """The endpoint; a context manager that serves from a thread of its own.

    Args:
        seed: Of the texts; the faults have their own.
        faults: The script of failures, or None. May be replaced while the server runs.
        answer: Writes the text for a request body, instead of the made-up rationale. An error in it fails the test.
        variant: How the endpoint behaves at a probe, see `fault_answers.VARIANTS`. None is like "honest", except that
            a text without a `seed` is the same at every temperature.
        models: The names it knows; others are answered by 404.
        latency: The least and the most seconds before an answer; where between follows from the prompt and attempt.
        limit: So many requests in so many seconds, in fixed windows; others are answered by 429.
        limit_headers: Whether good answers carry the state of that limit.
        prices: Of a million prompt and completion tokens.
        settings: Sizes of faults.
        port: 0 takes a free one.
    """

    seed: int = 0
    faults: FaultScript | None = None
    answer: Callable[[dict[str, Any]], str] | None = None
    variant: str | None = None
    models: tuple[str, ...] = ("teacher",)
    latency: tuple[float, float] = (0.0, 0.0)
    limit: tuple[int, float] | None = None
    limit_headers: bool = False
    prices: tuple[Decimal, Decimal] = (Decimal("0.15"), Decimal("0.60"))
    settings: Settings = field(default_factory=Settings)
    port: int = 0

    def __post_init__(self) -> None:
        self.log = Log()
        self.errors: list[Exception] = []
        self._model = Model(seed=self.seed, models=self.models, variant=self.variant, answer=self.answer)
        self._window = Window(*self.limit) if self.limit else None
        self._attempts: Counter[tuple[str, object]] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
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
        listener = await asyncio.start_server(self._converse, "127.0.0.1", self.port, limit=2**20, backlog=1024)
        self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections)
        await listener.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        except asyncio.CancelledError:
            writer.transport.abort()  # the server ends; a client that reads nothing must not hold it up
        except Exception as error:
            self.errors.append(error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._connections.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await read_request(reader)
        if request is None:
            return False
        with self.log.flight() if request.path in COMPLETIONS else contextlib.nullcontext():
            reply = await self._route(request)
            if reply.then in SLOW:
                return await deliver(reply, reader, writer)
        # Not in flight any more: the client may start its next request as soon as it has the last byte of this one.
        return await deliver(reply, reader, writer)

    async def _route(self, request: Request) -> Reply:
        self.log.paths[request.path] += 1
        serve = self._routes.get((request.method, request.path))
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
        answer = self._model.complete(body, number=number)
        repeat = body.get("seed")
        self._attempts[prompt, repeat] += 1
        attempt = self._attempts[prompt, repeat]
        await self._wait(prompt, repeat, attempt)
        kind = self.faults.fault(prompt, attempt, repeat=repeat) if self.faults else None
        if kind is None:
            self._account(kind, answer)
            state = self._window.headers(time.monotonic()) if self._window and self.limit_headers else None
            return json_reply(answer.payload, headers=state)
        reply = fault_reply(kind, Exchange(answer, prompt, attempt, limit_of(body), authorization, self.settings))
        self._account(kind, answer)
        return reply

    async def _wait(self, prompt: str, repeat: object, attempt: int) -> None:
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
        elif not (kind in TRANSIENT and self.faults and self.faults.billed):
            return
        self.log.bill(answer)

    def _limited(self) -> Reply:
        assert self._window is not None
        self.log.limited += 1
        error = ApiError(429, "Rate limit reached for requests", code="rate_limit_exceeded", kind="requests")
        return error_reply(error, headers={"Retry-After": f"{self._window.left(time.monotonic()):.3f}"})

    async def _list_models(self, request: Request) -> Reply:
        known = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self.models]
        return json_reply({"object": "list", "data": known})

    async def _show_log(self, request: Request) -> Reply:
        return json_reply({**vars(self.log), "cost": str(self.cost)})


if __name__ == "__main__":
    from fault_process import main

    main()
