"""What trainings cost elsewhere: held-out texts of another kind, before any training and after each.

Every p-value of a report's held-out texts is of one family for Holm's correction.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sert.analysis.aggregate import spread_of
from sert.analysis.comparisons import mean_difference
from sert.analysis.task_results import TaskResults
from sert.config.grid import Arm
from sert.config.tree import Method
from sert.records import HeldOutScore
from sert.stats.counts import Row
from sert.stats.holm import holm
from sert.stats.seeds import paired_over_seeds
from sert.stats.shares import wilson_interval

_WHEN = ("before", "after")
_P_VALUES = {"p_value": "p_holm", "nats_p_value": "nats_p_holm"}


@dataclass(frozen=True)
class HeldOutOutcome:
    """What one trained student of one seed makes of the held-out texts, and what the student made of them at first."""

    student: str
    task: str
    method: Method
    seed: int
    scores: Sequence[HeldOutScore]

    def of_kind(self, kind: str) -> list[HeldOutScore]:
        """Take those of one kind, in their order."""
        return [score for score in self.scores if score.kind == kind]


def held_out_outcomes(arm: Arm, result: TaskResults) -> Iterator[HeldOutOutcome]:
    """Take what each trained student that is tested makes of held-out texts, where a run was asked to look.

    What SERT+RD starts from is a trained student: before is what was there before that training, too.
    """
    for method in result.methods:
        scores = result.held_out.get(method, ())
        first = (result.held_out.get("sert") if method == "sert+rd" else None) or scores
        if scores:
            yield HeldOutOutcome(
                arm.student,
                result.task,
                method,
                arm.seed,
                [
                    replace(score, logprob_before=at_first.logprob_before, right_before=at_first.right_before)
                    for score, at_first in zip(scores, first, strict=True)
                ],
            )


def forgetting_rows(outcomes: Iterable[HeldOutOutcome]) -> list[Row]:
    """Compare each trained student with the student before any training, over seeds; the unit is the text."""
    cells: dict[tuple[str, str, Method], list[HeldOutOutcome]] = {}
    for outcome in outcomes:
        cells.setdefault((outcome.student, outcome.task, outcome.method), []).append(outcome)
    rows: list[Row] = [
        {"student": student, "task": task, "method": method, "seeds": len(seeds)}
        | _of_choices([outcome.of_kind("choice") for outcome in seeds])
        | _of_texts([outcome.of_kind("text") for outcome in seeds])
        for (student, task, method), seeds in cells.items()
    ]
    tested = [(row, name) for row in rows for name in _P_VALUES if row[name] is not None]
    for row in rows:
        row |= dict.fromkeys(_P_VALUES.values())
    for (row, name), p in zip(tested, holm([row[name] for row, name in tested]), strict=True):
        row[_P_VALUES[name]] = p
    return rows


def _of_choices(seeds: Sequence[Sequence[HeldOutScore]]) -> Row:
    """Compare how often the right ending is the most probable one."""
    n = len(seeds[0])
    names = ("correct_before", "correct_after", "accuracy_before", "accuracy_after", "interval_before")
    if not n:
        return {"choices": None, **dict.fromkeys([*names, "interval_after", "difference", "ci95", "p_value"])}
    right = {when: [[bool(getattr(each, f"right_{when}")) for each in seed] for seed in seeds] for when in _WHEN}
    found = paired_over_seeds(right["after"], right["before"])
    row: Row = {"choices": n}
    for when in _WHEN:
        correct: list[int] = [sum(seed) for seed in right[when]]
        ends = [wilson_interval(k, n) for k in correct]
        row[f"correct_{when}"] = correct
        row[f"accuracy_{when}"] = spread_of([k / n for k in correct])
        row[f"interval_{when}"] = [min(end.low for end in ends), max(end.high for end in ends)]
    return row | {"difference": found.difference, "ci95": [found.low, found.high], "p_value": found.p_value}


def _of_texts(seeds: Sequence[Sequence[HeldOutScore]]) -> Row:
    """Compare perplexity over all tokens, and the mean log-probability a token of each text (`nats`)."""
    row: Row = {"texts": len(seeds[0]) or None}
    for when in _WHEN:
        found = [_perplexity(seed, when) for seed in seeds]
        known = [each for each in found if each is not None]
        row[f"perplexity_{when}"] = spread_of(known) if known else None
    both = [(_nats(seed, "after"), _nats(seed, "before")) for seed in seeds]
    compared = next(mean_difference({}, both), dict.fromkeys(("difference", "ci95", "p_value")))
    return row | {"nats": compared["difference"], "nats_ci95": compared["ci95"], "nats_p_value": compared["p_value"]}


def _perplexity(scores: Sequence[HeldOutScore], when: str) -> float | None:
    tokens = sum(score.num_tokens for score in scores)
    return math.exp(-sum(getattr(score, f"logprob_{when}") for score in scores) / tokens) if tokens else None


def _nats(scores: Sequence[HeldOutScore], when: str) -> list[float | None]:
    return [getattr(score, f"logprob_{when}") / score.num_tokens if score.num_tokens else None for score in scores]
