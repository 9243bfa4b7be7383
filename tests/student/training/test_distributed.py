"""Two processes train as one does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import commands
from nursery import Child
from sert.records import Example
from sert.store.tables import write_table

STEPS = 60
ALIKE = 4


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "loss.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where to train: there is a table of examples."""
    examples = [Example(f"q{i}", f"Is {i} odd?", f" {'yes' if i % 2 else 'no, no'}.", "label") for i in range(12)]
    write_table(tmp_path / "examples.parquet", examples, Example)
    return tmp_path


def train(student_folder: Path, out: str, **settings: object) -> list[str]:
    # Five micro-batches of a step do not divide by two, so one process passes once more than the other needs.
    chosen = {"training.max_steps": STEPS, "training.micro_batch_size": 2, "training.batch_size": 10, **settings}
    chosen["student.device"] = "cpu"
    command = ["train", "--examples", "examples.parquet", "--student", str(student_folder), "--out", out]
    return [*command, *(part for name, value in chosen.items() for part in ("--set", f"{name}={value}"))]


# A state is saved after each step, as a single process would.
SAVES = {"execution.checkpoint_seconds": 1e-9}


def start_two(*arguments: str, cwd: Path) -> list[Child]:
    """What `torchrun` does with two processes, but that they have imported the libraries before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    ranks = [{**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    return [commands.start(*arguments, cwd=cwd, environment=rank) for rank in ranks]


def sert_in_two_processes(*arguments: str, cwd: Path) -> list[CompletedProcess[str]]:
    return [commands.wait(each) for each in start_two(*arguments, cwd=cwd)]


def await_checkpoint(folder: Path, out: str) -> None:
    end = time.monotonic() + 120
    while not list(folder.glob(f".{out}.*.work/checkpoints/step-*")) and time.monotonic() < end:
        time.sleep(0.01)


LORA = {"training.lora.rank": 4, "training.lora.alpha": 16, "training.learning_rate": 1e-2}
KINDS: dict[str, dict[str, object]] = {
    "all weights": {},
    "merged adapters": {**LORA, "training.lora.output": "merged"},
    "adapters of DoRA": {**LORA, "training.lora.output": "adapter", "training.lora.dora": "true"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one_does(student_folder: Path, folder: Path, kind: str) -> None:
    if "adapters" in kind:
        pytest.importorskip("peft")
    few = {"training.max_steps": ALIKE, **KINDS[kind]}
    one = commands.sert(*train(student_folder, "one", **few), cwd=folder)
    two = sert_in_two_processes(*train(student_folder, "two", **few), cwd=folder)
    for done in (one, *two):
        assert done.returncode == 0, done.stderr
    assert one.stdout.count("Written to") == sum(each.stdout.count("Written to") for each in two) == 1
    assert len(losses(folder / "one")) == ALIKE
    assert losses(folder / "two") == pytest.approx(losses(folder / "one"), rel=1e-5)
    if "adapters" in kind:  # not all of all weights matter: Adam lets those without a gradient follow their rounding
        (first,), (second,) = (list((folder / name / "model").glob("*.safetensors")) for name in ("one", "two"))
        alone, together = load_file(first), load_file(second)
        assert alone.keys() == together.keys()
        for name, weight in alone.items():
            torch.testing.assert_close(together[name], weight, rtol=1e-3, atol=1e-4)
    assert sorted(path.name for path in folder.iterdir()) == ["examples.parquet", "one", "two"]


def test_two_processes_that_were_stopped_go_on_from_their_checkpoint(student_folder: Path, folder: Path) -> None:
    whole = sert_in_two_processes(*train(student_folder, "whole"), cwd=folder)
    assert [each.returncode for each in whole] == [0, 0]
    assert len(losses(folder / "whole")) == STEPS
    again = train(student_folder, "stopped", **SAVES)
    started = start_two(*again, cwd=folder)
    await_checkpoint(folder, "stopped")
    for each in started:
        os.kill(each.pid, signal.SIGTERM)
    assert [commands.wait(each).returncode for each in started] == [128 + signal.SIGTERM] * 2
    assert not (folder / "stopped").exists()
    done = sert_in_two_processes(*again, cwd=folder)
    assert [each.returncode for each in done] == [0, 0]
    assert sum("train: goes on after step" in each.stderr for each in done) == 1
    assert sum(each.stdout.count("Written to") for each in done) == 1
    assert losses(folder / "stopped") == losses(folder / "whole")


@pytest.mark.slow
def test_torchs_launcher_does_what_is_done_here_with_two_processes(student_folder: Path, folder: Path) -> None:
    whole = sert_in_two_processes(*train(student_folder, "whole"), cwd=folder)
    assert [each.returncode for each in whole] == [0, 0]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    launch += [sys.executable, "-m", "sert", *train(student_folder, "stopped", **SAVES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options: dict[str, Any] = {"cwd": folder, "env": environment, "text": True}
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, *launch], **options) as stopped:
        await_checkpoint(folder, "stopped")
        stopped.terminate()  # the launcher passes it on to both
        stopped.communicate()
    assert not (folder / "stopped").exists()
    done = subprocess.run([sys.executable, *launch], timeout=240, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert "train: goes on after step" in done.stderr
    assert done.stdout.count("Written to") == 1
    assert losses(folder / "stopped") == losses(folder / "whole")
