"""Decoding in units: parts of a question set that are decoded one after the other or side by side, each once."""

import math
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from sert.config.tree import NUMBERS, StudentConfig
from sert.records import Question
from sert.store.artifacts import UNITS, Draft, canonical_json, is_begun
from sert.store.stage import Job, key_of
from sert.store.units import Executor, Unit, UnitStore, UnitWork, plan_units
from sert.student.decoding.lanes import Lane, PackedUnit, pack_unit
from sert.student.decoding.prompts import encode_prompts
from sert.student.decoding.schedule import Decoding, DecodingPrompt, Referee, check_lengths, longest_text
from sert.student.folder import find_student
from sert.student.form import form_of
from sert.student.load import CHARACTERS_A_TOKEN, Student, load_student
from sert.student.numbers import StudentWork
from sert.student.source import called
from sert.student.speed.memory import out_of_memory_means
from sert.student.surroundings import plain_numbers, surroundings_of
from sert.terminal.progress import Advance, Reporter

if TYPE_CHECKING:
    from sert.student.decoding.proof import Drive

_UNIT_LANES = 0.25
"""Lanes a unit has at least, as a share of those that decode together: a unit is lost when the work is stopped."""
_DRIVEN = ("driven_by", "refused", "fallback", "distance", "repeatable")
"""What of a unit's notes says how the student was driven, and that it was by what cannot be repeated."""

Prepared = tuple[Student, "dict[int, DecodingPrompt]", "Drive", dict[str, Any]]
"""What `DecodingJob.prepare` gives."""

_PREPARED: ContextVar[dict[Any, Prepared]] = ContextVar("prepared")
"""The last student that was prepared, by what it was prepared for, where several decodings share it."""


@contextmanager
def prepared_once() -> Iterator[None]:
    """Let decodings that follow each other share a student, where they are of the same prompts and lengths.

    It is loaded, tried and measured once, and stays in memory between them until this ends.
    """
    before = _PREPARED.set({})
    try:
        yield
    finally:
        _PREPARED.reset(before)


class DecodingWork(UnitWork, Protocol):
    """Decoding that is split into units."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """Whose prompts are continued."""

    @property
    def decoding(self) -> Decoding:
        """How."""

    def units(self) -> list[Unit]:
        """Split the prompts."""

    def telling(self, say: Callable[[str], None]) -> Self:
        """Tell people how the student is driven."""


RefereeMaker = Callable[[Sequence[Question], Student], Referee]
"""Makes the referee of a unit, which knows these questions' prompts as 0, 1 and so on; it pickles."""


@dataclass(frozen=True)
class DecodingJob(StudentWork):
    """What is to be decoded.

    Attributes:
        student: Who decodes.
        questions: Whose prompts are continued; their ids stand in the random numbers.
        decoding: How.
        referee: Makes who stops lanes early.
        say: Tells people how the student is driven; not sent along to other processes.
    """

    student: StudentConfig
    questions: tuple[Question, ...]
    decoding: Decoding
    referee: RefereeMaker | None = None
    say: Callable[[str], None] | None = field(default=None, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"say": None}

    @property
    def students(self) -> tuple[StudentConfig]:
        """Who decodes."""
        return (self.student,)

    def units(self) -> list[Unit]:
        """Split the prompts: those of like length together, whole waves of them."""
        return decoding_units(self.questions, self.decoding)

    def telling(self, say: Callable[[str], None]) -> "DecodingJob":
        """Tell people how the student is driven."""
        return replace(self, say=say)

    @property
    def longest_guess(self) -> int:
        """Tokens of the longest text that can come of it, roughly: no tokenizer is asked."""
        longest = max(len(question.prompt) for question in self.questions)
        return longest // CHARACTERS_A_TOKEN + self.decoding.max_new_tokens

    def prepare(self, worker: int) -> "Prepared":
        """Load the student, tokenize all prompts, find out how to drive it, and how far it lies from float32.

        Returns:
            The student, the prompts that fit by their rows, the way to drive it, and what results say of that:
            `driven_by`, `surroundings`, `refused` (why each faster way does not drive it), `fallback` (what is not as
            `dtype` says) and `distance` (where `dtype` is not float32), the first two always and the others where there
            is something to say; and all as `told` lines.

        Raises:
            StudentError: If the student cannot be loaded or used, or is too far from what it is in float32.
        """
        kept, key = _PREPARED.get({}), (self.student, self.questions, self.decoding.max_new_tokens, worker)
        if key not in kept:
            kept.clear()
            kept[key] = self._prepare(worker)
        student, prompts, drive, notes = kept[key]
        check_lengths(student, [*prompts.values()], self.decoding)
        if self.say is not None:
            for line in notes["told"]:
                self.say(line)
        return student, prompts, drive, notes

    def _prepare(self, worker: int) -> "Prepared":
        from sert.student.decoding.proof import Reference, check_distance, find_drive
        from sert.student.decoding.stepping import kernels_for
        from sert.student.speed.quantized import fallback

        exact = load_student(self.student.model_copy(update={"dtype": "float32"}), worker=worker)
        encoded = encode_prompts(exact, self.questions, self.decoding)
        prompts = [*encoded.fitting.values()]
        token_ids = [prompt.token_ids for prompt in prompts]
        longest = longest_text(prompts, self.decoding)
        drive = find_drive(exact, token_ids, longest=longest)
        notice = form_of(self.student, find_student(self.student)).notice
        told = [*encoded.told, str(drive), *([notice] if notice else [])]
        notes: dict[str, Any] = {**drive.notes(), "told": told}
        student = exact
        if self.student.dtype != "float32":
            reference = Reference(exact, drive, token_ids, longest=longest)
            del exact, student  # before the other one is loaded
            student = load_student(self.student, worker=worker)
            distance = reference.distance_of(student)
            notes["distance"] = distance.rounded()
            told.append(check_distance(distance, self.student))
        if (instead := fallback(student.model, self.student.dtype)) is not None:
            notes["fallback"] = instead.removeprefix("warning: ")
            told.insert(len(encoded.told) + 1, instead)
        notes["surroundings"] = surroundings_of(student) | {"compiled_loops": kernels_for(student) is not None}
        return student, encoded.fitting, drive, notes

    def start(self, worker: int) -> Callable[[Unit, Advance], bytes]:
        """Load the student, check all prompts, and return what decodes a unit.

        Raises:
            StudentError: If the student cannot be loaded, or all prompts and continuations exceed its positions.
            OutOfMemoryError: While decoding, if the memory does not hold the lanes.
        """
        from sert.student.decoding.engine import decode

        with plain_numbers():
            student, prompts, drive, notes = self.prepare(worker)
        too_many = (
            f"The memory of {student.device} does not hold {self.decoding.max_lanes} lanes of {student.name!r}. "
            "Lower mining.max_lanes or evaluation.max_lanes; the stage begins anew then."
        )

        def run(unit: Unit, advance: Advance) -> bytes:
            rows = [row for row in unit.rows if row in prompts]
            referee = self.referee([self.questions[row] for row in rows], student) if self.referee else None
            wanted = [prompts[row] for row in rows]
            waves = decode(student, wanted, self.decoding, drive=drive, referee=referee, progress=advance)
            with out_of_memory_means(too_many), plain_numbers():
                lanes = {rows[place]: packed for wave in waves for place, packed in wave}
            advance((len(unit.rows) - len(rows)) * self.decoding.lanes_per_question)
            stopped = referee.stopped if referee else {}
            return pack_unit(
                [lanes.get(row, b"") for row in unit.rows],
                {**notes, "stopped": stopped, "eos_id": student.eos_ids[0]},
            )

        return run


def decoding_units(questions: Sequence[Question], decoding: Decoding) -> list[Unit]:
    """Split the prompts: those of like length together, whole waves of them."""
    wave = max(1, decoding.max_lanes // decoding.lanes_per_question)
    waves = math.ceil(_UNIT_LANES * decoding.max_lanes / wave)
    return plan_units([len(question.prompt) for question in questions], rows_a_unit=wave * waves)


class DecodedRows:
    """The lanes of every row, read from the finished units; a row that was too long has none."""

    def __init__(self, units: Sequence[Unit], files: Mapping[int, Path]) -> None:
        self._units = [PackedUnit(files[unit.number]) for unit in units]
        self._places = {row: (unit.number, place) for unit in units for place, row in enumerate(unit.rows)}
        self.eos_id: int = self._units[0].notes["eos_id"]
        self.driven: dict[str, Any] = {}
        for unit in reversed(self._units):  # another machine may have had no compiler, and the first one counts
            self.driven |= {name: unit.notes[name] for name in _DRIVEN if name in unit.notes}
        told = [each.notes["surroundings"] for each in self._units if "surroundings" in each.notes]
        self.surroundings = [*{canonical_json(each): each for each in told}.values()]

    def lanes(self, row: int) -> list[Lane]:
        """Return the lanes of a row by branch and sample."""
        unit, place = self._places[row]
        return self._units[unit].lanes(place)

    def stopped(self) -> dict[str, dict[str, int]]:
        """Add up what the referees stopped, for each reason."""
        total: dict[str, Counter[str]] = {}
        for unit in self._units:
            for reason, counts in unit.notes["stopped"].items():
                total.setdefault(reason, Counter()).update(counts)
        return {reason: dict(total[reason]) for reason in sorted(total)}


def settled(
    student: StudentConfig,
    job_of: Callable[[StudentConfig], Job],
    *,
    out: Path,
    reporter: Reporter,
    choose: Callable[[StudentConfig, Reporter], StudentConfig] | None = None,
) -> StudentConfig:
    """Say in which numbers the student of one command decodes: those of the work that lies at `out`, else chosen ones.

    `choose` chooses them, by default `sert.student.decoding.choice.chosen`.

    Raises:
        StudentError: If the student cannot be loaded.
    """
    if student.dtype != "auto":
        return student
    for dtype in NUMBERS:
        known = student.model_copy(update={"dtype": dtype})
        if is_begun(out, key_of(job_of(known))):
            return known
    if choose is not None:
        return choose(student, reporter)
    from sert.student.decoding.choice import chosen

    return chosen(student, reporter)


def undecided(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    """Take float32 for what is not chosen yet, in a plan."""
    reporter.say(
        f"{called(student)}: student.dtype = 'auto' is chosen when the work starts (`sert doctor --student "
        f"{shlex.quote(student.path)}` tells); planned as float32"
    )
    return student.model_copy(update={"dtype": "float32"})


def decode_in_units(
    job: DecodingWork, draft: Draft, *, executor: Executor, label: str, reporter: Reporter
) -> DecodedRows:
    """Decode what no earlier attempt has decoded, and return everything.

    Raises:
        SertError: If the student cannot be used, or the disk; finished units are kept.
    """
    units, store = job.units(), UnitStore(draft.work / UNITS)
    told = set[str]()

    def say(line: str) -> None:
        if line not in told:
            told.add(line)
            reporter.say(f"{label}: {line}")

    job = job.telling(say)
    lanes = job.decoding.lanes_per_question
    finished = store.finished()
    while to_do := [unit for unit in units if unit.number not in finished]:
        if finished:
            reporter.say(f"{label}: {len(units) - len(to_do)} of {len(units)} units were finished earlier")
        with reporter.track(label, len(job.questions) * lanes, "paths" if lanes > 1 else "questions") as advance:
            advance((len(job.questions) - sum(len(unit.rows) for unit in to_do)) * lanes)
            for _ in executor.execute(job, to_do, store, advance=advance):
                if not told:  # another process found it out
                    _tell(store, say)
                draft.lap()
        finished = store.finished()  # as they are on the disk
    decoded = DecodedRows(units, finished)
    for surroundings in decoded.surroundings:
        draft.made_in(surroundings)
    return decoded


def _tell(store: UnitStore, say: Callable[[str], None]) -> None:
    """Say what finished units tell of their student, while others are being written."""
    for file in sorted(store.folder.glob("[0-9]*")):
        for line in PackedUnit(file).notes.get("told", ()):
            say(line)
