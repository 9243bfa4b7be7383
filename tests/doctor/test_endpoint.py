"""What a probe finds at endpoints that do as they are asked, and at endpoints that do not."""

import asyncio
import socket
from decimal import Decimal

import pytest

from fault_kinds import FLAGGED, HARMLESS, REFUSED, TRANSIENT, FaultScript, Settings
from fault_server import FaultServer
from sert.config.endpoints import CallsConfig, EndpointConfig, Price
from sert.doctor.endpoint import probe_endpoint
from sert.doctor.finding import Finding
from sert.doctor.replies import (
    Seen,
    check_answer,
    check_lengths,
    check_limit,
    check_schema,
    check_seed,
    check_temperature,
    has_logprobs,
)
from sert.endpoint.calls import Call, Flag, Reply, Usage
from sert.endpoint.finish import meaning_of
from sert.errors import BudgetError, ConfigError

FREE = CallsConfig(free=True, timeout=10)


def endpoint_of(server: FaultServer, **asked: object) -> EndpointConfig:
    return EndpointConfig(**({"url": server.base_url, "model": "teacher"} | asked))  # type: ignore[arg-type]


def probed(server: FaultServer, config: CallsConfig = FREE, **asked: object) -> dict[str, Finding]:
    with server:
        findings = probe_endpoint(endpoint_of(server, **asked), config)
    assert all("\n" not in finding.message for finding in findings)
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def verdicts(findings: dict[str, Finding]) -> dict[str, str]:
    """The findings that are not in order."""
    return {name: finding.verdict for name, finding in findings.items() if finding.verdict != "ok"}


def test_an_honest_endpoint_is_in_order() -> None:
    server = FaultServer(variant="honest")
    findings = probed(server)
    assert verdicts(findings) == {}
    assert list(findings) == [
        *("answer", "model", "usage", "end", "max_tokens", "finish_reason", "prompt length", "n", "seed"),
        *("temperature", "logprobs", "json_schema", "spent"),
    ]
    assert server.log.requests == 12
    used = f"{server.log.prompt_tokens} prompt and {server.log.completion_tokens} completion tokens"
    assert findings["spent"].message == f"12 requests used {used} by the endpoint's count."


def test_completions_are_probed_in_their_own_terms() -> None:
    server = FaultServer(variant="honest")
    findings = probed(server, api="completions")
    assert verdicts(findings) == {"logprobs": "warning"}  # the test server has none there
    assert "json_schema" not in findings
    assert server.log.paths == {"/v1/completions": 11}
    assert server.log.bodies[-1]["logprobs"] == 1


@pytest.mark.parametrize(
    ("variant", "found", "says"),
    [
        ("ignores_n", {"n": "warning"}, "gives 1"),
        ("ignores_seed", {"seed": "warning"}, "different texts"),
        ("no_logprobs", {"logprobs": "warning"}, "no log-probabilities"),
        ("exceeds_max_tokens", {"max_tokens": "problem", "finish_reason": "unknown"}, "5 tokens at most"),
        ("lies_about_finish", {"finish_reason": "problem"}, "ends with 'stop', not 'length'"),
        ("truncates_prompt", {"prompt length": "problem"}, "stops at 2048 tokens of a prompt of 4500 words"),
        ("no_usage", {"usage": "warning", "prompt length": "unknown"}, "worst case"),
        ("no_json_schema", {"json_schema": "warning"}, "lines"),
        ("ignores_json_schema", {"json_schema": "warning"}, "So the answer is"),
        ("other_model", {"model": "warning"}, "'teacher-mini' answers where 'teacher' was asked"),
    ],
)
def test_what_is_not_done_as_asked_is_found(variant: str, found: dict[str, str], says: str) -> None:
    findings = probed(FaultServer(variant=variant))
    assert verdicts(findings) == found
    assert says in findings[next(iter(found))].message


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("kind", sorted(TRANSIENT | FLAGGED | REFUSED))
def test_every_fault_is_a_finding(kind: str) -> None:
    sizes = Settings(retry_after=0.01, hang_seconds=1.0, huge_bytes=2_000_000)
    server = FaultServer(variant="honest", faults=FaultScript(0, 1.0, (kind,)), settings=sizes)
    findings = probed(server, CallsConfig(free=True, timeout=0.3))
    assert {"problem", "unknown"} & set(verdicts(findings).values())
    if kind not in FLAGGED:
        assert list(findings) == ["answer", "spent"]
        assert server.log.requests == (2 if kind.startswith("rate_limit") else 1)


@pytest.mark.parametrize("kind", sorted(HARMLESS))
def test_what_is_only_odd_is_in_order(kind: str) -> None:
    findings = probed(FaultServer(variant="honest", faults=FaultScript(0, 1.0, (kind,))))
    assert verdicts(findings) == {}


def test_a_dead_port_is_a_problem() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        answer, spent = probe_endpoint(EndpointConfig(url=url, model="teacher"), FREE)
    assert (answer.name, answer.verdict) == ("answer", "problem")
    assert "cannot be reached" in answer.message and "Start the server" in answer.message
    assert spent.message.startswith("1 requests used 0 prompt and 0 completion tokens")


def test_a_wrong_key_is_a_problem_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERT_TEST_KEY", "sk-0123456789abcdef")
    config = CallsConfig(free=True, api_key_env="SERT_TEST_KEY")
    server = FaultServer(faults=FaultScript(0, 1.0, ("unauthorized",)))
    findings = probed(server, config)
    assert server.log.authorizations == {"Bearer sk-0123456789abcdef": 1}
    assert verdicts(findings) == {"answer": "problem"}
    assert "the key is missing or wrong" in findings["answer"].message
    assert "0123456789" not in str(findings)


def test_an_unknown_model_is_a_problem() -> None:
    findings = probed(FaultServer(), model="nobody")
    assert verdicts(findings) == {"answer": "problem"}
    assert "`nobody` does not exist; there are: teacher" in findings["answer"].message


def test_nothing_more_is_asked_after_three_failures_in_a_row() -> None:
    server = FaultServer(variant="honest")

    class Later(FaultScript):
        def fault(self, prompt: str, attempt: int, *, repeat: object = None) -> str | None:
            return None if prompt.startswith("Say hello") else "server_error"

    server.faults = Later(0, 1.0, ("server_error",))
    findings = probed(server)
    assert server.log.requests == 4
    asked_for_nothing = {
        name: "unknown" for name in findings if name not in ("answer", "model", "usage", "end", "spent")
    }
    assert verdicts(findings) == asked_for_nothing
    assert "and those that it did not count" in findings["spent"].message


def test_what_is_asked_is_what_the_configuration_says() -> None:
    server = FaultServer(variant="honest")
    asked = {"token_limit_field": "max_completion_tokens", "temperature": "unset", "extra_body": {"top_k": 5}}
    assert verdicts(probed(server, **asked)) == {}
    assert all("max_tokens" not in body and body["top_k"] == 5 for body in server.log.bodies)
    assert "temperature" not in server.log.bodies[0]


def test_the_worst_case_must_fit_the_cap() -> None:
    price = Price(Decimal(10), Decimal(30))

    def config(cap: str) -> CallsConfig:
        return CallsConfig(max_cost=Decimal(cap), price=price)

    with FaultServer(variant="honest", prices=(price.prompt, price.completion)) as server:
        endpoint = endpoint_of(server)
        with pytest.raises(BudgetError, match=r"more than the cap of \$0\.2000"):
            probe_endpoint(endpoint, config("0.20"))
        with pytest.raises(ConfigError, match="--max-cost"):
            probe_endpoint(endpoint, CallsConfig())
        assert server.log.requests == 0
        findings = probe_endpoint(endpoint, config("0.40"))
        assert 0 < server.cost < Decimal("0.40")
    assert "($0.0" in findings[-1].message


def test_a_notebook_has_a_loop_already() -> None:
    async def cell() -> list[Finding]:
        return probe_endpoint(EndpointConfig(url="http://127.0.0.1:9/v1", model="m"), FREE)

    assert asyncio.run(cell())[0].verdict == "problem"


# ---- replies that no variant of the test server gives


def seen(text: str, finish: str = "stop", *, usage: Usage | None = None, flag: Flag | None = None) -> Seen:
    return Seen(Reply(text, finish, flag, usage, "m"), 1, False, meaning_of(finish), None)


@pytest.mark.parametrize(
    ("answered", "asked", "verdict"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o", "ok"),
        ("gpt-4o-mini", "gpt-4o", "warning"),
        ("gpt-4o", "gpt-4o-2024-08-06", "ok"),
        ("llama-3.1", "llama-3", "warning"),
        ("/models/Llama-3.gguf", "llama-3", "ok"),
        ("llama3:latest", "llama3", "ok"),
        ("provider/model:free", "model", "ok"),
        ("a+", "a", "warning"),
        ("", "m", "unknown"),
    ],
)
def test_which_models_are_the_same(answered: str, asked: str, verdict: str) -> None:
    reply = Reply("Hello.", "stop", None, Usage(1, 1), answered)
    assert check_answer([Seen(reply, 1, False, "stop", None)], asked)[1].verdict == verdict


@pytest.mark.parametrize(
    ("reply", "answer", "end"),
    [
        (seen("Hello.", "stop"), "ok", "ok"),
        (seen("Hello", "length", flag="truncated"), "ok", "warning"),
        (seen("", "length", flag="truncated"), "unknown", "warning"),
        (seen("Hello", "", flag="unfinished"), "ok", "problem"),
        (seen("", "stop", flag="empty"), "problem", "unknown"),
    ],
)
def test_how_an_answer_ends(reply: Seen, answer: str, end: str) -> None:
    found = check_answer([reply], "m")
    assert (found[0].verdict, found[3].verdict) == (answer, end)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (seen("one two", "length"), ["ok", "ok"]),
        (seen("one two", "max_tokens"), ["ok", "ok"]),
        (seen("one two", "stop", usage=Usage(9, 5)), ["ok", "problem"]),
        (seen("No.", "stop", usage=Usage(9, 2)), ["ok", "unknown"]),
        (seen("one two", "stop"), ["ok", "warning"]),
        (seen("one " * 20, "length"), ["ok", "ok"]),
        (seen("one " * 21, "length"), ["problem", "unknown"]),
        (seen("one two", "length", usage=Usage(9, 6)), ["problem", "unknown"]),
    ],
)
def test_how_a_limit_is_kept(reply: Seen, found: list[str]) -> None:
    assert [finding.verdict for finding in check_limit([reply])] == found


@pytest.mark.parametrize(
    ("short", "long", "verdict", "says"),
    [
        (500, 4500, "ok", "4500 tokens"),
        (620, 4619, "problem", "stops at 4619 tokens of a prompt of 4500 words"),  # cut behind a long system prompt
        (620, 4620, "ok", "4620 tokens"),
        (499, 4500, "problem", "stops at 499 tokens of a prompt of 500 words"),
        (600, 4096, "problem", "stops at 4096 tokens"),
        (900, 27144, "ok", "27144 tokens"),
        (900, 27145, "problem", "27144 are possible"),
    ],
)
def test_counts_must_be_possible(short: int, long: int, verdict: str, says: str) -> None:
    calls = [Call("", "", "/chat/completions", {}, size, 5) for size in (3000, 27000)]
    replies = [seen("", usage=Usage(tokens, 1)) for tokens in (short, long)]
    (found,) = check_lengths(replies, calls)
    assert found.verdict == verdict and says in found.message


def test_equal_texts_say_little() -> None:
    def verdict(*texts: str) -> str:
        check = check_seed if len(texts) == 3 else check_temperature
        return check([seen(text) for text in texts])[0].verdict

    assert [verdict("a", "a", "b"), verdict("a", "b", "c"), verdict("a", "a", "a")] == ["ok", "warning", "unknown"]
    assert [verdict("a", "a"), verdict("a", "b"), verdict("", "")] == ["ok", "warning", "unknown"]


@pytest.mark.parametrize("text", ['{"score": true}', '{"score": 1, "why": ""}', "[1]", "3", "[" * 100_000])
def test_other_json_is_not_the_form_that_was_asked_for(text: str) -> None:
    assert check_schema([seen(text)])[0].verdict == "warning"
    assert check_schema([seen(text, flag="truncated")])[0].verdict == "unknown"
    assert check_schema([seen(' {"score": 3}\n')])[0].verdict == "ok"


@pytest.mark.parametrize(
    ("logprobs", "found"),
    [
        ({"content": [{"token": "a"}]}, True),
        ({"tokens": ["a"], "token_logprobs": [-1.0]}, True),
        ({"content": []}, False),
        (None, False),
        (True, False),
    ],
)
def test_where_log_probabilities_are(logprobs: object, found: bool) -> None:
    assert has_logprobs({"logprobs": logprobs}) is found


@pytest.mark.parametrize("place", range(2))
def test_refusing_long_prompts_is_honest(place: int) -> None:
    class Short(FaultScript):
        def fault(self, prompt: str, attempt: int, *, repeat: object = None) -> str | None:
            return "context_length" if prompt.startswith(("First", "Second")[place]) else None

    findings = probed(FaultServer(variant="honest", faults=Short(0, 1.0, ("context_length",))))
    assert verdicts(findings) == ({"prompt length": "warning"} if place == 0 else {})
    assert "maximum context length is 4096" in findings["prompt length"].message
