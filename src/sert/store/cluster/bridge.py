"""The process that talks to Ray for a run: Ray may end a process that loses its cluster, and this one is not the run.

It starts Ray on this machine or joins a cluster, starts workers, and carries messages between them and the run. It ends
with the run, and what it started ends with it.
"""

import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from sert.store.lock import is_alive

LOCAL = "local"
"""The address that stands for a cluster on this machine alone, which is started for the run and ends with it."""
LOOPBACK = "127.0.0.1"
STORE_BYTES = 256 * 2**20
"""Room for messages on their way, on a machine where Ray is started. No message is larger than a unit or a chunk, and
each worker has one under way."""
ENDS_WITHIN = 10.0
"""Seconds in which everything is put away when the run has ended."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
"""Ray tells nobody what it is used for, and hides accelerators from workers that were given none."""
CLOSED = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""A Ray that is started here answers to its token, and is no cluster that others could join: else it would listen on
all addresses, whichever it is given."""
LOOK_AFTER = 5.0
"""Seconds without a word after which it is asked whether there are machines at all: workers are waited for."""
LOG = "bridge.log"
_TAIL = 2000
_SCRATCH = "sert-ray-"


class Cluster(NamedTuple):
    """Which cluster is wanted, and what a worker takes of it.

    Attributes:
        address: `local`, `auto`, or where it is reached.
        workers: How many there are to be.
        cpus, gpus: What each of them takes.
        folder: Where this process writes its log, and Ray its own where it is started here.
    """

    address: str
    workers: int
    cpus: int
    gpus: float
    folder: str


@contextmanager
def scratch_folder() -> Iterator[str]:
    """Make a folder for Ray's files that is gone afterwards, and remove those of runs that were killed.

    Its path is short: sockets lie in it.
    """
    root = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir())
    for left in root.glob(f"{_SCRATCH}*"):
        process = left.name.removeprefix(_SCRATCH).partition("-")[0]
        if process.isdecimal() and not is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)  # that of another user stays
    folder = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-", dir=root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def last_words(folder: str) -> str:
    """Read the end of what a bridge and the libraries in it wrote."""
    try:
        return (Path(folder) / LOG).read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()
    except OSError:
        return ""


def serve(cluster: Cluster, pipe: Any) -> None:
    """Serve the run at the other end of the pipe until it hangs up.

    It hears `("start", worker)`, `("talk", worker, message)`, `("stop", worker)` and `("spare", worker)`, workers by
    their names, and says `("there", ...)` once or `("failed", reason)`, then `(worker, "said", message)` and
    `(worker, "died", reason)`, and last `(None, "lost", reason)` if it is all over.
    """
    _write_to(Path(cluster.folder) / LOG)
    events = SimpleQueue[Any]()
    threading.Thread(target=_listen, args=(pipe, events), daemon=True).start()
    os.environ.update(QUIET)
    try:
        ray = _joined(cluster)
    except Exception as error:  # what keeps Ray from starting is of any kind
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        return
    try:
        pipe.send(("there", len(ray.nodes())))
        _Switchboard(ray, cluster, pipe, events).run()
    finally:
        ray.shutdown()
        shutil.rmtree(cluster.folder, ignore_errors=True)  # the run may have been killed, and does not do it


def _write_to(log: Path) -> None:
    """Let everything that is printed here go to a file: the terminal belongs to the run."""
    sys.stdout.flush()
    sys.stderr.flush()
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(opened, stream)
    os.close(opened)


def _listen(pipe: Any, events: "SimpleQueue[Any]") -> None:
    """Hand on what the run says; when it has hung up, see to it that this process ends."""
    try:
        while True:
            events.put(pipe.recv())
    except (EOFError, OSError):
        events.put(None)
    timer = threading.Timer(ENDS_WITHIN, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _joined(cluster: Cluster) -> Any:
    """Start Ray here, without a dashboard, on the loopback alone and for who has its token, or join the cluster."""
    if cluster.address == LOCAL:
        os.environ.update(CLOSED, RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray

    told: Mapping[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    if cluster.address != LOCAL:
        _knock(cluster.address)
        ray.init(cluster.address, **told)
        return ray
    ray.init(
        LOCAL,
        num_cpus=cluster.workers * cluster.cpus,
        num_gpus=None if cluster.gpus else 0,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        _node_ip_address=LOOPBACK,
        _temp_dir=cluster.folder,
        **told,
    )
    return ray


def _knock(address: str) -> None:
    """Find out whether anybody is at an address; Ray would try for minutes.

    Raises:
        OSError: If nobody is.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=ENDS_WITHIN).close()


class _Switchboard:
    """Carries messages between the run and its workers."""

    def __init__(self, ray: Any, cluster: Cluster, pipe: Any, events: "SimpleQueue[Any]") -> None:
        from sert.store.cluster.worker import ClusterWorker

        self._ray, self._pipe, self._events = ray, pipe, events
        self._kind = ray.remote(ClusterWorker).options(
            num_cpus=cluster.cpus,
            num_gpus=cluster.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        self._workers = dict[int, Any]()
        self._spare = list[Any]()
        # The machine that this process reaches the cluster by; of a client that is another one each time.
        self._own = "" if cluster.address.startswith("ray://") else ray.get_runtime_context().get_node_id()
        self._in_doubt = False

    def run(self) -> None:
        """Carry messages until the run hangs up, or no machine is left."""
        while (event := self._next()) is not None:
            what, worker, *rest = event
            if what == "start":
                self._workers[worker] = self._spare.pop() if self._spare else self._kind.remote()
            elif what == "talk" and worker in self._workers:
                future = self._workers[worker].talk.remote(*rest).future()
                future.add_done_callback(lambda done, worker=worker: self._events.put(("heard", worker, done)))
            elif what == "heard":
                kind, value = _outcome(self._ray, *rest)
                self._in_doubt = kind == "died"
                self._pipe.send((worker, kind, value))
            elif what == "spare" and worker in self._workers:
                self._spare.append(self._workers.pop(worker))
            elif what == "stop" and worker in self._workers:
                self._ray.kill(self._workers.pop(worker), no_restart=True)
        for actor in [*self._workers.values(), *self._spare]:
            self._ray.kill(actor, no_restart=True)

    def _next(self) -> Any:
        """Wait for something to happen. Where a worker was the last that did and died, look after the machines."""
        while True:
            try:
                return self._events.get(timeout=LOOK_AFTER if self._in_doubt else None)
            except Empty:
                alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
                if not alive or (self._own and self._own not in alive):
                    self._pipe.send((None, "lost", "this machine, or every one, is gone from it"))
                    return None


def _outcome(ray: Any, future: Any) -> tuple[str, Any]:
    try:
        return "said", future.result()
    except ray.exceptions.RayTaskError as error:
        return "died", f"an error outside of its work: {error}"
    except Exception as error:  # of Ray, whose kinds of lost workers, machines and objects are many
        return "died", " ".join(str(error).split()) or type(error).__name__
