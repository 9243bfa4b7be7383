"""The recipe of `CONTRIBUTING.md` for an executor, followed with a toy: one new file, and the door."""

from pathlib import Path

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
sys.stdout.write(str(len({each.file("paths.parquet").read_bytes() for each in made})))
"""

RUN = """
name = "toy"
methods = ["zero_shot"]
[student]
path = "lab"
[tasks.lab]
kind = "lab_choice"
limit = 2
[evaluation]
max_new_tokens = 4
probe_samples = 0
"""


def test_an_executor_is_one_file_and_the_door(tmp_path: Path) -> None:
    changed_package(tmp_path, EDITS, files={"store/noting.py": NOTING})
    assert run_changed(tmp_path, "-c", USE) == "1"
    assert (tmp_path / "notes.txt").read_text() == "DecodingJob\n"


def test_it_makes_the_stages_of_a_grid_too(tmp_path: Path) -> None:
    changed_package(tmp_path, EDITS, files={"store/noting.py": NOTING})
    base = RUN.replace('name = "toy"\n', "").replace('[student]\npath = "lab"\n', "")
    for heading in ("tasks.lab", "evaluation"):
        base = base.replace(f"[{heading}]", f"[base.{heading}]")
    grid = f'name = "toy"\nseeds = [0]\n[students.lab]\npath = "lab"\n[base]{base}'
    (tmp_path / "toy.toml").write_text(grid)
    run_changed(tmp_path, "-m", "sert", "reproduce", "toy.toml", "--workers", "2", "--out", "toy")
    assert (tmp_path / "notes.txt").read_text().splitlines()[0] == "_StageWork"
