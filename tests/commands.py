"""`sert` as a user runs it: every command in a process of its own, forked from one that has imported the libraries.

Loading the libraries takes a process longer than most commands do. What is said of loading itself, of what is read
while it goes on, or of signals that fall into it, needs `python -m sert`.
"""

import atexit
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

from nursery import Child, Nursery

SHORT_PAUSES = {"sert.endpoint.retries:FIRST_PAUSE": 0.02, "sert.doctor.endpoint:FIRST_PAUSE": 0.02}
"""Constants under which second attempts at an endpoint come after a fiftieth of the pause that users get."""


@cache
def _nursery() -> Nursery:
    """Start the process that forks, once in each process of the tests, and end it with the tests."""
    folder = tempfile.TemporaryDirectory(prefix="sert-commands-")
    nursery = Nursery(folder=Path(folder.name)).__enter__()

    def end() -> None:
        nursery.__exit__()
        folder.cleanup()

    atexit.register(end)
    return nursery


def start(
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    constants: Mapping[str, float] | None = None,
) -> Child:
    """Start `sert ARGUMENTS` in a folder, with some more variables in its environment; constants as for `Nursery`."""
    variables = os.environ | {"COLUMNS": "100"} | dict(environment or {})
    return _nursery().start(*map(str, arguments), cwd=cwd, environment=variables, constants=constants)


def wait(child: Child) -> CompletedProcess[str]:
    """Wait for a command and return its exit code and what it said."""
    ended = _nursery().wait(child)
    errors = child.errors().read_text(encoding="utf-8", errors="replace")
    return CompletedProcess([], ended.code, ended.said, errors)


def sert(
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    constants: Mapping[str, float] | None = None,
) -> CompletedProcess[str]:
    """Run `sert ARGUMENTS` in a folder to its end."""
    return wait(start(*arguments, cwd=cwd, environment=environment, constants=constants))
