"""Against a server that others wrote: `transformers serve` with the lab's student, on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import commands
import sert.lab
from sert.endpoint.replay import replay_journal
from sert.records import Rationale
from sert.store.artifacts import open_artifact
from sert.store.tables import read_table

STUDENT = str(Path(sert.lab.__file__).parent / "student")
# The student was never asked to think step by step; asked as it was trained, it answers.
PROMPT = 'tasks.lab_choice.prompts.teacher="Question: {question}\\nAnswer:"'
QUESTIONS = 20


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", STUDENT]
    with (tmp_path_factory.mktemp("server") / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def _wait_until_it_answers(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError("the server does not answer")


def teach(folder: Path, url: str, out: str, *more: str) -> list[str]:
    command = f"teach --task lab_choice --limit {QUESTIONS} --free --api completions --max-tokens 40"
    asked = ["--endpoint", url, "--model", STUDENT, "--set", PROMPT, "--out", str(folder / out), *more]
    return [*command.split(), *asked]


def test_teach_and_go_on_after_a_kill(tmp_path: Path, url: str) -> None:
    assert commands.sert(*teach(tmp_path, url, "whole"), cwd=tmp_path).returncode == 0
    whole = open_artifact(tmp_path / "whole")
    assert (whole.counts["rationales"], whole.counts["requests"]) == (QUESTIONS, QUESTIONS)
    assert whole.counts["completion_tokens"] > QUESTIONS
    assert any(each.text for each in read_table(whole.file("rationales.parquet"), Rationale))

    slowly = ["--concurrency", "2", "--set", "teacher.calls.requests_per_minute=600"]
    child = commands.start(*teach(tmp_path, url, "killed", *slowly), cwd=tmp_path)
    deadline = time.monotonic() + 60
    while replay_journal(tmp_path / "killed.calls").totals.answers < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    assert commands.wait(child).returncode == -signal.SIGKILL, "it ended before it was killed"
    assert not (tmp_path / "killed").exists()
    assert 5 <= replay_journal(tmp_path / "killed.calls").totals.answers < QUESTIONS

    assert commands.sert(*teach(tmp_path, url, "killed", *slowly), cwd=tmp_path).returncode == 0
    assert open_artifact(tmp_path / "killed").counts["requests"] <= QUESTIONS + 2
    assert (tmp_path / "killed/rationales.parquet").read_bytes() == (tmp_path / "whole/rationales.parquet").read_bytes()


def test_doctor(tmp_path: Path, url: str) -> None:
    command = [*"doctor --free --api completions --json --model".split(), STUDENT, "--endpoint", url]
    done = commands.sert(*command, cwd=tmp_path, environment={"CC": "no-compiler"})  # compiling takes a second
    assert done.returncode in (0, 7), done.stderr
    verdicts = {finding["name"]: finding["verdict"] for finding in json.loads(done.stdout)["endpoint"]}
    assert [verdicts[name] for name in ("answer", "model", "usage", "max_tokens")] == ["ok"] * 4
