"""The run's end of the link to a Ray cluster; at the other end is the process of `sert.store.cluster.bridge`."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from sert.errors import ConfigError, WorkerError
from sert.store.cluster.bridge import LOCAL, Cluster, last_words, scratch_folder, serve
from sert.store.crew import LOOK_SECONDS, end_process, start_process
from sert.terminal.progress import Advance

_PUTS_AWAY_SECONDS = 3.0


class Link:
    """The process that talks to Ray, seen from here.

    Attributes:
        cluster: Which cluster it leads to.
        seconds: How long it took until Ray was there.
        is_told_of: Whether people were told that it was.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._open = ExitStack()
        self.cluster = cluster._replace(folder=self._open.enter_context(scratch_folder()))
        self.started = time.monotonic()
        self.seconds = 0.0
        self.is_told_of = False
        self._is_lost = False
        self._process, self.pipe = start_process(serve, self.cluster)

    def wait(self, advance: Advance) -> None:
        """Wait until Ray is there.

        Raises:
            ConfigError: If it does not come.
        """
        while not self.pipe.poll(LOOK_SECONDS):
            advance(0)
        kind, value = self.receive()
        if kind == "failed":
            what = "be started on this machine" if self.cluster.address == LOCAL else "be reached"
            raise ConfigError(
                f"Ray cannot {what} (execution.address = {self.cluster.address!r}): {value.rstrip('.')}. Give the "
                "address of a cluster of the same versions of Ray and Python, `auto` on a machine of it, or `local`."
            )
        self.seconds = time.monotonic() - self.started

    def receive(self) -> tuple[Any, ...]:
        """Receive what comes.

        Raises:
            WorkerError: If it has ended.
        """
        try:
            said: tuple[Any, ...] = self.pipe.recv()
        except (EOFError, OSError):
            raise self._lost(last_words(self.cluster.folder)) from None
        if said[1] == "lost":
            raise self._lost(said[2])
        return said

    def send(self, *message: Any) -> None:
        """Send something; one that has ended does not mind, and will be heard of."""
        with suppress(OSError):
            self.pipe.send(message)

    def _lost(self, words: str) -> WorkerError:
        self._is_lost = True
        reason = f": {words.splitlines()[-1].rstrip('.')}" if words else ""
        return WorkerError(
            f"The Ray cluster ({self.cluster.address}) was lost{reason}. Finished work is kept. The same "
            "command goes on when the cluster is there again, or with --engine local on this machine."
        )

    @property
    def is_there(self) -> bool:
        """Whether the process goes on; one that was killed hangs up a moment before it ends."""
        return not self._is_lost and bool(self._process.is_alive())

    def close(self) -> None:
        """Hang up, and let what was started end."""
        self.pipe.close()
        end_process(self._process, seconds=_PUTS_AWAY_SECONDS)
        self._open.close()


_KEPT: ContextVar[dict[Cluster, Link] | None] = ContextVar("kept", default=None)
"""Links by what they lead to, where several pieces of work that follow each other share them."""


@contextmanager
def clusters_kept() -> Iterator[None]:
    """Let pieces of work that follow each other share a cluster and its workers until this ends."""
    kept = dict[Cluster, Link]()
    before = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(before)
        for link in kept.values():
            link.close()


@contextmanager
def linked(cluster: Cluster, advance: Advance) -> Iterator[Link]:
    """Reach a cluster, by a link that is there already where links are kept.

    Raises:
        ConfigError: If it cannot be reached.
    """
    kept = _KEPT.get()
    if kept is not None and cluster in kept:
        if kept[cluster].is_there:
            yield kept[cluster]
            return
        kept.pop(cluster).close()
    link = Link(cluster)
    try:
        link.wait(advance)
        if kept is not None:
            kept[cluster] = link
        yield link
    finally:
        if kept is None or cluster not in kept:
            link.close()
