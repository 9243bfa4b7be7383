"""The path explorer for everybody: names and roles, contrast in light and dark, and the keyboard alone."""

from pathlib import Path
from typing import Any

import pytest
from explorer_reader import Reader

from browser import Browser

CONTROLS = set("button textbox searchbox slider checkbox combobox listbox option spinbutton image img".split())
# Pairs of text and contrast below what WCAG 2.1 AA asks for: 4.5, and 3 for large texts. Blends what is transparent.
FAINT = """(() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = colour => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data; return [red, green, blue, alpha / 255]; };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const behind = element => { const own = element && parse(getComputedStyle(element).backgroundColor);
    return !element ? parse(getComputedStyle(document.documentElement).getPropertyValue("--paper"))
      : own[3] === 1 ? own : over(own, behind(element.parentElement)); };
  const light = colour => colour.slice(0, 3).map(each => each / 255)
    .map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter(each => each.nodeType === 3);
    const text = own.map(each => each.textContent.trim()).join("");
    if (!text || element.offsetParent === null || element.closest("script, noscript, .said")) continue;
    const style = getComputedStyle(element), back = behind(element);
    if (style.visibility === "hidden") continue;
    const [one, other] = [light(over(parse(style.color), back)), light(back)].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.push([text.slice(0, 40), contrast.toFixed(2)]);
  }
  return found;
})()"""
FOCUSED = """(() => {
  const found = document.activeElement, { width, height } = found.getBoundingClientRect();
  const name = found.getAttribute("aria-label") ?? found.textContent.slice(0, 30);
  return [found.tagName, name, getComputedStyle(found).outlineStyle, width * height > 0];
})()"""


def names(browser: Browser) -> list[tuple[str, str]]:
    """Role and name of what screen readers find."""
    nodes: list[dict[str, Any]] = browser.call("Accessibility.getFullAXTree")["nodes"]
    there = [each for each in nodes if not each.get("ignored")]
    return [(each["role"]["value"], each.get("name", {}).get("value", "")) for each in there]


@pytest.mark.parametrize("view", ["questions", "rules", "plane", "compare"])
def test_everything_has_a_name(reader: Browser, small: Path, view: str) -> None:
    page = Reader(reader)
    page.open(small, f"#view={view}&rules.min_tokens=40&brush=0,100,,")
    found = names(reader)
    assert [each for each in found if each[0] in CONTROLS and not each[1].strip()] == []
    assert {"main", "banner", "navigation", "listbox", "option", "button"} <= {role for role, _ in found}
    assert len([each for each in found if each[0] in CONTROLS]) > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["questions", "rules", "plane", "compare"])
def test_texts_stand_out_from_what_is_behind_them(reader: Browser, small: Path, view: str, scheme: str) -> None:
    reader.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page = Reader(reader)
    page.open(small, f"#view={view}&q=q-snow&rules.max_rep_2=0.1&brush=0,100,,")
    assert reader.evaluate(FAINT) == []
    reader.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("view", ["questions", "rules", "plane", "compare"])
def test_the_keyboard_reaches_all_in_order_and_shows_where_it_is(reader: Browser, small: Path, view: str) -> None:
    page = Reader(reader)
    page.open(small, f"#view={view}&rules.max_rep_2=0.3&brush=0,100,,")
    reached = []
    while not reached or (reached[-1][0] != "BODY" and len(reached) < 120):
        reader.press("Tab")
        reached.append(tuple(reader.evaluate(FOCUSED)))
    stops = reached[:-1] if reached[-1][0] == "BODY" else reached
    assert all(outline != "none" and visible for _, _, outline, visible in stops)
    wanted = reader.evaluate(
        """[...document.querySelectorAll("button, input, select, summary, [tabindex='0']")]
        .filter(each => each.offsetParent && !each.disabled && !each.closest("dialog")).length"""
    )
    assert len(stops) == wanted
    assert [name for _, name, _, _ in stops[:4]] == ["Questions", "Rules", "Plane", "Before and after"]


def test_nothing_is_told_by_colour_alone(reader: Browser, small: Path) -> None:
    page = Reader(reader)
    page.open(small)
    assert all(text for text in page.texts(".chip"))
    page.press("4")
    assert {text[0] for text in page.texts(".card .right, .card .wrong")} == {"✓", "✗"}
    current = reader.evaluate("getComputedStyle(document.querySelector('[aria-current]')).textDecorationLine")
    assert current == "underline"


def test_what_changes_is_announced(reader: Browser, small: Path) -> None:
    page = Reader(reader)
    page.open(small)
    said = "document.getElementById('said').textContent"
    for key, words in (
        ("s", "Selected paths only."),
        ("s", "All paths."),
        ("r", "Dropped: imitates"),
        ("]", "Branch 1"),
    ):
        page.press(key)
        assert reader.evaluate(said).startswith(words)
    assert reader.evaluate("document.getElementById('said').ariaLive") == "polite"
