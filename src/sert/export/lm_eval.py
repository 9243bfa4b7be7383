"""Tasks of lm-evaluation-harness from the questions of an evaluation.

A set becomes up to three tasks: `NAME` has the possible answers scored by likelihood behind the prompt (`acc` and
`acc_norm` are `cloze_raw` and `cloze` here), `NAME_letter` their letters, where prompts show them, and `NAME_generated`
has the student write, and reads what it wrote by the rules of this package, which must be installed there.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sert.export.sources import Source
from sert.export.writing import Exported
from sert.records import Question
from sert.store.disk import writing
from sert.store.tables import read_table
from sert.tasks.answers import extract_loose, extract_strict, is_correct
from sert.tasks.possible import CLOZE, LETTER, possible_answers

KINDS = ("evaluate",)
USE = (
    "Tasks of lm-evaluation-harness: `lm_eval --include_path FOLDER --tasks NAME --model hf --model_args "
    "pretrained=DIR`. The task files name the files of questions by their whole paths: where the folder is moved, "
    "mend `data_files`. For a student that is asked by its chat template, give `--apply_chat_template`. `acc_norm` "
    "and `acc` are the measures `cloze` and `cloze_raw` of sert; `accuracy` and `accuracy_strict` of the generated "
    "answers are read by sert, which must be installed beside the harness. A question that is too long for the "
    "student counts as wrong in sert, and is cut by the harness."
)
READER = "sert_reading.py"
_READER = '''"""Reads answers as sert does; the task files beside this file name it."""

from sert.export.lm_eval import process_results

__all__ = ["process_results"]
'''
_GENERATED = "generated"


def write_lm_eval(source: Source, folder: Path, *, place: Path) -> Exported:
    """Write the tasks of an evaluation, and what its student scored there.

    Args:
        source: The evaluation.
        folder: Where the files go.
        place: Where that folder will lie.
    """
    questions = read_table(source.artifact.file("questions.parquet"), Question)
    name = re.sub(r"[^A-Za-z0-9_]+", "_", source.name)
    files, told = dict[str, str](), list[str]()
    for form in (CLOZE, LETTER):
        rows = [row for question in questions if (row := _candidates(question, form)) is not None]
        if rows:
            task = name if form == CLOZE else f"{name}_{form}"
            config = _by_likelihood(rows) | {"task": task}
            files[form] = _write(folder, task, rows, config, place=place)
            told.append(f"`{task}`: {len(rows)} of {len(questions)} questions, answers by likelihood")
    task = f"{name}_{_GENERATED}"
    most = source.artifact.manifest["config"]["evaluation"]["max_new_tokens"]
    rows = [asdict(question) | {"context": []} for question in questions]
    files[_GENERATED] = _write(folder, task, rows, _by_writing(most) | {"task": task}, place=place, reads=True)
    (folder / READER).write_text(_READER, encoding="utf-8")
    counts = source.artifact.counts
    told.append(f"`{task}`: in sert {counts['correct']} of {counts['n']} right, {counts['correct_strict']} strictly")
    return Exported(source, files, told)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Grade one written answer; the harness calls this."""
    question = Question(**{**doc, "choices": tuple(doc["choices"]), "context": ()})
    loose, strict = extract_loose(results[0], question), extract_strict(results[0], question)
    right = loose is not None and is_correct(loose, question)
    right_strictly = strict is not None and is_correct(strict, question)
    return {"accuracy": float(right), "accuracy_strict": float(right_strictly)}


def _candidates(question: Question, form: str) -> dict[str, Any] | None:
    """Write a question with its possible answers of one form; None where there are none."""
    found = [each for each in possible_answers(question) if each.form == form]
    if not found:
        return None
    gold = [each.answer for each in found].index(question.answer)
    return {
        "question_id": question.question_id,
        "prompt": question.prompt,
        "answers": [each.text for each in found],
        "gold": gold,
    }


def _by_likelihood(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    after_a_blank = all(str(row["prompt"])[-1:].isspace() for row in rows)
    return {
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "answers",
        "doc_to_target": "gold",
        "target_delimiter": "" if after_a_blank else " ",
        "metric_list": _means("acc", "acc_norm"),
    }


def _by_writing(max_new_tokens: int) -> dict[str, Any]:
    return {
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "answer",
        "generation_kwargs": {"do_sample": False, "max_gen_toks": max_new_tokens, "until": []},
        "metric_list": _means("accuracy", "accuracy_strict"),
    }


def _means(*metrics: str) -> list[dict[str, Any]]:
    return [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in metrics]


def _write(
    folder: Path,
    task: str,
    rows: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    *,
    place: Path,
    reads: bool = False,
) -> str:
    """Write the questions of a task and its file, and return the name of that."""
    data = place.resolve() / f"{task}.jsonl"
    whole = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "num_fewshot": 0,
        **config,
        "metadata": {"version": 1},
    }
    with writing(folder):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / data.name).write_text("".join(lines), encoding="utf-8")
        (folder / f"{task}.yaml").write_text("".join(_yaml(whole, reads=reads)), encoding="utf-8")
    return f"{task}.yaml"


def _yaml(config: Mapping[str, Any], *, reads: bool) -> Iterator[str]:
    """Write YAML, of which JSON values are a part; only a tag has no such form."""
    for key, value in config.items():
        yield f"{key}: {json.dumps(value)}\n"
    if reads:
        yield f"process_results: !function {Path(READER).stem}.{process_results.__name__}\n"
