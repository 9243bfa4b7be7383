"""What a judge said, for a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sert.judge.prompt import CRITERIA
from sert.report.format import count, decimal, percent
from sert.report.names import method_name
from sert.report.table import Table, plain_table, wrap

Summary = Mapping[str, Any]
"""A row of `judged` in `metrics.json`, or the content of `scores.json`."""

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
    reasons = ", ".join(f"{reason} {number}" for reason, number in summary["failures"].items())
    yield f"Replies: {summary['replies']}, of which {failed} gave no scores" + (f" ({reasons})." if failed else ".")
    for name, each in summary["agreement"].items():
        if each["num_pairs"]:
            yield (
                f"Repeats, {name.replace('_', ' ')}: {decimal(each['mean_difference'])} points apart on "
                f"average, {percent(each['within_one_share'])} % within 1 ({each['num_pairs']} pairs)"
            )


def judge_warnings(summaries: Iterable[Summary]) -> list[str]:
    """Warn of judges that do not tell planted texts apart; takes the rows of `judged`."""
    judges = dict.fromkeys(str(each["judge"]) for each in summaries if not each["calibration"]["separates"])
    return [
        f"The judge {judge} does not tell planted good texts from bad ones; what it scores says little."
        for judge in judges
    ]


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    first = row[CRITERIA[0]]
    scores = (_score(row[name]) for name in CRITERIA)
    name = PLANTED.get(row["source"], method_name(str(row["source"])))
    return (name, *scores, count(first["num_scored"]), count(first["num_failed"]))


def _score(score: Mapping[str, Any]) -> str:
    mean, interval = decimal(score["mean"]), score["interval"]
    return mean if interval is None else f"{mean} ±{decimal((interval[1] - interval[0]) / 2)}"
