"""Whether every link of a built site leads somewhere: to a file of it, and to a place in that file."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_REFERENCES = {"a": "href", "area": "href", "img": "src", "link": "href", "script": "src", "source": "src"}


class _Page(HTMLParser):
    """Collects what a page refers to, and the places in it that others can refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Read one tag."""
        found = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := found.get(name))}
        if (value := found.get(_REFERENCES.get(tag, ""))) is not None:
            self.references.append(value)


def dead_links(site: Path) -> Iterator[str]:
    """Name the links of a site's pages that lead nowhere; addresses of other sites are not asked.

    Args:
        site: The folder of the built site.
    """
    pages = {file.resolve(): _read(file) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        if file.name == "404.html":  # served at any address, so its links are those of the whole site
            continue
        for reference in page.references:
            parts = urlsplit(reference)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            name = file.relative_to(site.resolve())
            if not target.is_file():
                yield f"{name}: {reference} is no file"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                yield f"{name}: {reference} is no place in its page"


def _read(file: Path) -> _Page:
    page = _Page()
    page.feed(file.read_text(encoding="utf-8"))
    return page
