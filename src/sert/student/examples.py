"""Training examples from what other stages left, or from a file of one's own."""

from pathlib import Path

from sert.errors import DataError
from sert.records import Example
from sert.tasks.rows import read_jsonl, read_parquet


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
            f"There are no examples at {path}: give a folder with examples.parquet, a Parquet or a JSONL file."
        )
    records = read_jsonl(file) if file.suffix in (".jsonl", ".json") else read_parquet(file)
    examples = []
    for where, index, columns in records:
        prompt, completion = columns.get("prompt"), columns.get("completion")
        if not isinstance(prompt, str) or not isinstance(completion, str) or not completion:
            raise DataError(f"{where}: `prompt` and a non-empty `completion` must be texts.")
        question_id, source = str(columns.get("question_id", index)), str(columns.get("source", "file"))
        examples.append(Example(question_id, prompt, completion, source))
    if not examples:
        raise DataError(f"{file} holds no examples.")
    return examples
