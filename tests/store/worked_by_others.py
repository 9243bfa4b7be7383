"""A process whose work is done by two others, for minutes unless it is killed."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sert.store.executors import LocalProcesses
from sert.store.units import Unit, UnitStore
from sert.terminal.progress import Advance


@dataclass(frozen=True)
class Sleeps:
    """Takes a minute for a unit."""

    notes: Path

    def start(self, worker: int) -> Callable[[Unit, Advance], bytes]:
        (self.notes / f"worker-{worker}-{os.getpid()}").touch()
        return self._run

    def _run(self, unit: Unit, advance: Advance) -> bytes:
        time.sleep(60)
        return b""


if __name__ == "__main__":
    notes = Path(sys.argv[1])
    units = [Unit(number, (number,)) for number in range(4)]
    list(LocalProcesses(2).execute(Sleeps(notes), units, UnitStore(notes / "units"), advance=lambda *_: None))
