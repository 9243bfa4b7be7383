"""Two processes train as one does."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import commands
from sert.records import Example
from sert.store.tables import write_table

STEPS = 150


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "loss.jsonl").read_text().splitlines()]


def train(student_folder: Path, out: str, **settings: object) -> list[str]:
    # Five micro-batches of a step do not divide by two, so one process passes once more than the other needs.
    chosen = {"training.max_steps": STEPS, "training.micro_batch_size": 2, "training.batch_size": 10, **settings}
    command = ["train", "--examples", "examples.parquet", "--student", str(student_folder), "--out", out]
    return [*command, *(part for name, value in chosen.items() for part in ("--set", f"{name}={value}"))]


# A state is saved after each step, as a single process would.
SAVES = {"execution.checkpoint_seconds": 1e-9}


def sert_in_two_processes(*arguments: str, cwd: Path) -> list[CompletedProcess[str]]:
    """What `torchrun` does with two processes, but that they have imported the libraries before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}
    ranks = [{**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    started = [commands.start(*arguments, cwd=cwd, environment=rank) for rank in ranks]
    return [commands.wait(each) for each in started]


def test_two_processes_train_as_one_does_and_go_on_from_their_checkpoint(student_folder: Path, tmp_path: Path) -> None:
    examples = [Example(f"q{i}", f"Is {i} odd?", f" {'yes' if i % 2 else 'no, no'}.", "label") for i in range(12)]
    write_table(tmp_path / "examples.parquet", examples, Example)
    one = commands.sert(*train(student_folder, "one"), cwd=tmp_path)
    two = sert_in_two_processes(*train(student_folder, "two", **SAVES), cwd=tmp_path)
    for done in (one, *two):
        assert done.returncode == 0, done.stderr
    assert one.stdout.count("Written to") == sum(each.stdout.count("Written to") for each in two) == 1
    assert len(losses(tmp_path / "one")) == len(losses(tmp_path / "two")) == STEPS
    assert losses(tmp_path / "two")[:4] == pytest.approx(losses(tmp_path / "one")[:4], rel=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["examples.parquet", "one", "two"]

    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    launch += [sys.executable, "-m", "sert", *train(student_folder, "stopped", **SAVES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment, "text": True}
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, *launch], **options) as stopped:
        end = time.monotonic() + 120
        while not list(tmp_path.glob(".stopped.*.work/checkpoints/step-*")) and time.monotonic() < end:
            time.sleep(0.01)
        stopped.terminate()  # the launcher passes it on to both
        stopped.communicate()
    assert not (tmp_path / "stopped").exists()
    done = subprocess.run([sys.executable, *launch], timeout=240, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert "train: goes on after step" in done.stderr
    assert done.stdout.count("Written to") == 1
    assert losses(tmp_path / "stopped") == losses(tmp_path / "two")
