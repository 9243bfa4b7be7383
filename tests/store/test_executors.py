"""Who does the units: this process, or several that may die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sert.config.tree import ExecutionConfig
from sert.errors import ConfigError, StudentError, WorkerError
from sert.store.executors import LocalProcesses, ThisProcess, make_executor
from sert.store.units import Executor, Unit, UnitStore
from sert.terminal.progress import Advance

UNITS = [Unit(number, (number,)) for number in range(6)]


@dataclass(frozen=True)
class Squares:
    """Squares its rows, and may do worse."""

    notes: Path
    dies_at: int | None = None
    deaths: int = 0
    refuses: bool = False

    def start(self, worker: int) -> Callable[[Unit, Advance], bytes]:
        if self.refuses:
            raise StudentError("there is no student")
        (self.notes / f"worker-{worker}-{os.getpid()}").touch()
        return self._run

    def _run(self, unit: Unit, advance: Advance) -> bytes:
        if unit.number == self.dies_at and len(list(self.notes.glob("died-*"))) < self.deaths:
            (self.notes / f"died-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        advance(0.25)
        time.sleep(0.02)
        advance(0.75)
        return str(unit.rows[0] ** 2).encode()


def contents(store: UnitStore) -> dict[int, bytes]:
    return {number: file.read_bytes() for number, file in store.finished().items()}


@pytest.mark.parametrize("executor", [ThisProcess(), LocalProcesses(1), LocalProcesses(3)])
def test_every_unit_is_done_once_and_counted(executor: Executor, tmp_path: Path) -> None:
    store, counted = UnitStore(tmp_path / "units"), []
    done = list(executor.execute(Squares(tmp_path), UNITS, store, advance=lambda units, note="": counted.append(units)))
    assert sorted(done) == UNITS
    assert contents(store) == {number: str(number**2).encode() for number in range(6)}
    assert sum(counted) == pytest.approx(6)


@pytest.mark.parametrize("executor", [ThisProcess(), LocalProcesses(2)])
def test_nobody_gets_ready_when_there_is_nothing_to_do(executor: Executor, tmp_path: Path) -> None:
    assert list(executor.execute(Squares(tmp_path), [], UnitStore(tmp_path / "units"), advance=lambda *_: None)) == []
    assert list(tmp_path.glob("worker-*")) == []


def test_the_unit_of_a_worker_that_dies_is_done_by_another(tmp_path: Path) -> None:
    store, counted = UnitStore(tmp_path / "units"), []
    job = Squares(tmp_path, dies_at=2, deaths=2)
    executor = LocalProcesses(2)
    assert len(list(executor.execute(job, UNITS, store, advance=lambda units, note="": counted.append(units)))) == 6
    assert contents(store)[2] == b"4"
    assert len(list(tmp_path.glob("died-*"))) == 2
    assert sum(counted) == pytest.approx(6)


def test_a_unit_that_kills_whoever_does_it_is_given_up_and_the_others_are_kept(tmp_path: Path) -> None:
    store = UnitStore(tmp_path / "units")
    job = Squares(tmp_path, dies_at=5, deaths=99)
    with pytest.raises(WorkerError, match=r"unit 5 died 3 times, last with -9"):
        list(LocalProcesses(2).execute(job, UNITS, store, advance=lambda *_: None))
    assert contents(store).keys() >= {0, 1, 2, 3}


def test_an_error_of_a_worker_is_that_of_its_parent(tmp_path: Path) -> None:
    job = Squares(tmp_path, refuses=True)
    with pytest.raises(StudentError, match="there is no student"):
        list(LocalProcesses(2).execute(job, UNITS, UnitStore(tmp_path / "units"), advance=lambda *_: None))


def test_workers_end_when_the_work_is_stopped(tmp_path: Path) -> None:
    def stop(units: float, note: str = "") -> None:
        if list(tmp_path.glob("worker-*")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(LocalProcesses(2).execute(Squares(tmp_path), UNITS, UnitStore(tmp_path / "units"), advance=stop))
    for file in tmp_path.glob("worker-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.name.rpartition("-")[2]), 0)


def test_one_worker_needs_no_other_process() -> None:
    assert isinstance(make_executor(ExecutionConfig(workers=1)), ThisProcess)
    assert isinstance(make_executor(ExecutionConfig(workers=2)), LocalProcesses)


def test_ray_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sert.store.executors.find_spec", {"ray": None}.__getitem__)
    with pytest.raises(ConfigError, match=r"pip install 'sert\[ray\]'"):
        make_executor(ExecutionConfig(engine="ray"))


def test_workers_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    script = Path(__file__).with_name("worked_by_others.py")
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    wait_until(lambda: len(list(tmp_path.glob("worker-*"))) == 2)
    parent.kill()
    parent.wait()
    for file in tmp_path.glob("worker-*"):
        process = Path("/proc", file.name.rpartition("-")[2])
        wait_until(lambda process=process: not process.exists())  # type: ignore[misc]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_dies_at_its_start_is_heard_of_however_large_the_job(tmp_path: Path) -> None:
    """Without the guard of its main module, a worker ends while it imports it."""
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from pathlib import Path\n"
        "from sert.errors import WorkerError\n"
        "from sert.store.executors import LocalProcesses\n"
        "from sert.store.units import Unit, UnitStore\n"
        "units = [Unit(number, tuple(range(100_000))) for number in range(2)]\n"
        "job = 'x' * 1_000_000\n"
        "try:\n"
        "    list(LocalProcesses(2).execute(job, units, UnitStore(Path('units')), advance=lambda *_: None))\n"
        "except WorkerError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True
    )
    assert "died 3 times" in done.stdout
