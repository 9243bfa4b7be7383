"""A Ray cluster of several machines' processes on this one, and what may be killed of a run on it."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nursery import environment

STORE = 80 * 2**20
VICTIMS = ("worker", "node", "driver", "link")
LONGEST = 300
"""Seconds after which a run hangs."""


class Nodes:
    """A head without workers, and nodes of one CPU each that can be killed and replaced; a context manager."""

    def __init__(self, size: int, *, folder: Path) -> None:
        self._size, self._folder = size, folder
        self._started = list[subprocess.Popen[bytes]]()

    def __enter__(self) -> "Nodes":
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"{socket.gethostbyname(socket.gethostname())}:{port}"
        self._head = self._start("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")
        wait_until(lambda: bool(self._raylets([self._head])))
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        for node in [*self._started, self._head]:
            _end(node)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, *options: str) -> "subprocess.Popen[bytes]":
        self._folder.mkdir(exist_ok=True)
        own = [f"--temp-dir={self._folder}"] if "--head" in options else []
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, *own]
        command += [f"--object-store-memory={STORE}", "--disable-usage-stats", "--block"]
        with (self._folder / "nodes.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment())

    def mend(self) -> None:
        """Start nodes until there are as many as there are to be."""
        for node in [node for node in self._started if not self._raylets([node])]:
            _end(node)
            self._started.remove(node)
        while len(self._started) < self._size:
            node = self._start(f"--address={self.address}", "--num-cpus=1")
            wait_until(lambda node=node: bool(self._raylets([node])))  # type: ignore[misc]
            self._started.append(node)

    def _raylets(self, nodes: "Sequence[subprocess.Popen[bytes]]") -> list[int]:
        """Find the processes that stand for machines."""
        started = (process for node in nodes for process in below(node.pid))
        return [process for process in started if "/raylet/raylet" in title_of(process) and _is_alive(process)]

    def raylets(self) -> list[int]:
        """List those of the nodes."""
        return self._raylets(self._started)

    def workers(self) -> list[int]:
        """List the processes that do units."""
        found = (process for raylet in self.raylets() for process in below(raylet))
        return [process for process in found if "ClusterWorker" in title_of(process)]


def _end(node: "subprocess.Popen[bytes]") -> None:
    node.terminate()
    node.wait(LONGEST)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def below(process: int) -> list[int]:
    """List what a process started."""
    children = list[int]()
    for file in Path("/proc").glob(f"{process}/task/*/children"):
        with_spaces = file.read_text()
        children += [int(each) for each in with_spaces.split()]
    return children


def title_of(process: int) -> str:
    """Read how a process calls itself."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
    except OSError:
        return False


class Killed(NamedTuple):
    """What was killed, after how many seconds, and how the run ended."""

    victim: str
    after: float
    code: int
    said: str


@contextmanager
def running(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `sert ARGUMENTS` in a process of its own."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "sert", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def kill_one(nodes: Nodes, *arguments: str, victim: str, after: float, log: Path) -> Killed:
    """Run a command and kill, after so many seconds, a part of it or of its cluster; wait for its end."""
    with running(*arguments, log=log) as process:
        end, victims = time.monotonic() + after, list[int]()
        while process.poll() is None and (time.monotonic() < end or not victims):
            time.sleep(0.02)
            found = {
                "worker": nodes.workers,
                "node": nodes.raylets,
                "driver": lambda: [process.pid],
                "link": lambda: [each for each in below(process.pid) if "spawn_main" in title_of(each)],
            }[victim]()
            victims = found if time.monotonic() >= end else []
        for each in random.sample(victims, 1) if victims else ():
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                victim = "none"
        code = process.wait(LONGEST)
    return Killed(victim if victims else "none", after, code, log.read_text(encoding="utf-8", errors="replace"))
