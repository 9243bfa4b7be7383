"""All paths of one mined folder as the explorer holds them: columns of numbers, and texts in blocks of questions."""

import itertools
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np

from sert.analysis.explored.path_columns import PathColumns, mark
from sert.analysis.explored.pieces import Pieces, border_codes
from sert.analysis.explored.room import Room
from sert.analysis.explored.sources import FilteredPaths, MinedPaths, questions_by_id
from sert.analysis.explored.tables import examples_by_question
from sert.errors import DataError
from sert.paths.rules import OUTRUN, REJECTED
from sert.records import Gain, Path, Question, Verdict
from sert.report.explorer.elements import Columns, Element, laid_out, packed, packed_json
from sert.store.tables import StoredTable
from sert.terminal.progress import Advance

Logprobs = Literal["kept", "all", "none"]
"""Of which paths the page has the log-probability of every token: of those that some filter keeps, of all, of none."""
BLOCK = 32
"""Questions whose texts are read together."""
STEPS, LEAST = 12, 255
"""A log-probability is held as the root of its negative, in twelfths, at most so many: finer where it is near 0."""


class Judged(NamedTuple):
    """One path, what each filter says of it, and its gain."""

    path: Path
    verdicts: tuple[Verdict, ...]
    gain: float | None

    @property
    def is_kept(self) -> bool:
        """Whether any filter keeps it."""
        return any(verdict.reason is None for verdict in self.verdicts)


@dataclass
class _Block:
    """Texts and tokens of a few questions, until they are written."""

    questions: list[dict[str, Any]] = field(default_factory=list)
    logprobs: bytearray = field(default_factory=bytearray)
    borders: "array[int]" = field(default_factory=lambda: array("H"))


@dataclass
class _Said:
    """What one filter said of the paths so far, and what its selected paths became."""

    verdicts: Iterator[Verdict]
    examples: Mapping[str, tuple[str, str]]
    reasons: bytearray = field(default_factory=bytearray)
    selected: bytearray = field(default_factory=bytearray)


class Pool:
    """Reads one mined folder with the verdicts of all its filters, once.

    Attributes:
        small: Its columns, when it has been read.
        blocks: Its texts and tokens.
    """

    def __init__(
        self,
        mined: MinedPaths,
        filtered: Mapping[int, FilteredPaths],
        *,
        number: int,
        places: Mapping[str, int],
        pieces: Pieces | str,
        logprobs: Logprobs,
        room: Room,
    ) -> None:
        """Take what is read, the filters by their numbers, and the place of each question that is shown in its set."""
        self.small: list[Element] = []
        self.blocks: list[Element] = []
        self._mined, self._number, self._places, self._room, self._logprobs = mined, number, places, room, logprobs
        self._said = {
            place: _Said(iter(each.verdicts), examples_by_question(each.artifact) if each.artifact else {})
            for place, each in filtered.items()
        }
        self._pieces = pieces if isinstance(pieces, Pieces) else None
        self._no_tokens = pieces if isinstance(pieces, str) else ""
        if logprobs == "none":
            self._no_tokens = "Tokens were left out, as was asked for."
        self._seed = int(mined.artifact.manifest["seed"])
        self._columns = PathColumns(seed=self._seed, scored=mined.gains is not None)
        self._block, self._num_blocks = _Block(), 0
        self._cut_short, self._any_finite = Counter[str](), False
        self._is_whole = len(places) == len(mined.questions)

    def read(self, advance: Advance, reasons: Mapping[str | None, int]) -> None:
        """Go through the paths; reasons have these codes."""
        questions = questions_by_id(self._mined.questions)
        for question_id, of_question in itertools.groupby(self._judged(), key=lambda each: each.path.question_id):
            judged = list(of_question)
            if question_id in self._places:
                self._add_question(questions[question_id], judged, reasons)
            advance(len(judged))
        self._end_block()
        layout = self._columns.laid_out()
        self._layout = layout.layout
        self.small.append(self._room.take(packed(f"paths-{self._number}", layout.data)))

    def marks_of(self, number: int) -> Columns:
        """Lay out what the filter of a number said of each path: why it was dropped, and whether it was selected."""
        said = self._said[number]
        return laid_out({"reason": ("Uint8", said.reasons), "selected": ("Uint8", said.selected)})

    def _judged(self) -> Iterator[Judged]:
        """Yield the paths with their verdicts and gains, which lie in the same order."""
        paths = StoredTable(self._mined.artifact.file("paths.parquet"), Path)
        gains = self._gains()
        for path in paths:
            found = (next(said.verdicts, None) for said in self._said.values())
            of_path = tuple(verdict for verdict in found if verdict is not None and verdict.key == path.key)
            if len(of_path) != len(self._said):
                raise DataError(
                    f"{self._mined.artifact.folder} is damaged: its paths come in another order than their verdicts, "
                    "or there are more of them. Mine and filter again."
                )
            yield Judged(path, of_path, next(gains, None))

    def _gains(self) -> Iterator[float | None]:
        if self._mined.gains is None:
            return iter(())
        return (gain.nats for gain in StoredTable(self._mined.gains.file("gains.parquet"), Gain))

    def _add_question(self, question: Question, judged: Sequence[Judged], reasons: Mapping[str | None, int]) -> None:
        ranks = self._columns.begin([each.verdicts[0] for each in judged])
        for each, rank in zip(judged, ranks, strict=True):
            path, verdict = each.path, each.verdicts[0]
            marks = self._marks(question, each)
            place = self._places[path.question_id]
            self._columns.add(path, verdict, question=place, rank=rank, marks=marks, gain=each.gain)
            for said, of_filter in zip(self._said.values(), each.verdicts, strict=True):
                said.reasons.append(reasons[of_filter.reason])
                said.selected.append(of_filter.selected)
            self._cut_short.update([path.finish] if path.stopped_early else [])
            self._any_finite = self._any_finite or (len(path.logprobs) > 1 and isfinite(path.perplexity))
        self._block.questions.append(
            {
                "prompt": question.prompt,
                "first": self._first_tokens(judged),
                "texts": [each.path.text for each in judged],
                "conclusions": [each.verdicts[0].conclusion for each in judged],
                "examples": {
                    number: said.examples[question.question_id]
                    for number, said in self._said.items()
                    if question.question_id in said.examples
                },
            }
        )
        if len(self._block.questions) == BLOCK:
            self._end_block()

    def _marks(self, question: Question, judged: Judged) -> int:
        """Tell what the flags say that no verdict does, and keep the tokens of a path that is to have them."""
        path, marks = judged.path, 0
        if self._mined.verifier is not None and not path.stopped_early:
            marks |= mark("true") if self._mined.verifier(question, path.text)[0] else 0
        asked = self._logprobs == "all" or (self._logprobs == "kept" and judged.is_kept)
        if self._pieces is not None and asked and path.token_ids:
            lengths = self._pieces.lengths(path.token_ids, path.text)
            if lengths is not None and len(lengths) == len(path.logprobs) == path.num_tokens:
                marks |= mark("has_tokens")
                self._block.logprobs += _in_steps(path.logprobs)
                self._block.borders.extend(border_codes(path.text, lengths))
        return marks

    def _first_tokens(self, judged: Sequence[Judged]) -> list[tuple[int, str]]:
        """Spell the first token of each branch; nothing where it is not known, or the path ended at once."""
        firsts: dict[int, str] = {}
        for path, _, _ in judged:
            first = self._pieces.piece(path.token_ids[0]) if self._pieces is not None and path.token_ids else ""
            firsts.setdefault(path.branch, first)
        return list(firsts.items())

    def _end_block(self) -> None:
        block, self._block = self._block, _Block()
        if not block.questions:
            return
        name = f"{self._number}-{self._num_blocks}"
        self._num_blocks += 1
        texts = packed_json(f"texts-{name}", {"questions": block.questions})
        self.blocks.append(self._room.take(texts, questions=len(block.questions)))
        if not self._no_tokens:
            borders = np.asarray(block.borders)
            planes = bytes((borders & 0xFF).astype(np.uint8)) + bytes((borders >> 8).astype(np.uint8))
            self.blocks.append(self._room.take(packed(f"tokens-{name}", bytes(block.logprobs) + planes)))

    def description(self, *, set_number: int, run: int) -> dict[str, Any]:
        """Describe it for the header."""
        return {
            "set": set_number,
            "run": run,
            "folder": self._mined.artifact.folder.name,
            "path": self._mined.typed,
            "paths": self._columns.rows,
            "block": BLOCK,
            "blocks": self._num_blocks,
            "questions": self._columns.questions,
            "seed": self._seed,
            "mining": self._mined.artifact.manifest["config"]["mining"],
            "finishes": self._columns.finishes,
            "cut_short": {word: self._cut_short[word] for word in (REJECTED, OUTRUN)},
            "percentiles": self._is_whole and self._any_finite and not self._cut_short,
            "verified": self._mined.verifier is not None,
            "gain": self._mined.gains is not None,
            "tokens": "none" if self._no_tokens else self._logprobs,
            "no_tokens": self._no_tokens,
            "columns": self._layout,
        }


def _in_steps(logprobs: Sequence[float]) -> bytes:
    """Round log-probabilities to a byte each, which is their negative in steps."""
    steps = np.rint(STEPS * np.sqrt(np.fmax(0, np.negative(logprobs))))
    return bytes(np.fmin(LEAST, steps).astype(np.uint8))
