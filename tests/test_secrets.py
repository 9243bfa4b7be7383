"""A key is sent to its endpoint and appears in no byte that is written or printed, whatever goes wrong."""

import base64
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import commands
from batch_server import BatchScript
from fault_kinds import FATAL, FLAGGED, HARMLESS, REFUSED, TRANSIENT, FaultScript, Settings
from fault_server import FaultServer

KEY = "sk-Sentinel/0123+456789_abcdef~XYZ"
FORMS = {
    KEY,
    urllib.parse.quote(KEY, safe=""),
    KEY.encode().hex(),
    KEY.encode().hex().upper(),
    KEY.replace("/", "\\/"),
    *(base64.b64encode(b"x" * shift + KEY.encode()).decode()[6:40] for shift in range(3)),
    base64.urlsafe_b64encode(b"user:" + KEY.encode()).decode()[8:40],
}
REPEATED = [
    f"Bearer {KEY}",
    urllib.parse.quote_plus(KEY),
    KEY.encode().hex(),
    KEY.replace("/", "\\/"),
    *(base64.b64encode(f"{before}{KEY}{before}".encode()).decode() for before in ("", "u:", "user:", "Bearer ")),
    base64.urlsafe_b64encode(f"user:{KEY}".encode()).decode(),
]
KINDS = sorted(TRANSIENT | FLAGGED | HARMLESS | REFUSED | FATAL)


def run_sert(folder: Path, *arguments: str, key: str = KEY, **environment: str) -> subprocess.CompletedProcess[bytes]:
    variables = {"TEACHER_KEY": key, **environment}
    return as_bytes(commands.sert(*arguments, cwd=folder, environment=variables, constants=commands.SHORT_PAUSES))


def as_bytes(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.encode(), done.stderr.encode())


def teach(url: str, *more: str) -> list[str]:
    command = "teach --task lab_yes_no --limit 3 --free --api-key-env TEACHER_KEY --model teacher --out taught"
    patience = "--set teacher.calls.max_attempts=1 --set teacher.calls.timeout=0.5"
    return [*command.split(), *patience.split(), "--endpoint", url, *more]


def leaks(folder: Path, *printed: bytes) -> list[str]:
    """Name where a form of the key can be found."""
    texts = [*enumerate(printed), *((file, file.read_bytes()) for file in folder.rglob("*") if file.is_file())]
    tables = ((file, str(pq.read_table(file).to_pylist()).encode()) for file in folder.rglob("*.parquet"))
    return [f"{place}: {form}" for place, text in [*texts, *tables] for form in FORMS if form.encode() in text]


def check(folder: Path, done: subprocess.CompletedProcess[bytes], server: FaultServer | None = None) -> None:
    assert leaks(folder, done.stdout, done.stderr) == []
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    if server is not None:
        assert set(server.log.authorizations) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("kind", KINDS)
def test_faults_of_the_endpoint(tmp_path: Path, kind: str) -> None:
    script = FaultScript(0, 1.0, (kind,), until=1 if kind.startswith("rate_limit") else None)
    with FaultServer(faults=script, settings=Settings(huge_bytes=2_000_000, hang_seconds=2.0)) as server:
        done = run_sert(tmp_path, *teach(server.base_url))
        check(tmp_path, done, server)
        assert done.returncode in (0, 6, 7), done.stderr.decode()


def test_a_model_that_repeats_the_key(tmp_path: Path) -> None:
    assert all(any(known in form for known in FORMS) for form in REPEATED)
    left = [*REPEATED]
    with FaultServer(answer=lambda body: f"Your header was {left.pop()}, so the answer is yes.") as server:
        done = run_sert(tmp_path, *teach(server.base_url, "--json", "--limit", str(len(REPEATED))))
        check(tmp_path, done, server)
        assert (done.returncode, left) == (0, [])
        texts = [row["text"] for row in pq.read_table(tmp_path / "taught" / "rationales.parquet").to_pylist()]
        assert len(texts) == len(REPEATED) and all("[key]" in text for text in texts)


def test_a_key_that_cannot_be_sent(tmp_path: Path) -> None:
    with FaultServer() as server:
        done = run_sert(tmp_path, *teach(server.base_url), key=f"{KEY}\nX: {KEY}")
        check(tmp_path, done)
        assert (done.returncode, server.log.requests) == (3, 0)


def test_a_newline_behind_the_key_is_forgiven(tmp_path: Path) -> None:
    with FaultServer() as server:
        check(tmp_path, run_sert(tmp_path, *teach(server.base_url), key=f"{KEY}\n"), server)


ADDRESSES: list[Callable[[str], str]] = [
    lambda url: url.replace("//", f"//user:{KEY}@"),
    lambda url: f"{url}?api-key={KEY}",
    lambda url: f"{url}#{KEY}",
    lambda url: url.replace("//127.0.0.1", f"//[{KEY}]"),
]


@pytest.mark.parametrize("number", range(len(ADDRESSES)))
def test_a_key_in_the_address(tmp_path: Path, number: int) -> None:
    done = run_sert(tmp_path, *teach(ADDRESSES[number]("http://127.0.0.1:9/v1")))
    check(tmp_path, done)
    assert done.returncode == 3


@pytest.mark.parametrize("name", ["--api-key-env", "--set"])
def test_a_key_where_its_variable_should_be_named(tmp_path: Path, name: str) -> None:
    value = KEY if name == "--api-key-env" else f"teacher.calls.api_key_env={KEY}"
    done = run_sert(tmp_path, *teach("http://127.0.0.1:9/v1"), name, value)
    check(tmp_path, done)
    assert done.returncode == 3


@pytest.mark.parametrize("extra", [["--dry-run"], ["--json"]], ids=str)
def test_plans_and_json(tmp_path: Path, extra: list[str]) -> None:
    with FaultServer() as server:
        check(tmp_path, run_sert(tmp_path, *teach(server.base_url, *extra)))


@pytest.mark.soak
def test_the_clients_own_log(tmp_path: Path, full: bool) -> None:
    """In full at both levels that the client writes at; at the lower one it writes what it does at the other, too."""
    environment = {**os.environ, "TEACHER_KEY": KEY}
    for level in ("DEBUG", "INFO") if full else ("DEBUG",):
        code = f"import logging; logging.basicConfig(level={level!r}); from sert.cli import main; main()"
        folder = tmp_path / level
        folder.mkdir()
        with FaultServer() as server:
            command = [sys.executable, "-c", code, *teach(server.base_url)]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=60, check=False)
            check(folder, done, server)
            assert b"httpx2" in done.stderr


def test_nobody_listens(tmp_path: Path) -> None:
    done = run_sert(tmp_path, *teach("http://127.0.0.1:9/v1"))
    check(tmp_path, done)
    assert done.returncode == 7


def test_a_proxy_with_the_key_as_password(tmp_path: Path) -> None:
    proxy = f"http://user:{urllib.parse.quote(KEY, safe='')}@127.0.0.1:9"
    done = run_sert(tmp_path, *teach("http://example.invalid/v1"), HTTP_PROXY=proxy, http_proxy=proxy)
    check(tmp_path, done)
    assert done.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop(tmp_path: Path, number: signal.Signals) -> None:
    with FaultServer(latency=(0.3, 0.3)) as server:
        command = teach(server.base_url, "--limit", "100")
        child = commands.start(*command, cwd=tmp_path, environment={"TEACHER_KEY": KEY})
        while server.log.requests < 3:
            time.sleep(0.02)
        os.kill(child.pid, number)
        ended = as_bytes(commands.wait(child))
        assert leaks(tmp_path, ended.stdout, ended.stderr) == []
        assert ended.returncode == 128 + number


def test_the_search_finds_a_key_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"Authorization: Bearer {KEY}")
    assert len(leaks(tmp_path)) == 1
    assert len(leaks(tmp_path, base64.b64encode(f"Bearer {KEY}".encode()))) == 2


@pytest.mark.parametrize("kind", ["unauthorized", "server_error", "error_200", None])
def test_doctor(tmp_path: Path, kind: str | None) -> None:
    command = "doctor --free --api-key-env TEACHER_KEY --model teacher --json --endpoint".split()
    with FaultServer(faults=FaultScript(0, 1.0, (kind,)) if kind else None) as server:
        done = run_sert(tmp_path, *command, server.base_url, CC="no-compiler")  # compiling takes a second
        check(tmp_path, done, server)
        assert done.returncode in (0, 7), done.stderr.decode()


@pytest.mark.parametrize("faults", [None, ("unauthorized",)])
def test_batches(tmp_path: Path, faults: tuple[str, ...] | None) -> None:
    script = BatchScript(polls=1, faults=FaultScript(0, 1.0, faults) if faults else None)
    with FaultServer(batches=script, answer=lambda body: f"{KEY}: so the answer is yes.") as server:
        done = run_sert(tmp_path, *teach(server.base_url, "--batch"))
        check(tmp_path, done)
        assert done.returncode == (7 if faults else 0), done.stderr.decode()
