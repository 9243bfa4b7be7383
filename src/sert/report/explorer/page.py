"""Joins the page's markup, style and scripts with its data into one file, under a policy that allows nothing else."""

import base64
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sert.report.explorer.elements import Element, packed_json

GENERATOR = '<meta name="generator" content="sert explore">'
"""By which a file is known that `sert explore` wrote."""
POLICY, STYLE, DATA, SCRIPT = "<!--policy-->", "<!--style-->", "<!--data-->", "<!--script-->"
"""Where the markup wants what is put into it, in this order."""
_RULES = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; worker-src blob:; base-uri 'none'; "
    "form-action 'none'"
)
_NOT_IN_ELEMENTS = ("</script", "</style", "<!--")


@dataclass(frozen=True)
class Explored:
    """All that the page is a function of (`docs/explorer.md`).

    Attributes:
        header: What there is to look at: runs, arms, paths, rules.
        small: What the page reads at once.
        blocks: Texts and tokens, which it reads when they are looked at.
    """

    header: Mapping[str, Any]
    small: Sequence[Element]
    blocks: Sequence[Element]

    @property
    def size(self) -> int:
        """Bytes of the content in the file, roughly."""
        return sum(element.size for element in itertools.chain(self.small, self.blocks))


def page_parts(explored: Explored) -> Iterator[str]:
    """Write the page, a part at a time. Equal data give equal parts.

    Blocks stand behind the script, so that the page shows itself while the browser still reads them.
    """
    markup, style, script = _markup(), _asset("style.css"), _script()
    head, rest = markup.split(POLICY)
    before_style, rest = rest.split(STYLE)
    before_data, rest = rest.split(DATA)
    before_script, end = rest.split(SCRIPT)
    rules = _RULES.format(script=_hash_of(script), style=_hash_of(style))
    yield f'{head}<meta http-equiv="Content-Security-Policy" content="{rules}">\n{GENERATOR}{before_style}'
    yield f"<style>{style}</style>{before_data}"
    yield from map(_tagged, [packed_json("header", explored.header), *explored.small])
    yield f"{before_script}<script>{script}</script>\n"
    yield from map(_tagged, explored.blocks)
    yield end


def _tagged(element: Element) -> str:
    return f'<script type="text/plain" id="{element.name}">{element.content}</script>\n'


def _hash_of(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


@cache
def _script() -> str:
    """Join the scripts in the order that `order.txt` names them in."""
    return "\n".join(map(_asset, _asset("order.txt").split()))


@cache
def _markup() -> str:
    markup = files("sert.report.explorer").joinpath("page.html").read_text(encoding="utf-8")
    assert all(markup.count(each) == 1 for each in (POLICY, STYLE, DATA, SCRIPT))
    return markup


def _asset(name: str) -> str:
    """Read a file that becomes the content of an element, which nothing in it may end."""
    text = files("sert.report.explorer").joinpath(name).read_text(encoding="utf-8")
    assert not [each for each in _NOT_IN_ELEMENTS if each in text.lower()], f"{name} would end its element"
    return text
