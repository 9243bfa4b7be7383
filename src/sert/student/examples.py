"""Training examples from what other stages left, or from a file of one's own."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sert.errors import DataError
from sert.records import Example


def read_examples(path: Path) -> list[Example]:
    """Read the examples of a finished stage, or a Parquet or JSONL file of prompts and completions.

    Args:
        path: Folder with `examples.parquet` (of `filter`, `teach` or `train`), or a file with the columns `prompt` and
            `completion`, TRL's prompt-completion form.

    Raises:
        DataError: If there is no such file, it cannot be read, or a row lacks a text.
    """
    file = path / "examples.parquet" if path.is_dir() else path
    if not file.is_file():
        raise DataError(
            f"There are no examples at {path}: give a folder with examples.parquet, a Parquet or JSONL file."
        )
    rows = _read_jsonl(file) if file.suffix in (".jsonl", ".json") else _read_parquet(file)
    examples = []
    for number, row in enumerate(rows, start=1):
        prompt, completion = (row.get("prompt"), row.get("completion")) if isinstance(row, dict) else (None, None)
        if not isinstance(prompt, str) or not isinstance(completion, str) or not completion:
            raise DataError(f"{file}, row {number}: `prompt` and a non-empty `completion` must be texts.")
        examples.append(
            Example(str(row.get("question_id", number)), prompt, completion, str(row.get("source", "file")))
        )
    if not examples:
        raise DataError(f"{file} holds no examples.")
    return examples


def _read_parquet(file: Path) -> list[dict[str, object]]:
    try:
        rows: list[dict[str, object]] = pq.read_table(file).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from None
    return rows


def _read_jsonl(file: Path) -> list[dict[str, object]]:
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{file}, line {number} is not JSON: {error.msg}") from None
    return rows
