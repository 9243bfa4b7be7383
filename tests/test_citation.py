"""What is to be cited is this version, under this licence, and the paper that the README names."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def test_the_citation_is_of_this_version_and_of_the_paper() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["preferred-citation"]["url"] in (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert all({"given-names", "family-names"} == each.keys() for each in cited["preferred-citation"]["authors"])
