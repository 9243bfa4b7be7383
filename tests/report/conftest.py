"""A browser for pages, and what tests of reports leave out where they look at no figure, or at none as PNG."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import explorer_pages as pages
import pytest

from browser import Browser, Canary
from sert.report.figures.style import Images, svg
from sketches import leave_blank


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are blank."""
    leave_blank(monkeypatch)


@pytest.fixture
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn as they stand on the page alone, not a second time as PNG."""
    monkeypatch.setattr("sert.report.page.images", lambda figure, name: Images(svg(figure, name), b""))


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    """Somebody who notices what pages ask for."""
    with Canary() as canary:
        yield canary


@pytest.fixture(scope="module")
def browser(canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that does with pages what their readers could do."""
    with Browser(_program(), profile=tmp_path_factory.mktemp("profile"), canary=canary) as browser:
        yield browser


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that does nothing by itself with the pages that it opens."""
    profile = tmp_path_factory.mktemp("reader")
    with Canary() as canary, Browser(_program(), profile=profile, canary=canary, uses=False) as browser:
        browser.resize(1400)
        yield browser


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer of a small run."""
    return pages.write(tmp_path_factory.mktemp("small"), pages.small_parts())


def _program() -> str:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs a browser: there is no program `chromium` on the path")
    return program
