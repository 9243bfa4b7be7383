"""What the replies of a judge come to."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from sert.judge.agreement import agreement, criterion_summary
from sert.judge.planted import Kind, calibration_gap, separates
from sert.judge.prompt import CRITERIA
from sert.judge.reply import Scores
from sert.records import Judgement, PathKey

PLANTED: tuple[Kind, ...] = ("good", "bad")
"""The sources of planted texts."""


def summarize_judgements(rows: Sequence[Judgement], *, judge: str, output: str) -> dict[str, Any]:
    """Say what replies come to: scores by whose text it is, planted texts, agreement, and why replies failed."""
    sources = dict.fromkeys(row.source for row in rows)
    by_item = _by_item(rows)
    gaps = calibration_gap(
        (kind, scores)
        for kind in PLANTED
        for item, repeats in by_item.items()
        if item.source == kind
        for scores in repeats
    )
    return {
        "judge": judge,
        "output": output,
        "replies": len(rows),
        "failures": dict(Counter(row.failure for row in rows if row.failure is not None)),
        "rows": [_source_row(source, by_item) for source in sources],
        "calibration": {"separates": separates(gaps), **{name: gap._asdict() for name, gap in gaps.items()}},
        "agreement": {name: each._asdict() for name, each in agreement(list(by_item.values())).items()},
    }


class _Item(NamedTuple):
    """A text that was judged, once or several times."""

    source: str
    question_id: str
    branch: int | None
    sample: int | None


def _by_item(rows: Iterable[Judgement]) -> dict[_Item, list[Scores | None]]:
    by_item: dict[_Item, list[Scores | None]] = {}
    for row in rows:
        item = _Item(row.source, row.question_id, row.branch, row.sample)
        by_item.setdefault(item, []).append(_scores_of(row))
    return by_item


def path_scores(rows: Iterable[Judgement]) -> dict[str, dict[PathKey, Scores]]:
    """Average the readable replies of each judged path: source -> path -> scores. A path without one is left out."""
    found: dict[str, dict[PathKey, Scores]] = {}
    for item, repeats in _by_item(rows).items():
        readable = [scores for scores in repeats if scores is not None]
        if item.branch is not None and item.sample is not None and readable:
            means = Scores(*(fmean(values) for values in zip(*readable, strict=True)))
            found.setdefault(item.source, {})[PathKey(item.question_id, item.branch, item.sample)] = means
    return found


def _scores_of(row: Judgement) -> Scores | None:
    values = [getattr(row, name) for name in CRITERIA]
    return None if row.failure is not None else Scores(*values)


def _source_row(source: str, by_item: Mapping[_Item, list[Scores | None]]) -> dict[str, Any]:
    """Summarize one source: a text counts with the mean of its readable replies, and as failed without one."""
    items = [repeats for item, repeats in by_item.items() if item.source == source]
    row: dict[str, Any] = {"source": source, "n": len(items)}
    for name in CRITERIA:
        means = []
        for repeats in items:
            values = [getattr(scores, name) for scores in repeats if scores is not None]
            means.append(sum(values) / len(values) if values else None)
        row[name] = criterion_summary(means)._asdict()
    return row
