"""Small runs that are disturbed and finished: what an undisturbed one comes to, and which stage a process is in."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple, TypeVar

from faulty_disk import Fault
from nursery import Child, Ended, Nursery, environment
from sert.runs.verify import verify
from sert.store.artifacts import MANIFEST, open_artifact
from sert.store.verification import find_damage
from waiting import readable

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

CONFIG = """
name = "small"
methods = ["sert", "rd"]

[student]
path = "lab"
device = "cpu"
num_threads = 1

[tasks.lab-choice]
kind = "lab_choice"
limit = 4

[mining]
branches = 3
samples = 2
max_new_tokens = 16
max_lanes = 6
keep_all = true

[rules]
min_tokens = 8
max_rep_2 = 0.9
min_perplexity = 1.0

[training]
max_steps = 4

[teacher]
kind = "lab"

[evaluation]
max_new_tokens = 16
max_lanes = 4
probe_samples = 0

[execution]
checkpoint_seconds = 1e-3
"""
"""Every stage of the method but the judge, in about a second: two units a decoding, a checkpoint a step."""

REPORT = "report"
KINDS = ("mine", "filter", "teach", "train", "evaluate", REPORT)
TIMES = ("created",)
"""What differs from run to run in the report's numbers."""
PAUSE = 0.0003
"""Seconds between two looks at a process; the shortest stage takes some milliseconds."""


class Result(NamedTuple):
    """What a finished run comes to: the hash of every file of every stage, and the report's numbers."""

    outputs: dict[str, dict[str, str]]
    metrics: dict[str, Any]


def result_of(run: Path) -> Result:
    """Read what a run came to."""
    metrics = json.loads((run / REPORT / "metrics.json").read_text(encoding="utf-8"))
    outputs = {name: open_artifact(run / name).manifest["outputs"] for name in stages_of(run).values()}
    return Result(outputs, {key: value for key, value in metrics.items() if key not in TIMES})


def stages_of(run: Path) -> dict[str, str]:
    """Name the folder of every stage of a finished run."""
    stages: dict[str, str] = json.loads((run / MANIFEST).read_text(encoding="utf-8"))["stages"]
    return stages


def damage_in(run: Path) -> list[str]:
    """Say what is wrong with the stages that can be seen in a run, which may be unfinished."""
    folders = [each for each in run.glob("*-*") if each.is_dir() and not each.name.startswith(".")]
    return [f"{each.name}: {damage}" for each in folders for damage in _damage_of(each)]


def _damage_of(folder: Path) -> list[str]:
    return find_damage(folder) if (folder / MANIFEST).is_file() else ["it has no manifest"]


def hidden_in(run: Path) -> set[str]:
    """Name the hidden folders of a run, where stages are made."""
    return {each.name for each in run.glob(".*") if each.is_dir()}


class Watched:
    """A process that runs `sert run`, looked at from outside."""

    def __init__(self, child: Child, *, out: Path, stages: dict[str, str], wait: Callable[[], Ended]) -> None:
        """Take the process, its run folder, the names of all stages with their folders, and how to wait for it."""
        self.child, self.wait = child, wait
        self._out, self._stages = out, stages
        self._end = os.pidfd_open(child.pid)
        self._old_reports = set(self._reports())

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended():
            os.kill(self.child.pid, signal.SIGKILL)
        os.close(self._end)

    def ended(self, *, within: float = 0.0) -> bool:
        """Wait so many seconds at most for the process to end, and say whether it has."""
        return readable(self._end, seconds=within)

    def stage(self) -> str | None:
        """Name the stage that is under way; None before the first one and after the report."""
        lines = self.child.log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [name for line in lines if (name := line.partition(": ")[0]) in self._stages]
        if said and not (self._out / self._stages[said[-1]]).exists():
            return said[-1]
        return REPORT if set(self._reports()) - self._old_reports else None

    def reach(self, stage: str) -> bool:
        """Wait until a stage is under way; false if the process ends before."""
        while not self.ended():
            if self.stage() == stage:
                return True
            time.sleep(PAUSE)
        return False

    def send(self, number: signal.Signals) -> str | None:
        """Send a signal and name the stage in which it fell."""
        stage = self.stage()
        os.kill(self.child.pid, number)
        return stage

    def _reports(self) -> Iterator[tuple[str, int]]:
        for each in self._out.glob(f".{REPORT}*"):
            try:
                yield each.name, each.stat().st_mtime_ns
            except FileNotFoundError:  # it just got its final name
                continue


class Reference(NamedTuple):
    """An undisturbed run.

    Attributes:
        config: The file of its configuration.
        run: Its folder.
        stages: The folder of each stage.
        result: What it came to.
        operations: How many operations on the disk it took; 0 where they cannot be counted.
        lives: Seconds that each stage took, the report among them.
    """

    config: Path
    run: Path
    stages: dict[str, str]
    result: Result
    operations: int
    lives: dict[str, float]


def make_reference(nursery: Nursery, *, folder: Path) -> Reference:
    """Make the undisturbed run, and a second one to measure the stages' lives."""
    config, run = folder / "small.toml", folder / "undisturbed"
    config.write_text(CONFIG, encoding="utf-8")
    ended = nursery.run("run", str(config), "--out", str(run), fault=Fault(str(run)) if nursery.has_faults else None)
    assert ended.code == 0, ended.said
    reference = Reference(config, run, stages_of(run), result_of(run), ended.counted, {})
    return reference._replace(lives=_measure_lives(Trials(nursery, reference), folder / "measured"))


def _measure_lives(trials: "Trials", out: Path) -> dict[str, float]:
    first: dict[str | None, float] = {}
    last: dict[str | None, float] = {}
    with trials.watch(out) as watched:
        while not watched.ended():
            now, stage = time.monotonic(), watched.stage()
            first.setdefault(stage, now)
            last[stage] = now
            time.sleep(PAUSE)
        assert watched.wait().code == 0
    return {stage: last[stage] - begin for stage, begin in first.items() if stage is not None}


class Trials:
    """Runs of one configuration in one nursery, each to be compared with the undisturbed one."""

    def __init__(self, nursery: Nursery, reference: Reference) -> None:
        """Take the nursery and the undisturbed run."""
        self.nursery, self.reference = nursery, reference

    def arguments(self, out: Path) -> list[str]:
        """Return the command's arguments."""
        return ["run", str(self.reference.config), "--out", str(out)]

    def run(self, out: Path, *, fault: Fault | None = None) -> Ended:
        """Run until the process ends."""
        return self.nursery.run(*self.arguments(out), fault=fault)

    def watch(self, out: Path) -> Watched:
        """Start a run in the nursery and return while it goes on."""
        child = self.nursery.start(*self.arguments(out))
        return Watched(child, out=out, stages=self.reference.stages, wait=lambda: self.nursery.wait(child))

    def watch_command(self, out: Path) -> Watched:
        """Start a run as people do, which loads all libraries anew, and return while it goes on."""
        log = out.with_suffix(".log")
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "sert", *self.arguments(out)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment(),
                process_group=0,
            )

        def wait() -> Ended:
            return Ended(process.wait(), 0, 0, log.read_text(encoding="utf-8", errors="replace"))

        return Watched(Child(process.pid, log), out=out, stages=self.reference.stages, wait=wait)

    def finish(self, out: Path) -> list[str]:
        """Give the same command again, say how the outcome differs from the undisturbed one's, remove what does not."""
        ended = self.run(out)
        if ended.code != 0:
            return [f"the same command ends in {ended.code}: {ended.said[-2000:]}"]
        found = result_of(out)
        wrong = [f"{each.folder.name}: {damage}" for each in verify(out) for damage in each.damage]
        wrong += [
            f"{name} has other bytes"
            for name, files in self.reference.result.outputs.items()
            if found.outputs.get(name) != files
        ]
        wrong += ["the report's numbers differ"] * (found.metrics != self.reference.result.metrics)
        wrong += [f"{name} is left" for name in sorted(hidden_in(out) - hidden_in(self.reference.run))]
        if not wrong:
            shutil.rmtree(out)
        return wrong


class Crew:
    """Several nurseries that make trials side by side."""

    def __init__(self, nurseries: Sequence[Nursery], reference: Reference) -> None:
        """Take the nurseries and the undisturbed run."""
        self.reference = reference
        self._free: Queue[Trials] = Queue()
        self._size = len(nurseries)
        for nursery in nurseries:
            self._free.put(Trials(nursery, reference))

    def each(self, trial: Callable[[Trials, ItemT], ResultT], items: Iterable[ItemT]) -> list[ResultT]:
        """Make a trial of each item and return the outcomes in the items' order."""

        def make(item: ItemT) -> ResultT:
            trials = self._free.get()
            try:
                return trial(trials, item)
            finally:
                self._free.put(trials)

        with ThreadPoolExecutor(self._size) as pool:
            return list(pool.map(make, items))

    def problems(self, trial: Callable[[Trials, ItemT], list[str]], items: Iterable[ItemT]) -> list[str]:
        """Make a trial of each item and return all that was wrong."""
        return [problem for found in self.each(trial, items) for problem in found]


def kind_of(stage: str) -> str:
    """Name the kind of a stage: `train` for `lab-choice train-sert`."""
    return stage.split()[-1].split("-")[0]


def alive_in(groups: set[int]) -> list[int]:
    """List the processes of some process groups that have not ended."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = each.read_text().rpartition(") ")[2].split()[:3]
        except OSError:  # it ended while we looked
            continue
        if state != "Z" and int(group) in groups:
            found.append(int(each.parent.name))
    return found
