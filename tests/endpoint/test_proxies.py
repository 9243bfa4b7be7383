"""Proxies of the environment are named where they may be to blame, and their passwords never are."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from fault_http import Reply, response
from fault_server import FaultServer
from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.doctor.endpoint import probe_endpoint
from sert.endpoint.calls import make_call
from sert.endpoint.ledger import Ledger
from sert.endpoint.proxies import find_proxy
from sert.endpoint.session import Session
from sert.errors import ConfigError, EndpointError
from sert.terminal.progress import Silent

FREE = CallsConfig(free=True, max_attempts=2, timeout=5.0)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("url", "variables", "named"),
    [
        ("http://127.0.0.1:8000/v1", {}, None),
        ("http://127.0.0.1:8000/v1", {"HTTP_PROXY": "http://p:1"}, "HTTP_PROXY"),
        ("http://127.0.0.1:8000/v1", {"http_proxy": "http://p:1", "HTTP_PROXY": "http://p:2"}, "http_proxy"),
        ("http://127.0.0.1:8000/v1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://h/v1", {"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:2"}, "HTTPS_PROXY"),
        ("https://h/v1", {"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://p:2"}, "ALL_PROXY"),
        ("http://127.0.0.1:8000/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "127.0.0.1"}, None),
        ("http://127.0.0.1:8000/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost"}, "HTTP_PROXY"),
        ("http://h.example/v1", {"ALL_PROXY": "http://p:1", "no_proxy": "x.org, .example"}, None),
        ("http://h.example/v1", {"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
    ],
)
def test_which_proxy_calls_go_by(
    url: str, variables: dict[str, str], named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = find_proxy(url)
    assert (found and found.variable) == named


def ask(url: str, folder: Path) -> None:
    endpoint = EndpointConfig(url=url, model="teacher")
    with Ledger(folder) as ledger:
        session = Session(ledger, endpoint, FREE, "test", Silent())
        session.settle(lambda: [make_call(f"Is it {i}?", endpoint, label=f"q{i}") for i in range(3)], total=3)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_not_there_is_named_and_left_out(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://user:s3cret@127.0.0.1:9")
    with FaultServer() as server:
        with pytest.raises(EndpointError, match=rf"proxy in {variable}; NO_PROXY=127\.0\.0\.1 goes") as stopped:
            ask(server.base_url, tmp_path)
        answer, _ = probe_endpoint(EndpointConfig(url=server.base_url, model="teacher"), FREE)
        assert "Look at the proxy first." in answer.message and "Start the server" not in answer.message
        assert "s3cret" not in str(stopped.value) + answer.message
        assert server.log.requests == 0
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        ask(server.base_url, tmp_path)
        assert server.log.requests == 3


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("status", [200, 403, 404, 502])
def test_a_proxy_that_answers_for_a_server_of_ones_own_is_named(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Reply(response(status, b"<html><title>Denied</title></html>", kind="text/html"))
    with FaultServer(scripted=lambda body: refused) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        with pytest.raises(EndpointError, match=r"HTTP_PROXY; NO_PROXY=127\.0\.0\.1"):
            ask("http://127.0.0.1:9/v1", tmp_path)


@pytest.mark.usefixtures("short_pauses")
def test_a_refusal_of_a_service_elsewhere_is_not_its_proxys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Reply(response(400, b"too long"))
    with FaultServer(scripted=lambda body: refused) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        with pytest.raises(EndpointError, match="too long") as stopped:
            ask("http://example.invalid/v1", tmp_path)
    assert "HTTP_PROXY" not in str(stopped.value)


SOCKS = pytest.param(
    "socks5://user:s3cret@127.0.0.1:9", marks=pytest.mark.skipif(find_spec("socksio") is not None, reason="used")
)


@pytest.mark.parametrize("address", [SOCKS, "ftp://user:s3cret@h:9", "http://[::1:9"])
def test_a_proxy_that_cannot_be_used_is_a_mistake_that_is_explained(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    with pytest.raises(ConfigError, match=r"\(ALL_PROXY\) cannot be used") as stopped:
        ask("http://127.0.0.1:9/v1", tmp_path)
    assert "s3cret" not in str(stopped.value)
