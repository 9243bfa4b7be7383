"""Comparisons of mined paths: shapes of mining at equal budget, and what the rules select with what was mined.

The unit is the question, averaged over seeds. All comparisons of a grid are one family for Holm's correction.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sert.analysis.comparisons import corrected, mean_difference
from sert.analysis.path_counts import PathCounts
from sert.config.grid import MAIN, Arm
from sert.stats.counts import Row


@dataclass(frozen=True)
class MinedPaths:
    """What one mining is worth, question by question, in the order of the train questions.

    Attributes:
        questions_kept: Whether a path of the question is kept, 0 or 1.
        true_share: Share of its paths that is true, 0 where it was too long for any; empty where nobody can say, or
            paths were stopped early.
        selected_true: Whether its selected path is true; None where none is selected.
    """

    student: str
    task: str
    variant: str
    seed: int
    questions_kept: Sequence[float]
    true_share: Sequence[float]
    selected_true: Sequence[float | None]

    @property
    def questions_true(self) -> list[float]:
        """Whether a path of the question is true, 0 or 1."""
        return [float(share > 0) for share in self.true_share]


def mined_paths(arm: Arm, task: str, counts: PathCounts) -> MinedPaths:
    """Keep what comparisons need of the mined paths of one run."""
    questions = list(counts.by_question.values())
    known = questions if counts.truth_is_known else []
    return MinedPaths(
        student=arm.student,
        task=task,
        variant=arm.variant,
        seed=arm.seed,
        questions_kept=[float(each["kept"] > 0) for each in questions],
        true_share=[each["true"] / each["paths"] if each["paths"] else 0.0 for each in known],
        selected_true=[float(each["selected_true"]) if each["selected"] else None for each in known],
    )


def compare_paths(mined: Iterable[MinedPaths]) -> list[Row]:
    """Compare what was selected with what was mined, and main with each other shape, on the seeds that both have."""
    cells: dict[tuple[str, str, str], dict[int, MinedPaths]] = defaultdict(dict)
    for each in mined:
        cells[each.student, each.task, each.variant][each.seed] = each
    rows: list[Row] = []
    for (student, task, variant), theirs in cells.items():
        about = {"student": student, "task": task}
        main = cells.get((student, task, MAIN), {})
        if variant == MAIN:
            pairs = [(each.selected_true, each.true_share) for each in main.values()]
            rows += _difference({**about, "a": "selected", "b": "mined", "measure": "true_share"}, pairs)
            continue
        for measure in ("true_share", "questions_true", "questions_kept"):
            both = [(main[seed], each) for seed, each in theirs.items() if seed in main]
            pairs = [(getattr(ours, measure), getattr(other, measure)) for ours, other in both]
            rows += _difference({**about, "a": MAIN, "b": variant, "measure": measure}, pairs)
    return corrected(rows)


def _difference(about: Row, pairs: Sequence[tuple[Sequence[float | None], Sequence[float | None]]]) -> Iterator[Row]:
    """Compare over the seeds where both are known."""
    known = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
    return mean_difference({**about, "seeds": len(known)}, known)
