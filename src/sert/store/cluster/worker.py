"""What does units on a machine of a cluster, and how it talks with the process that deals them out.

Whoever deals units out calls `ClusterWorker.talk` again and again; each call hands something over, waits a moment, and
brings back what there is to say. So nothing is kept on the way, and one that says nothing any more is known to be gone.
The work itself is done by one thread, whose settings are those of the process.
"""

import os
import platform
import threading
from collections.abc import Mapping
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from sert.errors import ConfigError, SertError
from sert.store.artifacts import files_of
from sert.store.crew import TELL_SECONDS, Said, Teller, unforeseen
from sert.store.disk import remove
from sert.store.portable import Parcels, Portable
from sert.store.shipping import CHUNK, Parcel, read_chunk, unpacked
from sert.store.units import Run, Unit
from sert.store.versions import versions

JOB = "job"
"""The file of a parcel that holds a piece of work."""


class Order(NamedTuple):
    """What a worker is told at its beginning.

    Attributes:
        number: Which worker it is.
        job: The parcel with the work.
        needs: What the work needs on this machine.
        versions: Of Python and of what computes, where the work is dealt out.
        environment: Variables as they are there; None for one that is not set.
    """

    number: int
    job: Parcel
    needs: Parcels
    versions: Mapping[str, str]
    environment: Mapping[str, str | None]


class Task(NamedTuple):
    """A unit, and what it needs besides."""

    unit: Unit
    needs: Parcels


def packed(message: Any) -> bytes:
    """Write a message as pipes between processes do."""
    return bytes(ForkingPickler.dumps(message))


def unpacked_message(content: bytes) -> Any:
    """Read a message of another process of the same run."""
    return ForkingPickler.loads(content)


def plain_versions() -> dict[str, str]:
    """Tell versions without what tells builds of one version apart, such as `+cpu`."""
    return {name: version.partition("+")[0] for name, version in versions().items()}


class ClusterWorker:
    """Does units on some machine, in a process of its own."""

    def __init__(self) -> None:
        self._heard = SimpleQueue[Any]()
        self._said = SimpleQueue[Said]()
        self._job: Portable | None = None
        self._run: Run | None = None
        self._number = 0
        threading.Thread(target=self._work, daemon=True).start()

    def talk(self, message: bytes | None) -> bytes:
        """Take a message, if there is one, and return what is said within a moment."""
        if message is not None:
            self._heard.put(unpacked_message(message))
        try:
            return packed(self._said.get(timeout=TELL_SECONDS))
        except Empty:
            return packed(("progress", 0.0))

    def _ask(self, kind: str, value: Any) -> Any:
        """Say something that is answered."""
        self._said.put((kind, value))
        return self._heard.get()

    def _work(self) -> None:
        while True:
            message = self._heard.get()
            try:
                if isinstance(message, Order):
                    self._begin(message)
                else:
                    self._do(message)
            except SertError as error:
                self._said.put(("failed", error))
            except Exception:
                self._said.put(("failed", unforeseen()))

    def _begin(self, order: Order) -> None:
        self._job = self._run = None  # what was done before takes memory
        self._number = order.number
        for name, value in order.environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _check_versions(order.versions)
        job: Portable = unpacked_message((unpacked(order.job, self._chunk) / JOB).read_bytes())
        self._job = job = job.placed(self._placed(order.needs))
        self._ask("settled", {"where": _where(), "numbers": job.settle()})
        self._run = job.start(order.number)
        self._said.put(("ready", _where()))

    def _placed(self, needs: Parcels) -> dict[str, str]:
        return {there: str(unpacked(parcel, self._chunk)) for there, parcel in needs.items()}

    def _chunk(self, key: str, name: str, start: int) -> bytes:
        chunk: bytes = self._ask("wants", (key, name, start))
        return chunk

    def _do(self, task: Task) -> None:
        job, run = self._job, self._run
        assert job is not None and run is not None
        if task.needs:
            job = job.placed(self._placed(task.needs))
            run = job.start(self._number)
        teller = Teller(lambda units: self._said.put(("progress", units)))
        content = run(task.unit, teller)
        left = job.left(task.unit)
        if left is not None:
            self._send_home(left)
        self._said.put(("done", (teller.untold, content)))

    def _send_home(self, folder: Path) -> None:
        """Send the files in a folder, a chunk at a time, and remove it."""
        for name in files_of(folder):
            size, start = (folder / name).stat().st_size, 0
            while True:
                self._ask("part", (name, read_chunk(folder / name, start)))
                start += CHUNK
                if start >= size:
                    break
        remove(folder)


def _where() -> str:
    return f"process {os.getpid()} on {platform.node()}"


def _check_versions(wanted: Mapping[str, str]) -> None:
    """Refuse to take part with other versions: unfinished work is kept apart by them.

    Raises:
        ConfigError: If there is a difference.
    """
    here = plain_versions()
    other = {name for name in wanted.keys() | here.keys() if wanted.get(name) != here.get(name)}
    if other:
        told = ", ".join(
            f"{name} {here.get(name, 'none')} instead of {wanted.get(name, 'none')}" for name in sorted(other)
        )
        raise ConfigError(
            f"The worker {_where()} has other versions than the run: {told}. Install the same ones there; "
            "execution.mixed accepts other processors, not other versions."
        )
