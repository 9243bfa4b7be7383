"""What was measured of a result, for its card: each share as k of n, with its 95 % interval."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from sert.export.markdown import table
from sert.export.sources import Source
from sert.export.tables import opened_table
from sert.stats.clusters import clustered_share
from sert.stats.shares import Interval, wilson_interval

HEADINGS = ("of", "what", "count", "share", "95 % interval")
HOW_COUNTED = (
    "An output is right by the answer that it states, else by the first plausible one in it; the strict count takes "
    "stated answers alone. An output without an answer is wrong. Intervals are Wilson's, over questions; of paths, "
    "which come several a question, they are widened by how much those of a question are alike. One seed each: other "
    "seeds of a training vary by more than these intervals say."
)


class Measured(NamedTuple):
    """One share.

    Attributes:
        what: What is counted.
        hits, total: k of n.
        interval: Its 95 % interval; None where there is none to give.
    """

    what: str
    hits: int
    total: int
    interval: Interval | None

    @property
    def share(self) -> float:
        """The quotient, 0 where there is nothing."""
        return self.hits / self.total if self.total else 0.0

    def row(self, name: str) -> tuple[str, str, str, str, str]:
        """Write it for a table."""
        ends = " to ".join(f"{100 * end:.1f} %" for end in self.interval) if self.interval else "-"
        return (name, self.what, f"{self.hits}/{self.total}", f"{100 * self.share:.1f} %", ends)


def measured(source: Source) -> list[Measured]:
    """Collect the shares of a result: of evaluations, of filtering and of a teacher's rationales; of others none."""
    of_kind = {"evaluate": _evaluated, "filter": _filtered, "teach": _taught}
    find = of_kind.get(source.kind)
    return [] if find is None else list(find(source))


def measured_table(rows: list[tuple[str, Measured]]) -> Iterator[str]:
    """Write shares, each with the name of its result, as a section of a card; nothing where there are none."""
    if rows:
        yield from ("", "## Results", "")
        yield from table(HEADINGS, [each.row(name) for name, each in rows])
        yield from ("", HOW_COUNTED)


def _evaluated(source: Source) -> Iterator[Measured]:
    counts = source.artifact.counts
    n = int(counts["n"])
    yield _over_questions("right", int(counts["correct"]), n)
    yield _over_questions("right, strictly read", int(counts["correct_strict"]), n)
    majority = round(float(counts["majority_accuracy"]) * n)
    yield Measured("the most frequent gold answer, always given", majority, n, None)


def _filtered(source: Source) -> Iterator[Measured]:
    counts = source.artifact.counts
    questions, selected = int(counts["questions"]), int(counts["selected"])
    with_path = questions - int(counts["questions_without_path"])
    yield _paths_kept(source)
    yield _over_questions("questions with a path to train on", with_path, questions)
    agreeing = _over_questions(
        "of the selected paths, conclude the gold answer", int(counts["selected_agree"]), selected
    )
    yield agreeing if selected == with_path else agreeing._replace(interval=None)  # several of a question are alike


def _taught(source: Source) -> Iterator[Measured]:
    counts = source.artifact.counts
    yield _over_questions("rationales whose own answer is right", int(counts["correct"]), int(counts["rationales"]))


def _over_questions(what: str, hits: int, total: int) -> Measured:
    return Measured(what, hits, total, wilson_interval(hits, total) if total else None)


def _paths_kept(source: Source) -> Measured:
    kept, all_of = Counter[Any](), Counter[Any]()
    with opened_table(source.artifact.file("verdicts.parquet")) as opened:
        for batch in opened.iter_batches(columns=["question_id", "reason"]):
            for row in batch.to_pylist():
                all_of[row["question_id"]] += 1
                kept[row["question_id"]] += row["reason"] is None
    share = clustered_share([kept[each] for each in all_of], list(all_of.values()))
    return Measured("paths that the rules keep", kept.total(), all_of.total(), share.interval)
