"""A copy of the package that is changed as a recipe of `CONTRIBUTING.md` says, and used in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import sert

Edits = Mapping[str, Mapping[str, str]]
"""File within the package -> text that stands there once -> what takes its place."""


def changed_package(folder: Path, edits: Edits, *, files: Mapping[str, str] | None = None) -> None:
    """Copy the package into a folder, change some of its files, and add some."""
    package = folder / "sert"
    shutil.copytree(Path(sert.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, replaced in edits.items():
        text = (package / name).read_text(encoding="utf-8")
        for old, new in replaced.items():
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        (package / name).write_text(text, encoding="utf-8")
    for name, text in (files or {}).items():
        (package / name).write_text(text, encoding="utf-8")


def run_changed(folder: Path, *arguments: str) -> str:
    """Run Python with the changed package, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
