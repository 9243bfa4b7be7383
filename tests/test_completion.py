"""Completion in bash, zsh and fish: the scripts that the page names are made, and what they ask for is answered."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import sert

ROOT = Path(__file__).parent.parent
SHELLS = ("bash", "zsh", "fish")
ASKED = {
    "bash": {"COMP_WORDS": "sert {}", "COMP_CWORD": "{count}"},
    "zsh": {"COMP_WORDS": "sert {}", "COMP_CWORD": "{count}"},
    "fish": {"COMP_WORDS": "sert {}", "COMP_CWORD": "{last}"},
}


def completed(shell: str, typed: str, folder: Path) -> str:
    """Ask for what completes the last word, as the script of a shell does."""
    known = {"count": len(typed.split(" ")), "last": typed.split(" ")[-1]}
    words = {name: text.format(typed, **known) for name, text in ASKED[shell].items()}
    done = sert(cwd=folder, environment={**os.environ, **words, "_SERT_COMPLETE": f"{shell}_complete"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_kinds_and_files_are_completed(shell: str, tmp_path: Path) -> None:
    assert re.search(r"\bexport\b", completed(shell, "exp", tmp_path))
    assert "inspect" in completed(shell, "export ins", tmp_path)
    assert "--max-new-tokens" in completed(shell, "mine --max", tmp_path)
    kinds = completed(shell, "mine --task arc", tmp_path)
    assert "arc_easy" in kinds and "arc_challenge" in kinds and "gsm8k" not in kinds
    assert completed(shell, "verify ru", tmp_path).startswith("file")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_page_names_the_script_of_each_shell(shell: str, tmp_path: Path) -> None:
    page = (ROOT / "docs/stages.md").read_text(encoding="utf-8")
    assert f"_SERT_COMPLETE={shell}_source sert" in page
    made = sert(cwd=tmp_path, environment={**os.environ, "_SERT_COMPLETE": f"{shell}_source"})
    assert made.returncode == 0 and f"_SERT_COMPLETE={shell}_complete" in made.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    made = sert(cwd=tmp_path, environment={**os.environ, "_SERT_COMPLETE": "bash_source"})
    (tmp_path / "script.sh").write_text(made.stdout, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "sert"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sert "$@"\n')
    program.chmod(0o755)
    asks = "COMP_WORDS=(sert min); COMP_CWORD=1; _sert_completion sert"
    script = f"source script.sh; {asks}; printf '%s|' \"${{COMPREPLY[@]}}\""
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "mine|"
