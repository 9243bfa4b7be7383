"""The page of footguns: each says what happens, how it is seen, and what to set, and its settings exist."""

import re
from pathlib import Path

from sert.config.section import settings_of
from sert.config.tree import Config

PAGE = (Path(__file__).parent.parent / "docs/footguns.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
KNOWN = {each.path for each in settings_of(Config)}


def test_every_footgun_says_what_happens_how_it_is_seen_and_what_to_set() -> None:
    assert len(SECTIONS) == 8
    for name, text in SECTIONS.items():
        labels = re.findall(r"^\*\*(.*?)\*\*", text, re.MULTILINE)
        assert labels == ["What happens.", "How you see it.", "What to set."], name


def test_the_settings_that_it_names_exist() -> None:
    sections = "|".join(sorted({path.partition(".")[0] for path in KNOWN if "." in path}))
    named = re.findall(rf"`\[?((?:{sections})\.[\w<>.]+)\]?(?: = [^`]*)?`", PAGE)
    assert len(named) > 20
    assert set(named) <= KNOWN
