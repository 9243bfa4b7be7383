"""Results that the tests of exports hand on."""

from collections.abc import Collection
from pathlib import Path

from sert.config.tree import EvaluationConfig, StudentConfig, TaskConfig
from sert.evaluation.prediction import evaluate
from sert.export.sources import Source, find_sources
from sert.records import Question
from sert.tasks.load import load_task

LAB = StudentConfig(path="lab", device="cpu")


def lab_questions(limit: int) -> tuple[Question, ...]:
    return load_task("lab", TaskConfig(kind="lab_choice", limit=limit)).split("test")


def evaluate_lab(out: Path, *, limit: int, max_new_tokens: int) -> Path:
    """Ask the lab's student test questions with choices."""
    config = EvaluationConfig(max_new_tokens=max_new_tokens, likelihood=True)
    return evaluate(lab_questions(limit), LAB, out=out, config=config).folder


def source_of(folder: Path, kinds: Collection[str]) -> Source:
    (source,) = find_sources(folder, kinds=kinds)
    return source
