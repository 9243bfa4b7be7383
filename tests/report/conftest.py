"""What tests of reports leave out where they look at no figure, or at none as PNG: drawing takes longest."""

import pytest

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
