"""Whose licences hold for what is published: the student's, the questions', and those of a teacher's texts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from sert.errors import ConfigError
from sert.export.markdown import as_code, table
from sert.terminal.text import shorten

Part = Literal["student", "question", "teacher"]
WHAT: Mapping[Part, str] = {
    "student": "the student that it started from, or whose texts these are",
    "question": "the questions and their answers",
    "teacher": "texts of a teacher or a judge",
}
OTHER = "other"
"""What the hub calls a licence that it has no name for."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(?:/[\w./~%+-]{0,300})?", re.ASCII)
_HOW = "give the hub's name of it, such as apache-2.0, mit or cc-by-4.0, or the https address of its terms"


class Licences(NamedTuple):
    """The licences of what is published.

    Attributes:
        named: Of what a text or weight in it comes from: part -> licence, the hub's name or an address.
        whole: What the hub shows: the one that all parts have, or `other`, unless it was given.
    """

    named: Mapping[Part, str]
    whole: str

    @property
    def fields(self) -> dict[str, str]:
        """The same as the front matter of a card says it."""
        if _NAME.fullmatch(self.whole) and self.whole != OTHER:
            return {"license": self.whole}
        address = {"license_link": self.whole} if _ADDRESS.fullmatch(self.whole) else {}
        return {"license": OTHER, "license_name": "see-the-licences-of-its-parts", **address}

    def section(self) -> Iterator[str]:
        """Write them for the card."""
        yield from ("", "## Licences", "")
        yield from table(("of", "licence"), [(WHAT[part], licence) for part, licence in self.named.items()])
        if "teacher" not in self.named:
            yield from ("", "No text of a teacher is known to be in it.")
        yield from ("", f"As a whole it is published under {as_code(self.whole)}.")


def read_licences(given: Mapping[Part, str | None], *, needed: Sequence[Part], whole: str | None = None) -> Licences:
    """Check that the licence of every part is named.

    Args:
        given: What was named; more than is needed may be.
        needed: Of what something is known to be in it.
        whole: Under which licence it is published, where that is said.

    Raises:
        ConfigError: If one is missing, or is no name of a licence.
    """
    missing = [part for part in needed if not given.get(part)]
    if missing:
        flags = " and ".join(f"--{part}-licence" for part in missing)
        parts = " and ".join(WHAT[part] for part in missing)
        raise ConfigError(f"Nothing is published whose licence is not named. Missing: of {parts}. By {flags} {_HOW}.")
    named = {part: _checked(licence, f"--{part}-licence") for part, licence in given.items() if licence}
    shared = next(iter(named.values())) if len(set(named.values())) == 1 else OTHER
    return Licences(named, shared if whole is None else _checked(whole, "--licence"))


def _checked(licence: str, flag: str) -> str:
    if _ADDRESS.fullmatch(licence):
        return licence
    name = licence.strip().lower()
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{flag} {shorten(licence)} is no licence; {_HOW}.")
    return name
