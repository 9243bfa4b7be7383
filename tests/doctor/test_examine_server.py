"""Examining a server as an engine of mining: its manners, and whether it has the student that is here."""

import json
from pathlib import Path

import pytest

from commands import sert
from sert.config.mining import MiningConfig, MiningEndpoint
from sert.config.tree import StudentConfig
from sert.doctor.server import examine_server, judged
from sert.student.load import Student, make_student
from sert.student.served.agreement import Agreement
from served_student import NAME, Manners, Served, served
from tests_support import make_tokenizer, tiny_gpt2


@pytest.fixture
def folder(student_folder: Path) -> StudentConfig:
    return StudentConfig(path=str(student_folder), device="cpu")


def served_by(server: Served) -> MiningConfig:
    return MiningConfig(engine="openai", endpoint=MiningEndpoint(url=server.url, model=NAME))


def test_a_server_that_has_the_student(student: Student, folder: StudentConfig) -> None:
    with served(student) as server:
        found = {each.name: each for each in examine_server(folder, served_by(server))}
    assert [each.verdict for each in found.values()] == ["ok", "ok", "ok", "warning"]
    assert found["server"].message == "vllm 0.32.0 has 'tiny', with texts of 192 tokens."
    assert "the same branches on 5 of 5 questions; log-probabilities of " in found["same student"].message


def test_a_server_that_has_another_student(folder: StudentConfig) -> None:
    tokenizer = make_tokenizer()
    other = make_student(tiny_gpt2(len(tokenizer), scale=0.5), tokenizer, name="other")
    with served(other) as server:
        found = {each.name: each for each in examine_server(folder, served_by(server))}
    assert found["same student"].verdict == "problem"
    assert "It serves another model" in found["same student"].message


def test_a_server_that_cannot_mine(student: Student, folder: StudentConfig) -> None:
    with served(student, Manners(ids="texts")) as server:
        (found,) = examine_server(folder, served_by(server))
    assert (found.name, found.verdict) == ("mining", "problem")
    assert "it gives no token ids" in found.message


@pytest.mark.parametrize(("mean", "verdict"), [(0.0, "ok"), (0.02, "ok"), (0.021, "warning"), (0.21, "problem")])
def test_how_far_is_too_far(mean: float, verdict: str) -> None:
    assert judged(Agreement(5, 5, 100, mean, 2 * mean)).verdict == verdict


@pytest.mark.slow
def test_the_command(student: Student, folder: StudentConfig, tmp_path: Path) -> None:
    command = ["doctor", "--mining", "--student", folder.path, "--model", NAME, "--json"]
    environment = {"CC": "false"}
    with served(student) as server:
        done = sert(*command, "--endpoint", server.url, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["name"] for each in found["endpoint"]] == ["server", "mining", "same student", "repeatable"]
    with served(student, Manners(ignores={"top_p"})) as server:
        done = sert(*command, "--endpoint", server.url, cwd=tmp_path, environment=environment)
    assert (done.returncode, "does not keep to top_p" in done.stdout) == (7, True)
    without = sert("doctor", "--mining", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m", cwd=tmp_path)
    assert (without.returncode, "--mining needs --endpoint URL" in without.stderr) == (2, True)
