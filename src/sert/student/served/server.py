"""A server that samples: finding out what it is and whether it does as it is asked, and asking it, again if need be."""

import asyncio
import urllib.parse
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.config.mining import MiningCalls, MiningConfig, MiningEndpoint
from sert.endpoint.calls import TroubleError
from sert.endpoint.reading import json_or_none
from sert.endpoint.retries import RequestRetries
from sert.endpoint.shapes import fields_of
from sert.endpoint.transport import HttpTransport
from sert.errors import ConfigError, EndpointError
from sert.student.decoding.schedule import DecodingPrompt
from sert.student.outline import Outline
from sert.student.served.asking import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, PATH, Asking, Probe, Request
from sert.student.served.reading import check_kept, check_lively, read_first_tokens, read_samples
from sert.terminal.text import counted, cut

BYTES_A_TOKEN = 2**10
"""Of a reply, for a token with what is told of it, at most."""
_ROOM = 2**20
_LONGEST_WORD = 200
_FEW_TOKENS = 8
"""Below so many tokens samples may be equal by chance."""
_ANOTHER = "take another server, or mining.engine = 'student'"
MENDS = {
    "temperature": f"mining.temperature; {_ANOTHER}",
    "top_p": f"mining.top_p; {_ANOTHER}",
    "top_k": f"mining.top_k; {_ANOTHER}",
    "n": f"mining.samples; {_ANOTHER}",
    "max_tokens": "lower mining.max_new_tokens, or give the server a longer context",
    "logprobs": "let the server give as many (vLLM: --max-logprobs), or lower mining.branches",
    "prompt": f"prompts are token ids; {_ANOTHER}",
}
"""What a setting of requests is called here."""

T = TypeVar("T")


def check_served(mining: MiningConfig) -> MiningEndpoint:
    """Check all of mining by a server that can be checked before a connection is opened.

    Raises:
        ConfigError: If no server is named, its address or key cannot be used, or a setting is none that servers take.
    """
    if mining.endpoint is None:
        raise ConfigError(
            "mining.engine = 'openai' needs the server that samples: set mining.endpoint.url and mining.endpoint.model "
            "(on the command line --endpoint and --model)."
        )
    if not LOWEST_TEMPERATURE <= mining.temperature <= HIGHEST_TEMPERATURE:
        raise ConfigError(
            f"mining.temperature = {mining.temperature:g}: servers take {LOWEST_TEMPERATURE:g} to "
            f"{HIGHEST_TEMPERATURE:g}, and change what is lower without saying so. Give another temperature "
            "(mining.top_k = 1 is greedy), or mining.engine = 'student'."
        )
    _transport(mining.endpoint, mining.calls, most_tokens=0)
    return mining.endpoint


def _transport(endpoint: MiningEndpoint, calls: MiningCalls, *, most_tokens: int) -> HttpTransport:
    return HttpTransport(
        EndpointConfig(url=endpoint.url, model=endpoint.model, api="completions"),
        _calls_config(calls, most_tokens=most_tokens),
        mends=MENDS,
    )


def _calls_config(calls: MiningCalls, *, most_tokens: int = 0) -> CallsConfig:
    return CallsConfig(
        api_key_env=calls.api_key_env,
        free=True,
        concurrency=calls.concurrency,
        timeout=calls.timeout,
        max_attempts=calls.max_attempts,
        max_reply_bytes=_ROOM + most_tokens * BYTES_A_TOKEN,
    )


class Server:
    """A server, for the requests of one decoding. Use it as an asynchronous context manager, as often as needed.

    Attributes:
        asking: Writes the requests.
    """

    def __init__(
        self, asking: Asking, endpoint: MiningEndpoint, calls: MiningCalls, *, say: Callable[[str], None]
    ) -> None:
        """Check the address and read the key.

        Raises:
            ConfigError: If one of them cannot be used.
        """
        decoding = asking.decoding
        self.asking, self._url, self._calls, self._say = asking, endpoint.url.rstrip("/"), calls, say
        most_tokens = max(decoding.samples, 1) * decoding.max_new_tokens
        self._transport = _transport(endpoint, calls, most_tokens=most_tokens)

    async def __aenter__(self) -> "Server":
        self._retries = RequestRetries(
            _calls_config(self._calls), pause=asyncio.sleep, say=self._say, kept="Finished units are kept"
        )
        self._room = asyncio.Semaphore(self._calls.concurrency)
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(self._transport)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ask(self, request: Request, read: Callable[[bytes], T]) -> T:
        """Send a request until it is answered, and read the reply.

        Raises:
            EndpointError: If the server refuses it, answers otherwise than asked, or fails too often.
        """

        async def attempt() -> T:
            response = await self._transport.post(PATH, request.body)
            return read(response.content)

        async with self._room:
            return await self._retries.insist(attempt, refusal=f"cannot {request.what}")

    async def first_tokens(self, prompt: DecodingPrompt) -> list[tuple[int, float]]:
        """Ask for the first tokens that are branched on, most probable first, with their log-probabilities."""
        asking, decoding = self.asking, self.asking.decoding
        request = asking.first_tokens(prompt)
        top = await self.ask(request, lambda content: read_first_tokens(content, request, asking.student))
        skipped = asking.student.ends if decoding.eos_branch == "skip" else ()
        return [each for each in top if each[0] not in skipped][: decoding.branches]

    async def examine(self, prompt: DecodingPrompt, *, longest: int) -> dict[str, Any]:
        """Find out what the server is, and whether it does as it is asked.

        Args:
            prompt: What is sampled for it.
            longest: Tokens of the longest text that can come.

        Returns:
            What it says of itself: `model`, and where they are told `software`, `version`, `root`, `max_model_len`.

        Raises:
            EndpointError: If it cannot mine, with what is lacking and how to mend it.
        """
        about = await self._about()
        room = about.get("max_model_len")
        if room is not None and longest > room:
            raise EndpointError(
                f"The endpoint takes texts of {room} tokens, and the longest prompt with its path has {longest}. Start "
                f"it with a longer context (vLLM: --max-model-len {longest}), or lower mining.max_new_tokens."
            )
        student, decoding = self.asking.student, self.asking.decoding
        await self.first_tokens(prompt)
        for probe in self.asking.probes(prompt):
            await self.ask(probe.request, partial(_check_kept, probe=probe, student=student))
        if decoding.top_k > 1 and decoding.max_new_tokens >= _FEW_TOKENS:
            request = self.asking.lively(prompt)
            await self.ask(request, partial(_check_lively, request=request, student=student))
        return about

    async def _about(self) -> dict[str, Any]:
        """Ask which models it serves, and which version it is; what it does not tell is left out.

        Raises:
            EndpointError: If it serves others, or cannot be reached.
        """
        asked, about = self.asking.model, dict[str, Any](model=self.asking.model)
        listed = fields_of(await self._retries.insist(lambda: self._look("/models", insist=True))).get("data")
        cards = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        names = [str(each.get("id")) for each in cards]
        if cards and asked not in names:
            served = cut(", ".join(self._word(name) for name in names), most=_LONGEST_WORD)
            raise EndpointError(f"The endpoint serves {served}, and no {asked!r}. Give its name there (--model).")
        card = cards[names.index(asked)] if cards else {}
        for name, field in (("software", "owned_by"), ("root", "root")):
            if isinstance(card.get(field), str):
                about[name] = self._word(card[field])
        if type(card.get("max_model_len")) is int:
            about["max_model_len"] = card["max_model_len"]
        address = urllib.parse.urlsplit(self._url)
        version = fields_of(await self._look(f"{address.scheme}://{address.netloc}/version")).get("version")
        return about | ({"version": self._word(version)} if isinstance(version, str) else {})

    async def _look(self, path: str, *, insist: bool = False) -> Any:
        """Get JSON that a server may not have; None where it has none."""
        try:
            return json_or_none((await self._transport.get(path)).content)
        except TroubleError as trouble:
            if insist and trouble.kind in ("transient", "limited"):
                raise
            return None

    def _word(self, text: str) -> str:
        """Make a server's text harmless and short."""
        clean = "".join(each if each.isascii() and each.isprintable() else "?" for each in text)
        return cut(self._transport.redact(clean), most=_LONGEST_WORD)


def _check_kept(content: bytes, *, probe: Probe, student: Outline) -> None:
    check_kept(read_samples(content, probe.request, student), field=probe.field, tolerance=probe.tolerance)


def _check_lively(content: bytes, *, request: Request, student: Outline) -> None:
    check_lively(read_samples(content, request, student))


def called(about: dict[str, Any]) -> str:
    """Call a server by what it says of itself: `vllm 0.32.0`."""
    return " ".join(str(about[name]) for name in ("software", "version") if name in about) or "a server"


def context_of(about: dict[str, Any]) -> str:
    """Say how long its texts may be, where it tells."""
    return counted(about["max_model_len"], "tokens") if "max_model_len" in about else "a context that it does not tell"
