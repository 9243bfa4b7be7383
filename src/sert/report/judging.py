"""What a judge said, for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from sert.report import cells
from sert.report.table import Table, plain_table, wrap

Summary = Mapping[str, Any]
"""A row of `judged` in `metrics.json`, or the content of `scores.json`."""

CRITERIA = ("coherence", "relevance", "logical_consistency", "completeness")
PLANTED = {"good": "Planted: good", "bad": "Planted: bad"}


def judging_table(summary: Summary) -> Table:
    """Lay out scores by whose texts they are, each mean with half its 95 % interval; planted texts come last."""
    rows = sorted(summary["rows"], key=lambda row: row["source"] in PLANTED)
    header = ("Outputs", *(name.replace("_", " ").capitalize() for name in CRITERIA), "Scored", "Failed")
    return Table(header, [_row(row) for row in rows])


def judging_text(summary: Summary) -> str:
    """Write the table, and under it how far the judge can be trusted."""
    title = f"Scores of 0 to 10 by {summary['judge']}, mean ± half the 95 % interval"
    return "\n".join([wrap(title), "", plain_table(judging_table(summary)), "", *map(wrap, judging_trust(summary))])


def judging_trust(summary: Summary) -> Iterator[str]:
    """Say how far the scores can be trusted: planted texts, failed replies, repeats."""
    if summary["calibration"]["separates"]:
        yield "The judge tells the planted good texts from the bad ones by every criterion."
    else:
        yield "This judge does not tell planted good texts from bad ones; its scores say little."
    failed = sum(summary["failures"].values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary["failures"].items())
    yield f"Replies: {summary['replies']}, of which {failed} gave no scores" + (f" ({reasons})." if failed else ".")
    for name, each in summary["agreement"].items():
        if each["num_pairs"]:
            yield (
                f"Repeats, {name.replace('_', ' ')}: {cells.decimal(each['mean_difference'])} points apart on "
                f"average, {cells.percent(each['within_one_share'])} % within 1 ({each['num_pairs']} pairs)"
            )


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    first = row[CRITERIA[0]]
    scores = (_score(row[name]) for name in CRITERIA)
    name = PLANTED.get(row["source"], cells.method_name(str(row["source"])))
    return (name, *scores, cells.count(first["num_scored"]), cells.count(first["num_failed"]))


def _score(score: Mapping[str, Any]) -> str:
    mean, interval = cells.decimal(score["mean"]), score["interval"]
    return mean if interval is None else f"{mean} ±{cells.decimal((interval[1] - interval[0]) / 2)}"
