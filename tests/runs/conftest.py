"""Runs are reported with figures that cost nothing; `tests/report` and `tests/test_docs.py` have them drawn."""

from collections.abc import Iterator

import pytest

from sketches import sketch


@pytest.fixture(autouse=True, scope="module")
def sketched_figures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sert.report.page.images", sketch)
        yield
