"""A process whose work is done by two workers of a Ray cluster of its own, for minutes unless it is killed."""

import sys
from pathlib import Path

from cluster_toys import UNITS, Toy

from sert.config.tree import ExecutionConfig
from sert.store.executors import make_executor
from sert.store.units import UnitStore

if __name__ == "__main__":
    notes = Path(sys.argv[1])
    executor = make_executor(ExecutionConfig(engine="ray", workers=2))
    list(executor.execute(Toy(notes, seconds=600), UNITS, UnitStore(notes / "units"), advance=lambda *_: None))
