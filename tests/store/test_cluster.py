"""Units on a Ray cluster of this machine: done once, whoever dies; refused where they would come out otherwise."""

import ipaddress
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cluster_toys import UNITS, Toy

from sert.config.tree import ExecutionConfig
from sert.errors import ConfigError, StudentError, WorkerError
from sert.store.cluster.bridge import scratch_folder
from sert.store.cluster.link import clusters_kept
from sert.store.executors import make_executor
from sert.store.shipping import Parcel
from sert.store.units import Unit, UnitStore

pytest.importorskip("ray", reason="the extra ray is not installed")

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cluster for all tests, whose workers find the toys."""
    with pytest.MonkeyPatch.context() as patch, clusters_kept():
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def on_ray(
    job: Toy,
    store: UnitStore,
    *,
    units: list[Unit] = UNITS,
    advance: Callable[..., None] = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
    mixed: bool = False,
) -> list[Unit]:
    execution = ExecutionConfig(engine="ray", workers=2, mixed=mixed)
    return list(make_executor(execution, say=say).execute(job, units, store, advance=advance))


def contents(store: UnitStore) -> dict[int, bytes]:
    return {number: file.read_bytes() for number, file in store.finished().items()}


def workers_in(notes: Path) -> set[int]:
    return {int(file.name.rpartition("-")[2]) for file in notes.glob("worker-*")}


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_unit_is_done_once_and_counted(tmp_path: Path) -> None:
    store, counted, said = UnitStore(tmp_path / "units"), [], []
    done = on_ray(Toy(tmp_path), store, advance=lambda units, note="": counted.append(units), say=said.append)
    assert sorted(done) == UNITS
    assert contents(store) == {number: str(number**2).encode() for number in range(6)}
    assert sum(counted) == pytest.approx(6)
    assert len(list(tmp_path.glob("did-*"))) == 6
    assert os.getpid() not in workers_in(tmp_path)
    assert len(said) == 1 and "2 workers of 1 thread each" in said[0] and "Ray was there after" in said[0]


def test_nobody_gets_ready_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert on_ray(Toy(tmp_path), UnitStore(tmp_path / "units"), units=[]) == []
    assert list(tmp_path.glob("worker-*")) == []


def test_a_unit_comes_behind_those_that_it_waits_for(tmp_path: Path) -> None:
    units = [Unit(0, (0,), frozenset({2})), Unit(1, (1,)), Unit(2, (2,), frozenset({1}))]
    done = on_ray(Toy(tmp_path), UnitStore(tmp_path / "units"), units=units)
    assert [unit.number for unit in done] == [1, 2, 0]


def test_the_unit_of_a_worker_that_dies_is_done_by_another(tmp_path: Path) -> None:
    store, counted = UnitStore(tmp_path / "units"), []
    job = Toy(tmp_path, dies_at=2, deaths=2)
    assert len(on_ray(job, store, advance=lambda units, note="": counted.append(units))) == 6
    assert contents(store)[2] == b"4"
    assert len(list(tmp_path.glob("died-*"))) == 2
    assert sum(counted) == pytest.approx(6)


def test_a_unit_that_kills_whoever_does_it_is_given_up_and_the_others_are_kept(tmp_path: Path) -> None:
    store = UnitStore(tmp_path / "units")
    with pytest.raises(WorkerError, match=r"unit 5 died 3 times"):
        on_ray(Toy(tmp_path, dies_at=5, deaths=99), store)
    assert contents(store).keys() >= {0, 1, 2, 3}


def test_no_more_is_done_twice_than_was_under_way(tmp_path: Path, full: bool) -> None:
    """Workers are killed at random moments, and the work is stopped and taken up again."""
    most, random_, store = 30 if full else 3, random.Random("under way"), UnitStore(tmp_path / "units")
    units = [Unit(number, (number,)) for number in range(15 * most)]
    killed_at, stops = [0], 0

    def disturb(done: float, note: str = "") -> None:
        nonlocal stops
        finished, chance = len(contents(store)), random_.random()
        alive = [process for process in workers_in(tmp_path) if Path("/proc", str(process)).exists()]
        if chance < 0.1 and stops < most:
            stops += 1
            raise KeyboardInterrupt
        # Not the same unit again and again, which would be given up.
        if chance < 0.4 and len(killed_at) <= most and finished >= killed_at[-1] + 4 and alive:
            killed_at.append(finished)
            os.kill(random_.choice(alive), signal.SIGKILL)

    while left := [unit for unit in units if unit.number not in store.finished()]:
        with suppress(KeyboardInterrupt):
            on_ray(Toy(tmp_path, seconds=0.05), store, units=left, advance=disturb)
    assert contents(store) == {unit.number: str(unit.number**2).encode() for unit in units}
    assert stops == most and len(killed_at) == most + 1
    again = len(list(tmp_path.glob("did-*"))) - len(units)
    assert 0 <= again <= most + 2 * stops


def test_an_error_of_a_worker_is_that_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(StudentError, match="there is no student"):
        on_ray(Toy(tmp_path, refuses=True), UnitStore(tmp_path / "units"))


def test_a_worker_with_other_numbers_is_refused_with_both_named(tmp_path: Path) -> None:
    told = r"process \d+ on .*: instructions: AVX2 \(there\) instead of AVX512 \(here\).*execution.mixed = true"
    with pytest.raises(ConfigError, match=told):
        on_ray(Toy(tmp_path, differs=True), UnitStore(tmp_path / "units"))
    assert list(tmp_path.glob("worker-*")) == []


def test_a_worker_with_other_numbers_is_accepted_and_told_where_that_is_wanted(tmp_path: Path) -> None:
    said: list[str] = []
    assert len(on_ray(Toy(tmp_path, differs=True), UnitStore(tmp_path / "units"), mixed=True, say=said.append)) == 6
    assert [line for line in said if "AVX2 (there) instead of AVX512 (here)" in line and "warning" in line]


def test_files_reach_a_machine_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed, asked, read = tmp_path / "needed", list[str](), Parcel.read
    needed.write_bytes(os.urandom(2**20 + 5))

    def spy(self: Parcel, name: str, start: int) -> bytes:
        asked.append(name)
        return read(self, name, start)

    monkeypatch.setattr(Parcel, "read", spy)
    for number in range(2):
        store = UnitStore(tmp_path / f"units-{number}")
        on_ray(Toy(tmp_path, needs=needed), store)
        assert set(contents(store).values()) == {needed.read_bytes()}
    assert asked.count("file") == 2  # chunks, for two workers and two runs


def test_what_a_unit_leaves_comes_home(tmp_path: Path) -> None:
    on_ray(Toy(tmp_path, leaves=3), UnitStore(tmp_path / "units"))
    arrived = tmp_path / "arrived-3"
    assert (arrived / "deep" / "large").read_bytes() == bytes(range(256)) * 5000
    assert (arrived / "empty").read_bytes() == b""
    assert not (tmp_path / "left-3").exists()
    assert list((tmp_path / "units").glob(".*")) == []


def test_a_cluster_of_this_machine_is_reached_by_nobody_else(tmp_path: Path) -> None:
    """Whatever waits for others, the link and Ray's own processes, does so on the loopback."""
    seen: set[str] = set()

    def look(units: float, note: str = "") -> None:
        if list(tmp_path.glob("worker-*")):
            seen.update(listening(below_of(os.getpid())))

    on_ray(Toy(tmp_path, seconds=0.3), UnitStore(tmp_path / "units"), advance=look)
    assert seen == {"127.0.0.1"}


def listening(processes: set[int]) -> set[str]:
    """Name the addresses at which some processes wait for others."""
    sockets = set[str]()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):
                sockets.add(os.readlink(link))
    found = set[str]()
    for file in ("tcp", "tcp6"):
        for line in Path("/proc/net", file).read_text().splitlines()[1:]:
            local, _, state, *_, inode = line.split()[1:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                words = bytes.fromhex(local.partition(":")[0])
                backwards = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                address: Any = ipaddress.ip_address(backwards)
                found.add(str(getattr(address, "ipv4_mapped", None) or address))
    return found


def test_what_is_to_stay_is_done_here(tmp_path: Path) -> None:
    on_ray(Toy(tmp_path, stays_at=4), UnitStore(tmp_path / "units"))
    did = {int(file.name.split("-")[1]): int(file.name.split("-")[2]) for file in tmp_path.glob("did-*")}
    assert len(did) == 6
    assert did[4] not in {process for unit, process in did.items() if unit != 4}


def test_workers_go_when_the_work_is_stopped(tmp_path: Path) -> None:
    def stop(units: float, note: str = "") -> None:
        if list(tmp_path.glob("worker-*")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_ray(Toy(tmp_path, seconds=600), UnitStore(tmp_path / "units"), advance=stop)
    # One that waited may serve the next piece of work; one that was busy is gone.
    busy = workers_in(tmp_path)
    on_ray(Toy(tmp_path), UnitStore(tmp_path / "units"))
    wait_until(lambda: not all(Path("/proc", str(process)).exists() for process in busy))


def test_a_cluster_that_is_lost_is_told_and_its_finished_units_are_kept(tmp_path: Path) -> None:
    store = UnitStore(tmp_path / "units")

    def lose(units: float, note: str = "") -> None:
        if (tmp_path / "units").is_dir() and len(contents(store)) >= 2:
            for process in multiprocessing.active_children():
                process.kill()

    with pytest.raises(WorkerError, match=r"Ray cluster \(local\) was lost.*--engine local"):
        on_ray(Toy(tmp_path, seconds=0.3), store, advance=lose)
    left = [unit for unit in UNITS if unit.number not in store.finished()]
    assert 0 < len(left) <= 4
    assert len(on_ray(Toy(tmp_path), store, units=left)) == len(left)
    assert contents(store) == {number: str(number**2).encode() for number in range(6)}


@pytest.mark.slow
def test_a_cluster_without_machines_is_lost_and_not_waited_for(tmp_path: Path) -> None:
    """Ray waits for ever for a machine on which there is room; this one will not come back."""

    def lose(units: float, note: str = "") -> None:
        if list(tmp_path.glob("worker-*")):
            for process in below_of(os.getpid()):
                with suppress(OSError):
                    if b"/raylet/raylet" in Path(f"/proc/{process}/cmdline").read_bytes():
                        os.kill(process, signal.SIGKILL)

    with pytest.raises(WorkerError, match="was lost: this machine, or every one, is gone from it"):
        on_ray(Toy(tmp_path, seconds=600), UnitStore(tmp_path / "units"), advance=lose)


def test_a_cluster_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    execution = ExecutionConfig(engine="ray", address="127.0.0.1:9", workers=1)
    with pytest.raises(ConfigError, match=r"cannot be reached \(execution.address = '127.0.0.1:9'\)"):
        list(make_executor(execution).execute(Toy(tmp_path), UNITS, UnitStore(tmp_path), advance=lambda *_: None))


def test_what_a_killed_run_left_is_removed_by_the_next_one() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left, other = Path(f"/tmp/sert-ray-{ended.pid}-test"), Path(f"/tmp/sert-ray-{os.getpid()}-test")
    left.mkdir()
    other.mkdir()
    with scratch_folder() as folder:
        assert (left.exists(), other.exists(), Path(folder).is_dir()) == (False, True, True)
    other.rmdir()
    assert not Path(folder).exists()


@pytest.mark.slow
def test_all_processes_end_with_the_run_however_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, str(HERE / "worked_by_a_cluster.py"), str(tmp_path)]) as run:
        wait_until(lambda: len(workers_in(tmp_path)) == 2)
        below = below_of(run.pid)
        assert len(below) > 3  # the link, and Ray's own
        run.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(Path("/proc", str(process)).exists() for process in {*below, *workers_in(tmp_path)}))


def below_of(process: int) -> set[int]:
    """List the processes that a process started, and theirs."""
    parents = dict[int, int]()
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(file.parent.name)] = int(file.read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
    found, new = set[int](), {process}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found
