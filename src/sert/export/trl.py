"""Training examples for TRL: prompts and completions, as texts or as messages, with the tokens that are trained.

TRL takes `input_ids` and `completion_mask` as they are and does not tokenize again, so that its trainer computes the
loss that the student was trained on here: a chat template that is rendered anew, or a path that is tokenized anew,
would be other tokens.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sert.config.tree import StudentConfig
from sert.errors import DataError
from sert.export.sources import Source
from sert.export.writing import Exported
from sert.records import Example
from sert.store.disk import writing
from sert.store.tables import read_table
from sert.student.load import Student, load_student

KINDS = ("train", "filter", "teach")
OF_RUNS = ("train",)
"""What is taken of a run: all that filtering and teaching leave is trained on there."""
USE = (
    "`datasets.load_dataset` reads the Parquet files. `trl.SFTTrainer` trains on their `input_ids` where "
    "`completion_mask` is 1 and does not tokenize anything; without these two columns it would, by its own rules. "
    "`prompt` and `completion` are texts in one file and messages in the other. Set `max_length=None`: what was too "
    "long is left out already."
)
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_TOKENS = [("input_ids", pa.list_(pa.int32())), ("completion_mask", pa.list_(pa.int8()))]


def write_trl(source: Source, folder: Path, *, student: StudentConfig | None = None) -> Exported:
    """Write the examples of a training, or those that filtering or teaching leaves, in both forms of TRL.

    Args:
        source: The result. What a training left out as too long is left out.
        folder: Where the files go.
        student: Whose tokens they become; by default, of a training, the student that it made.

    Raises:
        DataError: If the tokens of no student are known, or the examples cannot be read.
        StudentError: If it cannot be loaded.
    """
    from sert.student.training.batching import EncodedExample, encode_example  # loads torch

    if student is None and source.kind != "train":
        raise DataError(f"{source.name} was made by `{source.kind}`; --student says whose tokens its examples become.")
    loaded = load_student(student or StudentConfig(path=str(source.artifact.file("model")), device="cpu"))
    examples = read_table(source.artifact.file("examples.parquet"), Example)
    recipe = source.artifact.manifest["config"].get("training", {})
    on_prompt = recipe.get("loss_on_prompt") is True
    longest = _longest(loaded, recipe.get("max_length"))
    pairs = [(each, encode_example(loaded, each, loss_on_prompt=on_prompt)) for each in examples]

    def fits(encoded: EncodedExample) -> bool:
        return (longest is None or len(encoded.token_ids) <= longest) and encoded.num_supervised > 0

    kept = [(example, encoded) for example, encoded in pairs if fits(encoded)]
    if not kept:
        return Exported(source, {}, [f"none of {len(examples)} examples can be trained on"])
    tokens = {
        "input_ids": [encoded.token_ids for _, encoded in kept],
        "completion_mask": [
            [0] * encoded.num_masked + [1] * (len(encoded.token_ids) - encoded.num_masked) for _, encoded in kept
        ],
    }
    files = {form: f"{source.name}.{form}.parquet" for form in ("prompt-completion", "conversational")}
    chosen = [example for example, _ in kept]
    _write(folder / files["prompt-completion"], chosen, tokens, texts=pa.string(), form=_texts)
    system = None if loaded.chat is None else loaded.chat.system
    _write(folder / files["conversational"], chosen, tokens, texts=_MESSAGES, form=lambda each: _turns(each, system))
    turns = "by plain prompts" if loaded.chat is None else "by its chat template"
    told = [f"{len(kept)} of {len(examples)} examples; the student is asked {turns}"]
    return Exported(source, files, told)


def _longest(student: Student, max_length: int | None) -> int | None:
    """Say how long an example may be, as the training does; None where nothing limits it."""
    limits = [limit for limit in (max_length, student.max_positions) if limit is not None]
    return min(limits, default=None)


def _texts(example: Example) -> tuple[str, str]:
    return example.prompt, example.completion


def _turns(example: Example, system: str | None) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Write an example as messages, whose texts stand in their turns without blanks around them."""
    asked = [] if system is None else [{"role": "system", "content": system}]
    asked.append({"role": "user", "content": example.prompt.strip()})
    return asked, [{"role": "assistant", "content": example.completion.strip()}]


def _write(file: Path, examples: Sequence[Example], tokens: dict[str, Any], *, texts: Any, form: Any) -> None:
    pairs: Iterable[tuple[Any, Any]] = map(form, examples)
    prompts, completions = zip(*pairs, strict=True)
    columns = {
        "question_id": [example.question_id for example in examples],
        "prompt": list(prompts),
        "completion": list(completions),
        **tokens,
    }
    schema = pa.schema([("question_id", pa.string()), ("prompt", texts), ("completion", texts), *_TOKENS])
    with writing(file.parent):
        pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")
