"""What dealing units out costs, by units that do no work or only sleep, and how far real work is shared.

    python -m benchmarks.scale nothing --units 50000 100000
    python -m benchmarks.scale sleep --workers 1 4
    python -m benchmarks.scale mine --workers 1 2
    python -m benchmarks.scale bytes --megabytes 500

Each figure comes from a process of its own. `--engine local` measures this machine's own processes instead of Ray's.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sert.config.tree import ExecutionConfig, MiningConfig, StudentConfig, TaskConfig
from sert.store.executors import make_executor
from sert.store.portable import Parcels, Portable
from sert.store.shipping import Parcel
from sert.store.units import Unit, UnitStore
from sert.terminal.progress import Advance

ROOT = Path(__file__).resolve().parents[1]
KILOBYTE = b"x" * 1024
"""What comes of a unit that does no work."""


@dataclass(frozen=True)
class Idle(Portable):
    """Does nothing, or sleeps."""

    seconds: float = 0.0
    needs: Path | None = None

    def start(self, worker: int) -> Callable[[Unit, Advance], bytes]:
        return self._run

    def parcels(self) -> Parcels:
        return {} if self.needs is None else {str(self.needs): Parcel.of({"weights": self.needs})}

    def _run(self, unit: Unit, advance: Advance) -> bytes:
        time.sleep(self.seconds)
        return KILOBYTE


def deal(job: Idle, units: Sequence[Unit], *, engine: str, workers: int) -> dict[str, float]:
    """Deal units out; tell what they take from when a fifth of them is done, and the growth of this process, in bytes.

    On a machine that does other things, too, only the processor's time of this process can be compared.
    """
    executor = make_executor(ExecutionConfig(engine=engine, workers=workers))
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        dealt = executor.execute(job, units, UnitStore(Path(folder) / "units"), advance=lambda *_: None)
        next(dealt)
        cold = time.monotonic() - began
        for _ in range(len(units) // 5):  # by then all workers are there
            next(dealt)
        before, started, computed = resident(), time.monotonic(), time.process_time()
        num = sum(1 for _ in dealt)
        took, computed = time.monotonic() - started, time.process_time() - computed
        return {
            "units": len(units),
            "timed": num,
            "cold_seconds": round(cold, 2),
            "seconds": round(took, 2),
            "ms_a_unit": round(took / max(1, num) * 1000, 3),
            "processor_ms_a_unit": round(computed / max(1, num) * 1000, 3),
            "bytes_a_unit": round((resident() - before) / max(1, num)),
            "largest_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }


def resident() -> int:
    """Read the memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def nothing(options: argparse.Namespace) -> dict[str, Any]:
    """Deal out units that do no work."""
    units = [Unit(number, (number,)) for number in range(options.units[0])]
    return deal(Idle(), units, engine=options.engine, workers=options.workers[0])


def sleep(options: argparse.Namespace) -> dict[str, Any]:
    """Deal out units that sleep."""
    units = [Unit(number, (number,)) for number in range(options.units[0])]
    return deal(Idle(options.seconds), units, engine=options.engine, workers=options.workers[0])


def shipped(options: argparse.Namespace) -> dict[str, Any]:
    """Send a file of so many megabytes to one machine, before the first unit."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        file = Path(folder) / "weights"
        with file.open("wb") as stream:
            for _ in range(options.megabytes):
                stream.write(os.urandom(2**20))
        units = [Unit(number, (number,)) for number in range(4)]
        return deal(Idle(needs=file), units, engine=options.engine, workers=options.workers[0])


def mine(options: argparse.Namespace) -> dict[str, Any]:
    """Mine questions of the lab, with one thread a worker."""
    import sert

    config = TaskConfig(kind="lab_choice", limit=options.questions)
    questions = sert.load_task("lab-choice", config).split("train")
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        found = sert.mine(
            questions,
            StudentConfig(path="lab", device="cpu", num_threads=1),
            out=Path(folder) / "mined",
            # One question a wave, and units of fifteen.
            config=MiningConfig(samples=options.samples, max_new_tokens=64, keep_all=True, max_lanes=60),
            execution=ExecutionConfig(engine=options.engine, workers=options.workers[0]),
        )
        took = time.monotonic() - started
        return {"paths": found.counts["paths"], "seconds": round(took, 2)}


KINDS = {"nothing": nothing, "sleep": sleep, "mine": mine, "bytes": shipped}


def main() -> None:
    """Measure each combination in a process of its own, or one here."""
    options = _options()
    if options.here:
        print(json.dumps(KINDS[options.kind](options)))
        return
    for units in options.units:
        for workers in options.workers:
            given = [*sys.argv[1:], "--here", "--units", str(units), "--workers", str(workers)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.scale", *given],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                cwd=ROOT,
                env=environment,
            )
            told = json.loads(done.stdout.splitlines()[-1])
            print(f"{options.kind}, {options.engine}, {workers} workers: {told}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--engine", default="ray", choices=["local", "ray"])
    parser.add_argument("--units", type=int, nargs="+", default=[200])
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument("--seconds", type=float, default=0.1, help="of sleep a unit")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--questions", type=int, default=240)
    parser.add_argument("--samples", type=int, default=40, help="of each of a question's five branches")
    parser.add_argument("--here", action="store_true", help="measure in this process")
    return parser.parse_args()


if __name__ == "__main__":
    from benchmarks import scale  # by its name, workers find what they are to do

    scale.main()
