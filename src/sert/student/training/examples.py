"""Training examples from what other stages left, or from a file of one's own."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sert.errors import DataError
from sert.records import Example
from sert.tasks.readers import bounded, read_jsonl, read_parquet
from sert.terminal.text import shorten

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_examples(path: Path) -> list[Example]:
    """Read the examples of a finished stage, or a Parquet or JSONL file of prompts and completions.

    Args:
        path: Folder with `examples.parquet` (of `filter`, `teach` or `train`), or a file with the columns `prompt` and
            `completion`, TRL's prompt-completion form.

    Raises:
        DataError: If there is no such file, it cannot be read, or a row lacks a text.
    """
    file = path / "examples.parquet" if os.path.isdir(path) else path
    if not os.path.isfile(file):
        raise DataError(
            f"There are no examples at {path}: give a folder with examples.parquet, a Parquet or a JSONL file."
        )
    records = read_jsonl(file) if file.suffix in (".jsonl", ".json") else read_parquet(file)
    examples = []
    for where, index, columns in bounded(records, file):
        prompt, completion = columns.get("prompt"), columns.get("completion")
        if not isinstance(prompt, str) or not isinstance(completion, str) or not completion:
            raise DataError(f"{where}: `prompt` and a non-empty `completion` must be texts.")
        example = Example(
            _name(columns, "question_id", default=index, where=where),
            prompt,
            completion,
            _name(columns, "source", default="file", where=where),
        )
        if any(map(_SURROGATE.search, (example.question_id, prompt, completion, example.source))):
            raise DataError(f"{where}: a text holds half a character (a lone \\ud800..\\udfff); mend the escape.")
        examples.append(example)
    if not examples:
        raise DataError(f"{file} holds no examples.")
    return examples


def _name(columns: Mapping[str, Any], key: str, *, default: str | int, where: str) -> str:
    """Read a name, which may be a whole number; without one the default is taken."""
    given = columns.get(key)
    if given is not None and type(given) not in (str, int):
        raise DataError(f"{where}: `{key}` must be a text or a whole number, not {shorten(given)}.")
    return str(default if given is None else given)
