"""Runs teaching in processes that can be killed: imports once, then forks a child for each line of settings."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.config.tree import TaskConfig, TeacherConfig
from sert.tasks.load import load_task
from sert.teacher.rationales import teach


def run(settings: dict[str, Any]) -> None:
    """Teach some questions of the lab as the settings say."""
    questions = load_task("lab", TaskConfig(kind="lab_choice", limit=settings["questions"])).split("train")
    teacher = TeacherConfig(
        kind="endpoint",
        endpoint=EndpointConfig(**settings["endpoint"]),
        calls=CallsConfig(**settings["calls"]),
    )
    teach(questions, out=Path(settings["out"]), teacher=teacher)


class Nursery:
    """The process that forks; a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, settings: dict[str, Any]) -> int:
        """Fork a child and return its process id."""
        self._send(json.dumps(settings))
        return int(self._line())

    def wait(self) -> int:
        """Wait for the child and return its exit code, negative for the signal that killed it."""
        self._send("wait")
        return int(self._line())

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def main() -> None:
    for line in sys.stdin:
        if line.strip() == "wait":
            _, status = os.wait()
            code = os.waitstatus_to_exitcode(status)
        else:
            code = os.fork()
            if code == 0:
                run(json.loads(line))
                os._exit(0)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
