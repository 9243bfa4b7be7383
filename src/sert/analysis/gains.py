"""How much texts raise the likelihood of the gold answer: of paths, outputs and rationales, and by what marks paths.

The question is the unit of every interval and of every test. Texts of several seeds are taken together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sert.analysis.comparisons import corrected_by_key
from sert.analysis.four_numbers import Array, share_row
from sert.analysis.prospect_looks import Look, looks_at
from sert.analysis.prospect_sample import difference_row, sample_of
from sert.analysis.task_results import TaskResults
from sert.config.grid import Arm
from sert.paths.limits import with_limits
from sert.records import Gain, Path, Question, Verdict
from sert.stats.clusters import clustered_mean, clustered_share
from sert.stats.counts import Row
from sert.tasks.standing import ANSWERED, Standing, standing_of, standing_of_prediction

TEXTS, NATS, CHOSEN, RIGHT, WITHOUT, STATED, AGREE = range(7)
"""What is added up of the texts of a question: their number, their gains, those with possible answers, of these the
ones behind which gold is the most probable and the ones without which it was, those that state an answer, and gold."""
PATHS, RATIONALES = "paths", "rationales"
SELECTED, BY_GAIN = "selected", "selected_by_gain"
"""What is trained on; paths that were selected by their gain have a large one by design, and are not tested."""
_SIDES = ("inside", "outside")
_COMPARED = ("nats", "agree")


@dataclass(frozen=True)
class GainPart:
    """A part of the texts of one source, added up by question: (questions, what is added up)."""

    student: str
    task: str
    source: str
    part: str
    sums: Array


@dataclass(frozen=True)
class GainLook:
    """Mined paths parted in two by a look (see `sert.analysis.prospect_looks`), both sides added up by question."""

    student: str
    task: str
    look: Look
    inside: Array
    outside: Array


class _Texts:
    """Texts with a gain: whose they are, and what each adds."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self._places = {name: place for place, name in enumerate(questions)}
        self._question: list[int] = []
        self._rows: list[tuple[float, ...]] = []

    def add(self, gain: Gain, standing: Standing) -> None:
        """Add one."""
        self._question.append(self._places[gain.question_id])
        known, stated = gain.right is not None, standing in ANSWERED
        assert gain.nats is not None
        self._rows.append(
            (1, gain.nats, known, gain.right is True, gain.right_without is True, stated, standing == "right")
        )

    @cached_property
    def _columns(self) -> tuple[Array, Array]:
        """All of them as arrays, once nothing more is added."""
        return np.array(self._question, dtype=int), np.array(self._rows, dtype=float).reshape(-1, AGREE + 1)

    def sums(self, chosen: Array | None = None) -> Array:
        """Add up the chosen ones, or all, by question."""
        sums, (question, rows) = np.zeros((len(self._places), AGREE + 1)), self._columns
        where = slice(None) if chosen is None else np.flatnonzero(chosen)
        np.add.at(sums, question[where], rows[where])
        return sums


class GainNumbers:
    """Takes the gains of one run after the other and keeps only what the tables need."""

    def __init__(self) -> None:
        self._parts: list[GainPart] = []
        self._looks: list[GainLook] = []

    def add(self, arm: Arm, result: TaskResults) -> None:
        """Take those of one run on one task: of the first round's paths, and of each method after its last epoch."""
        if "mine" in result.gains:
            self._add_paths(arm, result)
        for method, measured in result.methods.items():
            if (gains := result.gains.get(f"evaluate-{method}")) is not None:
                outputs = measured.choices[0].predictions
                rows = [
                    (gain, standing_of_prediction(each), each.reasoned)
                    for gain, each in zip(gains, outputs, strict=True)
                ]
                self._add_parts(arm, result, method, "reasoned", rows, result.test)
        if "teach" in result.gains:
            pairs = zip(result.gains["teach"], result.taught, strict=True)
            rows = [
                (gain, standing_of(None if each.extracted is None else each.correct, ""), each.correct)
                for gain, each in pairs
            ]
            self._add_parts(arm, result, RATIONALES, "right", rows, result.train)

    def _add_parts(
        self,
        arm: Arm,
        result: TaskResults,
        source: str,
        part: str,
        rows: Iterable[tuple[Gain, Standing, bool]],
        questions: Mapping[str, Question],
    ) -> None:
        """Take all texts of a source, and a part of them."""
        texts, inside = _Texts(questions), list[bool]()
        for gain, standing, is_inside in rows:
            if gain.nats is not None:
                texts.add(gain, standing)
                inside.append(is_inside)
        about = (arm.student, result.task, source)
        self._parts += [GainPart(*about, "all", texts.sums()), GainPart(*about, part, texts.sums(np.array(inside)))]

    def _add_paths(self, arm: Arm, result: TaskResults) -> None:
        paths, verdicts, limits = result.rounds[0]
        texts, selected = _Texts(result.train), list[bool]()

        def scored() -> Iterator[tuple[Path, Verdict]]:
            for path, verdict, gain in zip(paths, verdicts, result.gains["mine"], strict=True):
                if gain.nats is not None:
                    texts.add(gain, standing_of(verdict.agrees, path.finish))
                    selected.append(verdict.selected)
                    yield path, verdict

        if all(gain.nats is None for gain in result.gains["mine"]):
            return
        sample = sample_of([*result.train.values()], scored(), with_limits(result.config.rules, limits))
        chosen = np.array(selected)
        of_selected = BY_GAIN if result.config.selection.order == "gain" else SELECTED
        for part, inside in (("all", None), ("kept", sample.kept), (of_selected, chosen)):
            self._parts.append(GainPart(arm.student, result.task, PATHS, part, texts.sums(inside)))
        for look in (Look(of_selected, of_selected, chosen), *looks_at(sample)):
            sides = texts.sums(look.inside), texts.sums(~look.inside)
            self._looks.append(GainLook(arm.student, result.task, look, *sides))

    def tables(self) -> dict[str, list[Row]]:
        """Build `gain` and `gain_looks` of `metrics.json`."""
        return {"gain": part_rows(self._parts), "gain_looks": look_rows(self._looks)}


def part_rows(parts: Iterable[GainPart]) -> list[Row]:
    """Sum up each part over seeds.

    Is the mean gain of a question 0, and is gold the most probable as often behind texts as without? All these tests
    are one family for Holm's correction.
    """
    found: dict[tuple[str, ...], Array] = {}
    for part in parts:
        of_part = part.student, part.task, part.source, part.part
        found[of_part] = found.get(of_part, 0) + part.sums
    tests = {
        (key, name): test
        for key, sums in found.items()
        if BY_GAIN not in key
        for name, test in (
            ("p_value", difference_row(_mean_of_each(sums, NATS, TEXTS), [0.0] * len(sums))),
            ("right_p_value", difference_row(_mean_of_each(sums, RIGHT, CHOSEN), _mean_of_each(sums, WITHOUT, CHOSEN))),
        )
    }
    known, rows = corrected_by_key(tests), list[Row]()
    for key, sums in found.items():
        row: Row = dict(zip(("student", "task", "source", "part"), key, strict=True)) | numbers_of(sums)
        for name, p in (("p_value", "p_holm"), ("right_p_value", "right_p_holm")):
            test = known.get((key, name))
            row |= {name: test["p_value"] if test else None, p: test["p_holm"] if test else None}
        rows.append(row)
    return rows


def look_rows(looks: Iterable[GainLook]) -> list[Row]:
    """Compare the sides of every look over seeds, within questions: gains, and how often stated answers are gold.

    All these comparisons are one family for Holm's correction.
    """
    found: dict[tuple[str, ...], list[GainLook]] = {}
    for each in looks:
        found.setdefault((each.student, each.task, each.look.kind, each.look.name), []).append(each)
    sides = {
        key: [np.sum([getattr(each, side) for each in seeds], axis=0) for side in _SIDES]
        for key, seeds in found.items()
    }
    columns = {"nats": (NATS, TEXTS), "agree": (AGREE, STATED)}
    known = corrected_by_key(
        {
            (key, name): difference_row(*(_mean_of_each(sums, *columns[name]) for sums in of_look))
            for key, of_look in sides.items()
            if BY_GAIN not in key
            for name in _COMPARED
        }
    )
    return [
        {
            **dict(zip(("student", "task", "kind", "name"), key, strict=True)),
            "ends": _ends([each.look.ends for each in seeds]),
            **dict(zip(_SIDES, map(numbers_of, sides[key]), strict=True)),
            "difference": {name: known.get((key, name)) for name in _COMPARED},
        }
        for key, seeds in found.items()
    ]


def numbers_of(sums: Array) -> Row:
    """Write what texts come to: their mean gain, and shares of them."""
    mean = clustered_mean(sums[:, NATS].tolist(), sums[:, TEXTS].tolist())

    def share(part: int, whole: int) -> Row:
        return share_row(clustered_share(sums[:, part].tolist(), sums[:, whole].tolist()))

    return {
        "texts": int(mean.total),
        "questions": mean.clusters,
        "nats": mean.mean,
        "ci95": None if mean.interval is None else list(mean.interval),
        "right": share(RIGHT, CHOSEN),
        "right_without": share(WITHOUT, CHOSEN),
        "agree": share(AGREE, STATED),
    }


def _mean_of_each(sums: Array, part: int, whole: int) -> list[float | None]:
    pairs = zip(sums[:, part].tolist(), sums[:, whole].tolist(), strict=True)
    return [each / total if total else None for each, total in pairs]


def _ends(of_seeds: Sequence[tuple[float, float] | None]) -> list[float | None] | None:
    """Span the bands of all seeds; an end that is infinite is null."""
    ends = [each for each in of_seeds if each is not None]
    if not ends:
        return None
    span = min(low for low, _ in ends), max(high for _, high in ends)
    return [end if np.isfinite(end) else None for end in span]
