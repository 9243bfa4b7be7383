"""Training examples from what other stages left, or from a file of one's own."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sert.config.prompts import PromptTemplates
from sert.errors import DataError
from sert.records import Example, Question
from sert.seeds import derive_seed
from sert.store.stage import Inputs, Result, dumped
from sert.store.tables import questions_input, read_table, records_key
from sert.tasks.prompts import label_example
from sert.tasks.readers import read_jsonl, read_parquet
from sert.tasks.rows import bounded, is_conversation
from sert.terminal.text import shorten

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_examples(path: Path) -> list[Example]:
    """Read the examples of a finished stage, or a Parquet or JSONL file of prompts and completions.

    The folder has an `examples.parquet` (of `filter`, `teach` or `train`), the file the columns `prompt` and
    `completion`, TRL's prompt-completion form, and for mined paths `path_ids` and `conclusion`.

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
            raise DataError(f"{where}: `prompt` and a non-empty `completion` must be texts.{_conversation(columns)}")
        example = Example(
            _name(columns, "question_id", default=index, where=where),
            prompt,
            completion,
            _name(columns, "source", default="file", where=where),
            *_path_of(columns, completion, where=where),
        )
        if any(map(_SURROGATE.search, (example.question_id, prompt, completion, example.source))):
            raise DataError(f"{where}: a text holds half a character (a lone \\ud800..\\udfff); mend the escape.")
        examples.append(example)
    if not examples:
        raise DataError(f"{file} holds no examples.")
    return examples


def _conversation(columns: Mapping[str, Any]) -> str:
    """Say what to do with a row that is a conversation, in whatever column it stands."""
    held = next((name for name, value in columns.items() if is_conversation(value)), None)
    if held is None:
        return ""
    return (
        f" The row holds a conversation ({held!r} is a list of messages): write what stands before the reply to be "
        "learned as the text `prompt`, as the student is asked it, and that reply as the text `completion`."
    )


def _name(columns: Mapping[str, Any], key: str, *, default: str | int, where: str) -> str:
    """Read a name, which may be a whole number; without one the default is taken."""
    given = columns.get(key)
    if given is not None and type(given) not in (str, int):
        raise DataError(f"{where}: `{key}` must be a text or a whole number, not {shorten(given)}.")
    return str(default if given is None else given)


def _path_of(columns: Mapping[str, Any], completion: str, *, where: str) -> tuple[tuple[int, ...], str]:
    """Read the tokens of a path and what stands behind it; there need not be any."""
    token_ids, conclusion = columns.get("path_ids"), columns.get("conclusion")
    token_ids, conclusion = [] if token_ids is None else token_ids, "" if conclusion is None else conclusion
    if not isinstance(token_ids, list) or not all(type(each) is int and 0 <= each < 2**31 for each in token_ids):
        raise DataError(f"{where}: `path_ids` must be a list of tokens, not {shorten(token_ids)}.")
    if not isinstance(conclusion, str) or not completion.endswith(conclusion):
        raise DataError(f"{where}: `conclusion` must be the end of `completion`, not {shorten(conclusion)}.")
    return tuple(token_ids), conclusion


class ExampleSource(Protocol):
    """What a student is trained on: known already, or what an earlier stage leaves."""

    def settings(self) -> dict[str, Any]:
        """The part of the configuration that the examples depend on."""
        return {}

    def inputs(self) -> Inputs:
        """What names them among the things that a result depends on."""

    def read(self) -> Sequence[Example]:
        """Make them."""


@dataclass(frozen=True)
class GivenExamples(ExampleSource):
    """Examples that are known already."""

    examples: tuple[Example, ...]

    def inputs(self) -> Inputs:
        """Their content."""
        return {"examples": records_key(self.examples)}

    def read(self) -> Sequence[Example]:
        """Hand them out."""
        return self.examples


@dataclass(frozen=True)
class LabelExamples:
    """The gold answers alone."""

    questions: tuple[Question, ...]
    prompts: PromptTemplates

    def settings(self) -> dict[str, Any]:
        """The templates."""
        return dumped(prompts=self.prompts)

    def inputs(self) -> Inputs:
        """The questions."""
        return {**questions_input(self.questions)}

    def read(self) -> Sequence[Example]:
        """Make one of each question."""
        return [label_example(question, self.prompts) for question in self.questions]


@dataclass(frozen=True)
class StageExamples:
    """The examples that filtering or teaching leaves.

    Attributes:
        result: What left them.
        prompts: The templates that they are written by.
        wanted: So many of them, drawn by the seed; of two numbers the smaller one takes a part of what the larger one
            takes. None = all.
        seed: What they are drawn by.
    """

    result: Result
    prompts: PromptTemplates
    wanted: int | None = None
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        """The templates, and how many are taken."""
        fewer = {} if self.wanted is None else {"teacher": {"num_rationales": self.wanted}}
        return dumped(prompts=self.prompts) | fewer

    def inputs(self) -> Inputs:
        """What left them."""
        return {self.result.kind: self.result}

    def read(self) -> Sequence[Example]:
        """Read those that are taken, in their order."""
        examples = read_table(self.result.open().file("examples.parquet"), Example)
        drawn = sorted(examples, key=lambda each: derive_seed(self.seed, "rationales", each.question_id))
        taken = {each.question_id for each in drawn[: self.wanted]}
        return [each for each in examples if each.question_id in taken]
