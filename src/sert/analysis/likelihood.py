"""Answers by likelihood beside those that students write: accuracies over seeds, and paired differences.

Every p-value of a report's answers by likelihood is of one family for Holm's correction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sert.analysis.aggregate import spread_of
from sert.analysis.task_results import TaskResults
from sert.config.grid import Arm
from sert.config.tree import Method
from sert.evaluation.likelihood import MEASURES, grade_likelihoods
from sert.stats.counts import Row
from sert.stats.holm import holm
from sert.stats.seeds import paired_over_seeds
from sert.stats.shares import wilson_interval
from sert.tasks.possible import CLOZE

GENERATED = "generated"


@dataclass(frozen=True)
class LikelihoodOutcome:
    """Which test questions a student of one seed gets right: measure (also `generated`) -> question id -> right.

    Only questions with a closed set of answers are there; for letters, those whose prompt shows some.
    """

    student: str
    task: str
    variant: str
    method: Method
    seed: int
    right: Mapping[str, Mapping[str, bool]]


def likelihood_outcomes(arm: Arm, result: TaskResults) -> Iterator[LikelihoodOutcome]:
    """Take what the possible answers of each tested student come to, where they were scored."""
    for method, measured in result.methods.items():
        if measured.likelihoods:
            graded = grade_likelihoods(measured.likelihoods, result.test.values())
            written = {each.question_id: each.correct_loose for each in measured.primary}
            right = {GENERATED: {name: written[name] for name in graded[CLOZE]}, **graded}
            yield LikelihoodOutcome(arm.student, result.task, arm.variant, method, arm.seed, right)


def likelihood_rows(outcomes: Iterable[LikelihoodOutcome]) -> list[Row]:
    """Share the right answers over seeds, and compare each measure with what is generated; the unit is the question."""
    cells: dict[tuple[str, str, str, Method], list[LikelihoodOutcome]] = {}
    for each in outcomes:
        cells.setdefault((each.student, each.task, each.variant, each.method), []).append(each)
    rows: list[Row] = [
        {"student": student, "task": task, "variant": variant, "method": method, **_row(seeds, measure)}
        for (student, task, variant, method), seeds in cells.items()
        for measure in (GENERATED, *MEASURES)
        if measure in seeds[0].right
    ]
    compared = [row for row in rows if row["p_value"] is not None]
    for row, p in zip(compared, holm([row["p_value"] for row in compared]), strict=True):
        row["p_holm"] = p
    return rows


def _row(seeds: Sequence[LikelihoodOutcome], measure: str) -> Row:
    names = list(seeds[0].right[measure])
    right, written = ([[seed.right[of][name] for name in names] for seed in seeds] for of in (measure, GENERATED))
    n, correct = len(names), [sum(seed) for seed in right]
    ends = [wilson_interval(k, n) for k in correct]
    row: Row = {
        "measure": measure,
        "n": n,
        "seeds": len(seeds),
        "correct": correct,
        "accuracy": spread_of([k / n for k in correct]),
        "interval": [min(end.low for end in ends), max(end.high for end in ends)],
        **dict.fromkeys(("difference", "ci95", "p_value", "p_holm")),
    }
    if measure != GENERATED:
        found = paired_over_seeds(right, written)
        row |= {"difference": found.difference, "ci95": [found.low, found.high], "p_value": found.p_value}
    return row
