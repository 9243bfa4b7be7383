"""Runs the command line in processes that can be killed: imports once, then forks a child for each job.

The libraries are imported and nothing of them is run before the fork, so a child finds no thread pool that has lost its
threads. A child goes through `sert.cli.main`, and so ends in the exit codes of the command line, or in 99 with a
traceback in its log.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import sert.cli
from faulty_disk import Disk, Fault
from sert.errors import SertError
from sert.store.artifacts import run_lock
from sert.terminal.signals import watch

TRACEBACK = 99
"""Exit code of a child that met an exception no user should see."""

LONGEST = 240
"""Seconds after which a child is killed, as it hangs."""

QUICK_ESTIMATE = 0.01
"""Seconds for which estimates measure this machine, of which the tests say nothing."""

HELD = 0.08
"""Seconds for which a lock is held that is not to be held until something happens."""

# What the stages of a run import when they need it.
LATER = (
    *("torch", "torch._dynamo", "transformers.models.gpt2.modeling_gpt2", "transformers.models.gpt2.tokenization_gpt2"),
    *("transformers.optimization", "accelerate", "pyarrow.parquet", "pandas", "scipy.stats"),
    *("matplotlib.backends.backend_svg", "tomli_w", "anyio._backends._asyncio"),
)


class Child(NamedTuple):
    """A process that was forked, the leader of a group of its own, and the file of what it says."""

    pid: int
    log: Path

    def errors(self) -> Path:
        """The file of what it says on standard error, where that is kept apart."""
        return self.log.with_suffix(".errors")


class Ended(NamedTuple):
    """How a child ended.

    Attributes:
        code: Its exit code, negative for the signal that killed it.
        counted: How many operations on its disk were counted, where a fault was asked for.
        failed: How many of them failed.
        said: What it said on standard output and standard error.
    """

    code: int
    counted: int
    failed: int
    said: str


def environment() -> dict[str, str]:
    """Return the environment of processes that import what this one does; two threads would wait for each other."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


class Nursery:
    """The process that forks; a context manager. Jobs may run side by side, but not with faults.

    Attributes:
        has_faults: Whether it was started with the library of `faulty_disk.c`.
    """

    SKETCHES = "--sketches"

    def __init__(
        self,
        *,
        folder: Path,
        preloaded: Mapping[str, str] | None = None,
        wrapper: Iterable[str] = (),
        sketches: bool = False,
    ) -> None:
        """Take a folder for what children say, the environment that brings faults, and what runs the process.

        With sketches, figures of reports cost nothing.
        """
        self._options = [self.SKETCHES] * sketches
        self._folder, self._preloaded, self._wrapper = folder, dict(preloaded or {}), list(wrapper)
        self.has_faults = bool(self._preloaded)
        self._jobs = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [*self._wrapper, sys.executable, __file__, *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment() | self._preloaded,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(
        self,
        *arguments: str,
        fault: Fault | None = None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        constants: Mapping[str, float] | None = None,
    ) -> Child:
        """Fork a child that runs `sert ARGUMENTS`; one with a folder has the given environment and its errors apart.

        Constants are `module:NAME` with the value that is to stand there.
        """
        place = {"cwd": str(cwd), "environment": dict(environment or {})} if cwd else {}
        place["constants"] = dict(constants or {})
        return self._start({"arguments": list(arguments), **place}, fault)

    def hold(self, run: Path, *, log: Path, until: Path | None = None) -> Child:
        """Fork a child that holds a run's lock for a moment or until a file is there, and logs its `begin` and `end`.

        If the lock is refused, it says first after how many seconds.
        """
        return self._start({"hold": str(run), "log": str(log), "until": str(until) if until else None}, None)

    def wait(self, child: Child) -> Ended:
        """Wait for a child."""
        return Ended(**self._ask({"wait": child.pid}), said=child.log.read_text(encoding="utf-8", errors="replace"))

    def run(self, *arguments: str, fault: Fault | None = None) -> Ended:
        """Run `sert ARGUMENTS` in a child and wait for it."""
        return self.wait(self.start(*arguments, fault=fault))

    def _start(self, job: dict[str, Any], fault: Fault | None) -> Child:
        self._jobs += 1
        log = self._folder / f"child-{self._jobs}.txt"
        log.touch()
        return Child(self._ask(job | {"log_to": str(log), "fault": fault._asdict() if fault else None}), log)

    def _ask(self, question: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


# ---- in the process that forks


def main() -> None:
    _import_all()
    if Nursery.SKETCHES in sys.argv:
        from sketches import sketch

        assert "images" in vars(sys.modules["sert.report.page"])
        sys.modules["sert.report.page"].images = sketch  # type: ignore[attr-defined]
    estimates: Any = sys.modules["sert.runs.estimate"]
    assert estimates.MEASURED_SECONDS > QUICK_ESTIMATE
    estimates.MEASURED_SECONDS = QUICK_ESTIMATE
    disk = Disk() if Disk.is_there() else None
    if disk is None:
        os.fsync = os.fstat  # as in conftest.py; where operations on the disk are counted, these are among them
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            counts = (disk.count(), disk.failed()) if disk else (0, 0)
            _say({"code": os.waitstatus_to_exitcode(status), "counted": counts[0], "failed": counts[1]})
            continue
        if disk:
            disk.disarm()
        if job["fault"]:
            assert disk is not None, "faults need the library"
            disk.arm(Fault(**job["fault"]))
        _fork(job)


def _fork(job: dict[str, Any]) -> None:
    """Fork; a signal to the child waits until the child can answer it."""
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.alarm(LONGEST)
        log = Path(job["log_to"])
        _redirect(log, log.with_suffix(".errors") if "cwd" in job else log)
        _exit(_child(job, signals))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    _say(child)


def _child(job: dict[str, Any], signals: set[signal.Signals]) -> int:
    try:
        watch()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        if "hold" in job:
            _hold(job)
        else:
            for constant, value in job["constants"].items():
                module, name = constant.split(":")
                assert name in vars(sys.modules[module])
                setattr(sys.modules[module], name, value)
            if "cwd" in job:
                os.chdir(job["cwd"])
                os.environ.clear()
                os.environ.update(job["environment"])
            sys.argv = ["sert", *job["arguments"]]
            sert.cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return TRACEBACK
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    return 0


def _exit(code: int) -> None:
    """Exit as the interpreter does, but without taking thousands of modules apart, which takes a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _hold(job: dict[str, Any]) -> None:
    started = time.monotonic()
    try:
        with run_lock(Path(job["hold"])), Path(job["log"]).open("a", buffering=1) as log:
            log.write(f"begin {os.getpid()}\n")
            if job["until"] is None:
                time.sleep(HELD)
            else:
                while not Path(job["until"]).exists():
                    time.sleep(0.002)
            log.write(f"end {os.getpid()}\n")
    except SertError as error:
        print(f"{time.monotonic() - started:.3f} {error}")
        sys.exit(error.exit_code)


def _redirect(log: Path, errors: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    complained = said if errors == log else os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for old, new in ((nothing, 0), (said, 1), (complained, 2)):
        os.dup2(old, new)


def all_modules() -> list[str]:
    """Name what a process imports in the end, whatever it does."""
    ours = [module.name for module in pkgutil.walk_packages(sert.__path__, "sert.")]
    return [*LATER, *(name for name in ours if not name.endswith("__main__"))]


def _import_all() -> None:
    for name in all_modules():
        importlib.import_module(name)
    gc.freeze()  # or the first collection of each child would copy all of it


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
