"""What readers of the path explorer do and see, for its tests in a browser."""

import json
from pathlib import Path
from typing import Any

from browser import Browser, Seen

READY = "document.documentElement.dataset.ready || !!document.querySelector('#failure:not([hidden])')"
# Two pictures have passed, and then nothing has changed on the page for a while.
QUIET = """new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))
.then(() => new Promise(done => {
  const end = () => { observer.disconnect(); done(1); };
  let timer = setTimeout(end, 80);
  const observer = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(end, 80); });
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}))"""
SEEN = "each => each.offsetParent !== null && each.textContent !== ''"


class Reader:
    """A reader of one page."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.file: Path | None = None

    def open(self, file: Path, hash_: str = "") -> Seen:
        """Open a page anew and wait until it shows its data."""
        self.file = file
        self.browser.visit("about:blank", seconds=0)
        self.browser.visit(f"{file.as_uri()}{hash_}", seconds=0)
        self.browser.until(READY)
        return self.settle()

    def settle(self) -> Seen:
        """Wait until what was asked for is shown, and tell what the page did."""
        self.browser.evaluate(QUIET)
        return self.browser.wait(0.02)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that can be seen."""
        return self.browser.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].filter({SEEN}).map(each => each.textContent)"
        )

    def text(self, selector: str) -> str:
        found = self.texts(selector)
        assert len(found) == 1, (selector, found)
        return found[0]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.press(key)
        self.settle()

    def click(self, selector: str) -> None:
        self.browser.click(selector)
        self.settle()

    def click_text(self, selector: str, text: str) -> None:
        """Click the one element with this text in it."""
        self.browser.evaluate(
            f"""(() => {{ document.querySelector("[data-aimed]")?.removeAttribute("data-aimed");
            const found = [...document.querySelectorAll({json.dumps(selector)})]
              .filter(each => each.offsetParent !== null && each.textContent.includes({json.dumps(text)}));
            if (found.length !== 1) throw new Error(found.length + " elements");
            found[0].setAttribute("data-aimed", ""); }})()"""
        )
        self.click("[data-aimed]")

    def labelled(self, label: str, kind: str = "input") -> str:
        """The selector of the control with this label, or this name."""
        name = self.browser.evaluate(
            f"""(() => {{ const named = each => each.getAttribute("aria-label")
              ?? [...(each.labels ?? [])].map(label => label.querySelector("span")?.textContent).join();
            const found = [...document.querySelectorAll({json.dumps(kind)})]
              .filter(each => each.offsetParent !== null && named(each) === {json.dumps(label)});
            if (found.length !== 1) throw new Error(found.length + " controls");
            found[0].id ||= "aimed" + document.querySelectorAll("[id]").length;
            return found[0].id; }})()"""
        )
        return f"#{name}"

    def pick(self, label: str, value: Any) -> None:
        """Pick a value of a selection, and leave it."""
        self._set(self.labelled(label, "select"), str(value), "change")
        self.browser.evaluate("document.activeElement.blur()")

    def slide(self, label: str, value: Any) -> None:
        self._set(f"[type=range][aria-label={json.dumps(label)}]", str(value), "input")

    def fill(self, label: str, text: str) -> None:
        """Write into a field of the rules, and go on."""
        self.browser.evaluate(f"document.querySelector('[type=text][aria-label={json.dumps(label)}]').select()")
        self.browser.evaluate(f"document.querySelector('[type=text][aria-label={json.dumps(label)}]').focus()")
        self.browser.write(text) if text else self.browser.press("Delete")
        self.press("Enter")
        self.browser.evaluate("document.activeElement.blur()")
        self.settle()

    def _set(self, selector: str, value: str, event: str) -> None:
        self.browser.evaluate(
            f"""(() => {{ const found = document.querySelector({json.dumps(selector)});
            found.focus(); found.value = {json.dumps(value)};
            found.dispatchEvent(new Event({json.dumps(event)}, {{ bubbles: true }})); }})()"""
        )
        self.settle()

    def funnel(self) -> dict[str, str]:
        """What remains after each step that is shown."""
        rows = self.browser.evaluate(
            """[...document.querySelectorAll(".rule")].filter(each => each.offsetParent)
            .map(each => [each.dataset.step, each.querySelector(".remains:not([hidden]) b")?.textContent ?? ""])"""
        )
        return {step: text.partition(" ")[0] for step, text in rows}

    @property
    def address(self) -> str:
        self.browser.evaluate("new Promise(done => setTimeout(() => done(1), 400))")
        return str(self.browser.evaluate("location.hash"))
