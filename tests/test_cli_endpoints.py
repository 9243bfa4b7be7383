"""The commands that call endpoints, as processes of their own."""

import json
import os
import signal
import subprocess
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import commands
from fault_kinds import FaultScript
from fault_server import FaultServer
from sert.endpoint.replay import replay_journal
from sert.store.artifacts import open_artifact

TEACH = "teach --task lab_choice --limit 6 --model teacher --out taught".split()


def sert(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.sert(*arguments, cwd=folder, constants=commands.SHORT_PAUSES)


def test_teach_prints_what_was_taught_and_what_it_cost(tmp_path: Path) -> None:
    with FaultServer() as server:
        paid = ["--price", "0.15,0.60", "--max-cost", "1"]
        done = sert(tmp_path, *TEACH, "--endpoint", server.base_url, *paid, "--json")
        cost = server.cost
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["rationales"], printed["requests"], Decimal(printed["dollars_spent"])) == (6, 6, cost)
    assert "teach: 6 rationales, " in done.stderr


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(tmp_path: Path) -> None:
    money = ["--price", "0.5,1.5", "--max-cost", "1", "--dry-run"]
    done = sert(tmp_path, *TEACH, "--endpoint", "http://127.0.0.1:9/v1", *money)
    assert done.returncode == 0, done.stderr
    assert "calls: 6, answered earlier: 0" in done.stdout and "cost (low / likely / most): $0.0" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--endpoint", "http://127.0.0.1:9/v1"], 3, "give --max-cost DOLLARS"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--max-cost", "1"], 3, "--price PROMPT,COMPLETION"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--free", "--max-cost", "1"], 3, "exclude each other"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--price", "1"], 2, "is not two amounts"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--free", "--api-key-env", "NOT_SET"], 3, "NOT_SET is not set"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--free"], 7, "is not there"),
        (["--endpoint", "ftp://127.0.0.1/v1", "--free"], 3, "no http address"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--recorded", "x.log"], 2, "exclude each other"),
        (["--free"], 2, "give --endpoint URL"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_its_exit_code(tmp_path: Path, more: list[str], code: int, message: str) -> None:
    done = sert(tmp_path, *TEACH, *more)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    if code != 7:
        planned = sert(tmp_path, *TEACH, *more, "--dry-run")
        assert (planned.returncode, message in planned.stderr) == (code, True), planned.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "taught").exists()


def test_no_model_is_named(tmp_path: Path) -> None:
    done = sert(tmp_path, "teach", "--task", "lab_choice", "--endpoint", "http://127.0.0.1:9/v1", "--out", "taught")
    assert (done.returncode, "--endpoint needs --model" in done.stderr) == (2, True)


def test_a_dry_run_of_an_endpoint_that_is_not_named_is_refused(tmp_path: Path) -> None:
    teach = ["teach", "--task", "lab_choice", "--limit", "2", "--set", "teacher.kind=endpoint", "--out", "taught"]
    for command in (teach, [*teach, "--dry-run"]):
        done = sert(tmp_path, *command)
        assert (done.returncode, "give teacher.endpoint.url and .model" in done.stderr) == (3, True), done.stderr


def test_a_higher_cap_goes_on_where_a_lower_one_stopped(tmp_path: Path) -> None:
    with FaultServer() as server:
        command = [*TEACH, "--endpoint", server.base_url, "--price", "15,60", "--max-tokens", "60", "--max-cost"]
        stopped = sert(tmp_path, *command, "0.012")
        assert stopped.returncode == 11, stopped.stderr
        made = server.log.requests
        assert 0 < made < 6
        done = sert(tmp_path, *command, "1")
        assert done.returncode == 0, done.stderr
        assert server.log.requests == 6


@pytest.mark.parametrize(("kind", "word"), [("quota", "quota is used up"), ("unauthorized", "key is missing or wrong")])
def test_an_endpoint_that_refuses_ends_it_with_7_and_the_same_command_goes_on(
    tmp_path: Path, kind: str, word: str
) -> None:
    with FaultServer(faults=FaultScript(0, 0.4, (kind,))) as server:
        command = [*TEACH, "--endpoint", server.base_url, "--free"]
        stopped = sert(tmp_path, *command)
        assert (stopped.returncode, word in stopped.stderr) == (7, True), stopped.stderr
        server.faults = None
        assert sert(tmp_path, *command).returncode == 0
    assert open_artifact(tmp_path / "taught").counts["quarantined"] == 0


def test_two_processes_do_not_write_one_log(tmp_path: Path) -> None:
    refused = threading.Event()

    def answer(body: dict[str, Any]) -> str:
        assert refused.wait(60)
        return "So the answer is A."

    with FaultServer(answer=answer) as server:
        command = [*TEACH, "--endpoint", server.base_url, "--free"]
        first = commands.start(*command, cwd=tmp_path)
        while not server.log.requests:
            time.sleep(0.02)
        second = sert(tmp_path, *command)
        refused.set()
        assert (second.returncode, f"process {first.pid}" in second.stderr) == (8, True), second.stderr
        assert commands.wait(first).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_soon_and_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with FaultServer(latency=(0.05, 0.1)) as server:
        command = [*TEACH, "--limit", "40", "--concurrency", "2", "--endpoint", server.base_url, "--free"]
        child = commands.start(*command, cwd=tmp_path)
        while server.log.good < 5:
            time.sleep(0.02)
        os.kill(child.pid, number)
        ended = commands.wait(child)
        assert ended.returncode == 128 + number, ended.stderr
        assert "Traceback" not in ended.stderr
        in_flight = server.log.requests - replay_journal(tmp_path / "taught.calls").totals.answers
        assert in_flight <= 2
        server.latency = (0.0, 0.0)
        assert sert(tmp_path, *command).returncode == 0
        assert server.log.requests <= 42


@pytest.mark.soak
def test_a_killed_server_ends_it_within_a_minute_and_the_same_command_goes_on(tmp_path: Path, full: bool) -> None:
    """In full after the half minute of patience that users get, else after half a second."""
    patience = {} if full else commands.SHORT_PAUSES | {"sert.endpoint.retries:LONGEST_ABSENCE": 0.5}
    command = [*TEACH, "--limit", "40", "--concurrency", "2", "--free", "--endpoint"]
    with FaultServer(latency=(0.05, 0.1)) as server:
        child = commands.start(*command, server.base_url, cwd=tmp_path, constants=patience)
        while server.log.good < 5:
            time.sleep(0.02)
    killed = time.monotonic()
    ended = commands.wait(child)
    printed = ended.stderr
    assert time.monotonic() - killed < 60
    assert (ended.returncode, "has been unreachable for" in printed) == (7, True), printed
    totals = replay_journal(tmp_path / "taught.calls").totals
    assert (totals.quarantined, f"Answers kept: {totals.answers}; the same command goes on" in printed) == (0, True)

    again = sert(tmp_path, *command, server.base_url)  # answers are there, the server still is not
    assert (again.returncode, "is not there" in again.stderr) == (7, True), again.stderr
    assert time.monotonic() - killed < 90

    with FaultServer(port=server.port) as server:
        done = sert(tmp_path, *command, server.base_url)
        assert (done.returncode, server.log.requests) == (0, 40 - totals.answers), done.stderr
    assert open_artifact(tmp_path / "taught").counts["quarantined"] == 0


def test_judge_prints_scores_and_how_far_to_trust_them(tmp_path: Path) -> None:
    evaluate = "evaluate --task lab_choice --limit 3 --max-new-tokens 24 --set rules.min_tokens=12 --out evaluated"
    assert sert(tmp_path, *evaluate.split()).returncode == 0
    with FaultServer(variant="honest") as server:
        command = ["judge", "evaluated", "--model", "teacher", "--free", "--out", "judged"]
        command += ["--endpoint", server.base_url]
        planned = sert(tmp_path, *command, "--dry-run")
        assert (planned.returncode, "calls: 15" in planned.stdout, server.log.requests) == (0, True, 0)
        for more, message in ((["--max-cost", "1"], "exclude each other"), (["--api-key-env", "NOT_SET"], "not set")):
            refused = sert(tmp_path, *command, *more, "--dry-run")
            assert (refused.returncode, message in refused.stderr) == (3, True), refused.stderr
        done = sert(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert "Planted: good" in done.stdout and "evaluated" in done.stdout
    assert "Replies: 15, of which 0 gave no scores." in done.stdout
    assert "Written to judged" in done.stdout
