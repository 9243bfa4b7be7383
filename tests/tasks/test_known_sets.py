"""The question sets of docs/questions.md: a row of each, in its own form, is read right by the settings shown there."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from sert.config.tree import TaskConfig
from sert.tasks.load import load_task

PAGE = Path(__file__).parents[2] / "docs" / "questions.md"
ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \| `(\{.+\})` \| (.+) \| `(\w+)` \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))


def settings_of(cell):
    """Read the settings, which are all that is quoted and holds a sign of equality."""
    settings = {"kind": "table"}
    for quoted in re.findall(r"`([^`]+ = [^`]+)`", cell):
        settings |= tomllib.loads(f"all = {{{quoted}}}")["all"]
    return settings


def test_every_set_of_the_page_is_read():
    names = {name.split(",")[0] for name, *_ in ROWS}
    wanted = "CommonsenseQA StrategyQA ARC OpenBookQA BoolQ GSM8K AQuA SVAMP MultiArith MMLU MedMCQA HellaSwag MATH"
    assert names >= set(wanted.split()) and len(ROWS) == 21


@pytest.mark.parametrize(("name", "row", "settings", "gold"), ROWS, ids=[name for name, *_ in ROWS])
@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_a_row_is_read_as_the_page_says(tmp_path, name, row, settings, gold, ending):
    if 'kind = "math"' in settings:
        pytest.importorskip("math_verify")
    file = tmp_path / f"q.{ending}"
    if ending == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.Table.from_pylist([json.loads(row)]), file)
    else:
        file.write_text(row + "\n" if ending == "jsonl" else json.dumps([json.loads(row)], indent=2))
    data = load_task("t", TaskConfig(data=file, **settings_of(settings)))
    (question,) = data.questions
    assert question.answer == gold
    assert not data.slips or name == "AQuA"
