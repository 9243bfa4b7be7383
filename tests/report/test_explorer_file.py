"""The explorer's page: one file, its parts in their order, a policy that allows its own script and style alone."""

import base64
import hashlib
import re

import pytest

from sert.report.explorer import page
from sert.report.explorer.elements import packed, packed_json
from sert.report.explorer.page import GENERATOR, Explored, page_parts


def make_explored() -> Explored:
    return Explored({"format": 1}, [packed_json("questions-0", {"id": ["</script>"]})], [packed("texts-0-0", b"{}")])


def test_equal_data_give_equal_bytes():
    assert list(page_parts(make_explored())) == list(page_parts(make_explored()))


def test_the_policy_names_the_hash_of_the_only_script_and_of_the_style():
    text = "".join(page_parts(make_explored()))
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in (script, style)]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{hashes[0]}'",
        f"style-src 'sha256-{hashes[1]}'",
        "worker-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert text.index(policy) < text.index("<style>") and text.index(GENERATOR) < 4096


def test_blocks_come_behind_the_script_and_all_else_before_it():
    text = "".join(page_parts(make_explored()))
    places = [text.index(f'id="{name}"') for name in ("header", "questions-0")]
    assert places == sorted(places) and places[-1] < text.index("<script>") < text.index('id="texts-0-0"')
    assert text.rstrip().endswith("</html>")
    assert not re.search(r"<!--\w+-->", text)  # every place was filled


def test_every_script_of_the_folder_is_in_the_page():
    folder = page.files("sert.report.explorer")
    scripts = sorted(each.name for each in folder.iterdir() if each.name.endswith(".js"))
    named = folder.joinpath("order.txt").read_text(encoding="utf-8").split()
    assert sorted(named) == scripts and named[0] == "namespace.js"


def test_a_script_that_would_end_its_element_is_refused(tmp_path, monkeypatch):
    (tmp_path / "tail.js").write_text('const end = "</SCRIPT>";')
    monkeypatch.setattr(page, "files", lambda package: tmp_path)
    with pytest.raises(AssertionError, match=r"tail\.js would end its element"):
        page._asset("tail.js")
