"""What is in a page, for the tests of pages."""

import re
from html.parser import HTMLParser

from sert.report.contents import all_sections

VOID = {"meta", "link", "br", "hr", "img", "input"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def report_sections(metrics):
    """Lay out the sections that are shown: those with content."""
    return [each for each in all_sections(metrics) if not each.is_empty]


class Elements(HTMLParser):
    """Collects the elements, their attributes and the texts of a page, and checks that tags are closed in order."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def assert_asks_for_nothing(page):
    """Check that a page loads nothing, runs nothing, and points nowhere but into itself."""
    elements = Elements(page).elements
    assert not {tag for tag, _ in elements} & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert [attributes["content"] for _, attributes in elements if attributes.get("http-equiv")] == [POLICY]
    for _, attributes in elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "xlink:href", "src"):
                assert value.startswith("#")
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
