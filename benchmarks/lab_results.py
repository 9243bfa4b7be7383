"""The lab grid as published: compares a run of it with `docs/results/lab.json`, or writes that file and its tables.

python -m benchmarks.lab_results runs/lab/report/metrics.json
python -m benchmarks.lab_results runs/lab/report/metrics.json --write
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from sert.config.tree import Method
from sert.report.comparing import reads_as
from sert.report.format import (
    MISSING,
    count,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
    spread,
    unsigned_points,
)
from sert.report.names import PATH_MEASURES, group_name, method_name
from sert.tasks.standing import STANDINGS

FOLDER = Path(__file__).parent.parent / "docs" / "results"
LEFT_OUT = ("created", "sert_version", "config_key", "rows", "latent")  # the key changes with every new setting
DIGITS = 9
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
METHODS = get_args(Method)

Metrics = dict[str, Any]
Row = dict[str, Any]


def published(metrics: Metrics, *, left_out: Sequence[str] = LEFT_OUT) -> Metrics:
    """Keep what is published, rounded: of the grid all but the rows of single seeds."""
    return {name: rounded(content) for name, content in metrics.items() if name not in left_out}


def differences(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Say where our result differs from theirs, which is published. A number that is not in theirs is no difference."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in theirs:
            yield from differences(ours.get(key), theirs.get(key), f"{place}.{key}" if place else key)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (left, right) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(left, right, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place}: {ours!r}, published {theirs!r}"


def render(metrics: Metrics) -> str:
    """Write the tables in Markdown."""
    tables = [_methods, _standings, _comparisons, _answered, _minings, _mined]
    tables += [_path_comparisons, _funnel, _amounts, _variants, _bands]
    return "\n\n".join(text for table in tables for text in (f"### {table.__doc__}", "\n".join(table(metrics))))


def _methods(metrics: Metrics) -> Iterator[str]:
    """Methods: accuracy in percent, mean and standard deviation over five seeds, 240 test questions a task"""
    choices = ("dev", "test-best")
    heads = ("last step", "right, by seed", "95 %, other seeds", "dev-chosen", "test-best", "every step true")
    yield from head("task, method", *heads)
    for task in _tasks(metrics):
        for method in METHODS:
            rows = {
                row["epoch_choice"] or "last": row
                for row in metrics["summary"]
                if (row["task"], row["variant"], row["method"]) == (task, "main", method)
            }
            last = rows["last"]
            yield line(
                f"{task}, {method_name(method)}",
                spread(last["accuracy"]),
                ", ".join(map(str, last["correct"])),
                percent_interval(last["accuracy"]["ci95"]),
                *(spread(rows[choice]["accuracy"]) if choice in rows else MISSING for choice in choices),
                spread(last["true_paths"]),
            )
    for task in metrics["tasks"]:
        yield line(f"{task['task']}, always “{task['majority_answer']}”", percent(task["majority_accuracy"]), *[""] * 5)


def _standings(metrics: Metrics) -> Iterator[str]:
    """Right, wrong, unread and cut at the dev-chosen epoch, in percent: mean over five seeds"""
    yield from head("task, method", *STANDINGS, "right of answered", "right of answered, by seed")
    for row in metrics["summary"]:
        if row["variant"] == "main" and row["primary"]:
            seeds = zip(row["correct_strict"], row["answered"], strict=True)
            yield line(
                f"{row['task']}, {method_name(row['method'])}",
                *(percent(row[name]["mean"]) for name in STANDINGS),
                spread(row["right_of_answered"]),
                ", ".join(f"{right}/{answered}" for right, answered in seeds),
            )


def _comparisons(metrics: Metrics) -> Iterator[str]:
    """Comparisons of methods, at the dev-chosen epoch: in points (detectable: with one seed, uncorrected)"""
    yield from head("task, comparison", "difference", "95 %", "p, Holm", "by seed", "95 %, other seeds", "detectable")
    for row in metrics["comparisons"]:
        if row["group"] is None:
            yield line(
                f"{row['task']}, {method_name(row['a'])} against {method_name(row['b'])}",
                *_difference(row),
                ", ".join(points(each) for each in row["by_seed"]),
                points_interval(row["ci95_seeds"]),
                unsigned_points(row["detectable"]),
            )


def _answered(metrics: Metrics) -> Iterator[str]:
    """The same comparisons among the questions that both answered: points"""
    yield from head("task, comparison", "both answered, %", "difference", "95 %", "p, Holm", "verdict")
    for row in metrics["comparisons"]:
        if row["group"] is None:
            both = row["both_answered"]
            name = f"{row['task']}, {method_name(row['a'])} against {method_name(row['b'])}"
            yield line(name, percent(both["share"]), *_difference(both), reads_as(row))


def _minings(metrics: Metrics) -> Iterator[str]:
    """What 25 paths a train question are worth (branches x samples), in percent"""
    yield from head("task, shape", "paths", "true", "questions with a true one", "kept", "questions with a kept one")
    for row in metrics["budget"]:
        shape = "raw sampling" if row["branches"] == 0 else f"{row['branches']} x {row['samples']}"
        shares = ("true_share", "questions_true_share", "kept_share", "questions_kept_share")
        yield line(f"{row['task']}, {shape}", count(row["paths"]), *(percent(row[each]) for each in shares))


def _mined(metrics: Metrics) -> Iterator[str]:
    """How sampled outputs stand, in percent: of test questions by decoding, of train questions the mined paths"""
    yield from head("task, outputs of", "outputs", *STANDINGS, "right of answered", "95 %, questions")
    for row in metrics["standings"]:
        if row["of"] in ("decoding", "mined", "branch"):
            right = row["right_of_answered"]
            yield line(
                f"{row['task']}, {group_name(row)}",
                count(row["paths"]),
                *(percent(row[name]["share"]) for name in STANDINGS),
                percent(right["share"]),
                percent_interval(right["ci95"]),
            )


def _path_comparisons(metrics: Metrics) -> Iterator[str]:
    """The same, compared question by question: points"""
    yield from head("task, paths", "of each question", "difference", "95 %", "p, Holm", "questions, seeds")
    for row in metrics["paths"]:
        about = f"{row['task']}, {row['a']} against {row['b']}".replace("main", "5 x 5")
        yield line(about, PATH_MEASURES[row["measure"]], *_difference(row), f"{row['n']}, {row['seeds']}")


def _funnel(metrics: Metrics) -> Iterator[str]:
    """The rules in order: paths left, and how many percent of them are true"""
    tasks = _tasks(metrics)
    yield from head("after", *(f"{task}: {what}" for task in tasks for what in ("left", "true")))
    by_rule: dict[str, list[str]] = {}
    for row in metrics["funnel"]:
        by_rule.setdefault(row["rule"], []).extend([count(row["remaining"]), percent(row["true_share"])])
    yield from (line(rule, *found) for rule, found in by_rule.items())


def _amounts(metrics: Metrics) -> Iterator[str]:
    """Rationales of the teacher: accuracy after the last step, and SERT+RD against RD in points"""
    yield from head("task, rationales", "RD", "SERT+RD", "difference", "95 %", "p, Holm", "seeds", "95 %, other seeds")
    accuracy = {(row["task"], row["method"], row["rationales"]): row["accuracy"] for row in metrics["amounts"]}
    for row in metrics["amount_comparisons"]:
        task, amount = row["task"], row["rationales"]
        both = (spread(accuracy[task, method, amount]) for method in ("rd", "sert+rd"))
        yield line(f"{task}, {amount}", *both, *_difference(row), row["seeds"], points_interval(row["ci95_seeds"]))


def _variants(metrics: Metrics) -> Iterator[str]:
    """Ablations against main, after the last step: points, 95 %, p by Holm over these and those of rationales"""
    tasks = _tasks(metrics)
    yield from head("variant", "method", *(f"{task}" for task in tasks), "seeds")
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in metrics["comparisons"]:
        if row["group"] is not None and row["group"] != "rationales":
            found.setdefault((row["a"], row["method"]), {})[row["task"]] = row
    for (variant, method), rows in found.items():
        texts = ("{} ({}), p {}".format(*_difference(rows[task])) for task in tasks)
        marked = f"{variant} (not trained)" if any(row["untrained"] for row in rows.values()) else variant
        yield line(marked, method_name(method), *texts, next(iter(rows.values()))["seeds"])


def _bands(metrics: Metrics) -> Iterator[str]:
    """Figure 1: percent of 100 test questions with at least one path that scores 8 to 10, five seeds"""
    tasks = _tasks(metrics)
    yield from head("paths of", "paths each", *tasks)
    found: dict[str, dict[str, Row]] = {}
    for row in metrics["bands"]:
        if row["band"] == "8-10":
            found.setdefault(row["source"], {})[row["task"]] = row
    for source, rows in found.items():
        yield line(source, rows[tasks[0]]["samples"], *(percent(rows[task]["share"]) for task in tasks))


def _difference(row: Row) -> tuple[str, str, str]:
    return points(row["difference"]), points_interval(row["ci95"]), p_value(row["p_holm"])


def _tasks(metrics: Metrics) -> list[str]:
    return [row["task"] for row in metrics["tasks"]]


def head(*names: str) -> list[str]:
    return [line(*names), "|" + "---|" * len(names)]


def line(*texts: object) -> str:
    return f"| {' | '.join(map(str, texts))} |"


def rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [rounded(value) for value in content]
    return float(f"{content:.{DIGITS}g}") if isinstance(content, float) else content


def with_tables(page: str, metrics: Metrics) -> str:
    """Put the tables in their place in a page."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{render(metrics)}\n{END}{rest.split(END)[1]}"


def main(arguments: Sequence[str]) -> int:
    """Compare, or write."""
    found = published(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    if "--write" in arguments:
        lines: Iterable[str] = (f"{json.dumps(name)}: {json.dumps(content)}" for name, content in found.items())
        (FOLDER / "lab.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        page = FOLDER / "lab.md"
        page.write_text(with_tables(page.read_text(encoding="utf-8"), found), encoding="utf-8")
        return 0
    differing = list(differences(found, json.loads((FOLDER / "lab.json").read_text(encoding="utf-8"))))
    print("\n".join(differing) or "The same numbers as published.")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
