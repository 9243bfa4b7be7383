"""Runs of a pretrained student as published, in `docs/results/smollm2/`: keeps what one measured, or compares with it.

python -m benchmarks.real_results runs/multiarith-smollm2
python -m benchmarks.real_results runs/multiarith-smollm2 --keep

Kept are the report's tables and numbers, the test outputs that they are of, and the selected paths. Questions and
weights are not.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.lab_results import differences, rounded
from sert.analysis.results import read_results
from sert.analysis.task_results import TaskResults
from sert.runs.build import build_arms
from sert.runs.request import read_request
from sert.terminal.progress import Silent

FOLDER = Path(__file__).parent.parent / "docs" / "results" / "smollm2"
LEFT_OUT = ("created", "sert_version", "config_key")
OUTPUT = ("question_id", "completion", "finish", "num_tokens", "answer_strict", "answer_loose", "correct_strict",
          "correct_loose", "format_ok", "rep_1", "reasoning_tokens", "reasoned")  # fmt: skip
"""What is kept of each output, beside the task, the method and the gold answer."""
PATH = ("question_id", "branch", "sample", "text", "finish", "num_tokens", "perplexity", "rep_2")
"""What is kept of each selected path, beside the task and whether its own conclusion is the gold answer."""


def numbers_of(report: Path) -> dict[str, Any]:
    """Read the numbers of a report, but for what every run has of its own."""
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    return {name: rounded(content) for name, content in metrics.items() if name not in LEFT_OUT}


def keep(run: Path) -> None:
    """Keep what a run measured."""
    folder, report = FOLDER / run.name, run / "report"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(report / "table.md", folder)
    (folder / "metrics.json").write_text(json.dumps(numbers_of(report), indent=1) + "\n", encoding="utf-8")
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


def main(arguments: Sequence[str]) -> int:
    """Keep, or compare."""
    run = Path(arguments[0])
    if "--keep" in arguments:
        keep(run)
        return 0
    found = [*differences(numbers_of(run / "report"), numbers_of(FOLDER / run.name))]
    print("\n".join(found) or "The same numbers as published.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
