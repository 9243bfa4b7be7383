"""The recipe of `CONTRIBUTING.md` for a metric, followed with a toy: it is then a column everywhere."""

import json
from pathlib import Path

import pytest

from recipes import changed_package, run_changed

EDITS = {
    "records.py": {"    votes: int = 1\n": "    votes: int = 1\n    num_words: int = 0\n"},
    "evaluation/grading.py": {
        "        reasoned=is_reasoned(": "        num_words=len(completion.split()),\n        reasoned=is_reasoned(",
        '        "reasoned": fmean(': '        "words": fmean(each.num_words for each in predictions),\n'
        '        "reasoned": fmean(',
    },
    "report/columns.py": {
        ")\n_ACCURACY = ": '    Measure("words", "Words", _tenth, "Mean number of words."),\n)\n_ACCURACY = '
    },
}
CONFIG = """
name = "toy"
methods = ["zero_shot"]
student.path = "lab"
tasks.lab = {kind = "lab_choice", limit = 4}
evaluation.max_new_tokens = 4
evaluation.probe_samples = 0
"""


@pytest.mark.slow
def test_a_metric_is_a_column_everywhere(tmp_path: Path) -> None:
    changed_package(tmp_path, EDITS)
    (tmp_path / "toy.toml").write_text(CONFIG)
    told = run_changed(tmp_path, "-m", "sert", "run", "toy.toml", "--out", "toy")
    report = tmp_path / "toy" / "report"
    assert " Words" in told
    assert "| Words |" in (report / "table.md").read_text(encoding="utf-8").replace("---:", "")
    page = (report / "index.html").read_text(encoding="utf-8")
    assert ">Words<" in page
    assert "Mean number of words." in page
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert [row["words"] > 0 for row in metrics["rows"]] == [True]
    assert [row["words"]["mean"] > 0 for row in metrics["summary"]] == [True]
