"""Gains: how much each text of a finished stage raises the likelihood of the gold answer (see `docs/numbers.md`).

A folder of gains holds `gains.parquet`, a row for each row of the table that was scored, in its order: the paths that
`mine` left, the outputs that `evaluate` did, or the rationales of `teach`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path as FilePath
from typing import Any, ClassVar, NamedTuple, get_args

from sert.config.prompts import PromptTemplates
from sert.config.tree import APART, ExecutionConfig, StudentConfig
from sert.errors import DataError
from sert.records import TOO_LONG, Gain, Path, Prediction, Question, Rationale
from sert.store.artifacts import UNITS, Artifact, Draft
from sert.store.executors import make_executor
from sert.store.portable import Parcels
from sert.store.shipping import Parcel
from sert.store.stage import NOTHING, Cost, Inputs, Job, Result, Stage, dumped, key_of
from sert.store.tables import StoredTable, read_table, write_table
from sert.store.units import Run, Unit, UnitStore
from sert.student.load import student_key
from sert.student.numbers import StudentWork
from sert.student.source import StudentSource, called
from sert.student.weights import hash_of
from sert.tasks.answers import READING
from sert.tasks.prompts import shows_letters
from sert.terminal.progress import Advance, Reporter, Silent
from sert.terminal.text import counted

GAINS = "gains"
"""Table of them."""
_LOOKED_AT = 8
"""Units whose warnings are told while others are being scored; those of the others are told at the end."""
UNIT_TEXTS = 100
"""Texts of a unit, or a few more: those of one question are scored together, since they share their prompt."""

Scored = Path | Prediction | Rationale


class _Kind(NamedTuple):
    """What the texts of a stage are called, and the table and type of them."""

    text: str
    table: str
    record: type[Path] | type[Prediction] | type[Rationale]


_KINDS = {
    "mine": _Kind("paths", "paths", Path),
    "evaluate": _Kind("outputs", "predictions", Prediction),
    "teach": _Kind("rationales", "rationales", Rationale),
}


@dataclass(frozen=True)
class GainJob(Job):
    """Score the texts of a finished stage by how much they raise the likelihood of the gold answer.

    The student that wrote them scores them, in float32 whatever it decoded with; rationales are scored by whoever is
    asked to, behind the student's prompt. A path that was stopped early and a question that was too long have no gain.

    Attributes:
        source: What `mine`, `evaluate` or `teach` left.
        student: Who scores.
        prompts: The template `path` has the words before the answer, `choices_as` says how that is written.
        execution: Who scores how much at a time. What was scored is found again when the same job is done after a stop.
        num_scored: How many texts there are at most, for people; 0 where that is not known.
        cost: A guess of how much there is to read.
    """

    kind: ClassVar[str] = "gain"
    source: Result
    student: StudentSource
    prompts: PromptTemplates
    execution: ExecutionConfig = APART
    step: str = "gain"
    num_scored: int = 0
    cost: Cost = NOTHING
    seed: int = 0

    @property
    def work(self) -> str:
        """How much there is to do, for people."""
        texts = _KINDS[self.source.kind].text if self.source.kind in _KINDS else "texts"
        number = counted(self.num_scored, texts) if self.num_scored else texts
        return f"how likely the gold answer is behind {number}, and without them"

    def settings(self) -> dict[str, Any]:
        """What the gains depend on: how answers are written, and what of a text is its reasoning."""
        prompts = dumped(prompts=self.prompts)["prompts"]
        return {
            "prompts": {name: prompts[name] for name in ("path", "choices_as") if name in prompts},
            "reading": READING,
        }

    def inputs(self) -> Inputs:
        """The texts, and the student's weights."""
        return {self.source.step: self.source, **self.student.weights()}

    def earlier_key(self) -> str:
        """The same: version 0.1 scored nothing."""
        return key_of(self)

    def make(self, folder: FilePath, *, label: str, reporter: Reporter) -> Artifact:
        """Score the texts.

        Raises:
            DataError: If the source is no such stage.
            StudentError: If the student cannot be loaded.
        """
        _check_source(self.source)
        return super().make(folder, label=label, reporter=reporter)

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        texts = _texts_of(self.source)
        units, store = plan_blocks(each.question_id for each in texts), UnitStore(draft.work / UNITS)
        work = _GainWork(self.source, self.student.resolve(), self.prompts)
        executor, finished, said = make_executor(self.execution, say=reporter.say), store.finished(), set[str]()

        def tell(content: Mapping[str, Any]) -> None:
            for line in sorted(set(content["told"]) - said):
                reporter.say(f"{label}: {line}")
            said.update(content["told"])

        while to_do := [unit for unit in units if unit.number not in finished]:
            if finished:
                reporter.say(f"{label}: {len(units) - len(to_do)} of {len(units)} units were finished earlier")
            with reporter.track(label, len(texts), _KINDS[self.source.kind].text) as advance:
                advance(len(texts) - sum(len(unit.rows) for unit in to_do))
                for place, unit in enumerate(executor.execute(work, to_do, store, advance=advance)):
                    if place < _LOOKED_AT:  # to find a file among all takes the longer the more there are
                        tell(_of_unit(next(store.folder.glob(f"{unit.number:06d}.*"))))
                    draft.lap()
            finished = store.finished()  # as they are on the disk
        files, counts = [finished[unit.number] for unit in units], _Counts()
        for content in map(_of_unit, files):
            tell(content)
            draft.made_in(content["surroundings"])
        write_table(draft.folder / f"{GAINS}.parquet", counts.watch(_gains_in(files)), Gain)
        reporter.say(f"{label}: {counts.told(_KINDS[self.source.kind].text)}")
        return counts.summary()


def gain_job(
    stage: Stage, student: StudentSource, prompts: PromptTemplates, execution: ExecutionConfig = APART
) -> GainJob:
    """Describe how the texts of a stage of a run are scored."""
    texts, cost = stage.job.num_texts, Cost(scored=stage.job.cost.decoded)
    return GainJob(stage.result, student, prompts, execution, f"gain-{stage.job.step}", texts, cost)


def score_gains(
    source: Artifact,
    student: StudentConfig,
    *,
    out: FilePath,
    prompts: PromptTemplates | None = None,
    execution: ExecutionConfig = APART,
    label: str = "gain",
    reporter: Reporter | None = None,
) -> Artifact:
    """Score what `mine`, `evaluate` or `teach` left into the folder `out` (see `GainJob`).

    The templates are those that the source says it was made with, unless others are given. What `evaluate` left says
    none: then the answer is the letter where the prompts show letters, else the words.

    Raises:
        DataError, StudentError: As `GainJob.make` does.
    """
    reporter = reporter or Silent()
    _check_source(Result.of(source))
    job = GainJob(Result.of(source), StudentSource(student), prompts or _templates_of(source), execution)
    if not _may_have_written(student, source):
        reporter.say(f"warning: {label}: {called(student)} is not the student that wrote what is in {source.folder}")
    return job.make(out, label=label, reporter=reporter)


def _check_source(source: Result) -> None:
    if source.kind not in _KINDS:
        raise DataError(
            f"{source.folder} was made by the step {source.kind!r}, and what raises the likelihood of an answer are "
            "texts: give a folder that `sert mine`, `sert evaluate` or `sert teach` wrote."
        )


def _may_have_written(student: StudentConfig, source: Artifact) -> bool:
    """Tell whether a student can be the one that wrote, in whatever numbers; of one trained in a run nobody can say."""
    writer = source.manifest.get("inputs", {}).get("student")
    types = get_args(StudentConfig.model_fields["dtype"].annotation)
    return writer is None or writer in {student_key(student.model_copy(update={"dtype": each})) for each in types}


def _templates_of(source: Artifact) -> PromptTemplates:
    config = source.manifest["config"]
    if "prompts" in config or source.manifest["stage"] != "evaluate":
        try:
            return PromptTemplates.model_validate(config["prompts"])
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"The manifest of {source.folder} was changed: its prompts are none. Make it again."
            ) from None
    questions = read_table(source.file("questions.parquet"), Question)
    return PromptTemplates(choices_as="lettered" if any(map(shows_letters, questions)) else "none")


def plan_blocks(question_ids: Iterable[str]) -> list[Unit]:
    """Split rows into units of whole questions, rows of one question beside each other, in their order."""
    units, rows = list[Unit](), list[int]()
    start = 0
    for _, of_question in groupby(question_ids):
        end = start + sum(1 for _ in of_question)
        rows += range(start, end)
        start = end
        if len(rows) >= UNIT_TEXTS:
            units.append(Unit(len(units), tuple(rows)))
            rows = []
    return [*units, Unit(len(units), tuple(rows))] if rows else units


def _texts_of(source: Result) -> "StoredTable[Any]":
    kind = _KINDS[source.kind]
    return StoredTable(source.open().file(f"{kind.table}.parquet"), kind.record)


@dataclass(frozen=True)
class _GainWork(StudentWork):
    """Scores the texts of a stage, block by block."""

    source: Result
    student: StudentConfig
    prompts: PromptTemplates

    @property
    def students(self) -> tuple[StudentConfig]:
        """Who scores."""
        return (self.student,)

    def parcels(self) -> Parcels:
        """The student and the texts."""
        return {**super().parcels(), str(self.source.folder): Parcel.of_folder(self.source.folder, hash_of=hash_of)}

    def start(self, worker: int) -> Run:
        """Load the student, and return what scores a unit.

        Raises:
            StudentError: If the student cannot be loaded.
        """
        from sert.student.load import load_student
        from sert.student.surroundings import plain_numbers, surroundings_of
        from sert.student.training.gain import Reasoned, gains

        with plain_numbers():
            student = load_student(self.student.model_copy(update={"dtype": "float32"}), worker=worker)
        texts = _texts_of(self.source)
        asked = read_table(self.source.open().file("questions.parquet"), Question)
        questions = {each.question_id: each for each in asked}
        surroundings = surroundings_of(student)

        def run(unit: Unit, advance: Advance) -> bytes:
            told = list[str]()
            records = list(texts.between(unit.rows[0], unit.rows[-1] + 1))
            if lost := [each.question_id for each in records if each.question_id not in questions]:
                raise DataError(
                    f"{self.source.folder} holds a text of question {lost[0]!r}, which is not in its "
                    "questions.parquet; the folder is damaged, make it again."
                )
            reasoned = [Reasoned(questions[each.question_id], *_parts_of(each)) for each in records]
            whole = [place for place, each in enumerate(records) if _is_whole(each)]
            advance(len(records) - len(whole))
            with plain_numbers():
                scored = gains(
                    student, [reasoned[place] for place in whole], self.prompts, progress=advance, say=told.append
                )
            found = dict(zip(whole, scored, strict=True))
            rows = [found.get(place) or each.gain(None) for place, each in enumerate(reasoned)]
            return _packed(rows, told=told, surroundings=surroundings)

        return run


def _parts_of(record: Scored) -> tuple[str, Sequence[int], int | None, int | None]:
    """Take of a text its words, its tokens where they are known, and which path it is."""
    if isinstance(record, Path):
        return record.text, record.token_ids, record.branch, record.sample
    return (record.completion if isinstance(record, Prediction) else record.text), (), None, None


def _is_whole(record: Scored) -> bool:
    """Tell whether a text is there, and not a beginning of which nobody knows what it would have become."""
    if isinstance(record, Path):
        return not record.stopped_early
    return not isinstance(record, Prediction) or record.finish != TOO_LONG


def _packed(gains: Sequence[Gain], *, told: Sequence[str], surroundings: Mapping[str, Any]) -> bytes:
    rows = [astuple(each) for each in gains]
    return json.dumps({"told": told, "surroundings": surroundings, "rows": rows}).encode("ascii")


def _of_unit(file: FilePath) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


def _gains_in(files: Sequence[FilePath]) -> Iterator[Gain]:
    for file in files:
        yield from (Gain(*row) for row in _of_unit(file)["rows"])


class _Counts:
    """Counts gains as they pass by."""

    def __init__(self) -> None:
        self._texts = self._scored = self._chosen = self._right = self._right_without = 0
        self._nats = 0.0

    def watch(self, gains: Iterable[Gain]) -> Iterator[Gain]:
        for gain in gains:
            self._texts += 1
            self._scored += gain.nats is not None
            self._nats += gain.nats or 0.0
            self._chosen += gain.right is not None
            self._right += gain.right is True
            self._right_without += gain.right_without is True
            yield gain

    def summary(self) -> dict[str, Any]:
        return {
            "texts": self._texts,
            "scored": self._scored,
            "mean_nats": self._nats / self._scored if self._scored else None,
            "with_possible_answers": self._chosen,
            "right": self._right,
            "right_without": self._right_without,
        }

    def told(self, texts: str) -> str:
        said = f"{self._scored} of {counted(self._texts, texts)} scored"
        if self._scored:
            said += f", which change the log-probability of the gold answer by {self._nats / self._scored:+.3f} nats"
        if self._chosen:
            said += f"; it is the most probable behind {self._right} of them, and without them {self._right_without}"
        return said
