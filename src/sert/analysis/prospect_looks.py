"""Looks at sampled paths: does a rule, a branch or a band tell right paths from others?

Every look parts the paths in two. Sides are compared within questions, and all comparisons of a prospect are one family
for Holm's correction. A further look is one more of the kind that `looks_at` yields.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from sert.analysis.chance import is_above
from sert.analysis.comparisons import corrected_by_key
from sert.analysis.four_numbers import RIGHT, WRONG, Array, four_numbers
from sert.analysis.prospect_sample import MEASURES, Sample, difference_row
from sert.stats.clusters import clusters_needed
from sert.stats.counts import Row

QUARTERS = (0.25, 0.5, 0.75)
BY_ANSWER, OVER_ALL = "right_of_answered", "right"
"""What sides are compared by: how often paths that state an answer are right, and how often all are."""
DIFFERENCE, POWER = 0.05, 0.8
"""The difference that questions are counted for, and the chance to find it."""
FEWEST_PAIRS = 10
"""Questions with an answer on both sides from which on their spread says how many would be needed."""


class Look(NamedTuple):
    """One way to part the paths.

    Attributes:
        kind: `kept` (by all rules), `rule` (by this one alone), `branch`, or a measure whose bands are looked at.
        name: Which rule, branch or quarter.
        inside: The paths of it; it is compared with all others.
        ends: Smallest and largest value of a band.
    """

    kind: str
    name: str
    inside: Array
    ends: tuple[float, float] | None = None


def looks_at(sample: Sample) -> Iterator[Look]:
    """List the looks: what the rules keep, together and one by one; the branches; quarters of what is measured."""
    yield Look("kept", "kept", sample.kept)
    for rule, passes in sample.passes.items():
        yield Look("rule", rule, passes)
    for branch in np.unique(sample.branch):
        yield Look("branch", str(branch), sample.branch == branch)
    for measure in MEASURES:
        yield from _bands(measure, sample.measured[measure])


def _bands(measure: str, values: Array) -> Iterator[Look]:
    """Part the paths at their own quartiles; equal values stay together, so a band may be larger, or not there."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return
    places = np.searchsorted(np.quantile(finite, QUARTERS), values)
    for place in np.unique(places):
        inside = places == place
        ends = float(values[inside].min()), float(values[inside].max())
        yield Look(measure, str(place + 1), inside, ends)


def look_rows(sample: Sample, *, chance: float) -> list[Row]:
    """Compare the sides of every look.

    A row holds the four numbers of both sides (`inside`, `outside`), the share of the paths inside that reason before
    they answer (`reasoned`, by the patterns of filter 1), and under each of `BY_ANSWER` and `OVER_ALL` the
    difference between them: the mean over questions that have both, null where none has. `finding` is `better` or
    `worse` if the paths inside that state an answer are right more or less often, `stated` if all paths inside are
    right more or less often, but nothing can be told of those that state an answer; null if nothing can be told at all.
    `within_chance` says that both sides state answers, and neither is right more often than by this chance as far as
    its interval tells.
    """
    rows, tests = list[Row](), dict[tuple[int, str], Row | None]()
    for place, look in enumerate(looks_at(sample)):
        inside, outside = sample.counts(look.inside), sample.counts(~look.inside)
        rows.append(
            {
                "kind": look.kind,
                "name": look.name,
                "ends": None if look.ends is None else [_or_null(end) for end in look.ends],
                "reasoned": float(sample.reasoned[look.inside].mean()) if look.inside.any() else None,
                "inside": four_numbers(inside),
                "outside": four_numbers(outside),
            }
        )
        tests |= {(place, measure): _difference(inside, outside, measure) for measure in (BY_ANSWER, OVER_ALL)}
    compared = corrected_by_key(tests)
    for place, row in enumerate(rows):
        row["difference"] = {measure: compared.get((place, measure)) for measure in (BY_ANSWER, OVER_ALL)}
        row["finding"] = _finding(row["difference"])
        row["within_chance"] = all(_not_above(row[side], chance) for side in ("inside", "outside"))
    return rows


def above(numbers: Mapping[str, Any], chance: float) -> bool:
    """Tell whether paths that state an answer are right more often than by chance: their whole interval is above it."""
    return is_above(numbers[BY_ANSWER]["ci95"], chance)


def _not_above(numbers: Mapping[str, Any], chance: float) -> bool:
    return numbers[BY_ANSWER]["ci95"] is not None and not above(numbers, chance)


def _or_null(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _difference(inside: Array, outside: Array, measure: str) -> Row | None:
    return difference_row(*(_shares(counts, measure) for counts in (inside, outside)))


def _shares(counts: Array, measure: str) -> list[float | None]:
    """Share the right ones of each question; None where there is nothing to share."""
    wholes = counts[:, RIGHT] + counts[:, WRONG] if measure == BY_ANSWER else counts.sum(axis=1)
    return [
        right / whole if whole else None
        for right, whole in zip(counts[:, RIGHT].tolist(), wholes.tolist(), strict=True)
    ]


def _finding(difference: dict[str, Any]) -> str | None:
    by_answer, over_all = difference[BY_ANSWER], difference[OVER_ALL]
    if by_answer is not None and by_answer["p_holm"] < 0.05:
        return "better" if by_answer["difference"] > 0 else "worse"
    return "stated" if over_all is not None and over_all["p_holm"] < 0.05 else None


def needed_row(sample: Sample) -> Row:
    """Say how many questions would tell whether kept paths that state an answer are right more often than dropped ones.

    `pairs` are the questions that have an answer on both sides. `questions` is null where they are too few to say it
    (`too_few`), or all differ alike.
    """
    sides = zip(
        _shares(sample.counts(sample.kept), BY_ANSWER), _shares(sample.counts(~sample.kept), BY_ANSWER), strict=True
    )
    differences = [a - b for a, b in sides if a is not None and b is not None]
    pairs = len(differences)
    too_few = pairs < FEWEST_PAIRS
    needed = None if too_few else clusters_needed(differences, difference=DIFFERENCE, power=POWER)
    questions = None if needed is None else -(-needed * sample.questions // pairs)
    return {"difference": DIFFERENCE, "power": POWER, "pairs": pairs, "too_few": too_few, "questions": questions}
