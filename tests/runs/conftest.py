"""Runs are reported with figures that cost nothing; `tests/report` and `tests/test_docs.py` have them drawn."""

from collections.abc import Iterator

import pytest

from sketches import leave_blank, sketch

COMPOSED = ("test_runs", "test_reproduce")
"""Modules with results of many kinds, for all of which figures are composed, though not written."""


@pytest.fixture(autouse=True, scope="module")
def sketched_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        if request.module.__name__ in COMPOSED:
            patched.setattr("sert.report.page.images", sketch)
        else:
            leave_blank(patched)
        yield


@pytest.fixture(autouse=True, scope="module")
def writing_at_once() -> Iterator[None]:
    """Files need not outlive a loss of power, so nobody waits for the disk."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", lambda _: None)
        yield
