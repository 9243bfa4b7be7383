"""`sert doctor` as a user runs it."""

import json
import subprocess
from pathlib import Path

import pytest

from commands import sert
from fault_kinds import FaultScript
from fault_server import FaultServer

KEY = "sk-0123456789abcdef"


def doctor(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return sert("doctor", *arguments, cwd=cwd, environment={"CC": "false", "SERT_TEST_KEY": KEY})


def test_help_has_examples(tmp_path: Path) -> None:
    result = doctor("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "sert doctor --endpoint http" in result.stdout.split("Options:")[0].split("\n\n", 1)[1]


def test_the_machine_alone(tmp_path: Path) -> None:
    result = doctor("--json", cwd=tmp_path)
    assert result.returncode == 0 and result.stderr == ""
    found = json.loads(result.stdout)
    assert found["endpoint"] == []
    machine = {row["name"]: row for row in found["machine"]}
    assert machine["compiled loops"]["verdict"] == "warning"  # CC=false is no compiler
    assert machine["hub"]["message"].startswith("HF_HUB_OFFLINE=1")
    assert str(tmp_path) in machine["disk"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_an_honest_endpoint(tmp_path: Path) -> None:
    with FaultServer(variant="honest") as server:
        arguments = ["--endpoint", server.base_url, "--model", "teacher", "--free"]
        result = doctor(*arguments, "--set", "teacher.endpoint.token_limit_field=max_completion_tokens", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "Endpoint" and "Machine" in lines
    assert lines[1].split()[:4] == ["ok", "answer", "It", "answers:"]
    assert "max_completion_tokens" in server.log.bodies[0]


def test_a_problem_is_exit_code_7(tmp_path: Path) -> None:
    with FaultServer(variant="truncates_prompt") as server:
        arguments = ["--endpoint", server.base_url, "--model", "teacher", "--json"]
        result = doctor(*arguments, "--price", "0.5,1.5", "--max-cost", "0.10", cwd=tmp_path)
    assert result.returncode == 7
    assert result.stderr.splitlines()[-1] == (
        "Error: The endpoint would spoil a run: prompt length. The findings say how to mend it."
    )
    found = json.loads(result.stdout)
    assert [row["name"] for row in found["endpoint"] if row["verdict"] == "problem"] == ["prompt length"]
    assert found["machine"]


def test_a_wrong_key_is_not_shown(tmp_path: Path) -> None:
    with FaultServer(faults=FaultScript(0, 1.0, ("unauthorized",))) as server:
        arguments = ["--endpoint", server.base_url, "--model", "teacher", "--free", "--api-key-env", "SERT_TEST_KEY"]
        result = doctor(*arguments, cwd=tmp_path)
        assert server.log.authorizations == {f"Bearer {KEY}": 1}
    assert result.returncode == 7
    assert "the key is missing or wrong" in result.stdout
    assert "0123456789" not in result.stdout + result.stderr


def test_no_text_drives_the_terminal(tmp_path: Path) -> None:
    with FaultServer(answer=lambda body: "\x1b[2J\x9b1mHello\nthere") as server:
        arguments = ["--endpoint", server.base_url, "--model", "teacher", "--free"]
        plain, as_json = doctor(*arguments, cwd=tmp_path), doctor(*arguments, "--json", cwd=tmp_path)
    assert "It answers: '\\x1b[2J\\x9b1mHello there'" in plain.stdout
    answer = json.loads(as_json.stdout)["endpoint"][0]["message"]
    assert answer == "It answers: '\\x1b[2J\\x9b1mHello there'"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--model", "m"], 2, "give --endpoint"),
        (["--endpoint", "http://127.0.0.1:9/v1"], 2, "--model"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--model", "m"], 3, "--max-cost"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--free", "--set", "rules.unit=words"], 3, "teacher"),
        (
            ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--price", "50,50", "--max-cost", "0.1"],
            11,
            "nothing was sent",
        ),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    result = doctor(*arguments, cwd=tmp_path)
    assert result.returncode == code
    assert says in result.stderr and "Traceback" not in result.stderr
    assert result.stdout == ""
