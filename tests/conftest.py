"""Small real parts that many tests share: a student built in memory, a folder of it, questions."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# The students of the tests are too small to gain from threads, which would wait for those of other test processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from commands import SHORT_PAUSES
from nursery import QUICK_ESTIMATE, all_modules
from sert.records import Question

if TYPE_CHECKING:
    from sert.student.load import Student  # loads torch, which the process that only deals tests out does not need

# Files that take long come first, so that no process is left waiting for the last of them.
LONG = (
    "test_crashes.py",
    "test_cluster.py",
    "test_runs_on_ray.py",
    "test_docs.py",
    "test_reproduce.py",
    "test_distributed.py",
    "test_page_in_a_browser.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run tests that count to their full count")
    parser.addoption("--slow", action="store_true", help="run tests that take many seconds too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that take long first, all else stays in order; leave out what is slow unless it is asked for."""
    if not (config.getoption("--slow") or config.getoption("--soak")):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in set(slow)]
        config.hook.pytest_deselected(items=slow)
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say that tests were left out; the process that deals tests out to others does not know how many."""
    if not (config.getoption("--slow") or config.getoption("--soak")):
        terminalreporter.write_line("Tests marked as slow were left out; `make slow` runs them.")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether tests marked `soak` are to make their full count of trials instead of a reduced one."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """What was written is there for whoever reads it, also if its writer was killed: only an outage needs the wait."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", os.fstat)
        yield


@pytest.fixture(scope="session")
def student() -> "Student":
    """A randomly initialised GPT-2 of two layers, with a byte-level tokenizer of its own."""
    from sert.student.load import make_student
    from tests_support import make_tokenizer, tiny_gpt2

    tokenizer = make_tokenizer()
    return make_student(tiny_gpt2(len(tokenizer)), tokenizer, name="tiny")


@pytest.fixture(scope="session")
def student_folder(student: "Student", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same student, saved."""
    folder = tmp_path_factory.mktemp("student")
    student.model.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch use one thread: so small a student is no faster on several."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def sketched_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of reports cost nothing."""
    from sketches import sketch  # loads matplotlib

    monkeypatch.setattr("sert.report.page.images", sketch)


@pytest.fixture
def quick_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates measure this machine for a moment only."""
    monkeypatch.setattr("sert.runs.estimate.MEASURED_SECONDS", QUICK_ESTIMATE)


@pytest.fixture
def short_pauses(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Second attempts at an endpoint come after a fiftieth of the pause that users get, unless `--soak` is given."""
    if not full:
        for constant, value in SHORT_PAUSES.items():
            monkeypatch.setattr(constant.replace(":", "."), value)


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forked from a process that has imported the libraries, which takes longer than what they do."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(all_modules())
    monkeypatch.setattr("sert.store.crew.get_context", {"spawn": context}.__getitem__)


@pytest.fixture
def questions() -> list[Question]:
    """Four yes/no questions of unequal length."""
    texts = ["Is ice cold?", "Is the sea made of sand?", "Can a stone swim across a river?", "Do birds fly?"]
    answers = ["yes", "no", "no", "yes"]
    return [
        Question(f"q{i}", "table", "train", text, (), answer, f"Question: {text}\nAnswer:")
        for i, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]
