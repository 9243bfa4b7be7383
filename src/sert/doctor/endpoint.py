"""Probing an endpoint: a dozen small requests that show where it does not do as it is asked."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

from sert.config.endpoints import CallsConfig, EndpointConfig, Price
from sert.doctor import replies
from sert.doctor.finding import Finding
from sert.doctor.replies import LIMIT, LONG_WORDS, SHORT_WORDS, Meaning, Seen
from sert.endpoint.answers import AnswerReader
from sert.endpoint.calls import Call, TroubleError, Usage, json_form, make_call
from sert.endpoint.gate import Gate
from sert.endpoint.money import check_money, cost_of, dollars
from sert.endpoint.reading import read_reply
from sert.endpoint.retries import FIRST_PAUSE
from sert.endpoint.session import run_to_end
from sert.endpoint.transport import HttpTransport
from sert.errors import BudgetError

LONGEST_WAIT = 10.0
"""Seconds that an endpoint may ask to wait before a request is given up."""
FAILURES_IN_A_ROW = 3
"""Failures after which nothing more is asked."""


class _Probe(NamedTuple):
    """Requests that belong together.

    Attributes:
        names: What their findings are called.
        calls: Made one after the other.
        check: Reads the replies.
        refusals: What the refusal of each call means.
    """

    names: tuple[str, ...]
    calls: Sequence[Call]
    check: Callable[[Sequence[Seen]], list[Finding]]
    refusals: Sequence[Meaning]


def probe_endpoint(endpoint: EndpointConfig, config: CallsConfig) -> list[Finding]:
    """Ask an endpoint a dozen small things, and compare what comes back with what was asked.

    Every failure of the endpoint becomes a finding. The first one is `answer`; without any answer nothing else is
    asked. The last one is `spent`, what the probes used.

    Raises:
        ConfigError: If it is not said who pays, or the address or the key cannot be used.
        BudgetError: If the probes could cost more than the cap.
    """
    check_money(config)
    transport = HttpTransport(endpoint, config)
    probes = _probes(endpoint)
    price = None if config.free else config.price
    most = cost_of(reduce(Usage.plus, (_most(call) for probe in probes for call in probe.calls)), price)
    if config.max_cost is not None and most > config.max_cost:
        raise BudgetError(
            f"The probes could cost {dollars(most)}, more than the cap of {dollars(config.max_cost)}; nothing was "
            "sent. Give a higher --max-cost, or --free for an endpoint of your own."
        )
    findings: list[Finding] = []

    async def run() -> None:
        async with transport:
            prober = _Prober(transport, config, AnswerReader(finish_reasons=endpoint.finish_reasons))
            for probe in probes:
                findings.extend(await _run(probe, prober))
                if not prober.answered:
                    break
        findings.append(prober.spent(price))

    run_to_end(run)
    return findings


class _Prober:
    """Sends the requests, and counts what they use.

    Attributes:
        answered: Whether any answer came.
    """

    def __init__(self, transport: HttpTransport, config: CallsConfig, reader: AnswerReader) -> None:
        self._transport, self._reader = transport, reader
        self._gate = Gate(requests_per_minute=config.requests_per_minute, tokens_per_minute=config.tokens_per_minute)
        self._requests, self._counted, self._uncounted = 0, Usage(0, 0), Usage(0, 0)
        self._failures = 0
        self._stopped_by: TroubleError | None = None
        self.answered = False

    async def ask(self, call: Call) -> Seen:
        """Make a call.

        Raises:
            TroubleError: If no answer came, or so many failed that nothing more is asked.
        """
        if self._stopped_by is not None:
            raise self._stopped_by
        try:
            seen = await self._send_patiently(call)
        except TroubleError as trouble:
            self._failures = 0 if trouble.kind == "refused" else self._failures + 1
            if trouble.kind == "fatal" or self._failures >= FAILURES_IN_A_ROW:
                self._stopped_by = trouble
            raise
        self.answered, self._failures = True, 0
        return seen

    async def _send_patiently(self, call: Call) -> Seen:
        """Send a call; where the endpoint asks to wait, wait and send it once more."""
        try:
            return await self._send(call)
        except TroubleError as trouble:
            wait = FIRST_PAUSE if trouble.wait is None else trouble.wait
            if trouble.kind != "limited" or wait > LONGEST_WAIT:
                raise
        await asyncio.sleep(wait)
        return await self._send(call)

    async def _send(self, call: Call) -> Seen:
        await self._gate.enter(sum(call.likely_usage))
        self._requests += 1
        try:
            response = await self._transport.post(call.path, call.body)
            came = read_reply(response.content, call, redact=self._transport.redact)
        except TroubleError as trouble:
            self._count(call, trouble.usage, billed=trouble.billed)
            raise
        self._count(call, came.usage, billed=True)
        choices = json.loads(response.content)["choices"]
        reply, end, fault = self._reader.read(came, call), self._reader.meaning(came), self._reader.fault(came, call)
        return Seen(reply, len(choices), replies.has_logprobs(choices[0]), end, fault)

    def _count(self, call: Call, usage: Usage | None, *, billed: bool) -> None:
        if usage is not None:
            self._counted = self._counted.plus(usage)
        elif billed:
            self._uncounted = self._uncounted.plus(_most(call))

    def spent(self, price: Price | None) -> Finding:
        """Say what was used."""
        message = f"{self._requests} requests used {_tokens(self._counted, price)} by the endpoint's count"
        if any(self._uncounted):
            message += f", and those that it did not count {_tokens(self._uncounted, price)} at most"
        return Finding("spent", "ok", f"{message}.")


async def _run(probe: _Probe, prober: _Prober) -> list[Finding]:
    seen: list[Seen] = []
    try:
        for call in probe.calls:
            seen.append(await prober.ask(call))
    except TroubleError as trouble:
        if not prober.answered:
            return [replies.no_answer(trouble)]
        meaning = probe.refusals[len(seen)] if trouble.kind == "refused" else replies.UNKNOWN
        message = f"{meaning.message} ({replies.one_line(trouble.reason)})"
        return [Finding(name, meaning.verdict, message) for name in probe.names]
    return probe.check(seen)


def _probes(endpoint: EndpointConfig) -> list[_Probe]:
    def call(prompt: str, max_tokens: int, form: dict[str, Any] | None = None, **fields: Any) -> Call:
        made = make_call(
            prompt, endpoint.model_copy(update={"max_tokens": max_tokens}), label="probe", response_format=form
        )
        return replace(made, body=made.body | fields)

    is_chat = endpoint.api == "chat"
    asks_logprobs: dict[str, Any] = {"logprobs": True, "top_logprobs": 1} if is_chat else {"logprobs": 1}
    hello = call("Say hello in one short sentence.", 64)
    numbers = call("Write the numbers from one to two hundred in words, and nothing else.", LIMIT)
    lengths = [call(_text("First", SHORT_WORDS), LIMIT), call(_text("Second", LONG_WORDS), LIMIT)]
    colours = call("Name a colour.", 16, n=2, temperature=1)
    odd = [call("Tell me something odd about a river.", 24, temperature=1, seed=seed) for seed in (1, 1, 2)]
    cold = [call("What is the opposite of hot?", 24, temperature=0)] * 2
    colour = call("Name a colour.", LIMIT, **asks_logprobs)
    probes = [
        _Probe(("answer",), [hello], lambda seen: replies.check_answer(seen, endpoint.model), [replies.UNKNOWN]),
        _Probe(("max_tokens", "finish_reason"), [numbers], replies.check_limit, [replies.UNKNOWN]),
        _Probe(("prompt length",), lengths, lambda seen: replies.check_lengths(seen, lengths), replies.NOT_SO_LONG),
        _Probe(("n",), [colours], replies.check_choices, [replies.NO_CHOICES]),
        _Probe(("seed",), odd, replies.check_seed, [replies.NO_SEED] * 3),
        _Probe(("temperature",), cold, replies.check_temperature, [replies.NO_TEMPERATURE] * 2),
        _Probe(("logprobs",), [colour], replies.check_logprobs, [replies.NO_LOGPROBS]),
    ]
    if is_chat:
        form = json_form("score", {"score": {"type": "integer"}})
        score = call("How cold is ice, from 0 to 10?", 64, form)
        probes.append(_Probe(("json_schema",), [score], replies.check_schema, [replies.NO_SCHEMA]))
    return probes


def _text(first: str, words: int) -> str:
    """Make a prompt of so many words; the first one is another each time, so that no server remembers the rest."""
    return " ".join([first, *["river"] * (words - 1)])


def _most(call: Call) -> Usage:
    most = call.most_usage
    return Usage(most.prompt_tokens, most.completion_tokens * call.body.get("n", 1))


def _tokens(usage: Usage, price: Price | None) -> str:
    cost = f" ({dollars(cost_of(usage, price))})" if price is not None else ""
    return f"{usage.prompt_tokens} prompt and {usage.completion_tokens} completion tokens{cost}"
