"""A question set is added as CONTRIBUTING.md says: one file, a row of the registry, a name among the settings."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import sert

RIDDLES = '''"""Riddles, as pairs of question and answer:

    [["What has hands and no fingers?", "clock"]]
"""

from collections.abc import Iterator

from sert.config.tree import TaskConfig
from sert.tasks.readers import FILES, QuestionSet, Row, read_json


def read_rows(config: TaskConfig) -> Iterator[Row]:
    """Read the riddles. Ids are their numbers."""
    for number, (question, answer) in enumerate(read_json(config.data)):
        yield Row("train", f"riddle {number}", number, question, None, answer)


QUESTION_SET = QuestionSet("Riddles", read_rows, options=FILES)
'''

USE = """
import sys
from pathlib import Path
from sert.config.load import stage_config
from sert.tasks.load import load_task
tree = {"tasks": {"mine": {"kind": "riddles", "data": "riddles.json"}}}
config = stage_config(tree, overrides=(), reads=("tasks",)).tasks["mine"]
(question,) = load_task("mine", config).split("train")
sys.stdout.write(f"{question.question_id} {question.answer_type} {question.answer}")
"""


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_new_question_set_is_one_file_a_row_and_a_name(tmp_path: Path) -> None:
    package = tmp_path / "sert"
    shutil.copytree(Path(sert.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    (package / "tasks" / "riddles.py").write_text(RIDDLES, encoding="utf-8")
    kinds = package / "tasks" / "kinds.py"
    replace(
        kinds, "import commonsenseqa, lab, strategyqa, table", "import commonsenseqa, lab, riddles, strategyqa, table"
    )
    replace(
        kinds,
        '    "lab_choice": lab.CHOICE,\n',
        '    "lab_choice": lab.CHOICE,\n    "riddles": riddles.QUESTION_SET,\n',
    )
    replace(package / "config" / "tree.py", '"lab_yes_no", "lab_choice"]', '"lab_yes_no", "lab_choice", "riddles"]')
    (tmp_path / "riddles.json").write_text(json.dumps([["What has hands and no fingers?", "clock"]]))

    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=120
        ).stdout

    assert run("-c", USE) == "0 text clock"
    assert json.loads(run("-m", "sert", "tasks", "--json"))["riddles"] == "Riddles"
