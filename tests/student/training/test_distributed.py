"""Two processes train as one does."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sert.records import Example
from sert.store.tables import write_table


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "loss.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one_does(student_folder: Path, tmp_path: Path) -> None:
    examples = [Example(f"q{i}", f"Is {i} odd?", f" {'yes' if i % 2 else 'no, no'}.", "label") for i in range(12)]
    write_table(tmp_path / "examples.parquet", examples, Example)
    command = ["-m", "sert", "train", "--examples", "examples.parquet", "--student", str(student_folder)]
    # Five micro-batches of a step do not divide by two, so one process passes once more than the other needs.
    settings = [
        "--set",
        "training.max_steps=4",
        "--set",
        "training.micro_batch_size=2",
        "--set",
        "training.batch_size=10",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable]
    # The second one saves its state after each step, as a single process would.
    saves = ["--set", "execution.checkpoint_seconds=1e-9"]
    for name, prefix, more in (("one", [], []), ("two", launch, saves)):
        done = subprocess.run(
            [sys.executable, *prefix, *command, *settings, *more, "--out", name],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Written to") == 1
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["examples.parquet", "one", "two"]


def test_two_processes_go_on_from_their_checkpoint(student_folder: Path, tmp_path: Path) -> None:
    examples = [Example(f"q{i}", f"Is {i} odd?", f" {'yes' if i % 2 else 'no, no'}.", "label") for i in range(12)]
    write_table(tmp_path / "examples.parquet", examples, Example)
    command = [
        sys.executable,
        "-m",
        "sert",
        "train",
        "--examples",
        "examples.parquet",
        "--student",
        str(student_folder),
    ]
    settings = {"training.max_steps": 300, "training.micro_batch_size": 2, "execution.checkpoint_seconds": 1e-9}
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    together = [sys.executable, *launch, *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*together, "--out", "two"], **options) as stopped:
        end = time.monotonic() + 120
        while not list(tmp_path.glob(".two.*.work/checkpoints/step-*")) and time.monotonic() < end:
            time.sleep(0.01)
        stopped.terminate()  # the launcher passes it on to both
        stopped.communicate()
    assert not (tmp_path / "two").exists()
    done = subprocess.run([*together, "--out", "two"], timeout=240, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert "train: goes on after step" in done.stderr
    whole = subprocess.run([*together, "--out", "whole"], timeout=240, check=False, **options)
    assert whole.returncode == 0, whole.stderr
    assert losses(tmp_path / "two") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "two")) == 300
