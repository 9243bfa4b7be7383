"""Every command and example in the docs works as written."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fault_server import FaultServer
from sert.student.load import Student

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1"}
ENDPOINT = "http://127.0.0.1:8000/v1"  # of the examples
DOCUMENTS = ["README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]


def commands_of(document: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.startswith("sert ")]


def make_data(folder: Path) -> None:
    """Small files of our own where the configurations expect the real ones."""
    questions = ["Is ice cold?", "Is fire cold?", "Do birds fly?", "Do stones fly?"]
    targets = [{"Yes": 1 - i % 2, "No": i % 2} for i in range(4)]
    examples = [{"input": q, "target_scores": t} for q, t in zip(questions, targets, strict=True)]
    (folder / "data/strategyqa").mkdir(parents=True)
    (folder / "data/strategyqa/task.json").write_text(json.dumps({"examples": examples}))
    (folder / "data/strategyqa/split.json").write_text(json.dumps({"train": [0, 1], "test": [2, 3]}))
    (folder / "data/teacher").mkdir()
    (folder / "data/teacher/strategyqa_zero_shot_cot.log").write_text("")
    (folder / "configs").symlink_to(ROOT / "configs")
    _write_own_questions(folder)


def _write_own_questions(folder: Path) -> None:
    """The files of docs/questions.md: its configuration, its rationale, and its two questions in both splits' words."""
    text = (ROOT / "docs/questions.md").read_text(encoding="utf-8")
    rows = re.findall(r'^\{"id".*\}$', text, re.MULTILINE)
    assert len(rows) == 2
    (folder / "train.jsonl").write_text(rows[1] + "\n")
    (folder / "test.jsonl").write_text(rows[1].replace('"2"', '"3"').replace("What barks?", "Who barks?") + "\n")
    (folder / "rationales.jsonl").write_text("\n".join(re.findall(r'^\{"question_id".*\}$', text, re.MULTILINE)) + "\n")
    (folder / "own.toml").write_text(re.search(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1])  # type: ignore[index]


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if commands_of(document)])
def test_commands_run_as_written(document: str, tmp_path: Path) -> None:
    make_data(tmp_path)
    with FaultServer(variant="honest", models=("NAME",)) as server:
        for command in commands_of(document):
            arguments = [sys.executable, "-m", *shlex.split(command.replace(ENDPOINT, server.base_url))]
            done = subprocess.run(
                arguments, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=280, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_the_python_example_of_the_readme_runs(tmp_path: Path) -> None:
    example = (ROOT / "examples/python_api.py").read_text(encoding="utf-8")
    assert f"```python\n{example}```" in (ROOT / "README.md").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^sert: \d+/40 right, \d+ % reason$", done.stdout, re.MULTILINE)


def test_the_random_student_of_the_examples_can_be_used(student: Student, tmp_path: Path) -> None:
    student.tokenizer.save_pretrained(tmp_path / "tokenizer")
    shape = ["--layers", "1", "--width", "16", "--heads", "2"]
    for command in (
        [str(ROOT / "examples/random_student.py"), "tokenizer", "models/random", *shape],
        ["-m", "sert", "mine", "--task", "lab_choice", "--limit", "1", "--student", "models/random", "--out", "mined"],
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "mined" / "paths.parquet").is_file()


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*DOCUMENTS, "CONTRIBUTING.md", "CHANGELOG.md"]:
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"
