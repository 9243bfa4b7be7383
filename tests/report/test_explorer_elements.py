"""What the explorer's page carries: bytes that come back, and nothing of a text that a browser could read as markup."""

import base64
import gzip
import json
import math
import struct

import pytest

from sert.report.explorer.elements import laid_out, packed, packed_json, utf_16_length


def unpacked(content: str) -> bytes:
    return gzip.decompress(base64.b64decode(content, validate=True))


def test_bytes_come_back_and_equal_ones_are_packed_alike():
    element = packed("paths-0", b"\x00\xff" * 500)
    assert element.name == "paths-0" and unpacked(element.content) == b"\x00\xff" * 500
    assert packed("paths-0", b"\x00\xff" * 500) == element
    assert element.size == len(element.content) < 200


def test_no_time_is_in_it():
    assert base64.b64decode(packed("a", b"text").content)[4:8] == bytes(4)


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--", "\u2028\u202e\x00", "\U0001f987 é"])
def test_texts_come_back_and_cannot_end_an_element(text):
    element = packed_json("header", {"text": text})
    assert json.loads(unpacked(element.content)) == {"text": text}
    assert set(element.content) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def test_json_has_no_numbers_that_browsers_cannot_read():
    with pytest.raises(ValueError, match="not JSON compliant"):
        packed_json("header", {"mean": math.inf})


def test_columns_lie_where_their_layout_says():
    layout, data = laid_out(
        {"flags": ("Uint8", [1, 2, 255]), "rep_2": ("Float64", [0.2, math.inf]), "row": ("Uint32", [2**32 - 1])}
    )
    assert layout == [
        {"name": "flags", "type": "Uint8", "offset": 0, "length": 3},
        {"name": "rep_2", "type": "Float64", "offset": 8, "length": 2},
        {"name": "row", "type": "Uint32", "offset": 24, "length": 1},
    ]
    assert data == bytes([1, 2, 255, 0, 0, 0, 0, 0]) + struct.pack("<ddI", 0.2, math.inf, 2**32 - 1) + bytes(4)


def test_a_browser_counts_characters_beyond_the_first_plane_twice():
    assert utf_16_length("bat") == 3
    assert utf_16_length("é\u202e") == 2
    assert utf_16_length("a\U0001f987") == 3
