"""`docs/paper_index.md` is kept true: its settings, defaults, functions and tests are looked up."""

import ast
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sert.config.section import settings_of
from sert.config.tree import Config

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "paper_index.md"
PROMPTS = "tasks.<task>.prompts"


class Row(NamedTuple):
    line: int
    cells: dict[str, str]


def read_rows(text: str) -> Iterator[Row]:
    """Yield the rows of every table with their headings."""
    headings: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("|"):
            headings = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not headings:
            headings = cells
        elif set(line) - set("|-"):
            assert len(cells) == len(headings), f"line {number} has {len(cells)} cells, not {len(headings)}"
            yield Row(number, dict(zip(headings, cells, strict=True)))


def quoted(cell: str) -> str | None:
    """Read a cell that is one piece of code, None for a cell that says there is none."""
    if cell == "–":  # noqa: RUF001 - how the page says "none"
        return None
    (code,) = re.findall("^`([^`]+)`$", cell)
    return code


ROWS = list(read_rows(INDEX.read_text(encoding="utf-8")))
SETTINGS = [(quoted(row.cells["Setting"]), row) for row in ROWS if quoted(row.cells["Setting"])]


# `tasks.<task>` stands for any task.
FIELDS = {each.path.replace("<name>", "<task>"): each for each in settings_of(Config)}


def test_there_are_rows():
    assert len(ROWS) > 60
    assert len(SETTINGS) > 30


def test_defaults_are_those_of_the_code():
    for setting, row in SETTINGS:
        written = quoted(row.cells["Default"])
        given = None if written == "none" else tomllib.loads(f"value = {written}")["value"]
        default = FIELDS[setting].field.default
        assert given == (list(default) if isinstance(default, tuple) else default), setting


def test_a_default_has_a_setting_and_code():
    for row in ROWS:
        assert (quoted(row.cells["Default"]) is None) == (quoted(row.cells["Setting"]) is None), row
        assert quoted(row.cells["Code"]) is not None, row


def test_every_setting_of_the_method_is_named_once():
    sections = {path for path, each in FIELDS.items() if each.section is not None and "." not in path}
    assert sections - {"tasks"} == {
        "student",
        "mining",
        "rules",
        "selection",
        "training",
        "teacher",
        "judge",
        "evaluation",
        "execution",
        "report",
    }
    expected = {"seed", "methods", "rounds", "tasks.<task>.dev_share", "tasks.<task>.near_duplicates"}
    expected |= {
        path
        for path, each in FIELDS.items()
        if path.partition(".")[0] in sections - {"tasks"} or path.startswith(f"{PROMPTS}.")
        if "." in path and each.section is None and not each.field.is_required()
    }
    # Teachers and judges are called alike; the page names these settings once.
    expected -= {setting for setting in expected if setting.startswith(("judge.endpoint.", "judge.calls."))}
    assert sorted(setting for setting, _ in SETTINGS) == sorted(expected)


def test_code_exists():
    for path in sorted({quoted(row.cells["Code"]) or "" for row in ROWS}):
        found = pkgutil.resolve_name(path)
        # Named where it is defined, not where it is imported.
        assert path == f"{found.__module__}.{found.__qualname__}"


def test_tests_exist():
    for path in sorted({quoted(row.cells["Test"]) or "" for row in ROWS} - {""}):
        file, name = path.split("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, path


def test_files_that_the_page_names_exist():
    files = re.findall(r"`((?:src|tests|docs|configs)/[\w./-]+)(?:::\w+)?`", INDEX.read_text(encoding="utf-8"))
    assert len(files) > 40
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_rows_are_read_with_their_headings():
    text = "| A | B |\n|---|---|\n| `x` | – |\n\nprose\n\n| C |\n|---|\n| y |\n"  # noqa: RUF001
    assert [row.cells for row in read_rows(text)] == [{"A": "`x`", "B": "–"}, {"C": "y"}]  # noqa: RUF001
    assert quoted("`x`") == "x"
