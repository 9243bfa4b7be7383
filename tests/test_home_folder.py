"""`~` is the home folder wherever a path is given, also where the shell leaves it: in files, in `--set`, in quotes."""

import json
import os
import shutil
from pathlib import Path

import pytest

from commands import sert
from sert.student.folder import LAB_STUDENT

CONFIG = """
name = "home"
methods = ["zero_shot", "finetune", "rd"]
[student]
path = "~/student"
device = "cpu"
[teacher]
kind = "recorded"
[training]
forgetting = "~/held.jsonl"
max_steps = 1
[tasks.own]
kind = "table"
data = "~/train.jsonl"
test_data = "~/test.jsonl"
rationales = "~/rationales.jsonl"
"""
GRID = """
name = "home"
seeds = [0]
[students.mine]
path = "~/student"
[base]
methods = ["zero_shot"]
[base.tasks.own]
kind = "table"
data = "~/train.jsonl"
test_data = "~/test.jsonl"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    shutil.copytree(LAB_STUDENT, folder / "student")
    for name, stem in (("train", "Is ice cold?"), ("test", "Is fire cold?")):
        (folder / f"{name}.jsonl").write_text(json.dumps({"question": stem, "answer": "yes"}) + "\n")
    rationale = {"question": "Is ice cold?", "text": "Ice is frozen water.", "answer": "yes"}
    (folder / "rationales.jsonl").write_text(json.dumps(rationale) + "\n")
    (folder / "held.jsonl").write_text(json.dumps({"text": "It is cold outside today."}) + "\n")
    (folder / "own.toml").write_text(CONFIG)
    (folder / "grid.toml").write_text(GRID)
    return folder


COMMANDS = [
    ["run", "~/own.toml", "--out", "~/runs/own", "--dry-run"],
    ["run", "~/own.toml", "--set", "tasks.own.test_data=~/test.jsonl", "--set", "student.path=~/student", "--dry-run"],
    ["reproduce", "~/grid.toml", "--student", "~/student", "--dry-run"],
    ["prospect", "~/own.toml", "--data", "~/train.jsonl", "--student", "~/student", "--dry-run"],
    ["mine", "--task", "table", "--data", "~/train.jsonl", "--student", "~/student", "--out", "~/mined", "--dry-run"],
    ["doctor", "--student", "~/student"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_path_may_begin_with_the_home_folder(home: Path, tmp_path: Path, command: list[str]) -> None:
    done = sert(*command, cwd=tmp_path, environment={**os.environ, "HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "~").exists()
