"""Paired runs of contestants, each in a process of its own, and what comes out of them."""

import multiprocessing
import resource
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch


class Run(NamedTuple):
    """What one run of a contestant took and made; the most memory its process has held so far, in MiB."""

    seconds: float
    units: int
    peak_mib: float = 0.0


class Timed(NamedTuple):
    """What a contestant returns that measures its own time, to leave out what does not count."""

    seconds: float
    units: int


Contestant = Callable[[], "int | Timed"]
Make = Callable[[], Contestant]
"""Builds a contestant and warms it up; runs in the contestant's process."""


class SideBySide(NamedTuple):
    """The same contestant in several processes at once, each with its share of the threads."""

    make: Make
    processes: int


Entry = Make | SideBySide


class ContestantError(Exception):
    """A contestant could not be made or did not come to an end."""


class Worker:
    """A contestant in a process of its own, so that none inherits threads, memory or settings of another."""

    def __init__(self, make: Make, beside: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, theirs, beside), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def start(self) -> None:
        """Begin a run."""
        self._pipe.send(True)

    def result(self) -> Run:
        """Wait for the end of the run that was begun."""
        run: Run = self._receive()
        return run

    def run(self) -> Run:
        """Run once."""
        self.start()
        return self.result()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _receive(self) -> Any:
        try:
            found = self._pipe.recv()
        except EOFError:
            found = "its process ended"
        if isinstance(found, str):
            self.close()
            raise ContestantError(found)
        return found


class Team:
    """Contestants side by side; a run ends when the last one of them does."""

    def __init__(self, asked: SideBySide) -> None:
        self._workers = [Worker(asked.make, asked.processes) for _ in range(asked.processes)]

    def run(self) -> Run:
        """Run all of them once, at the same time."""
        started = time.perf_counter()
        for worker in self._workers:
            worker.start()
        runs = [worker.result() for worker in self._workers]
        seconds = time.perf_counter() - started
        return Run(seconds, sum(run.units for run in runs), sum(run.peak_mib for run in runs))

    def close(self) -> None:
        """End their processes."""
        for worker in self._workers:
            worker.close()


def get_ready(asked: Entry) -> Worker | Team:
    """Build a contestant, or several side by side."""
    return Team(asked) if isinstance(asked, SideBySide) else Worker(asked)


def _serve(make: Make, pipe: Connection, beside: int) -> None:
    warnings.simplefilter("ignore")
    if beside > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // beside))
    try:
        contestant = make()
        pipe.send(True)
        while pipe.recv():
            started = time.perf_counter()
            found = contestant()
            seconds = time.perf_counter() - started
            timed = found if isinstance(found, Timed) else Timed(seconds, found)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            pipe.send(Run(timed.seconds, timed.units, peak))
    except EOFError:
        return
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {error}"[:300])


def bfloat16_can_pay(rates: Mapping[str, float]) -> bool:
    """Tell by the rates of its products whether a machine multiplies bfloat16 at half the rate of float32 or more."""
    return rates["bfloat16"] >= rates["float32"] / 2


def paired(makes: Mapping[str, Entry], *, rounds: int, limit_s: float, ours: str, unit: str) -> dict[str, Any]:
    """Let all contestants run in turn, `rounds` times, and compare each with `ours` within the rounds.

    No round is begun that would probably end after `limit_s` seconds, except the first two.
    """
    workers, failed = {}, {}
    for name, make in makes.items():
        try:
            workers[name] = get_ready(make)
        except ContestantError as error:
            failed[name] = str(error)
    runs: dict[str, list[Run]] = {name: [] for name in workers}
    began = time.monotonic()
    try:
        for number in range(rounds):
            spent = time.monotonic() - began
            if number >= 2 and spent * (number + 1) / number > limit_s:
                print(f"  time for {number} of {rounds} rounds", flush=True)
                break
            for name, worker in workers.items():
                runs[name].append(worker.run())
                rate = runs[name][-1].units / runs[name][-1].seconds
                print(f"  round {number + 1}: {name}: {rate:.4g} {unit}/s", flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return summary(runs, ours=ours, unit=unit) | ({"failed": failed} if failed else {})


def best_of(makes: Mapping[str, Entry], *, what: str) -> tuple[str, dict[str, float]]:
    """Let each setting run once; return the fastest and all rates. A setting that fails is left out."""
    rates = {}
    for name, make in makes.items():
        try:
            worker = get_ready(make)
            run = worker.run()
        except ContestantError as error:
            print(f"  {what}, {name}: {error}", flush=True)
            continue
        worker.close()
        rates[name] = run.units / run.seconds
        print(f"  {what}, {name}: {rates[name]:.4g}/s", flush=True)
    if not rates:
        raise ContestantError(f"{what}: no setting runs here")
    return max(rates, key=lambda name: rates[name]), rates


def summary(runs: dict[str, list[Run]], *, ours: str, unit: str) -> dict[str, Any]:
    """Turn runs into rates and into ratios of our rate to each contestant's, round by round."""
    rates = {name: [run.units / run.seconds for run in of_name] for name, of_name in runs.items()}
    return {
        "unit": f"{unit}/s",
        "ours": ours,
        "rates": {name: statistics.median(of_name) for name, of_name in rates.items()},
        "ratios": {name: spread(rates[ours], of_name) for name, of_name in rates.items() if name != ours},
        "seconds": {name: [run.seconds for run in of_name] for name, of_name in runs.items()},
        "peak_mib": {name: max(run.peak_mib for run in of_name) for name, of_name in runs.items()},
        "rounds": len(rates[ours]),
    }


def spread(numerators: list[float], denominators: list[float]) -> dict[str, float]:
    """Median, least and largest of the ratios of the rounds."""
    ratios = [above / below for above, below in zip(numerators, denominators, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
