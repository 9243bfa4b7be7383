"""What the explorer holds of each path as a number: what the rules measure in every unit, and what was found."""

import math
from array import array
from collections.abc import Sequence
from typing import Any

from sert.paths.rules import perplexity, rep_n, words_of
from sert.paths.selection import preference
from sert.records import Path, Verdict
from sert.report.explorer.elements import Columns, laid_out, utf_16_length

FLAGS = ("imitation", "option_repetition", "direct_response", "concludes", "agrees", "true", "has_tokens")
"""What the bits of the column `flags` say, from the lowest one on."""
_TYPES = {
    "question": ("Uint32", "L"),
    "branch": ("Int32", "l"),
    "sample": ("Int32", "l"),
    "finish": ("Uint8", "B"),
    "num_tokens": ("Int32", "l"),
    "num_words": ("Int32", "l"),
    "rep_2": ("Float64", "d"),
    "rep_2_words": ("Float64", "d"),
    "perplexity": ("Float64", "d"),
    "perplexity_continuation": ("Float64", "d"),
    "first_logprob": ("Float32", "f"),
    "whole_characters": ("Int32", "l"),
    "random_rank": ("Uint32", "L"),
    "flags": ("Uint8", "B"),
    "gain": ("Float64", "d"),
}
"""Column -> its type in the page, and how it is held until it is written."""


class PathColumns:
    """Collects the columns of paths, one question after the other.

    Attributes:
        finishes: The words that the column `finish` numbers, in the order in which they came.
    """

    def __init__(self, *, seed: int, scored: bool) -> None:
        """Take the seed of the mining, and whether the gain of paths is known."""
        self.finishes: list[str] = []
        self._seed = seed
        self._held = {name: array(held) for name, (_, held) in _TYPES.items() if scored or name != "gain"}
        self._starts = array("L")

    @property
    def rows(self) -> int:
        """Paths so far."""
        return len(self._held["flags"])

    @property
    def questions(self) -> int:
        """Questions so far."""
        return len(self._starts)

    def begin(self, verdicts: Sequence[Verdict]) -> list[int]:
        """Begin a question, and rank its paths as `selection.order = "random"` does."""
        self._starts.append(self.rows)
        order = sorted(range(len(verdicts)), key=lambda place: preference(verdicts[place], "random", seed=self._seed))
        ranks = [0] * len(order)
        for rank, place in enumerate(order):
            ranks[place] = rank
        return ranks

    def add(self, path: Path, verdict: Verdict, *, question: int, rank: int, marks: int, gain: float | None) -> None:
        """Add a path: the place of its question, its rank, and the flags that the verdict does not tell."""
        words = words_of(path.text)
        whole = verdict.whole_characters
        row: dict[str, Any] = {
            "question": question,
            "branch": path.branch,
            "sample": path.sample,
            "finish": self._finish_of(path.finish),
            "num_tokens": path.num_tokens,
            "num_words": len(words),
            "rep_2": path.rep_2,
            "rep_2_words": rep_n(words, 2),
            "perplexity": path.perplexity,
            "perplexity_continuation": perplexity(path.logprobs[1:]),
            "first_logprob": math.nan if path.first_token_logprob is None else path.first_token_logprob,
            "whole_characters": -1 if whole is None else utf_16_length(path.text[:whole]),
            "random_rank": rank,
            "flags": flags_of(verdict) | marks,
            "gain": math.nan if gain is None else gain,
        }
        for name, column in self._held.items():
            column.append(row[name])

    def laid_out(self) -> Columns:
        """Put the columns one behind the other, behind them where each question begins."""
        columns = {name: (_TYPES[name][0], column) for name, column in self._held.items()}
        return laid_out({**columns, "question_rows": ("Uint32", [*self._starts, self.rows])})

    def _finish_of(self, finish: str) -> int:
        if finish not in self.finishes:
            self.finishes.append(finish)
        return self.finishes.index(finish)


def flags_of(verdict: Verdict) -> int:
    """Write what a verdict finds in a path as bits."""
    found = (
        verdict.imitation,
        verdict.option_repetition,
        verdict.direct_response,
        verdict.conclusion is not None,
        verdict.agrees is True,
    )
    return sum(1 << place for place, is_so in enumerate(found) if is_so)


def mark(name: str) -> int:
    """Name a flag by its bit."""
    return 1 << FLAGS.index(name)
