"""The recipe of `CONTRIBUTING.md` for a pattern rule, followed with a toy through the three files that it names."""

from pathlib import Path

from recipes import changed_package, run_changed

EDITS = {
    "paths/patterns.py": {
        "\n\nclass Pattern(": "\n\ndef shouts(text, question):\n    return text.isupper()\n\n\nclass Pattern(",
        "responds_directly),\n)": 'responds_directly),\n    Pattern("shouting", shouts),\n)',
    },
    "config/rules.py": {
        '"direct_response",': '"direct_response",\n    "shouting",',
        "    min_tokens: Annotated": "    shouting: bool = True\n    min_tokens: Annotated",
    },
    "records.py": {"    selected: bool\n": "    selected: bool\n    shouting: bool = False\n"},
}

FILTERS = """
import pathlib
from sert import filter_paths, open_artifact
from sert.config.prompts import PromptTemplates
from sert.config.tree import RulesConfig
from sert.records import Path, Question, Verdict
from sert.store.artifacts import commit
from sert.store.tables import read_table, write_table

def fill(draft):
    ids, logprobs = tuple(range(30)), (-2.0,) * 30
    texts = ("Herons wade where it is shallow.", "HERONS WADE WHERE IT IS SHALLOW.")
    paths = [Path("q", 0, n, 0, -2.0, ids, logprobs, text, "eos", 30, 7.4, 0.0) for n, text in enumerate(texts)]
    write_table(draft.folder / "paths.parquet", paths, Path)
    question = Question("q", "t", "train", "Can a heron wade?", (), "yes", "Question: Can a heron wade?")
    write_table(draft.folder / "questions.parquet", [question], Question)
    return {}

mined = commit(
    pathlib.Path("mined"), fill, stage="mine", config={"prompts": PromptTemplates().model_dump()}, inputs={}, seed=0
)
for shouting in (True, False):
    found = filter_paths(mined, rules=RulesConfig(shouting=shouting), out=pathlib.Path(f"filtered-{shouting}"))
    verdicts = read_table(found.file("verdicts.parquet"), Verdict)
    print([(each.reason, each.shouting) for each in verdicts], found.counts["dropped"]["shouting"])
"""


def test_a_pattern_is_added_in_three_files(tmp_path: Path) -> None:
    changed_package(tmp_path, EDITS)
    assert run_changed(tmp_path, "-c", FILTERS).splitlines() == [
        "[(None, False), ('shouting', True)] 1",
        "[(None, False), (None, True)] 0",
    ]
