"""Executors: who does the units of a job. What comes of a unit does not depend on them.

An executor leaves each unit in the store and then names it. Others than these (of another engine, say) need no more
than the work, which can be sent to another process, and a store that they reach.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec

from sert.config.tree import ExecutionConfig
from sert.errors import ConfigError
from sert.store.crew import LocalCrew, work_off
from sert.store.units import Executor, Store, Unit, UnitWork
from sert.terminal.progress import Advance, Silent


def make_executor(execution: ExecutionConfig, *, say: Callable[[str], None] | None = None) -> Executor:
    """Choose who does the units of a stage, or the stages of a grid. The one door: nobody else names an executor.

    Args:
        execution: How the work is done.
        say: Tells people what is to be known of those who do it.

    Raises:
        ConfigError: If what the engine needs is not installed.
    """
    check_engine(execution)
    if execution.engine == "ray":
        from sert.store.cluster.executor import RayCluster

        return RayCluster(execution, say=say or Silent().say)
    return ThisProcess() if execution.workers == 1 else LocalProcesses(execution.workers)


@contextmanager
def engine_kept(execution: ExecutionConfig) -> Iterator[None]:
    """Let pieces of work that follow each other share what their engine started for the first one."""
    if execution.engine == "local":
        yield
        return
    from sert.store.cluster.link import clusters_kept

    with clusters_kept():
        yield


def check_engine(execution: ExecutionConfig) -> None:
    """Check that what does the work is installed.

    Raises:
        ConfigError: If it is not.
    """
    if execution.engine == "ray" and find_spec("ray") is None:
        raise ConfigError(
            "execution.engine = 'ray' needs the package ray, which is not installed: pip install 'sert[ray]', on every "
            "machine of the cluster. Without it, `local` does the work in processes of this machine."
        )


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
        with closing(LocalCrew(job, store)) as crew:
            crew.start(min(self._workers, len(units)))
            yield from work_off(crew, units, advance=advance)
