"""Executors: who does the units of a job. What comes of a unit does not depend on them.

An executor leaves each unit in the store and then names it. Others than these two (several machines, say) need no more
than the work, which can be sent to another process, and a store that they reach.
"""

import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any

from sert.config.tree import ExecutionConfig
from sert.errors import SertError, WorkerError
from sert.store.disk import writing
from sert.store.units import Executor, Store, Unit, UnitWork
from sert.terminal.progress import Advance

MAX_DEATHS = 3
"""How often the process that does a unit may die before the work is given up."""
_LOOK_SECONDS = 0.2
_TELL_SECONDS = 0.5
_STOP_SECONDS = 2.0


def make_executor(execution: ExecutionConfig) -> Executor:
    """Choose who does the units of a stage, or the stages of a grid. The one door: nobody else names an executor."""
    return ThisProcess() if execution.workers == 1 else LocalProcesses(execution.workers)


class ThisProcess:
    """Does one unit after the other."""

    def execute(self, job: UnitWork, units: Sequence[Unit], store: Store, *, advance: Advance) -> Iterator[Unit]:
        """Do the units, the first one first."""
        if not units:
            return
        run = job.start(0)
        for unit in units:
            store.commit(unit, run(unit, advance))
            yield unit


class LocalProcesses:
    """Does units in several processes of this machine. One that dies is replaced, and its unit done again."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def execute(self, job: UnitWork, units: Sequence[Unit], store: Store, *, advance: Advance) -> Iterator[Unit]:
        """Do the units, as many at a time as there are workers."""
        with closing(_Crew(job, store)) as crew:
            crew.start(min(self._workers, len(units)))
            waiting, deaths, done = list(units), dict.fromkeys(units, 0), set[int]()
            while waiting or any(worker.unit for worker in crew.workers):
                for worker in crew.workers:
                    if worker.unit is None and (unit := next((each for each in waiting if each.after <= done), None)):
                        waiting.remove(unit)
                        worker.unit = unit
                        worker.send(unit)
                advance(0)
                for worker in crew.heard_from():
                    unit, (kind, value) = worker.unit, worker.hear()
                    if kind == "failed":
                        raise value
                    if kind != "died":
                        worker.progress += value
                        advance(value)
                    if kind == "done" and unit is not None:
                        worker.unit, worker.progress = None, 0.0
                        done.add(unit.number)
                        yield unit
                    if kind == "died":
                        crew.replace(worker)
                        if unit is not None:
                            advance(-worker.progress)
                            deaths[unit] += 1
                            if deaths[unit] == MAX_DEATHS:
                                raise _given_up(unit, value)
                            waiting.insert(0, unit)


def _given_up(unit: Unit, exit_code: int) -> WorkerError:
    return WorkerError(
        f"The process that did unit {unit.number} died {MAX_DEATHS} times, last with {exit_code} (-9: killed, which is "
        "what the system does when memory runs out). Use fewer workers, or lower max_lanes; the same command goes on."
    )


@dataclass(eq=False)
class _Worker:
    """One process, as its parent sees it: the unit it does and how far that is."""

    number: int
    process: Any
    pipe: Any
    unit: Unit | None = None
    progress: float = 0.0

    def send(self, what: Any) -> None:
        """Send it something; one that is dead does not mind, and will be heard of."""
        with suppress(OSError):
            self.pipe.send(what)

    def hear(self) -> tuple[str, Any]:
        """Return what it says, or that it died and with which exit code."""
        try:
            said: tuple[str, Any] = self.pipe.recv()
            return said
        except (EOFError, OSError):
            self.process.kill()
            self.process.join()
            return "died", self.process.exitcode


class _Crew:
    """The processes. They end when they are told to, and at once when their parent does."""

    def __init__(self, job: UnitWork, store: Store) -> None:
        self._job, self._store = job, store
        self._context = get_context("spawn")
        self.workers: list[_Worker] = []

    def start(self, size: int) -> None:
        """Start so many processes."""
        for number in range(size):
            self.workers.append(self._start(number))
        for worker in self.workers:  # they import at the same time, and only then read
            worker.send((self._job, self._store))

    def heard_from(self) -> list[_Worker]:
        """Wait a little for workers that have something to say."""
        ready = connection.wait([worker.pipe for worker in self.workers], timeout=_LOOK_SECONDS)
        return [worker for worker in self.workers if worker.pipe in ready]

    def replace(self, dead: _Worker) -> None:
        """Start another worker in the place of one that died."""
        dead.pipe.close()
        new = self.workers[self.workers.index(dead)] = self._start(dead.number)
        new.send((self._job, self._store))

    def _start(self, number: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(number, theirs), daemon=True)
        # Ctrl-C does not reach it: the terminal sends it to all, and the parent decides.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Worker(number, process, ours)

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(_STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()


def _serve(number: int, pipe: Any) -> None:
    """Do the units that come through the pipe, until the parent ends this process or itself."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        # What is large comes this way: nobody reads the pipe of `Process` itself when a process dies at its start.
        job, store = pipe.recv()
        run = job.start(number)
        while True:
            unit: Unit = pipe.recv()
            teller = _Teller(pipe)
            with writing(store.folder):
                store.commit(unit, run(unit, teller))
            pipe.send(("done", teller.untold))
    except SertError as error:
        pipe.send(("failed", error))
    except Exception:
        pipe.send(("failed", RuntimeError(f"a worker failed:\n{traceback.format_exc()}")))


class _Teller:
    """Tells the parent how far a unit is, now and then.

    Attributes:
        untold: What was done since.
    """

    def __init__(self, pipe: Any) -> None:
        self.untold = 0.0
        self._pipe = pipe
        self._told = time.monotonic()

    def __call__(self, units: float, note: str = "") -> None:
        """Count, and tell when it is time."""
        self.untold += units
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._pipe.send(("progress", self.untold))
            self.untold, self._told = 0.0, now


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
