"""Two processes train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
    for name, prefix in (("one", []), ("two", launch)):
        done = subprocess.run(
            [sys.executable, *prefix, *command, *settings, "--out", name],
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
