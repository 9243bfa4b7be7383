"""The verdict of a prospect by the rules of `docs/prospect.md`: is there anything to mine, and do the rules find it?"""

from collections.abc import Mapping
from typing import Any

from sert.analysis.prospect_looks import BY_ANSWER, above
from sert.stats.counts import Row

MUCH, SOME, NOTHING, TOO_FEW = "much", "some", "nothing", "too few"
FEWEST_QUESTIONS = 20
"""Questions with a path that reasons and states an answer from which on a verdict is given."""
MOSTLY = 0.5
"""Share of the paths of a look that have to reason, so that it is reasoning that it finds and no direct answers."""
FEWEST_STATED = 0.01
"""Share of paths that state an answer below which there is nothing that could be read."""


def verdict_row(numbers: Mapping[str, Any]) -> Row:
    """Decide, of the other numbers of a prospect.

    `level` is one of

    - `much`: something that was looked at tells right paths from others, or the paths that reason are more than halfway
      from chance to always right;
    - `some`: these are right more often than by chance, but nothing tells which of them;
    - `nothing`: they are not, as far as can be told, or hardly any path states an answer;
    - `too few`: of too few questions a path reasons and states an answer.

    `readable` says whether more than hardly any path states an answer, `rules_find_it` whether what the rules keep is
    what tells. `found` are the places of the looks that tell, the one with the largest difference first, and `direct`
    those whose answers are right more often, but mostly without reasoning.
    """
    looks, best = numbers["looks"], numbers["chance"]["best"]
    found = [place for place, row in enumerate(looks) if _tells(row, best)]
    found.sort(key=lambda place: -looks[place]["difference"][BY_ANSWER]["difference"])
    better = [place for place, row in enumerate(looks) if row["finding"] == "better"]
    kept = next(place for place, row in enumerate(looks) if row["kind"] == "kept")
    return {
        "level": _level(numbers, best=best, told_apart=bool(found)),
        "readable": _is_readable(numbers),
        "rules_find_it": kept in found or _far_above(looks[kept]["inside"], best),
        "found": found,
        "direct": [place for place in better if not _reasons(looks[place])],
        "fewest_questions": FEWEST_QUESTIONS,
    }


def _level(numbers: Mapping[str, Any], *, best: float, told_apart: bool) -> str:
    reasoned = numbers["reasoned"]
    if not _is_readable(numbers):
        return NOTHING
    if reasoned[BY_ANSWER]["questions"] < FEWEST_QUESTIONS:
        return TOO_FEW
    if told_apart or _far_above(reasoned, best):
        return MUCH
    return SOME if above(reasoned, best) else NOTHING


def _tells(row: Row, chance: float) -> bool:
    """Tell whether a look finds paths that are right more often than the others and than by chance, and that reason."""
    return row["finding"] == "better" and above(row["inside"], chance) and _reasons(row)


def _reasons(row: Row) -> bool:
    return bool(row["reasoned"] >= MOSTLY)


def _is_readable(numbers: Mapping[str, Any]) -> bool:
    branching = numbers["decodings"][0]
    return bool(branching["answered"]["hits"] >= FEWEST_STATED * branching["paths"])


def _far_above(numbers: Mapping[str, Any], chance: float) -> bool:
    return above(numbers, (1 + chance) / 2)
