"""The explorer's page read back, as its script reads it."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from sert.report.explorer.elements import TYPES

_ELEMENT = re.compile(r'<script type="text/plain" id="([a-z0-9-]+)">([A-Za-z0-9+/=]*)</script>')


class Page:
    """The data elements of one page."""

    def __init__(self, file: Path) -> None:
        self._elements = dict(_ELEMENT.findall(file.read_text(encoding="utf-8")))
        self.header: dict[str, Any] = self.json("header")

    @property
    def names(self) -> list[str]:
        """The elements in their order."""
        return list(self._elements)

    def data(self, name: str) -> bytes:
        """Unpack one element."""
        return gzip.decompress(base64.b64decode(self._elements[name], validate=True))

    def json(self, name: str) -> Any:
        """Unpack one that holds JSON."""
        return json.loads(self.data(name))

    def columns(self, kind: str, number: int) -> dict[str, np.ndarray]:
        """Unpack the columns of a mined folder (`paths`) or of a filter (`view`)."""
        described = self.header["pools" if kind == "paths" else "views"][number]["columns"]
        data = self.data(f"{kind}-{number}")
        return {
            each["name"]: np.frombuffer(data, TYPES[each["type"]], count=each["length"], offset=each["offset"])
            for each in described
        }

    def questions_of(self, pool: int) -> list[dict[str, Any]]:
        """The texts of all questions, block by block."""
        blocks = (self.json(f"texts-{pool}-{number}") for number in range(self.header["pools"][pool]["blocks"]))
        return [question for block in blocks for question in block["questions"]]
