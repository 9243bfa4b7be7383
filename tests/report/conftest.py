"""A browser for pages, and what tests of reports leave out where they look at no figure, or at none as PNG."""

import shutil
from collections.abc import Iterator

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
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that does nothing by itself with the pages that it opens."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs a browser: there is no program `chromium` on the path")
    profile = tmp_path_factory.mktemp("reader")
    with Canary() as canary, Browser(program, profile=profile, canary=canary, uses=False) as browser:
        browser.resize(1400)
        yield browser
