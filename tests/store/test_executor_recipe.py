"""The recipe of `CONTRIBUTING.md` for an executor, followed with a toy: one new file, and the door."""

from pathlib import Path

import pytest

from recipes import changed_package, run_changed

NOTING = '''"""Units, one after the other, noted in a file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sert.store.units import Store, Unit, UnitWork
from sert.terminal.progress import Advance


class Noting:
    """Does one unit after the other and notes it."""

    def execute(self, job: UnitWork, units: Sequence[Unit], store: Store, *, advance: Advance) -> Iterator[Unit]:
        """Do the units."""
        run = job.start(0)
        for unit in units:
            store.commit(unit, run(unit, advance))
            with Path("notes.txt").open("a") as notes:
                notes.write(f"{type(job).__name__}\\n")
            yield unit
'''

EDITS = {
    "store/executors.py": {
        "from sert.store.units import": "from sert.store.noting import Noting\nfrom sert.store.units import",
        "else LocalProcesses(execution.workers)": "else Noting()",
    }
}

USE = """
import sys
from pathlib import Path
import sert
import sert.cli
from sert.config.tree import ExecutionConfig
data = sert.load_task("lab-choice", sert.TaskConfig(kind="lab_choice", limit=2))
made = [
    sert.mine(
        data.split("train"),
        sert.StudentConfig(path="lab"),
        out=Path(f"mined-{workers}"),
        config=sert.MiningConfig(max_new_tokens=4),
        execution=ExecutionConfig(workers=workers),
    )
    for workers in (1, 2)
]
sys.stdout.write(f"{len({each.file('paths.parquet').read_bytes() for each in made})}\\n")
Path("notes.txt").rename("notes-of-mining.txt")
sys.argv = ["sert", "reproduce", "toy.toml", "--workers", "2", "--out", "toy"]
sert.cli.main()
"""

GRID = """
name = "toy"
seeds = [0]
[students.lab]
path = "lab"
[base]
methods = ["zero_shot"]
[base.tasks.lab]
kind = "lab_choice"
limit = 2
[base.evaluation]
max_new_tokens = 4
probe_samples = 0
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the changed package, where it mined and reproduced a grid, and what was printed."""
    folder = tmp_path_factory.mktemp("recipe")
    changed_package(folder, EDITS, files={"store/noting.py": NOTING})
    (folder / "toy.toml").write_text(GRID)
    return folder, run_changed(folder, "-c", USE)


def test_an_executor_is_one_file_and_the_door(used: tuple[Path, str]) -> None:
    folder, printed = used
    assert printed.splitlines()[0] == "1"
    assert (folder / "notes-of-mining.txt").read_text() == "DecodingJob\n"


def test_it_makes_the_stages_of_a_grid_too(used: tuple[Path, str]) -> None:
    assert (used[0] / "notes.txt").read_text().splitlines()[0] == "StageWork"
