"""The site: what is made from the code is as the code is, every page is in its contents, and links stay within it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from site_pages.__main__ import DOCS, generated_pages
from site_pages.commands import commands_below
from site_pages.links import dead_links

from sert.cli import cli
from sert.config.section import settings_of
from sert.config.tree import Config

ROOT = DOCS.parent
REMEDY = "run `python -m site_pages`, and name new pages in the nav of mkdocs.yml"
BUILDERS = {"mkdocs": ["build", "--strict"], "zensical": ["build", "--strict", "--clean"]}


def pages_in(contents: Any) -> list[str]:
    """List the pages of a nav in their order."""
    if isinstance(contents, str):
        return [contents]
    inner = contents.values() if isinstance(contents, dict) else contents
    return [page for each in inner for page in pages_in(each)]


def test_generated_pages_are_as_the_code_is() -> None:
    made = generated_pages()
    there = {file for folder in ("commands", "settings") for file in (DOCS / folder).iterdir()}
    assert there == set(made), REMEDY
    for file, text in made.items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: {REMEDY}"


def test_every_command_has_a_page_with_all_its_options() -> None:
    for path, command in commands_below(cli):
        page = (DOCS / "commands" / f"{'-'.join(path)}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# sert {' '.join(path)}\n"), REMEDY
        options = [each.opts[0] for each in command.params if each.opts[0].startswith("--")]
        assert [name for name in options if name not in page and name != "--help-all"] == []


def test_every_setting_has_its_place_on_a_page() -> None:
    pages = {file.stem: file.read_text(encoding="utf-8") for file in (DOCS / "settings").glob("*.md")}
    for each in settings_of(Config):
        page = "run" if "." not in each.path else each.path.partition(".")[0]
        if each.section is None:
            assert f"\n### `{each.path}`\n" in pages[page], REMEDY


def test_settings_say_what_they_take_and_their_defaults() -> None:
    mining = (DOCS / "settings/mining.md").read_text(encoding="utf-8")
    assert "### `mining.branches`\n\nTakes a whole number of 0 or more. Default: `5`.\n" in mining
    tasks = (DOCS / "settings/tasks.md").read_text(encoding="utf-8")
    assert "### `tasks.<name>.limit`\n\nTakes a whole number of 1 or more. Default: none.\n" in tasks
    run = (DOCS / "settings/run.md").read_text(encoding="utf-8")
    assert 'Default: `["zero_shot", "finetune", "sert", "rd", "sert+rd"]`.' in run


def test_the_contents_name_every_page_once() -> None:
    named = pages_in(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    there = sorted(str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md") if file.name != "table.md")
    assert sorted(named) == there, REMEDY


def test_links_of_pages_stay_within_the_site() -> None:
    for file in DOCS.rglob("*.md"):
        text = re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            place = (file.parent / target).resolve()
            assert place.is_file() and place.is_relative_to(DOCS), f"{file.name}: {target}"


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">a</h1><a href="below/#there">b</a><a href="#top">c</a><a href="https://example.org/x">d</a>'
        '<a href="below/#gone">e</a><img src="gone.png"><a href="nowhere/">f</a>'
    )
    (tmp_path / "below" / "index.html").write_text('<p id="there"><a href="../">g</a><a href="../#none">h</a>')
    assert [*dead_links(tmp_path)] == [
        "below/index.html: ../#none is no place in its page",
        "index.html: below/#gone is no place in its page",
        "index.html: gone.png is no file",
        "index.html: nowhere/ is no file",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("builder", BUILDERS)
def test_the_site_is_built_without_warnings_and_dead_links(builder: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(builder) is None:
        pytest.skip(f"{builder} is not installed (extra `site`)")
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    command = [sys.executable, "-m", builder, *BUILDERS[builder]]
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    site = tmp_path / "build/site"
    assert (site / "commands/mine/index.html").is_file()
    assert [*dead_links(site)] == []
