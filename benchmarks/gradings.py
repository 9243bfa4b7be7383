"""Texts that were read and graded by two readers each, by the rules in `docs/results/grading.md`, and their tables."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pyarrow.parquet as pq
from scipy.stats import pearsonr, rankdata, spearmanr

from benchmarks.lab_results import head, line
from sert.judge.prompt import CRITERIA
from sert.report.format import decimal, with_sign
from sert.report.names import method_name
from sert.stats.means import paired_bootstrap

FOLDER = Path(__file__).parent.parent / "docs" / "results" / "smollm2"
PATHS, OUTPUTS = "grades.parquet", "grades_outputs.parquet"
KINDS = ("selected", "dropped", "raw")
"""Kinds of paths that were graded."""
OTHERS = {"zero_shot": "zero-shot", "sert": "SERT", "rd": "RD", "rd_twice": "RD of two epochs"}
"""Students whose outputs others are compared with."""
NAMES = {"rd_twice": OTHERS["rd_twice"], "sert_low": "SERT of the lower half"}
REASONING_TOKENS = 25
"""Tokens from which on a path is compared by its perplexity, those of the paper's length rule."""
Row = Mapping[str, Any]


def graded_paths() -> Iterator[str]:
    """Paths read and graded: means of two readers, 0 to 10; differences of the scores (the mean of the four), 95 %"""
    yield from head("task, paths", "texts", *CRITERIA, "score", "minus dropped", "minus raw samples")
    rows = _rows(PATHS)
    for task in dict.fromkeys(row["task"] for row in rows):
        of = {kind: [row for row in rows if (row["task"], row["kind"]) == (task, kind)] for kind in KINDS}
        for kind in KINDS:
            others = KINDS[KINDS.index(kind) + 1 :]
            differences = (_minus(of[kind], of[other]) if other in others else "" for other in KINDS[1:])
            yield line(f"{task}, {kind}", *_means(of[kind]), *differences)


def graded_outputs() -> Iterator[str]:
    """Outputs read and graded: the same, by method, all of a reading on the same test questions"""
    yield from head("reading, method", "texts", *CRITERIA, "score", *(f"minus {each}" for each in OTHERS.values()))
    rows = _rows(OUTPUTS)
    for reading in dict.fromkeys(row["reading"] for row in rows):
        methods = dict.fromkeys(row["method"] for row in rows if row["reading"] == reading)
        of = {each: [row for row in rows if (row["reading"], row["method"]) == (reading, each)] for each in methods}
        for method in methods:
            differences = (
                _minus(of[method], of[each]) if each in methods and each != method else "" for each in OTHERS
            )
            yield line(f"{reading}, {NAMES.get(method) or method_name(method)}", *_means(of[method]), *differences)


def by_perplexity() -> Iterator[str]:
    """Perplexity and grades: selected and dropped paths of 25 tokens or more, Spearman's correlation with the score"""
    yield from head("task", "texts", "correlation", "95 %", "median perplexity, selected", "dropped")
    rows = [row for row in _rows(PATHS) if row["kind"] != "raw" and (row["tokens"] or 0) >= REASONING_TOKENS]
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        medians = (median(row["perplexity"] for row in own if row["kind"] == kind) for kind in KINDS[:2])
        found = pearsonr(rankdata([row["perplexity"] for row in own]), rankdata([_score(row) for row in own]))
        ends = found.confidence_interval()
        told = with_sign(found.statistic, 2), f"{with_sign(ends.low, 2)} to {with_sign(ends.high, 2)}"
        yield line(task, len(own), *told, *map(decimal, medians))


def agreement(file: str) -> tuple[float, float]:
    """Tell how far two readers agree on a text's score: mean absolute difference, and Spearman's correlation."""
    a, b = ([fmean(row[f"{each}_{reader}"] for each in CRITERIA) for row in _rows(file)] for reader in "ab")
    return fmean(abs(x - y) for x, y in zip(a, b, strict=True)), float(spearmanr(a, b).statistic)


def _rows(file: str) -> list[Row]:
    found: list[Row] = pq.read_table(FOLDER / file).to_pylist()
    return found


def _means(rows: Sequence[Row]) -> list[str]:
    """Count texts and average their grades, each criterion's and all four."""
    means = [fmean((row[f"{each}_a"] + row[f"{each}_b"]) / 2 for row in rows) for each in CRITERIA]
    return [str(len(rows)), *map(decimal, means), decimal(fmean(means))]


def _scores(rows: Sequence[Row]) -> dict[str, float]:
    return {row["question_id"]: _score(row) for row in rows}


def _score(row: Row) -> float:
    """Average both readers' four grades."""
    return fmean(row[f"{each}_{reader}"] for each in CRITERIA for reader in "ab")


def _minus(ours: Sequence[Row], theirs: Sequence[Row]) -> str:
    """Compare two kinds of texts on the questions that have both."""
    a, b = _scores(ours), _scores(theirs)
    both = sorted(a.keys() & b.keys())
    found = paired_bootstrap([a[name] for name in both], [b[name] for name in both], seed=0)
    ends = f"{with_sign(found.low, 2)} to {with_sign(found.high, 2)}"
    return f"{with_sign(found.difference, 2)} ({ends}; {len(both)} questions)"
