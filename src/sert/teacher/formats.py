"""Files of recorded rationales, told apart by their ending.

- `.log`: the log of a zero-shot-CoT run. A block a question: `Q: ..`, `A: Let's think step by step.` with the
  rationale behind it, a line such as `Therefore, the answer (Yes or No) is` with the answer of a second call, and
  `pred_..` lines. Other triggers are known where the log's first lines name them, as that harness does.
- `.jsonl`: a JSON object a line with `text` (or `rationale`) and `question_id` or `question`; `answer`, `model`,
  `prompt` and `finish_reason` if they are known. What the model thought may stand apart, in `reasoning_content`; then
  `text` may be null.
- `.json`: the completions of Fine-tune-CoT, `{"metadata": {"base_model": ..}, "data": {"<sample>": [..]}}`. Each
  completion of a sample has `completion_index`, `question` and `reasoning_completion`; `completion` is the answer of a
  second call. `reasoning_prompt` and `reasoning_finish_reason` are taken if they are known.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sert.errors import TeacherError
from sert.files import read_whole
from sert.terminal.text import shorten

COT_TRIGGER = "Let's think step by step."
UNKNOWN_MODEL = "unknown"

# The name that the harness of the log files gives the model, and the model that it asks under this name.
HARNESS_MODELS = {"gpt3-xl": "text-davinci-002"}

# One block a question, between lines of asterisks. The heading is needed too: a rationale may hold asterisks itself.
_BLOCK_HEAD = re.compile(r"^\*{10,}\n\d+(?:st|nd|rd|th) data\n", re.MULTILINE)
_BLOCK_END = re.compile(r"^\*{10,}$", re.MULTILINE)
# "Therefore, the answer (Yes or No) is", "Therefore, among A through E, the answer is", "Therefore, the answer is"
_ANSWER_TRIGGER = re.compile(
    r"\nTherefore, (?:among A through [A-Z], )?the (?:\w+ )?answer(?: \([^()\n]*\))? is\b", re.IGNORECASE
)
_SETTINGS = re.compile(r"^Namespace\(.*", re.MULTILINE)
_SETTING = re.compile(r"""\b(model|cot_trigger|direct_answer_trigger)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_PREDICTED = re.compile(r"^pred_mode : ?(.*)$", re.MULTILINE)
_SURROGATE = re.compile("[\ud800-\udfff]")

_JSONL_KEYS = (
    *("question_id", "question", "text", "rationale", "answer", "model", "prompt", "finish_reason"),
    "reasoning_content",
)
_COMPLETION_KEYS = ("question", "reasoning_completion", "completion", "reasoning_prompt", "reasoning_finish_reason")


class _Asked(NamedTuple):
    """How a log says that it asked: the model, what stands before each rationale, and what before the second answer."""

    model: str = UNKNOWN_MODEL
    cot_trigger: str = COT_TRIGGER
    answer_trigger: str = ""


class RecordedRow(NamedTuple):
    """One recorded rationale.

    Attributes:
        where: Its place, for messages.
        question: The question's text, None if the file does not tell it; a multiple-choice text may hold the choices.
        answer: The teacher's own answer as it was written, None if only the rationale can tell it.
        finish_reason: The server's word; empty if the file does not tell it.
        question_id: The question's id, None if the file does not tell it; then there is a text.
        thinking: What the model thought before it answered, where the file tells it apart from the text.
    """

    where: str
    question: str | None
    text: str
    answer: str | None
    model: str
    prompt: str
    finish_reason: str = ""
    question_id: str | None = None
    thinking: str = ""


def read_recorded_rows(file: Path) -> Iterator[RecordedRow]:
    """Read a file of recorded rationales; of one question's rows, the one to use comes first.

    Raises:
        TeacherError: If the file is missing, of another kind, or holds a row that cannot be read (with its place).
    """
    readers = {".log": _read_log, ".jsonl": _read_jsonl, ".json": _read_completions}
    if file.suffix not in readers:
        raise TeacherError(f"{file} is no file of recorded rationales; its name must end in .log, .jsonl or .json.")
    try:
        text = read_whole(file)
    except FileNotFoundError:
        raise TeacherError(f"There is no file of recorded rationales {file}.") from None
    except OSError as error:
        raise TeacherError(f"{file} cannot be read: {error}.") from None
    return readers[file.suffix](file, text)


# ---- logs


def _read_log(file: Path, text: str) -> Iterator[RecordedRow]:
    heads = list(_BLOCK_HEAD.finditer(text))
    if not heads:
        raise TeacherError(
            f"{file} holds no block of a zero-shot-CoT log (a line of asterisks, then `1st data`). "
            "Other records must be .jsonl or .json files."
        )
    asked = _asked(text[: heads[0].start()])
    ends = [*(head.start() for head in heads[1:]), len(text)]
    line = counted = 0
    for head, end in zip(heads, ends, strict=True):
        line += text.count("\n", counted, head.end())
        counted = head.end()
        yield _parse_block(text[head.end() : end], where=f"{file}, line {line}", asked=asked)


def _asked(head: str) -> _Asked:
    """Read the settings that the harness writes before the first block; what it does not name is as usual."""
    written = _SETTINGS.search(head)
    named = {found[1]: _unquoted(found[2]) for found in _SETTING.finditer(written[0])} if written else {}
    model = named.get("model", UNKNOWN_MODEL)
    return _Asked(
        HARNESS_MODELS.get(model, model),
        named.get("cot_trigger", COT_TRIGGER).strip(),
        named.get("direct_answer_trigger", "").strip(),
    )


def _unquoted(literal: str) -> str:
    try:
        text = str(ast.literal_eval(literal))
    except (SyntaxError, ValueError):
        return literal[1:-1]
    return literal[1:-1] if _SURROGATE.search(text) else text


def _parse_block(block: str, *, where: str, asked: _Asked) -> RecordedRow:
    _, found_question, rest = block.partition("\nQ: ")
    question, found_answer, rest = rest.partition(f"\nA: {asked.cot_trigger}")
    written, found_end, tail = rest.partition("\npred_before :")
    named = written.rfind(f"\n{asked.answer_trigger}") if asked.answer_trigger else -1
    triggers = [named] if named >= 0 else [each.start() for each in _ANSWER_TRIGGER.finditer(written)]
    predicted = _PREDICTED.search(tail)
    expected = {
        "a line `Q: ..`": bool(found_question),
        f"a line `A: {asked.cot_trigger} ..`": bool(found_answer),
        "a line `pred_before : ..`": bool(found_end),
        f"a line `{asked.answer_trigger or 'Therefore, .. the answer .. is'} ..`": bool(triggers),
        "a line `pred_mode : ..`": predicted is not None,
        "a closing line of asterisks": _BLOCK_END.search(tail) is not None,
    }
    for what, found in expected.items():
        if not found:
            raise TeacherError(f"{where}: the block that begins here lacks {what}. Mend it or take the block out.")
    assert predicted is not None
    return RecordedRow(
        where=where,
        question=question,
        text=written[: triggers[-1]].strip(),
        answer=predicted[1].strip(),
        model=asked.model,
        prompt=f"Q: {question}\nA: {asked.cot_trigger}",
    )


# ---- JSONL


def _read_jsonl(file: Path, text: str) -> Iterator[RecordedRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{file}, line {number}"
            yield _parse_object(_object(_json(line, where), where), where=where)


def _parse_object(value: Mapping[str, Any], *, where: str) -> RecordedRow:
    texts = {key: _text_of(value, key, where) for key in _JSONL_KEYS}
    text = texts["text"] if texts["text"] is not None else texts["rationale"]
    text = "" if text is None and texts["reasoning_content"] else text
    named = texts["question_id"] if texts["question_id"] is not None else texts["question"]
    text = _needed(text, "text (or rationale)", value, where)
    _needed(named, "question_id or question", value, where)
    return RecordedRow(
        where=where,
        question_id=texts["question_id"],
        question=texts["question"],
        text=text.strip(),
        answer=texts["answer"],
        model=texts["model"] or UNKNOWN_MODEL,
        prompt=texts["prompt"] or "",
        finish_reason=texts["finish_reason"] or "",
        thinking=texts["reasoning_content"] or "",
    )


# ---- completions of Fine-tune-CoT


def _read_completions(file: Path, text: str) -> Iterator[RecordedRow]:
    whole = _object(_json(text, str(file)), str(file))
    metadata = _object(whole.get("metadata", {}), f"{file}, metadata")
    model = _text_of(metadata, "base_model", f"{file}, metadata") or UNKNOWN_MODEL
    if "data" not in whole:
        raise TeacherError(
            f"{file}: the key data is missing; a file of Fine-tune-CoT completions holds metadata and data. "
            "A file with a JSON object a line must end in .jsonl."
        )
    for sample, completions in _object(whole["data"], f"{file}, data").items():
        where = f"{file}, sample {sample!r}"
        if not isinstance(completions, list):
            raise TeacherError(f"{where}: a list of completions is needed, not {shorten(completions)}.")
        objects = [_object(each, f"{where}, entry {place}") for place, each in enumerate(completions)]
        indices = [_completion_index(each, f"{where}, entry {place}") for place, each in enumerate(objects)]
        for index, each in sorted(zip(indices, objects, strict=True), key=lambda pair: pair[0]):
            yield _parse_completion(each, where=f"{where}, completion {index}", model=model)


def _completion_index(value: Mapping[str, Any], where: str) -> int:
    index = value.get("completion_index")
    if type(index) is not int:
        raise TeacherError(f"{where}: completion_index must be a whole number, not {shorten(index)}.")
    return index


def _parse_completion(value: Mapping[str, Any], *, where: str, model: str) -> RecordedRow:
    texts = {key: _text_of(value, key, where) for key in _COMPLETION_KEYS}
    return RecordedRow(
        where=where,
        question=_needed(texts["question"], "question", value, where),
        text=_needed(texts["reasoning_completion"], "reasoning_completion", value, where).strip(),
        answer=texts["completion"],
        model=model,
        prompt=texts["reasoning_prompt"] or "",
        finish_reason=texts["reasoning_finish_reason"] or "",
    )


# ---- JSON values


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TeacherError(f"{where}: not JSON ({error}).") from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TeacherError(f"{where}: a JSON object is needed, not {shorten(value)}.")
    return value


def _needed(text: str | None, key: str, value: Mapping[str, Any], where: str) -> str:
    if text is None:
        held = shorten(", ".join(value) or "nothing")[1:-1]
        raise TeacherError(f"{where}: the key {key} is missing; the row holds {held}.")
    return text


def _text_of(value: Mapping[str, Any], key: str, where: str) -> str | None:
    given = value.get(key)
    if given is None:
        return None
    if isinstance(given, str):
        if _SURROGATE.search(given):
            raise TeacherError(f"{where}: {key} holds half a character (a lone \\ud800..\\udfff); mend the escape.")
        return given
    # Ids are often numbers and answers true or false; a rationale never is.
    if (type(given) is int and key in ("question_id", "answer")) or (isinstance(given, bool) and key == "answer"):
        return str(given)
    raise TeacherError(f"{where}: {key} must be a text, not {shorten(given)}.")
