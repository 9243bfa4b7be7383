"""The path explorer of hostile and odd texts: it shows every one, and runs, loads and opens none."""

from collections.abc import Sequence
from pathlib import Path

import explorer_pages as pages
import pytest
from explorer_reader import Reader
from hostile_texts import KINDS, Hostile, make_hostile_texts

from browser import Browser, Canary

FULL = 500
PLAIN = "nothing but plain words here"
PARTS = """[...new Set([...document.querySelectorAll("*")].map(
  each => [each.tagName, ...each.getAttributeNames().sort()].join(" ")))].sort()"""
# What a reader does: unfold everything, point at it and let it have the focus.
USE = """(() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  for (const each of document.querySelectorAll(".opener[aria-expanded=false]")) each.click();
  for (const each of document.querySelectorAll("main *")) {
    each.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
    if (each.tabIndex >= 0) each.focus();
  }
  document.activeElement.blur();
})()"""
NUMBER = "Number(document.querySelector('.tree').dataset.number)"

pytestmark = pytest.mark.soak


@pytest.fixture(autouse=True, scope="module")
def wide(browser: Browser) -> None:
    browser.resize(1400)


@pytest.fixture(scope="module")
def texts(full: bool) -> list[Hostile]:
    return make_hostile_texts(FULL if full else len(KINDS))


def hostile_parts(texts: Sequence[str]) -> pages.Parts:
    """A run in which each text stands in every field of a question, of its paths and of what was answered."""
    header = pages.empty_header(runs=[{"name": " ".join(texts), "folder": texts[0]}])
    parts = pages.Parts(header)
    header["rule_names"] = {name: " ".join(texts[at::11]) for at, name in enumerate(pages.REASONS) if name}
    header["method_names"] = {"zero_shot": texts[0], "sert": texts[-1]}
    of_all = [
        pages.question(
            f"{at} {text}", text, answer=text if at % 2 else "A", choices=[text, text], context=[[text, text]]
        )
        for at, text in enumerate(texts)
    ]
    pages.add_set(parts, of_all)
    told = {"flags": 8 + 64, "whole_characters": -1}
    rows = []
    for at, text in enumerate(texts):
        own = {"text": text, "prompt": text, "first": text, "conclusion": text, "finish": texts[at % 200]}
        rows += [pages.path(at, 0, 0, 30, 0.0, 9.0, **own, **told)]
        rows[-1]["num_tokens"] = len(rows[-1]["tokens"])
        rows += [pages.path(at, 1, 0, 30, 0.0, 2.0, **own, flags=0)]
    pages.add_pool(parts, rows, path=" ".join(texts), no_tokens=texts[0])
    few = pages.defaults()["rules"] | {"min_tokens": 0}
    verdicts = [("", 1), ("perplexity", 0)] * len(texts)
    examples = {at: (f"{text}{text}", text) for at, text in enumerate(texts)}
    pages.add_view(parts, verdicts, examples=examples, rules=few)
    outputs = [
        {"question": at, "completion": text, "answer": text, "strict": text, "correct": at % 2, "finish": text}
        for at, text in enumerate(texts)
    ]
    zero = pages.add_outputs(parts, outputs, of=0, method="zero_shot")
    turned = [row | {"correct": 1 - row["correct"]} for row in outputs]
    sert_ = pages.add_outputs(parts, turned, of=0, method="sert")
    for text in texts:
        sides = {"student": text, "variant": text, "task": "birds", "seed": text}
        header["arms"].append(pages.arm(rounds=[0, 0], methods={"zero_shot": zero, "sert": sert_}, **sides))
    return parts


def walk(page: Reader, size: int) -> list[str]:
    """Look at every question and everything of it, then at the other views; returns the questions as they are shown."""
    shown = []
    for number in range(size):
        page.browser.evaluate(f"sertExplorer.app.views.questions.list.go({number})")
        page.browser.until(f"{NUMBER} === {number}")
        page.browser.evaluate(USE)
        shown.append(page.browser.evaluate("document.querySelector('#questions .asked').textContent"))
    for key in "r s s 2".split():
        page.press(key)
    page.browser.evaluate("sertExplorer.app.model.change({ rules: { min_tokens: 31 } })")
    page.browser.evaluate(USE)
    page.press("3")
    page.browser.evaluate(USE)
    page.press("4")
    for number in range(4):
        page.browser.evaluate(f"document.querySelectorAll('#compare .groups button')[{number}].click()")
        page.settle()
        page.browser.evaluate(USE)
    page.press("?")
    page.press("Escape", "1", "/")
    page.browser.write("e")
    page.browser.until("document.querySelector('.progress').textContent.includes('Found in')")
    page.browser.evaluate(USE)
    return shown


def test_hostile_texts_are_shown_and_nothing_else(
    browser: Browser, canary: Canary, texts: list[Hostile], tmp_path: Path
) -> None:
    page = Reader(browser)
    file = pages.write(tmp_path, hostile_parts([each.text for each in texts]))
    before = canary.connections
    page.open(file)
    assert walk(page, len(texts)) == [each.shown for each in texts]
    seen = page.browser.wait(0.3)
    assert seen.ran == [] and seen.complaints == [] and seen.opened == []
    assert {each.partition(":")[0] for each in seen.asked} <= {"file", "blob"}
    assert [each for each in seen.asked if each.startswith("file")] == [file.as_uri()]
    assert canary.connections == before
    found = browser.evaluate(PARTS)
    plain = Reader(browser)
    (tmp_path / "plain").mkdir()
    plain.open(pages.write(tmp_path / "plain", hostile_parts([PLAIN] * len(texts))))
    walk(plain, len(texts))
    assert set(found) <= set(browser.evaluate(PARTS))


def test_without_the_policy_texts_are_as_harmless(browser: Browser, texts: list[Hostile], tmp_path: Path) -> None:
    some = texts[: len(KINDS)]
    parts = hostile_parts([each.text for each in some])
    page = pages.join(parts)
    start = page.index('<meta http-equiv="Content-Security-Policy"')
    file = tmp_path / "open.html"
    file.write_text(page[:start] + page[page.index(">", start) + 1 :], encoding="utf-8")
    reader = Reader(browser)
    reader.open(file)
    assert walk(reader, len(some)) == [each.shown for each in some]
    seen = reader.browser.wait(0.3)
    assert seen.ran == [] and seen.complaints == [] and seen.opened == []
    assert [each for each in seen.asked if not each.startswith("blob")] == [file.as_uri()]


def test_the_policy_refuses_any_other_script_and_any_request(browser: Browser, tmp_path: Path) -> None:
    page = pages.join(pages.small_parts())
    file = tmp_path / "added.html"
    added = "<script>ran(`1`)</script><img src=http://canary.invalid/2 onerror='ran(`3`)'><b style='color:red'>x</b>"
    file.write_text(page.replace("</main>", f"{added}</main>"), encoding="utf-8")
    reader = Reader(browser)
    seen = reader.open(file)
    assert seen.ran == []
    assert len([each for each in seen.complaints if "Content Security Policy" in each]) >= 4


ODD = {
    "wide": "W" * 4000,
    "high": "e" + "\u0301" * 400,
    "right to left": "\u05d0\u05d1\u05d2 " * 200,
    "overridden": "\u202e\u2067abc\u2066 def",
    "controls": "".join(map(chr, range(32))) + "\x7f\x9b",
    "broken": "a\ud800b\udfff",
    "empty lines": "\n" * 3000,
}


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("kind", ODD)
def test_odd_texts_stay_in_their_place(browser: Browser, tmp_path: Path, kind: str, width: int) -> None:
    browser.resize(width)
    page = Reader(browser)
    page.open(pages.write(tmp_path, hostile_parts([ODD[kind]] * 3)))
    for key in "1234":
        page.press(key)
        page.browser.evaluate(USE)
        wide = browser.evaluate("[innerWidth, document.scrollingElement.scrollWidth]")
        assert wide == [width, width], key
    assert page.browser.wait(0.1).complaints == []
    assert browser.evaluate(
        "[...document.querySelectorAll('.foreign')].every(each => getComputedStyle(each).unicodeBidi === 'isolate')"
    )
    browser.resize(1400)


def test_a_path_of_a_million_characters(browser: Browser, tmp_path: Path) -> None:
    parts = pages.Parts(pages.empty_header())
    pages.add_set(parts, pages.TRAIN)
    long = "ice and snow " * 80_000
    pages.add_pool(parts, [pages.path(0, 0, 0, 200_000, 0.1, 8.0, text=long), pages.path(0, 0, 1, 30, 0.2, 8.0)])
    pages.add_view(parts, [("", 1), ("", 0)])
    parts.header["arms"].append(pages.arm(rounds=[0]))
    page = Reader(browser)
    page.open(pages.write(tmp_path, parts))
    assert [len(each) for each in page.texts(".leaf-body .text")] == [20_000]
    page.click_text(".leaf-body button", "Show all 1,040,000 characters")
    assert [len(each) for each in page.texts(".leaf-body .text")] == [len(long)]


def test_a_browser_that_cannot_unpack_is_told_so(browser: Browser, tmp_path: Path) -> None:
    named = browser.before_load("delete globalThis.DecompressionStream")
    page = Reader(browser)
    seen = page.open(pages.write(tmp_path, pages.small_parts()))
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=named)
    assert page.text("#failure") == (
        "This browser lacks DecompressionStream, with which the data in this file are read. "
        "Open it in a browser of 2023 or later."
    )
    assert page.texts("#loading") == [] and seen.complaints == []


def test_a_file_that_is_cut_off_says_so(browser: Browser, tmp_path: Path) -> None:
    parts = pages.small_parts()
    del parts.small["paths-0"]
    page = Reader(browser)
    page.open(pages.write(tmp_path, parts))
    assert page.text("#failure").startswith("This file cannot be shown: This file holds no part “paths-0”")
    parts = pages.small_parts()
    del parts.big["texts-0-1"]
    page.open(pages.write(tmp_path, parts), "#q=q-snow")
    browser.until("!document.getElementById('failure').hidden")
    assert "texts-0-1" in page.text("#failure")
