"""A question set is added as CONTRIBUTING.md says: one file, a row of the registry, a name among the settings."""

import json
from pathlib import Path

from recipes import changed_package, run_changed

RIDDLES = '''"""Riddles, as pairs of question and answer:

    [["What has hands and no fingers?", "clock"]]
"""

from collections.abc import Iterator

from sert.config.tree import TaskConfig
from sert.tasks.readers import FILES, QuestionSet, read_json
from sert.tasks.rows import Row


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

EDITS = {
    "tasks/kinds.py": {
        "import arc, boolq,": "import riddles, arc, boolq,",
        '    "lab_choice": lab.CHOICE,\n': '    "lab_choice": lab.CHOICE,\n    "riddles": riddles.QUESTION_SET,\n',
    },
    "config/tree.py": {'    "lab_choice",\n]': '    "lab_choice",\n    "riddles",\n]'},
}


def test_a_new_question_set_is_one_file_a_row_and_a_name(tmp_path: Path) -> None:
    changed_package(tmp_path, EDITS, files={"tasks/riddles.py": RIDDLES})
    (tmp_path / "riddles.json").write_text(json.dumps([["What has hands and no fingers?", "clock"]]))
    assert run_changed(tmp_path, "-c", USE) == "0 text clock"
    assert json.loads(run_changed(tmp_path, "-m", "sert", "tasks", "--json"))["riddles"] == "Riddles"
