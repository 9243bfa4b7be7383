"""All that a run holds of one question: its paths and their verdicts, what is trained, and every answer."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from sert.errors import DataError
from sert.records import Example, PathKey, Prediction, Question, Rationale, Verdict
from sert.records import Path as MinedPath
from sert.runs.plan import require_plan
from sert.store.artifacts import MANIFEST, Artifact, open_artifact
from sert.store.tables import StoredTable
from sert.terminal.text import counted

RowT = TypeVar("RowT", MinedPath, Verdict, Example, Rationale, Prediction)


class Paths(NamedTuple):
    """The paths that one stage mined of a question, and what each filter says of them, by the filter's name."""

    stage: str
    paths: list[MinedPath]
    verdicts: dict[str, dict[PathKey, Verdict]]


class QuestionShown(NamedTuple):
    """What a run holds of one question.

    Attributes:
        question: The question, as it is in its first table.
        mined: By each stage that mined paths of it.
        rationales: Stage -> the teacher's.
        trained: Stage -> what a student is trained on of it.
        answered: Stage -> the graded output.
    """

    question: Question
    mined: list[Paths]
    rationales: dict[str, Rationale]
    trained: dict[str, Example]
    answered: dict[str, Prediction]


def show_question(run: Path, question_id: str, *, task: str | None = None) -> list[QuestionShown]:
    """Collect what the finished stages of a run hold of a question, one entry a task that has one of this id.

    Raises:
        DataError: If there is no plan, or no finished stage has such a question.
    """
    folders = {name: run / str(each["folder"]) for name, each in require_plan(run).items()}
    stages = {name: open_artifact(folder) for name, folder in folders.items() if (folder / MANIFEST).is_file()}
    questions, known = dict[str, Question](), dict[str, None]()
    of_stage = dict[str, Question]()
    for name, stage in stages.items():
        for question in _questions(stage):
            known.setdefault(question.question_id)
            if question.question_id == question_id and task in (None, question.task):
                questions.setdefault(question.task, question)
                of_stage[name] = question
    if not questions:
        raise DataError(_not_found(run, question_id, task, list(known)))
    return [_shown(question, stages, of_stage) for question in questions.values()]


def _questions(stage: Artifact) -> Iterable[Question]:
    file = stage.file("questions.parquet")
    return StoredTable(file, Question) if file.is_file() else ()


def _not_found(run: Path, question_id: str, task: str | None, known: list[str]) -> str:
    where = f"{run} holds no question {question_id!r}" + (f" of the task {task!r}" if task else "")
    nearest = difflib.get_close_matches(question_id, known, n=3, cutoff=0.5) or known[:3]
    hint = f"; it has {counted(len(known), 'questions')}, such as {', '.join(map(repr, nearest))}" if known else ""
    return f"{where}{hint}."


def _shown(question: Question, stages: dict[str, Artifact], of_stage: dict[str, Question]) -> QuestionShown:
    """Collect what there is of a question of one task."""
    own = {name: stages[name] for name, found in of_stage.items() if found.task == question.task}
    mined = [_paths(name, stage, own, question) for name, stage in own.items() if stage.manifest["stage"] == "mine"]
    keys = {stage.key for stage in own.values()}
    shown = QuestionShown(question, [each for each in mined if each.paths], {}, {}, {})
    for name, stage in stages.items():
        kind = stage.manifest["stage"]
        if kind == "teach" and name in own:
            shown.rationales.update(_first(name, stage, "rationales", Rationale, question))
        elif kind == "evaluate" and name in own:
            shown.answered.update(_first(name, stage, "predictions", Prediction, question))
        elif kind == "train" and (keys & set(stage.manifest["inputs"].values()) or _prompts(stage, question)):
            shown.trained.update(_first(name, stage, "examples", Example, question))
    return shown


def _prompts(stage: Artifact, question: Question) -> bool:
    """Tell whether a training on labels has this question: its examples hold the prompt."""
    rows = StoredTable(stage.file("examples.parquet"), Example)
    return any(each.question_id == question.question_id and each.prompt == question.prompt for each in rows)


def _paths(name: str, stage: Artifact, own: dict[str, Artifact], question: Question) -> Paths:
    paths = list(_rows(stage.file("paths.parquet"), MinedPath, question))
    filters = {
        other: each
        for other, each in own.items()
        if each.manifest["stage"] == "filter" and stage.key in each.manifest["inputs"].values()
    }
    verdicts = {
        other: {each.key: each for each in _rows(filtered.file("verdicts.parquet"), Verdict, question)}
        for other, filtered in filters.items()
    }
    return Paths(name, paths, verdicts)


def _first(name: str, stage: Artifact, table: str, record: type[RowT], question: Question) -> dict[str, RowT]:
    found = next(_rows(stage.file(f"{table}.parquet"), record, question), None)
    return {} if found is None else {name: found}


def _rows(file: Path, record: type[RowT], question: Question) -> Iterator[RowT]:
    return (each for each in StoredTable(file, record) if each.question_id == question.question_id)
