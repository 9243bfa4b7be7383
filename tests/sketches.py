"""Figures that cost nothing, for reports whose figures are not what is tested: drawing takes longer than small runs."""

import pytest
from matplotlib.figure import Figure

from sert.report.figures.style import Images
from sert.report.prospect import page as prospect_page
from sert.report.sections import outputs, paths, results


def sketch(figure: Figure, name: str) -> Images:
    """Stand in for `sert.report.figures.style.images`."""
    return Images(f'<svg id="{name}"></svg>', name.encode())


def leave_blank(patched: pytest.MonkeyPatch) -> None:
    """Have the sections of reports made with blank figures, and none of them written."""
    for module in (outputs, paths, results, prospect_page):
        for name in [each for each in vars(module) if each.endswith("_figure")]:
            patched.setattr(module, name, lambda *_, **__: Figure())
    patched.setattr("sert.report.page.images", sketch)
    patched.setattr("sert.report.prospect.page.images", sketch)
