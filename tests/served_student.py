"""A server with a tiny student that answers as vLLM's `/v1/completions` does, and can be told to answer otherwise.

It samples by whole forward passes of transformers, each sample with a generator of its own (seed + number), as
vLLM does.
"""

import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from sert.student.load import Student

NAME = "tiny"
MASKED = -9999.0
"""What vLLM writes for minus infinity."""


@dataclass
class Manners:
    """How a server behaves.

    Attributes:
        ids: How tokens come back: `field` and `names` (both, as vLLM does where it is asked), `names`, or `texts`.
        logprobs: `raw`, `processed` (after top-k and top-p), `logits`, or `none`.
        ignores: Fields of requests that it passes over.
        adds: Tokens that it puts before each prompt.
        tells_prompt: Whether it says which tokens it read.
        ends: Tokens that end its texts whatever it is asked; None: those of the request.
        leaves_ends_out: Whether a text's last token is missing that ended it.
        longest: Tokens of prompt and text after which it cuts.
        failures: Statuses by the number of the request to `/completions`, from 1; 0 breaks the connection.
        seconds: How long it thinks about a request.
        card: What it says of the model.
        version: None: it has no such page.
    """

    ids: str = "field"
    logprobs: str = "raw"
    ignores: Collection[str] = ()
    adds: Sequence[int] = ()
    tells_prompt: bool = True
    ends: Collection[int] | None = None
    leaves_ends_out: bool = False
    longest: int = 10**6
    failures: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    card: Mapping[str, Any] = field(
        default_factory=lambda: {"id": NAME, "owned_by": "vllm", "root": "/models/tiny", "max_model_len": 192}
    )
    version: str | None = "0.32.0"


@dataclass
class Served:
    """A running server, and what it was asked."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_a_time: int = 0
    most_at_a_time: int = 0

    @property
    def prompts(self) -> list[tuple[int, ...]]:
        """The prompts of all requests."""
        return [tuple(body["prompt"]) for body in self.bodies]


@contextmanager
def served(student: Student, manners: Manners | None = None) -> Iterator[Served]:
    """Serve a student on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    found = Served(f"http://127.0.0.1:{server.server_address[1]}/v1")
    server.student, server.manners, server.found = student, manners or Manners(), found  # type: ignore[attr-defined]
    server.lock, server.model = threading.Lock(), threading.Lock()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _counted(server: Any) -> Iterator[None]:
    """Count the requests that are under way."""
    found: Served = server.found
    with server.lock:
        found.at_a_time += 1
        found.most_at_a_time = max(found.most_at_a_time, found.at_a_time)
    try:
        yield
    finally:
        with server.lock:
            found.at_a_time -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        manners: Manners = self.server.manners  # type: ignore[attr-defined]
        if self.path == "/v1/models":
            self._reply(200, {"object": "list", "data": [dict(manners.card)]})
        elif self.path == "/version" and manners.version is not None:
            self._reply(200, {"version": manners.version})
        else:
            self._reply(404, {"error": {"message": "Not Found"}})

    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.found.bodies.append(body)
            server.found.headers.append(dict(self.headers))
            number = len(server.found.bodies)
        with _counted(server):
            self._answer(server, body, number)

    def _answer(self, server: Any, body: dict[str, Any], number: int) -> None:
        time.sleep(server.manners.seconds)
        status = server.manners.failures.get(number, 200)
        if status == 0:
            self.close_connection = True
            return
        if status != 200:
            return self._reply(status, {"error": {"message": "not now", "param": "top_k"}})
        with server.model:
            found = complete(server.student, server.manners, body)
        self._reply(200, found)

    def _reply(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        with suppress(ConnectionError):  # it may have been given up
            self.end_headers()
            self.wfile.write(content)


@torch.inference_mode()
def complete(student: Student, manners: Manners, body: dict[str, Any]) -> dict[str, Any]:
    """Answer a request."""
    assert "stream" not in body or body["stream"] is False
    asked = {name: value for name, value in body.items() if name not in manners.ignores}
    prompt = [*manners.adds, *body["prompt"]]
    choices = [_choice(student, manners, asked, prompt, number) for number in range(asked.get("n", 1))]
    tokens = sum(len(choice["logprobs"]["tokens"]) if choice["logprobs"] else 0 for choice in choices)
    usage = {"prompt_tokens": len(prompt), "completion_tokens": tokens, "total_tokens": len(prompt) + tokens}
    return {"object": "text_completion", "model": body["model"], "choices": choices[::-1], "usage": usage}


def _choice(
    student: Student, manners: Manners, asked: dict[str, Any], prompt: list[int], number: int
) -> dict[str, Any]:
    ends = set(asked.get("stop_token_ids", ())) if manners.ends is None else set(manners.ends)
    most = min(asked.get("max_tokens", 16), manners.longest - len(prompt))
    generator = torch.Generator().manual_seed(asked.get("seed", 0) + number)
    token_ids: list[int] = []
    logprobs: list[float] = []
    tops: list[dict[str, float]] = []
    finish = "length"
    while len(token_ids) < most:
        logits_V = student.model(torch.tensor([[*prompt, *token_ids]])).logits[0, -1].double()
        shares_V = _shares(logits_V, asked)
        token = int(torch.multinomial(shares_V, 1, generator=generator))
        told_V = {"raw": logits_V.log_softmax(-1), "logits": logits_V}.get(manners.logprobs, shares_V.log())
        token_ids.append(token)
        logprobs.append(max(float(told_V[token]), MASKED))
        best = told_V.topk(asked["logprobs"]).indices.tolist() if asked.get("logprobs") else []
        named = dict.fromkeys([token, *best])
        tops.append({_name(student, manners, each): max(float(told_V[each]), MASKED) for each in named})
        if token in ends:
            finish = "stop"
            break
    if finish == "stop" and manners.leaves_ends_out:
        token_ids, logprobs, tops = token_ids[:-1], logprobs[:-1], tops[:-1]
    names = [_name(student, manners, token) for token in token_ids]
    told = {"token_logprobs": logprobs, "tokens": names, "top_logprobs": tops, "text_offset": [0] * len(names)}
    return {
        "index": number,
        "text": student.decode(token_ids),
        "finish_reason": finish,
        "stop_reason": token_ids[-1] if finish == "stop" and token_ids else None,
        "logprobs": None if manners.logprobs == "none" else told,
        **({"token_ids": token_ids} if manners.ids == "field" else {}),
        **({"prompt_token_ids": prompt} if manners.ids == "field" and manners.tells_prompt else {}),
    }


def _name(student: Student, manners: Manners, token: int) -> str:
    return student.decode([token]) if manners.ids == "texts" else f"token_id:{token}"


def _shares(logits_V: torch.Tensor, asked: dict[str, Any]) -> torch.Tensor:
    """Temper, keep the k most probable, then those that reach p, as transformers does."""
    logits_V = logits_V / max(asked.get("temperature", 1.0), 1e-4)
    order = logits_V.sort(descending=True, stable=True)
    kept = order.values[: asked.get("top_k") or len(logits_V)].softmax(-1)
    kept = kept * (kept.cumsum(-1) - kept < asked.get("top_p", 1.0))
    shares_V = torch.zeros_like(logits_V)
    shares_V[order.indices[: len(kept)]] = kept / kept.sum()
    return shares_V
