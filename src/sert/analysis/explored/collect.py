"""From what finished stages left to all that the explorer's page holds."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from sert.analysis.explored.pieces import Pieces, find_pieces
from sert.analysis.explored.pools import Logprobs, Pool
from sert.analysis.explored.room import Room, draw, places_of
from sert.analysis.explored.sources import ExploredArm, ExploredRun, FilteredPaths, MinedPaths, Outputs
from sert.analysis.explored.tables import all_fields, outputs_element, questions_element
from sert.config.rules import RULES, RulesConfig, SelectionConfig
from sert.paths.rules import OUTRUN, REJECTED
from sert.records import Question
from sert.report.explorer.elements import Columns, Element, packed
from sert.report.explorer.page import Explored
from sert.report.names import METHODS, rule_name
from sert.store.tables import questions_key
from sert.tasks.load import Questions
from sert.terminal.progress import Reporter

FORMAT = 1
REASONS = (None, *RULES, REJECTED, OUTRUN)
"""Why a path was dropped, by its code in the page; None is a kept one."""

T = TypeVar("T")


class _Numbered(Generic[T]):
    """Numbers things by their keys, each once."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._numbers: dict[Hashable, int] = {}

    def add(self, key: Hashable, item: T) -> int:
        """Give a thing its number, or name the one that it has."""
        if key not in self._numbers:
            self._numbers[key] = len(self.items)
            self.items.append(item)
        return self._numbers[key]


@dataclass(frozen=True)
class _Set:
    """Questions of one task and split as the page shows them; `sample` of them, if that is given."""

    task: str
    questions: list[Question]
    is_whole: bool

    @property
    def split(self) -> str:
        """Their split."""
        return self.questions[0].split if self.questions else ""

    @staticmethod
    def of(task: str, questions: Questions, sample: int | None) -> "_Set":
        """Draw what is shown."""
        shown = draw(questions, sample)
        return _Set(task, shown, len(shown) == len(questions))


@dataclass(frozen=True)
class _Contents:
    """What the page shows, each thing once, with the number of its run."""

    sample: int | None
    sets: _Numbered[_Set] = field(default_factory=_Numbered)
    mined: _Numbered[tuple[int, MinedPaths]] = field(default_factory=_Numbered)
    filtered: _Numbered[tuple[int, FilteredPaths]] = field(default_factory=_Numbered)
    outputs: _Numbered[tuple[int, Outputs]] = field(default_factory=_Numbered)

    def add_arm(self, run: int, arm: ExploredArm) -> dict[str, Any]:
        """Take in an arm, and describe it."""
        return {
            "run": run,
            **{name: getattr(arm, name) for name in ("student", "seed", "variant", "group", "task")},
            "rounds": [self._add_filtered(run, each) for each in arm.rounds],
            "methods": {method: self._add_outputs(run, each) for method, each in arm.methods.items()},
        }

    def set_of(self, each: MinedPaths | Outputs) -> int:
        """Number the questions of something."""
        key = each.task, questions_key(each.questions)
        return self.sets.add(key, _Set.of(each.task, each.questions, self.sample))

    def number_of(self, run: int, mined: MinedPaths) -> int:
        """Number a mined folder."""
        return self.mined.add((run, mined.artifact.folder), (run, mined))

    def filters_of(self, mined_number: int) -> dict[int, FilteredPaths]:
        """Find what was filtered of a mined folder, by its numbers."""
        return {
            number: each
            for number, (run, each) in enumerate(self.filtered.items)
            if self.number_of(run, each.mined) == mined_number
        }

    def _add_filtered(self, run: int, filtered: FilteredPaths) -> int:
        self.set_of(filtered.mined)
        number = self.number_of(run, filtered.mined)
        if filtered.mined.gains is not None:  # the arm before may have asked for none
            self.mined.items[number] = run, filtered.mined
        return self.filtered.add((run, filtered.name), (run, filtered))

    def _add_outputs(self, run: int, outputs: Outputs) -> int:
        self.set_of(outputs)
        return self.outputs.add((run, outputs), (run, outputs))


def explored(
    runs: Sequence[ExploredRun],
    *,
    sample: int | None = None,
    logprobs: Logprobs = "kept",
    largest: int | None = None,
    reporter: Reporter,
) -> Explored:
    """Read all that one page shows of runs; of a sample of the questions of each set, if so many are asked for.

    Raises:
        TooLargeError: If the page would have more than the `largest` bytes (`LARGEST_PAGE` when not given).
        DataError: If a folder is damaged.
    """
    contents = _Contents(sample)
    arms = [contents.add_arm(number, arm) for number, run in enumerate(runs) for arm in run.arms]
    sets = contents.sets.items
    room = Room([len(sets[contents.set_of(mined)].questions) for _, mined in contents.mined.items], largest)
    pools = _read_pools(contents, logprobs, room, name=runs[0].name, reporter=reporter)
    marks = [_marks(contents, number, pools) for number in range(len(contents.filtered.items))]
    tables = [room.take(element) for element in _tables(contents, marks)]
    header = {
        "format": FORMAT,
        "sert_version": version("sert"),
        "runs": [{"name": run.name, "folder": run.folder} for run in runs],
        "sampled": None if all(each.is_whole for each in sets) else {"questions": sample},
        "rules": list(RULES),
        "reasons": [reason or "" for reason in REASONS],
        "rule_names": {reason: rule_name(reason) for reason in REASONS if reason},
        "method_names": dict(METHODS),
        "defaults": all_fields(RulesConfig(), SelectionConfig()),
        "sets": [{"task": each.task, "split": each.split, "questions": len(each.questions)} for each in sets],
        "pools": [
            pool.description(set_number=contents.set_of(mined), run=run)
            for pool, (run, mined) in zip(pools, contents.mined.items, strict=True)
        ],
        "views": [_view_row(contents, number, columns.layout) for number, columns in enumerate(marks)],
        "outputs": [_outputs_row(contents, run, each) for run, each in contents.outputs.items],
        "arms": arms,
    }
    small = [*tables, *(element for pool in pools for element in pool.small)]
    return Explored(header, small, [element for pool in pools for element in pool.blocks])


def _read_pools(contents: _Contents, logprobs: Logprobs, room: Room, *, name: str, reporter: Reporter) -> list[Pool]:
    """Go through all mined folders, each once with all its filters."""
    pools, spelled = list[Pool](), dict[str, Pieces | str]()
    codes = {reason: code for code, reason in enumerate(REASONS)}
    total = sum(int(mined.artifact.counts["paths"]) for _, mined in contents.mined.items)
    with reporter.track(f"{name}, explorer", total, "paths") as advance:
        for number, (_, mined) in enumerate(contents.mined.items):
            places = places_of(contents.sets.items[contents.set_of(mined)].questions)
            key = mined.student.model_dump_json() if mined.student else ""
            if key not in spelled:
                spelled[key] = find_pieces(mined.student)
            pool = Pool(
                mined,
                contents.filters_of(number),
                number=number,
                places=places,
                pieces=spelled[key],
                logprobs=logprobs,
                room=room,
            )
            pool.read(advance, codes)
            pools.append(pool)
    return pools


def _marks(contents: _Contents, number: int, pools: Sequence[Pool]) -> Columns:
    """Lay out what one filter said of the paths."""
    run, filtered = contents.filtered.items[number]
    return pools[contents.number_of(run, filtered.mined)].marks_of(number)


def _tables(contents: _Contents, marks: Sequence[Columns]) -> Iterator[Element]:
    """Write the questions, what the filters said, and what students answered."""
    for number, each in enumerate(contents.sets.items):
        yield questions_element(f"questions-{number}", each.questions)
    for number, columns in enumerate(marks):
        yield packed(f"view-{number}", columns.data)
    for number, (_, outputs) in enumerate(contents.outputs.items):
        places = places_of(contents.sets.items[contents.set_of(outputs)].questions)
        yield outputs_element(f"outputs-{number}", outputs.predictions, places)


def _view_row(contents: _Contents, number: int, layout: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    run, filtered = contents.filtered.items[number]
    return {
        "pool": contents.number_of(run, filtered.mined),
        "folder": filtered.name,
        **all_fields(filtered.rules, filtered.selection),
        "limits": dict(filtered.limits),
        "columns": layout,
        "examples": filtered.artifact is not None,
        "own": filtered.artifact is None,
    }


def _outputs_row(contents: _Contents, run: int, outputs: Outputs) -> dict[str, Any]:
    return {
        "set": contents.set_of(outputs),
        "run": run,
        "folder": outputs.name,
        "method": outputs.method,
        "questions": len(contents.sets.items[contents.set_of(outputs)].questions),
    }
