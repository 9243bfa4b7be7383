"""Nothing that happens to a process or to its disk spoils a run: the same command goes on to the same bytes.

Every trial disturbs a small run of all stages, in processes of their own, and then gives the same command again.
`pytest --soak -s tests/test_crashes.py` makes the full count of trials and prints what was counted.
"""

import errno
import os
import platform
import random
import re
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from crash_trials import KINDS, REPORT, Crew, Reference, Trials, Watched, alive_in, damage_in, kind_of, make_reference
from faulty_disk import Fault, SmallDisk, build, compiler, preloaded
from nursery import Child, Nursery
from sert.errors import SertError

pytestmark = pytest.mark.soak

PATIENCE = 30.0
"""Seconds after which a process that was asked to end hangs."""
SOON = 5.0
"""Seconds within which 95 % of them end."""
DOCUMENTED = {0, SertError.exit_code, *(error.exit_code for error in SertError.__subclasses__())}


def make_nursery(folder: Path) -> Nursery:
    folder.mkdir()
    environment = preloaded(build(folder), state=folder / "state") if compiler() else {}
    return Nursery(folder=folder / "logs", sketches=True, preloaded=environment)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with make_nursery(tmp_path_factory.mktemp("nursery") / "first") as nursery:
        yield nursery


@pytest.fixture(scope="module")
def reference(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return make_reference(nursery, folder=tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def crew(nursery: Nursery, reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with make_nursery(tmp_path_factory.mktemp("nursery") / "second") as other:
        yield Crew([nursery, other], reference)


@pytest.fixture
def trials(nursery: Nursery, reference: Reference) -> Trials:
    return Trials(nursery, reference)


@pytest.fixture
def faulty_crew(crew: Crew) -> Crew:
    if compiler() is None:
        pytest.skip("there is no C compiler to build a faulty disk with")
    return crew


@pytest.mark.slow
def test_a_disturbed_run_is_told_from_an_undisturbed_one(trials: Trials, tmp_path: Path) -> None:
    assert trials.finish(tmp_path / "whole") == []
    assert trials.run(tmp_path / "run").code == 0
    trained = tmp_path / "run" / trials.reference.stages["lab-choice train-sert"]
    (trained / "loss.jsonl").write_text("")
    assert damage_in(tmp_path / "run") == [f"{trained.name}: loss.jsonl holds other bytes"]
    assert trials.finish(tmp_path / "run") == [f"{trained.name}: loss.jsonl holds other bytes"]


# ---- killed


def test_a_killed_run_goes_on_to_the_same_bytes(trials: Trials, tmp_path: Path) -> None:
    killed, out = Counter[str](), tmp_path / "run"
    groups = kill_up_to_five_times(trials, out, draw=random.Random("kill"), killed=killed)
    assert killed.total() > 0
    assert trials.finish(out) + left_running(groups) == []


@pytest.mark.slow
def test_runs_that_are_killed_go_on_to_the_same_bytes(crew: Crew, tmp_path: Path, full: bool) -> None:
    killed, runs, wanted = Counter[str](), 0, 200 if full else 1

    def trial(trials: Trials, number: int) -> list[str]:
        out = tmp_path / f"run-{number}"
        groups = kill_up_to_five_times(trials, out, draw=random.Random(f"kill {number}"), killed=killed)
        return [f"run {number}: {problem}" for problem in trials.finish(out) + left_running(groups)]

    while min(killed[kind] for kind in KINDS) < wanted:
        at_once = 20 if full else 4
        assert crew.problems(trial, range(runs, runs + at_once)) == []
        runs += at_once
        print(f"\n{runs} runs, {killed.total()} kills: {dict(killed)}", flush=True)


def kill_up_to_five_times(trials: Trials, out: Path, *, draw: random.Random, killed: Counter[str]) -> set[int]:
    """Kill a run in stages drawn so that each kind gets its share; return the killed processes."""
    stages, groups = [*trials.reference.stages, REPORT], set()
    shares = [1 / (1 + killed[kind_of(stage)]) for stage in stages]
    for stage in sorted(draw.choices(stages, shares, k=draw.randint(1, 5)), key=stages.index):
        with trials.watch(out) as watched:
            groups.add(watched.child.pid)
            if watched.reach(stage):
                time.sleep(draw.uniform(0, trials.reference.lives[stage]))
            where = watched.send(signal.SIGKILL)
            if watched.wait().code == -signal.SIGKILL:
                killed[kind_of(where) if where else "between"] += 1
        assert damage_in(out) == []
    return groups


def left_running(groups: set[int]) -> list[str]:
    """Say what ended processes have started that goes on without them."""
    until = time.monotonic() + SOON
    while (alive := alive_in(groups)) and time.monotonic() < until:
        time.sleep(0.01)
    return [f"process {each} goes on" for each in alive]


# ---- a disk that fails


class Outcome(NamedTuple):
    """How a trial ended, and what was wrong with it."""

    code: str
    problems: list[str]


@pytest.mark.slow
def test_an_operation_that_fails_ends_the_run_and_the_next_one_goes_on(
    faulty_crew: Crew, tmp_path: Path, full: bool
) -> None:
    def trial(trials: Trials, number: int) -> Outcome:
        error, kind = (errno.EIO, errno.ENOSPC)[number % 2], ("fail", "half")[number // 2 % 2]
        n, out, name = chosen[number], tmp_path / f"run-{number}", errno.errorcode[error]
        ended = trials.run(out, fault=Fault(str(out), n=n, error=error, kind=kind))
        problems = [] if ended.failed == 1 else ["the operation did not come"]
        if ended.code not in ({0, 9} if error == errno.ENOSPC else DOCUMENTED):
            problems.append(f"ends in {ended.code}: {ended.said[-1000:]}")
        problems += damage_in(out) + trials.finish(out)
        return Outcome(f"{name} {ended.code}", [f"operation {n}, {name}, {kind}: {problem}" for problem in problems])

    chosen = spread(faulty_crew.reference.operations, 6, full=full)
    outcomes = faulty_crew.each(trial, range(len(chosen)))
    print(f"\n{len(chosen)} operations failed; exit codes: {dict(Counter(each.code for each in outcomes))}")
    assert [problem for each in outcomes for problem in each.problems] == []


@pytest.mark.slow
def test_a_process_that_dies_within_an_operation_leaves_nothing_broken(
    faulty_crew: Crew, tmp_path: Path, full: bool
) -> None:
    def trial(trials: Trials, n: int) -> list[str]:
        out = tmp_path / f"run-{n}"
        ended = trials.run(out, fault=Fault(str(out), n=n, error=errno.EIO, kind="kill"))
        problems = [] if ended.code == -signal.SIGKILL else [f"ends in {ended.code}: {ended.said[-1000:]}"]
        return [f"operation {n}: {problem}" for problem in problems + damage_in(out) + trials.finish(out)]

    assert faulty_crew.problems(trial, spread(faulty_crew.reference.operations, 2, full=full)) == []


def spread(operations: int, few: int, *, full: bool) -> list[int]:
    """Choose all operations, or a few that lie evenly among them."""
    return list(range(1, operations + 1)) if full else [1 + operations * each // few for each in range(few)]


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_with_room_it_goes_on(crew: Crew, tmp_path: Path, full: bool) -> None:
    if compiler() is None and not SmallDisk.may_mount():
        pytest.skip("there is neither a C compiler nor leave to mount a small disk")
    size, levels = sum(file.stat().st_blocks * 512 for file in crew.reference.run.rglob("*")), 30 if full else 3

    def trial(trials: Trials, level: int) -> list[str]:
        with SmallDisk(tmp_path / f"disk-{level}", room=max(4096, size * level // levels)) as disk:
            run = disk.folder / "run"
            ended = trials.run(run, fault=disk.fault)
            problems = [] if ended.code == 9 else [f"ends in {ended.code}: {ended.said[-1000:]}"]
            if ended.code == 9 and not re.search(r"\d[\d,]* bytes", ended.said):
                problems.append(f"does not say how many bytes: {ended.said[-200:]}")
            problems += damage_in(run)
            disk.enlarge()
            return [f"{disk.room} of {size} bytes: {problem}" for problem in problems + trials.finish(run)]

    assert crew.problems(trial, range(levels)) == []


# ---- asked to stop


class Stopped(NamedTuple):
    """A run that was sent a signal: in which kind of stage, and seconds to its end; None if it ended by itself."""

    kind: str
    seconds: float | None


def test_a_stopped_run_goes_on(trials: Trials, tmp_path: Path) -> None:
    for number in range(3):
        if stop(trials, tmp_path / f"run-{number}", draw=random.Random(f"stop {number}")).seconds is not None:
            return
    pytest.fail("each run ended before it was stopped")


def stop(trials: Trials, out: Path, *, draw: random.Random, as_people_do: bool = False) -> Stopped:
    """Send a run a signal at a random moment, and finish it."""
    sent = draw.choice((signal.SIGINT, signal.SIGTERM))
    with trials.watch_command(out) if as_people_do else trials.watch(out) as watched:
        where = signal_at_random(watched, trials, number=sent, draw=draw, loads=as_people_do)
        began = time.monotonic()
        assert watched.ended(within=PATIENCE), f"hangs in {where}"
        took, ended = time.monotonic() - began, watched.wait()
    assert ended.code in (0, 128 + sent), f"ends in {ended.code} in {where}: {ended.said[-2000:]}"
    assert trials.finish(out) + left_running({watched.child.pid}) == [], where
    return Stopped(kind_of(where) if where else "between", took if ended.code else None)


@pytest.mark.slow
def test_a_signal_stops_a_run_soon_and_the_next_one_goes_on(crew: Crew, tmp_path: Path, full: bool) -> None:
    def trial(trials: Trials, number: int) -> Stopped:
        draw = random.Random(f"signal {number}")
        return stop(trials, tmp_path / f"run-{number}", draw=draw, as_people_do=number % 8 == 3)

    stopped: list[Stopped] = []
    wanted, tried = 100 if full else 5, 0
    while len(stopped) < wanted:
        more = wanted - len(stopped)
        stopped += [each for each in crew.each(trial, range(tried, tried + more)) if each.seconds is not None]
        tried += more
    seconds = [each.seconds for each in stopped if each.seconds is not None]
    soon = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    print(f"\n{len(stopped)} signals in {dict(Counter(each.kind for each in stopped))};", end=" ")
    print(f"95 % end within {soon:.3f} s, all within {max(seconds):.3f} s")
    assert soon <= SOON or not full


def signal_at_random(
    watched: Watched, trials: Trials, *, number: signal.Signals, draw: random.Random, loads: bool
) -> str | None:
    """Send a signal in a random stage and name it; a process that loads its libraries does so while it mines."""
    stages = [*trials.reference.stages, REPORT]
    stage = stages[0] if loads else draw.choice([None, *stages])
    if stage is None:
        time.sleep(draw.uniform(0, 0.05))
    elif watched.reach(stage):
        time.sleep(draw.uniform(0, 3 if loads else trials.reference.lives[stage]))
    return watched.send(number)


@pytest.mark.slow
def test_a_second_interrupt_ends_a_run_at_once(crew: Crew, tmp_path: Path, full: bool) -> None:
    def trial(trials: Trials, number: int) -> list[str]:
        draw, out = random.Random(f"second {number}"), tmp_path / f"run-{number}"
        stage = draw.choice([*trials.reference.stages])
        with trials.watch(out) as watched:
            assert watched.reach(stage)
            watched.send(signal.SIGINT)
            time.sleep(draw.choice((0, 0.001, 0.01)))
            watched.send(signal.SIGINT)
            problems = [] if watched.ended(within=3) else [f"goes on in {stage}"]
            ended = watched.wait()
        problems += [] if ended.code == 130 else [f"ends in {ended.code} in {stage}: {ended.said[-1000:]}"]
        return problems + trials.finish(out)

    assert crew.problems(trial, range(40 if full else 2)) == []


# ---- several at once


def test_a_run_folder_has_one_holder_at_a_time(trials: Trials, tmp_path: Path, full: bool) -> None:
    draw, nursery = random.Random("holders"), trials.nursery
    for number in range(50 if full else 1):
        run, log, gate = tmp_path / f"run-{number}", tmp_path / f"log-{number}", tmp_path / f"gate-{number}"
        children = [nursery.hold(run, log=log, until=gate) for _ in range(draw.randint(2, 8 if full else 3))]
        while not log.exists() or not log.read_text().endswith("\n"):
            time.sleep(0.001)
        holder = int(log.read_text().split()[1])
        for child in children:
            if child.pid != holder:
                assert_refused(nursery, child, holder=holder)
        os.kill(holder, signal.SIGKILL)
        nursery.wait(next(child for child in children if child.pid == holder))
        after = nursery.hold(run, log=log)
        assert nursery.wait(after).code == 0, "a dead process still holds the folder"
        assert log.read_text() == f"begin {holder}\nbegin {after.pid}\nend {after.pid}\n"


def assert_refused(nursery: Nursery, child: Child, *, holder: int) -> None:
    ended = nursery.wait(child)
    assert ended.code == 8, ended.said
    took, _, message = ended.said.partition(" ")
    assert float(took) < 1
    assert platform.node() in message and re.search(rf"\b{holder}\b", message), message


@pytest.mark.slow
def test_holders_that_are_quick_take_turns(trials: Trials, tmp_path: Path, full: bool) -> None:
    for number in range(25 if full else 2):
        run, log = tmp_path / f"run-{number}", tmp_path / f"log-{number}"
        started = [trials.nursery.hold(run, log=log) for _ in range(8)]
        ended = [trials.nursery.wait(child) for child in started]
        assert {each.code for each in ended} <= {0, 8}, ended
        lines = log.read_text().splitlines()
        assert lines[::2] == [line.replace("end", "begin") for line in lines[1::2]]
        assert len(lines) == 2 * sum(each.code == 0 for each in ended) > 0


@pytest.mark.slow
def test_commands_that_start_at_once_do_not_disturb_each_other(trials: Trials, tmp_path: Path, full: bool) -> None:
    draw = random.Random("commands")
    for number in range(25 if full else 1):
        out = tmp_path / f"run-{number}"
        started = [trials.nursery.start(*trials.arguments(out)) for _ in range(draw.randint(2, 8))]
        ended = [trials.nursery.wait(child) for child in started]
        assert {each.code for each in ended} <= {0, 8}, ended
        assert any(each.code == 0 for each in ended)
        refused = [each.said for each in ended if each.code == 8]
        assert all(platform.node() in said and re.search(r"process \d+", said) for said in refused), refused
        assert trials.finish(out) == []
