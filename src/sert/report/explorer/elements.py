"""What the explorer's page carries: inert elements with base64 of gzip, of JSON or of columns of numbers.

Equal content gives equal bytes. The alphabet of base64 cannot end an element, so that no text of a model or of a row
ever stands in the page.
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

TYPES = {"Uint8": "<u1", "Uint16": "<u2", "Uint32": "<u4", "Int32": "<i4", "Float32": "<f4", "Float64": "<f8"}
"""Typed arrays of a browser, and what numpy calls their little-endian numbers."""
_ALIGNED = 8
"""Bytes that each column begins at a multiple of, as typed arrays ask for."""


class Element(NamedTuple):
    """One element of the page: its id, and its content in base64."""

    name: str
    content: str

    @property
    def size(self) -> int:
        """Bytes that it takes in the file, without its tags."""
        return len(self.content)


class Columns(NamedTuple):
    """Columns of numbers one behind the other, and where each one lies."""

    layout: list[dict[str, Any]]
    data: bytes


def packed(name: str, data: bytes) -> Element:
    """Compress bytes into an element; the time of writing is left out."""
    return Element(name, base64.b64encode(gzip.compress(data, compresslevel=9, mtime=0)).decode("ascii"))


def packed_json(name: str, value: Any) -> Element:
    """Compress a JSON value into an element.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return packed(name, text.encode("utf-8"))


def laid_out(columns: Mapping[str, tuple[str, Sequence[float] | np.ndarray]]) -> Columns:
    """Put columns one behind the other: name -> its type (a key of `TYPES`) and its numbers."""
    layout, parts, offset = list[dict[str, Any]](), list[bytes](), 0
    for name, (kind, values) in columns.items():
        part = np.asarray(values).astype(TYPES[kind]).tobytes()
        layout.append({"name": name, "type": kind, "offset": offset, "length": len(values)})
        padding = -len(part) % _ALIGNED
        parts += [part, bytes(padding)]
        offset += len(part) + padding
    return Columns(layout, b"".join(parts))


def utf_16_length(text: str) -> int:
    """Count the units in which a browser counts the characters of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
