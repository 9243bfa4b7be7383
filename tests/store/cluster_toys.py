"""Work for tests of clusters: it notes who does it, and may die, refuse, differ, need files or leave some."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sert.errors import StudentError
from sert.store.portable import Parcels, Places, Portable
from sert.store.shipping import Parcel
from sert.store.units import Unit
from sert.terminal.progress import Advance

UNITS = [Unit(number, (number,)) for number in range(6)]


@dataclass(frozen=True)
class Toy(Portable):
    """Squares its rows."""

    notes: Path
    dies_at: int | None = None
    deaths: int = 0
    refuses: bool = False
    differs: bool = False
    needs: Path | None = None
    leaves: int | None = None
    stays_at: int | None = None
    seconds: float = 0.01
    places: Places = field(default_factory=dict)

    def start(self, worker: int) -> Callable[[Unit, Advance], bytes]:
        if self.refuses:
            raise StudentError("there is no student")
        (self.notes / f"worker-{worker}-{os.getpid()}").touch()
        return self._run

    def numbers(self) -> dict[str, str]:
        return {"instructions": "AVX2 (there)" if self.differs and self.places else "AVX512 (here)"}

    def parcels(self) -> Parcels:
        needed = {"always": Parcel.of({"always": b"1"})}
        return needed if self.needs is None else {**needed, str(self.needs): Parcel.of({"file": self.needs})}

    def placed(self, places: Places) -> "Toy":
        return replace(self, places={**self.places, **places})

    def stays(self, unit: Unit) -> bool:
        return unit.number == self.stays_at

    def left(self, unit: Unit) -> Path | None:
        return self.notes / f"left-{unit.number}" if unit.number == self.leaves else None

    def arrived(self, unit: Unit, folder: Path) -> None:
        folder.rename(self.notes / f"arrived-{unit.number}")

    def _run(self, unit: Unit, advance: Advance) -> bytes:
        if unit.number == self.dies_at and len(list(self.notes.glob("died-*"))) < self.deaths:
            (self.notes / f"died-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        advance(0.25)
        time.sleep(self.seconds)
        advance(0.75)
        (self.notes / f"did-{unit.number}-{os.getpid()}").touch()
        if unit.number == self.leaves:
            folder = self.notes / f"left-{unit.number}"
            (folder / "deep").mkdir(parents=True)
            (folder / "deep" / "large").write_bytes(bytes(range(256)) * 5000)
            (folder / "empty").touch()
        if self.needs is not None:
            place = Path(self.places[str(self.needs)])
            assert place != self.needs
            return (place / "file").read_bytes()
        return str(unit.rows[0] ** 2).encode()
