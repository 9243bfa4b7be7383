"""Without a network nobody waits for the hub."""

import socket
from collections.abc import Iterator

import pytest

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student import hub
from sert.student.load import load_student


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which addresses were looked up, none of which anybody knows."""
    hosts = list[str]()

    def look_up(host: str, *rest: object, **more: object) -> None:
        hosts.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    hub.hub_is_there.cache_clear()
    yield hosts
    hub.hub_is_there.cache_clear()


def test_a_hub_that_nobody_knows_is_looked_up_once_and_its_students_are_refused_at_once(asked: list[str]) -> None:
    with pytest.raises(StudentError, match=r"'somebody/some-model' cannot be loaded: .* The hub cannot be reached"):
        load_student(StudentConfig(path="somebody/some-model"))
    assert asked == ["huggingface.co"]


def test_a_slip_of_lab_is_told(asked: list[str]) -> None:
    with pytest.raises(StudentError, match="Did you mean `lab`"):
        load_student(StudentConfig(path="lap"))


def test_another_hub_is_looked_up(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example:8443")
    assert not hub.hub_is_there()
    assert asked == ["hub.example"]


def test_behind_a_proxy_the_hub_is_taken_to_be_there(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "http://proxy.example"})
    assert hub.hub_is_there()
    assert asked == []
