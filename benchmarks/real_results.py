"""Runs and prospects of a pretrained student as published: keeps them, compares reruns, writes the tables.

python -m benchmarks.real_results runs/multiarith-smollm2
python -m benchmarks.real_results runs/multiarith-smollm2 --keep
python -m benchmarks.real_results prospects/multiarith-smollm2 --keep
python -m benchmarks.real_results --tables

Kept in `docs/results/smollm2/` are the report's tables and numbers, the test outputs that they are of, and the selected
paths; of a prospect its numbers. Questions and weights are not. The tables are those of `docs/results/smollm2.md`.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.gradings import FOLDER, by_perplexity, graded_outputs, graded_paths
from benchmarks.lab_results import BEGIN, END, differences, head, line, published
from sert.analysis.results import read_results
from sert.analysis.task_results import TaskResults
from sert.report.comparing import significance
from sert.report.format import MISSING, p_value, percent, percent_interval, points, points_interval
from sert.report.names import method_name
from sert.report.prospect.page import NUMBERS as PROSPECT
from sert.runs.build import build_arms
from sert.runs.request import read_request
from sert.stats.holm import holm
from sert.stats.seeds import paired_over_seeds, paired_where
from sert.terminal.progress import Silent

PAGE = FOLDER.with_suffix(".md")
SEED = re.compile(r"-seed\d+$")
"""How the names of runs end that differ from the one without it by their seed."""
Row = Mapping[str, Any]
LEFT_OUT = ("created", "sert_version", "config_key")
OUTPUT = ("question_id", "completion", "finish", "num_tokens", "answer_strict", "answer_loose", "correct_strict",
          "correct_loose", "format_ok", "rep_1", "reasoning_tokens", "reasoned")  # fmt: skip
"""What is kept of each output, beside the task, the method and the gold answer."""
PATH = ("question_id", "branch", "sample", "text", "finish", "num_tokens", "perplexity", "rep_2")
"""What is kept of each selected path, beside the task and whether its own conclusion is the gold answer."""


def numbers_of(report: Path) -> dict[str, Any]:
    """Read the numbers of a report, but for what every run has of its own."""
    file = report / PROSPECT if (report / PROSPECT).is_file() else report / "metrics.json"
    numbers = json.loads(file.read_text(encoding="utf-8"))
    return published(numbers, left_out=LEFT_OUT)


def keep(run: Path) -> None:
    """Keep what a run or a prospect measured."""
    folder, report = FOLDER / run.name, run / "report"
    folder.mkdir(parents=True, exist_ok=True)
    name = PROSPECT if (report / PROSPECT).is_file() else "metrics.json"
    (folder / name).write_text(json.dumps(numbers_of(report), indent=1) + "\n", encoding="utf-8")
    if name == PROSPECT:
        return
    lines = (report / "table.md").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "table.md").write_text("".join(each for each in lines if not each.startswith("![")), encoding="utf-8")
    arms = build_arms(read_request(run).arms, out=run, reporter=Silent())
    results = [read_results(graph) for arm in arms for graph in arm.tasks]
    for name, rows in (("outputs", outputs), ("selected", selected)):
        table = pa.Table.from_pylist([row for result in results for row in rows(result)])
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd", compression_level=19)


def outputs(result: TaskResults) -> Iterator[dict[str, Any]]:
    """List the outputs that comparisons are about."""
    for method, measured in result.methods.items():
        for each in measured.primary:
            about = {"task": result.task, "method": method, "gold": result.test[each.question_id].answer}
            yield about | {name: getattr(each, name) for name in OUTPUT}


def selected(result: TaskResults) -> Iterator[dict[str, Any]]:
    """List the paths that SERT was trained on."""
    for last in result.rounds[-1:]:
        for path, verdict in zip(last.paths, last.verdicts, strict=True):
            if verdict.selected:
                about = {"task": result.task, "agrees": verdict.agrees}
                yield about | {name: getattr(path, name) for name in PATH}


def kept(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """List what was kept under a file name: the run, and its numbers."""
    for file in sorted(FOLDER.glob(f"*/{name}")):
        yield file.parent.name, json.loads(file.read_text(encoding="utf-8"))


def tables() -> str:
    """Write the tables of the page in Markdown."""
    found = [
        f"### {table.__doc__}\n\n" + "\n".join(table())
        for table in (prospects, graded_paths, by_perplexity, graded_outputs, results, comparisons, seeds)
    ]
    return "\n\n".join(found)


def prospects() -> Iterator[str]:
    """Prospects: train questions, 25 paths of each by branching (Gemma: 10), percent"""
    yield from head(
        *("prospect", "questions", "tokens at most", "right / wrong / unread / cut", "right of answered"),
        *("raw sampling", "chance", "kept: right of answered", "dropped", "difference within questions, points"),
        *("by likelihood: words / a character / letter", "questions to tell five points", "verdict"),
    )
    for name, found in kept(PROSPECT):
        branching, raw, _ = found["decodings"]
        (look,) = [look for look in found["looks"] if look["kind"] == "kept"] or [None]
        likely = [_by_likelihood(found, measure) for measure in ("cloze_raw", "cloze", "letter")]
        inside, outside = (_answered(look[side]) if look else MISSING for side in ("inside", "outside"))
        yield line(
            name,
            found["questions"]["asked"],
            found["max_new_tokens"],
            " / ".join(percent(branching[each]["share"]) for each in ("right", "wrong", "unread", "cut")),
            _answered(branching),
            _answered(raw),
            percent(found["chance"]["best"]),
            inside,
            outside,
            _look_difference(look),
            " / ".join(likely),
            _needed(found),
            found["verdict"]["level"],
        )


def results() -> Iterator[str]:
    """Students: test questions, greedy outputs at the epoch that dev chose, percent"""
    heads = ("run", "method", "right, loosely read", "95 %", "strictly: right / wrong / unread / cut")
    yield from head(*heads, "right of answered", "95 %", "reasons")
    for name, found in kept("metrics.json"):
        for row in (row for row in found["rows"] if row["primary"]):
            yield line(
                name,
                method_name(row["method"]),
                f"{row['correct']}/{row['n']}, {percent(row['accuracy'])}",
                percent_interval(row["ci95"]),
                " / ".join(percent(row[each]) for each in ("right", "wrong", "unread", "cut")),
                f"{row['correct_strict']}/{row['answered']}",
                percent_interval(row["right_of_answered_ci95"]) if row["answered"] else MISSING,
                percent(row["reasoned"]),
            )
        for task in found["tasks"]:
            always, share = task["majority_answer"], percent(task["majority_accuracy"])
            yield line(name, f"always “{always}”", share, *[""] * 5)


def comparisons() -> Iterator[str]:
    """Comparisons of students, over all questions and among those that both answered, points"""
    heads = ("run, comparison", "difference", "95 %", "p, Holm", "both answered", "95 %", "told")
    yield from head(*heads)
    for name, found in kept("metrics.json"):
        for row in (row for row in found["comparisons"] if row["group"] is None):
            both = row["both_answered"]
            yield line(
                f"{name}, {method_name(row['a'])} against {method_name(row['b'])}",
                points(row["difference"]),
                points_interval(row["ci95"]),
                p_value(row["p_holm"]),
                f"{points(both['difference'])} of {both['n']}" if both else MISSING,
                points_interval(both["ci95"]) if both else MISSING,
                significance(row),
            )


def seeds() -> Iterator[str]:
    """Over seeds: right answers of each; differences over all questions and among those that both answered, points"""
    heads = ("run", "students", "right or difference, each seed", "mean", "95 %", "p, Holm", "both answered", "95 %")
    yield from head(*heads)
    groups: dict[str, list[str]] = {}
    for name, _ in kept("metrics.json"):
        groups.setdefault(SEED.sub("", name), []).append(name)
    for group, names in groups.items():
        if len(names) > 1:
            yield from _seeds_of(group, names)


def _seeds_of(group: str, names: Sequence[str]) -> Iterator[str]:
    """List the methods of runs that differ in their seeds, and their comparisons."""
    rows = [pq.read_table(FOLDER / name / "outputs.parquet").to_pylist() for name in names]
    right = [{(row["method"], row["question_id"]): row["correct_loose"] for row in each} for each in rows]
    stated = [{(row["method"], row["question_id"]): row["answer_strict"] is not None for row in each} for each in rows]
    questions = sorted({row["question_id"] for row in rows[0]})

    def of(found: Sequence[Mapping[tuple[str, str], bool]], method: str) -> list[list[bool]]:
        return [[seed[method, question] for question in questions] for seed in found]

    for method in dict.fromkeys(row["method"] for row in rows[0]):
        counts = [sum(seed) for seed in of(right, method)]
        told = f"{', '.join(map(str, counts))} of {len(questions)}"
        yield line(group, method_name(method), told, percent(fmean(counts) / len(questions)), *[""] * 4)
    pairs = [(row["a"], row["b"]) for row in dict(kept("metrics.json"))[names[0]]["comparisons"] if not row["group"]]
    found = [paired_over_seeds(of(right, a), of(right, b)) for a, b in pairs]
    for (a, b), each, p in zip(pairs, found, holm([each.p_value for each in found]), strict=True):
        counted = [
            [x and y for x, y in zip(*seed, strict=True)] for seed in zip(of(stated, a), of(stated, b), strict=True)
        ]
        both = paired_where(of(right, a), of(right, b), counted=counted)
        yield line(
            group,
            f"{method_name(a)} against {method_name(b)}",
            ", ".join(
                points(sum(x) / len(x) - sum(y) / len(y)) for x, y in zip(of(right, a), of(right, b), strict=True)
            ),
            points(each.difference),
            points_interval((each.low, each.high)),
            p_value(p),
            f"{points(both.difference)} of {both.n}" if both else MISSING,
            points_interval((both.low, both.high)) if both else MISSING,
        )


def _answered(row: Row) -> str:
    share = row["right_of_answered"]
    if not share["of"]:
        return MISSING
    told = f"{share['hits']}/{share['of']}, {percent(share['share'])}"
    return f"{told} ({percent_interval(share['ci95'])})" if share["ci95"] else told


def _look_difference(look: Row | None) -> str:
    told = look and (look.get("difference") or {}).get("right_of_answered")
    return f"{points(told['difference'])} ({points_interval(told['ci95'])})" if told else MISSING


def _needed(found: Row) -> str:
    needed = (found["needed"] or {}).get("questions")
    return f"{needed:,}" if needed else MISSING


def _by_likelihood(found: Row, measure: str) -> str:
    rows = [row for row in found["likelihood"] or [] if row["measure"] == measure]
    return percent(rows[0]["right"]["share"]) if rows else MISSING


def with_tables(page: str) -> str:
    """Put the tables in their place in the page."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}"


def main(arguments: Sequence[str]) -> int:
    """Keep, compare, or write the tables."""
    if arguments == ["--tables"]:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    run = Path(arguments[0])
    if "--keep" in arguments:
        keep(run)
        return 0
    found = [*differences(numbers_of(run / "report"), numbers_of(FOLDER / run.name))]
    print("\n".join(found) or "The same numbers as published.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
