"""Crews: the processes that do units, seen from the one that deals them out; here those of this machine.

`work_off` deals units out to a crew, whoever that is: it knows what waits, what was done, and how often a unit took the
process with it that did it.
"""

import heapq
import os
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol

from sert.errors import SertError, WorkerError
from sert.store.disk import writing
from sert.store.units import Store, Unit, UnitWork
from sert.terminal.progress import Advance

MAX_DEATHS = 3
"""How often the process that does a unit may die before the work is given up."""
LOOK_SECONDS = 0.2
TELL_SECONDS = 0.5
STOP_SECONDS = 2.0

Said = tuple[str, Any]
"""What a worker says: `progress` with what was done since, `done` with the same, `failed` with the error, or `died`
with how its process ended."""


class Worker(Protocol):
    """One that does units, as the one sees it that deals them out.

    Attributes:
        unit: What it does; None while it waits.
        progress: How far that is.
    """

    unit: Unit | None
    progress: float

    def takes(self, unit: Unit) -> bool:
        """Tell whether a unit is for it."""

    def send(self, what: Any) -> None:
        """Give it a unit."""

    def hear(self) -> Said:
        """Return what it says."""


class Crew(Protocol):
    """Those that do units. They end when they are told to, and when their parent does."""

    @property
    def workers(self) -> Sequence[Worker]:
        """Who is there and ready."""

    def heard_from(self) -> Sequence[Worker]:
        """Wait a little for workers that have something to say."""

    def replace(self, dead: Any) -> None:
        """Get another worker in the place of one that died."""


class _Queue:
    """Units that wait, the first one first; those behind others only when these are done."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._places = {unit.number: place for place, unit in enumerate(units)}
        self._done = set[int]()
        self._ready = [(place, unit) for place, unit in enumerate(units) if not unit.after]
        self._waiting = [unit for unit in units if unit.after]

    def __bool__(self) -> bool:
        return bool(self._ready or self._waiting)

    def take(self, takes: Callable[[Unit], bool]) -> Unit | None:
        """Take the first unit that can be done and is wanted."""
        passed = list[tuple[int, Unit]]()
        while self._ready:
            entry = heapq.heappop(self._ready)
            if takes(entry[1]):
                self._put(passed)
                return entry[1]
            passed.append(entry)
        self._put(passed)
        return None

    def give_back(self, unit: Unit) -> None:
        """Let a unit wait again that was not finished."""
        self._put([(self._places[unit.number], unit)])

    def finish(self, unit: Unit) -> None:
        """Let go on what waited for a unit."""
        self._done.add(unit.number)
        if self._waiting:
            free = [each for each in self._waiting if each.after <= self._done]
            self._waiting = [each for each in self._waiting if not each.after <= self._done]
            self._put([(self._places[each.number], each) for each in free])

    def _put(self, entries: Sequence[tuple[int, Unit]]) -> None:
        for entry in entries:
            heapq.heappush(self._ready, entry)


def work_off(crew: Crew, units: Sequence[Unit], *, advance: Advance) -> Iterator[Unit]:
    """Let a crew do units, as many at a time as are ready, and name each one when it is in the store.

    Raises:
        WorkerError: If a unit took `MAX_DEATHS` processes with it.
        SertError: If a worker failed so.
    """
    waiting, deaths = _Queue(units), Counter[int]()
    while waiting or any(worker.unit for worker in crew.workers):
        for worker in crew.workers:
            if worker.unit is None and (unit := waiting.take(worker.takes)):
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
                waiting.finish(unit)
                yield unit
            if kind == "died":
                crew.replace(worker)
                if unit is not None:
                    advance(-worker.progress)
                    deaths[unit.number] += 1
                    if deaths[unit.number] == MAX_DEATHS:
                        raise _given_up(unit, value)
                    waiting.give_back(unit)


def _given_up(unit: Unit, how: Any) -> WorkerError:
    return WorkerError(
        f"The process that did unit {unit.number} died {MAX_DEATHS} times, last with {how} (-9: killed, which is "
        "what the system does when memory runs out). Use fewer workers, or lower max_lanes; the same command goes on."
    )


@dataclass(eq=False)
class LocalWorker:
    """One process of this machine.

    Attributes:
        number: Which worker it is.
        process: The process.
        pipe: The way to it.
        takes: Tells whether a unit is for it.
        unit: What it does; None while it waits.
        progress: How far that is.
    """

    number: int
    process: Any
    pipe: Any
    takes: Callable[[Unit], bool]
    unit: Unit | None = None
    progress: float = 0.0

    def send(self, what: Any) -> None:
        """Send it something; one that is dead does not mind, and will be heard of."""
        with suppress(OSError):
            self.pipe.send(what)

    def hear(self) -> Said:
        """Return what it says, or that it died and with which exit code."""
        try:
            said: Said = self.pipe.recv()
            return said
        except (EOFError, OSError):
            self.process.kill()
            self.process.join()
            return "died", self.process.exitcode


class LocalCrew:
    """Processes of this machine. They end when they are told to, and at once when their parent does."""

    def __init__(self, job: UnitWork, store: Store, *, takes: Callable[[Unit], bool] = lambda unit: True) -> None:
        self._job, self._store, self._takes = job, store, takes
        self.workers: list[LocalWorker] = []

    def start(self, size: int) -> None:
        """Start so many processes."""
        for number in range(size):
            self.workers.append(self._start(number))
        for worker in self.workers:  # they import at the same time, and only then read
            worker.send((self._job, self._store))

    def heard_from(self) -> list[LocalWorker]:
        """Wait a little for workers that have something to say."""
        return self.ready(connection.wait([worker.pipe for worker in self.workers], timeout=LOOK_SECONDS))

    def ready(self, pipes: Sequence[Any]) -> list[LocalWorker]:
        """Find the workers at the other ends of some pipes."""
        return [worker for worker in self.workers if worker.pipe in pipes]

    def replace(self, dead: LocalWorker) -> None:
        """Start another worker in the place of one that died."""
        dead.pipe.close()
        new = self.workers[self.workers.index(dead)] = self._start(dead.number)
        new.send((self._job, self._store))

    def _start(self, number: int) -> LocalWorker:
        process, pipe = start_process(_serve, number)
        return LocalWorker(number, process, pipe, self._takes)

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            end_process(worker.process, seconds=STOP_SECONDS)
            worker.pipe.close()


def start_process(serve: Callable[..., None], *arguments: Any) -> tuple[Any, Any]:
    """Start a process of this machine that serves the other end of a pipe, its last argument.

    Ctrl-C does not reach it: the terminal sends it to all, and the parent decides.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(*arguments, theirs), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return process, ours


def end_process(process: Any, *, seconds: float) -> None:
    """Wait so long for a process to end, and kill it then."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()


def _serve(number: int, pipe: Any) -> None:
    """Do the units that come through the pipe, until the parent ends this process or itself."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        # What is large comes this way: nobody reads the pipe of `Process` itself when a process dies at its start.
        job, store = pipe.recv()
        run = job.start(number)
        while True:
            unit: Unit = pipe.recv()
            teller = Teller(lambda units: pipe.send(("progress", units)))
            with writing(store.folder):
                store.commit(unit, run(unit, teller))
            pipe.send(("done", teller.untold))
    except SertError as error:
        pipe.send(("failed", error))
    except Exception:
        pipe.send(("failed", unforeseen()))


def unforeseen() -> RuntimeError:
    """Make an error of one that is being handled and that nobody foresaw, which can be sent to the parent."""
    return RuntimeError(f"a worker failed:\n{traceback.format_exc()}")


class Teller:
    """Tells the parent how far a unit is, now and then.

    Attributes:
        untold: What was done since.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self.untold = 0.0
        self._tell = tell
        self._told = time.monotonic()

    def __call__(self, units: float, note: str = "") -> None:
        """Count, and tell when it is time."""
        self.untold += units
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            self._tell(self.untold)
            self.untold, self._told = 0.0, now


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
