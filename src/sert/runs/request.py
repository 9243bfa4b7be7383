"""What was asked for, a configuration, a grid or a prospect, as a run folder keeps it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from sert.config.grid import MAIN, Arm, Grid, arms_of
from sert.config.load import load_config, read_toml, validate
from sert.config.prospect import Prospect
from sert.config.tree import Config, ExecutionConfig, StudentConfig
from sert.errors import DataError, SertError
from sert.store.artifacts import SETTINGS
from sert.student.source import called

CONFIG, GRID, PROSPECT = SETTINGS
_WHAT = {CONFIG: "a run with one configuration", GRID: "a grid", PROSPECT: "a prospect"}


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        asked: The configuration, the grid or the prospect.
        file: Name of the file that a run folder keeps it in.
        about: What the manifest of the run says of it.
        arms: What is run; of a configuration it is one arm without a prefix.
    """

    asked: Config | Grid
    file: str
    about: Mapping[str, Any]
    arms: tuple[Arm, ...]

    @staticmethod
    def of(asked: Config | Grid) -> "Request":
        """Say what a configuration or a grid asks for."""
        if isinstance(asked, Grid):
            return Request(asked, GRID, {"name": asked.name, "seeds": list(asked.seeds)}, tuple(arms_of(asked)))
        arm = Arm(called(asked.student), asked.seed, MAIN, None, asked)
        file = PROSPECT if isinstance(asked, Prospect) else CONFIG
        return Request(asked, file, {"name": asked.name, "seed": asked.seed}, (arm,))

    def settled(self, out: Path, choose: Callable[[StudentConfig], StudentConfig]) -> "Request":
        """Choose the types of numbers that students decode with, where that is left to the machine.

        What the run in the folder `out` decodes with already, it keeps.
        """
        kept = {(student.path, student.revision): student.dtype for student in _students_in(out)}

        def concrete(student: StudentConfig) -> StudentConfig:
            if student.dtype != "auto":
                return student
            known = kept.get((student.path, student.revision))
            return choose(student) if known is None else student.model_copy(update={"dtype": known})

        if isinstance(self.asked, Grid):
            students = {label: concrete(student) for label, student in self.asked.students.items()}
            return Request.of(self.asked.model_copy(update={"students": students}))
        return Request.of(self.asked.model_copy(update={"student": concrete(self.asked.student)}))

    @property
    def text(self) -> str:
        """Its TOML."""
        return tomli_w.dumps(self.asked.model_dump(mode="json", exclude_none=True))

    @property
    def execution(self) -> ExecutionConfig:
        """How the work is done."""
        return self.arms[0].config.execution

    def check_folder(self, out: Path) -> None:
        """Check that the folder is not one of the other kind.

        Raises:
            DataError: If it is.
        """
        for other in SETTINGS:
            if other != self.file and (out / other).exists():
                raise DataError(f"{out} is the folder of {_WHAT[other]}; give {_WHAT[self.file]} another with --out.")


def _students_in(folder: Path) -> list[StudentConfig]:
    """List the students of the run in a folder; none where there is no run, or its settings cannot be read."""
    try:
        asked = read_request(folder).asked
    except SertError:
        return []
    return list(asked.students.values()) if isinstance(asked, Grid) else [asked.student]


def read_request(folder: Path) -> Request:
    """Read what a run folder was asked for.

    Raises:
        ConfigError: If it cannot be read.
        DataError: If the folder is no run.
    """
    if (folder / GRID).is_file():
        toml = read_toml(folder / GRID)
        return Request.of(validate(Grid, toml.tree, source=str(folder / GRID), places=toml.places))
    if (folder / PROSPECT).is_file():
        toml = read_toml(folder / PROSPECT)
        return Request.of(validate(Prospect, toml.tree, source=str(folder / PROSPECT), places=toml.places))
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} is no run folder: it has no {CONFIG}. Give the folder of `sert run` or `sert demo`.")
    return Request.of(load_config(folder / CONFIG))
