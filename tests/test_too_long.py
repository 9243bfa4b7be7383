"""A question that is longer than the student's positions stops nothing: it is told beforehand, left out and counted."""

import json
from pathlib import Path

import pytest

from commands import sert
from listening import Listening
from sert.config.tree import Config
from sert.runs.run import plan, run

LONG = " ".join(f"Does stone {number} float?" for number in range(300))
QUESTIONS = {
    "train.jsonl": ["Is ice cold?", LONG, "Do birds fly?"],
    "test.jsonl": ["Is snow warm?", "Do fish swim?", LONG],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where question files lie, each with one question that is too long for the lab's student."""
    for name, asked in QUESTIONS.items():
        rows = [{"question": f"{name[:2]} {text}", "answer": "yes"} for text in asked]
        (tmp_path / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "section", "line"),
    [
        (["mine", "--data", "train.jsonl"], "mining", "train.jsonl, line 2"),
        (["evaluate", "--data", "train.jsonl", "--split", "train"], "evaluation", "train.jsonl, line 2"),
        (
            ["evaluate", "--data", "train.jsonl", "--set", 'tasks.table.test_data="test.jsonl"', "--prompt", "teacher"],
            "evaluation",
            "test.jsonl, line 3",
        ),
    ],
)
def test_a_dry_run_names_it_with_its_place(folder: Path, command: list[str], section: str, line: str) -> None:
    done = sert(*command, "--task", "table", "--dry-run", "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Warning: Too long for 'lab': 1 of 3 questions" in done.stderr
    assert f"{section}.max_new_tokens = " in done.stderr and f"({line}, " in done.stderr


def test_a_run_leaves_it_out_and_keeps_it_in_every_denominator(folder: Path, sketched_figures: None) -> None:
    config = Config.model_validate(
        {
            "name": "long",
            "methods": ["zero_shot", "sert"],
            "student": {"path": "lab", "num_threads": 1},
            "tasks": {"own": {"kind": "table", "data": folder / "train.jsonl", "test_data": folder / "test.jsonl"}},
            "mining": {"branches": 2, "samples": 1, "max_new_tokens": 16, "keep_all": True},
            "rules": {"min_tokens": 2, "min_perplexity": 0},
            "training": {"max_steps": 1},
            "evaluation": {"max_new_tokens": 16, "probe_samples": 2, "scored_questions": 3},
        }
    )
    planned, told = Listening(), Listening()
    plan(config, out=folder / "run", reporter=planned)
    long = [line for line in planned.said if "Too long" in line]
    assert [("mining" in line, "evaluation" in line) for line in long] == [(True, False), (False, True)]
    assert "train.jsonl, line 2" in long[0] and "test.jsonl, line 3" in long[0] and "test.jsonl, line 3" in long[1]

    metrics = run(config, out=folder / "run", reporter=told).metrics
    assert set(long) <= set(told.said)
    assert [(row["n"], row["too_long"]) for row in metrics["rows"]] == [(3, 1), (3, 1)]
    assert {row["questions"] for row in metrics["latent"]} == {3}
    assert [row["questions"] for row in metrics["selection"]] == [3]
    assert [row["questions"] for row in metrics["budget"]] == [3]
    said = " ".join(metrics["warnings"])
    assert "own: 1 train questions are too long for the student and have no paths" in said
    assert "own: 1 of 3 test questions are too long for the student and count as not answered by sert" in said
