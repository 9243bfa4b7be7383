"""Units on a Ray cluster, one on this machine or an existing one. This process alone writes: bytes come back to it.

Whoever does a unit has the same versions and computes with the same numbers as the run, or is refused by name. Work and
students go to a machine once, in chunks. A worker or a machine that is lost is replaced, and its unit done again.
"""

import math
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Any

from sert.config.tree import ExecutionConfig
from sert.errors import ConfigError, WorkerError
from sert.store.cluster.bridge import Cluster
from sert.store.cluster.link import Link, linked
from sert.store.cluster.worker import JOB, Order, Task, packed, plain_versions, unpacked_message
from sert.store.crew import LOOK_SECONDS, MAX_DEATHS, LocalCrew, Said, work_off
from sert.store.portable import Parcels, Portable
from sert.store.shipping import Arrival, Parcel
from sert.store.units import Store, Unit, UnitWork
from sert.terminal.progress import Advance
from sert.terminal.text import counted

_TELL_OF_WAITING_SECONDS = 30.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Ray sets the first one where it is not set; threads are said by the work."""


class RayCluster:
    """Does units on the workers of a Ray cluster."""

    def __init__(self, execution: ExecutionConfig, *, say: Callable[[str], None]) -> None:
        self._execution, self._say = execution, say

    def execute(self, job: UnitWork, units: Sequence[Unit], store: Store, *, advance: Advance) -> Iterator[Unit]:
        """Do the units, as many at a time as there are workers that are ready.

        Raises:
            ConfigError: If Ray cannot be started or reached, or a worker has other versions or numbers.
            WorkerError: If the cluster is lost, or a unit takes one worker after the other with it.
        """
        if not units:
            return
        assert isinstance(job, Portable), "work for other machines says what it needs there"
        job, execution = job.pinned(), self._execution
        cluster = Cluster(execution.address, execution.workers, job.threads, execution.gpus_per_worker, folder="")
        with linked(cluster, advance) as link, closing(_RayCrew(link, job, store, execution, self._say)) as crew:
            crew.start(units)
            yield from work_off(crew, units, advance=advance)


@dataclass(eq=False)
class _Remote:
    """A worker on some machine of the cluster.

    Attributes:
        number: Which worker it is.
        name: Which one the cluster's end of the link knows it as; another one in its place has another name.
        crew: Who knows how to reach it.
        unit: What it does; None while it waits.
        progress: How far that is.
        is_ready: Whether it has loaded what it needs.
        said: What it said and was not looked at.
        arrival: Where files of its unit arrive.
    """

    number: int
    name: int
    crew: "_RayCrew"
    unit: Unit | None = None
    progress: float = 0.0
    is_ready: bool = False
    said: deque[Said] = field(default_factory=deque)
    arrival: Arrival | None = None

    def takes(self, unit: Unit) -> bool:
        """Take what can be done elsewhere."""
        return not self.crew.job.stays(unit)

    def send(self, what: Any) -> None:
        """Give it a unit."""
        self.crew.order(self, what)

    def hear(self) -> Said:
        """Return what it says."""
        return self.said.popleft()


class _RayCrew:
    """The workers of a cluster, and one of this machine where some of the work stays here."""

    def __init__(
        self, link: Link, job: Portable, store: Store, execution: ExecutionConfig, say: Callable[[str], None]
    ) -> None:
        self.job = job
        self._link, self._store, self._execution, self._say = link, store, execution, say
        self._parcels = dict[str, Parcel]()
        self._remote = dict[int, _Remote]()
        self._home = LocalCrew(job, store, takes=job.stays)
        self._names = iter(range(time.monotonic_ns(), 2**63))  # no name is used twice on one link
        self._started, self._told = time.monotonic(), set[str]()
        self._lacking_since: float | None = time.monotonic()  # None while a worker is ready
        self._failed_starts = 0
        # Where workers have accelerators this machine need not have one, and the first worker says how all compute.
        self._plan = None if execution.gpus_per_worker else ("this process", job.numbers())

    @property
    def workers(self) -> list[Any]:
        """Who is there and ready."""
        return [*(worker for worker in self._remote.values() if worker.is_ready), *self._home.workers]

    def start(self, units: Sequence[Unit]) -> None:
        """Start as many workers as are asked for and can have something to do."""
        away = sum(not self.job.stays(unit) for unit in units)
        if away < len(units):
            self._home.start(1)
        self._order = packed(self._make_order()) if away else b""
        for number in range(min(self._execution.workers, away)):
            self._start(number)

    def _make_order(self) -> Order:
        job = self._known({JOB: Parcel.of({JOB: packed(self.job)})})[JOB]
        environment = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        return Order(0, job, self._known(self.job.parcels()), plain_versions(), environment)

    def _start(self, number: int) -> None:
        worker = _Remote(number, next(self._names), self)
        self._remote[worker.name] = worker
        self._link.send("start", worker.name)
        self._link.send("talk", worker.name, packed(unpacked_message(self._order)._replace(number=number)))

    def _known(self, parcels: Parcels) -> Parcels:
        """Remember parcels that are spoken of, so that they can be asked for."""
        self._parcels |= {parcel.key: parcel for parcel in parcels.values()}
        return parcels

    def order(self, worker: _Remote, unit: Unit) -> None:
        """Give a worker a unit."""
        self._answer(worker, Task(unit, self._known(self.job.parcels_of(unit))))

    def _answer(self, worker: _Remote, message: Any = None) -> None:
        self._link.send("talk", worker.name, None if message is None else packed(message))

    def heard_from(self) -> list[Any]:
        """Wait a little for workers that have something to say."""
        home = [worker.pipe for worker in self._home.workers]
        ready = connection.wait([self._link.pipe, *home], timeout=LOOK_SECONDS)
        found: list[Any] = self._home.ready(ready)
        if self._link.pipe in ready:
            name, kind, value = self._link.receive()
            worker = self._remote.get(name)
            if worker is not None and self._listen(worker, kind, value):
                found.append(worker)
        self._tell_of_waiting()
        return found

    def _listen(self, worker: _Remote, kind: str, value: Any) -> bool:
        """Look at what came from a worker, and tell whether there is something for who deals units out."""
        if kind == "said":
            kind, value = unpacked_message(value)
        if kind == "died" and not worker.is_ready:
            self._count_failed_start(value)
            self.replace(worker)
        elif kind == "failed" and not worker.is_ready:
            raise value
        elif kind in ("died", "failed"):
            worker.said.append((kind, value))
        elif kind == "done":
            worker.said.append(("done", self._take(worker, *value)))
        elif kind == "progress":
            self._answer(worker)
            if worker.unit is not None:
                worker.said.append((kind, value))
        else:
            self._serve(worker, kind, value)
        return bool(worker.said)

    def _serve(self, worker: _Remote, kind: str, value: Any) -> None:
        """Answer a worker that is not done."""
        if kind == "settled":
            self._compare(**value)
            self._answer(worker, "go on")
        elif kind == "wants":
            key, name, start = value
            self._answer(worker, self._parcels[key].read(name, start))
        elif kind == "part":
            if worker.arrival is None:
                folder = self._store.folder / f".arrival.tmp-{uuid.uuid4().hex[:8]}"
                worker.arrival = Arrival(folder)
            worker.arrival.take(*value)
            self._answer(worker, "go on")
        elif kind == "ready":
            worker.is_ready, self._failed_starts = True, 0
            self._tell_of_start(value)

    def _take(self, worker: _Remote, untold: float, content: bytes) -> float:
        """Put what came of a unit into the store."""
        assert worker.unit is not None
        if worker.arrival is not None:
            self.job.arrived(worker.unit, worker.arrival.folder)
            worker.arrival.discard()
            worker.arrival = None
        self._store.commit(worker.unit, content)
        return untold

    def _compare(self, where: str, numbers: Mapping[str, str]) -> None:
        """Refuse a worker that computes otherwise, or say that it does.

        Raises:
            ConfigError: If it does, and that is not accepted.
        """
        if self._plan is None:
            self._plan = where, dict(numbers)
        planned_by, plan = self._plan
        other = sorted(name for name in plan.keys() | numbers.keys() if plan.get(name) != numbers.get(name))
        if not other:
            return
        told = "; ".join(f"{name}: {numbers.get(name, 'none')} instead of {plan.get(name, 'none')}" for name in other)
        if not self._execution.mixed:
            raise ConfigError(
                f"The worker {where} computes with other numbers than the run does, which {planned_by} says: {told}. "
                "Results can differ in their last bits there. Leave that machine out of the cluster, set what can be "
                "set (student.num_threads, student.device), or accept it with execution.mixed = true; manifests tell."
            )
        if told not in self._told:
            self._told.add(told)
            self._say(
                f"warning: the worker {where} computes with other numbers ({told}), which execution.mixed accepts"
            )

    def _count_failed_start(self, reason: Any) -> None:
        self._failed_starts += 1
        most = MAX_DEATHS * self._execution.workers  # one machine that is lost may take many with it
        if self._failed_starts >= most:
            raise WorkerError(
                f"{counted(most, 'workers')} died one after the other before they had loaded what they need, the last "
                f"one so: {reason}. Look for memory and for the package sert on the machines of the cluster; the same "
                "command goes on."
            )

    def _tell_of_start(self, where: str) -> None:
        if not self._link.is_told_of:
            self._link.is_told_of = True
            asked = counted(self._execution.workers, "workers")
            threads = counted(self.job.threads, "threads")
            self._say(
                f"ray ({self._execution.address}): {asked} of {threads} each; Ray was there after "
                f"{self._link.seconds:.1f} s, the first worker {time.monotonic() - self._started:.1f} s later: {where}"
            )

    def _tell_of_waiting(self) -> None:
        if any(worker.is_ready for worker in self._remote.values()):
            self._lacking_since = None
        elif self._lacking_since is None:
            self._lacking_since = time.monotonic()
        elif self._remote and time.monotonic() - self._lacking_since > _TELL_OF_WAITING_SECONDS:
            self._lacking_since = math.inf  # it is told once, until there was one
            gpus, asks = self._execution.gpus_per_worker, counted(self.job.threads, "CPUs")
            self._say(
                f"ray ({self._execution.address}): no worker is ready. Each asks one machine for {asks} "
                f"(student.num_threads){f' and {gpus:g} GPUs (execution.gpus_per_worker)' if gpus else ''}"
            )

    def replace(self, dead: Any) -> None:
        """Start another worker in the place of one that died."""
        if not isinstance(dead, _Remote):
            return self._home.replace(dead)
        self._link.send("stop", dead.name)
        self._forget(dead)
        self._start(dead.number)

    def _forget(self, worker: _Remote) -> None:
        del self._remote[worker.name]
        if worker.arrival is not None:
            worker.arrival.discard()

    def close(self) -> None:
        """Let workers go that wait, for whoever needs some next, and end the others."""
        for worker in [*self._remote.values()]:
            idle = worker.is_ready and worker.unit is None
            self._link.send("spare" if idle else "stop", worker.name)
            self._forget(worker)
        self._home.close()
