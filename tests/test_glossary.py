"""`docs/glossary.md` is kept true: every name that it quotes is a class, function, type or field of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"^\| ([\w-]+) \| .+ \| (`.+`) \|$", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)


def names_of(tree: ast.Module) -> Iterator[str]:
    """Yield what a module defines on its first level, and the fields of its classes."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        for field in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id


NAMES = {
    name for file in (ROOT / "src/sert").rglob("*.py") for name in names_of(ast.parse(file.read_text(encoding="utf-8")))
}


def test_every_word_names_something_that_is_there() -> None:
    assert len(ROWS) >= 30
    quoted = {name for _, names in ROWS for name in re.findall("`([^`]+)`", names)}
    assert quoted - NAMES == set()


def test_no_word_stands_twice() -> None:
    words = [word for word, _ in ROWS]
    assert len(words) == len(set(words))
