"""Recorded teachers: rationales that were written earlier, read from a file.

Two kinds of file, told apart by their ending:

- `.log`: the log of a zero-shot-CoT run. A block a question: `Q: ..`, `A: Let's think step by step.` with the
  rationale behind it, a `Therefore, .. the answer .. is` line with the answer of a second call, and `pred_..` lines.
- `.jsonl`: a JSON object a line with `text` (or `rationale`) and `question_id` or `question`; `answer`, `model`,
  `prompt` and `finish_reason` if they are known.
"""

import json
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sert.errors import TeacherError
from sert.records import Question, Rationale
from sert.tasks.answers import ANSWER_PHRASE, extract_strict, is_correct, normalize_gold

COT_TRIGGER = "Let's think step by step."
UNKNOWN_MODEL = "unknown"

# The name that the harness of the log files gives the model, and the model that it asks under this name.
HARNESS_MODELS = {"gpt3-xl": "text-davinci-002"}

# One block a question, between lines of asterisks. The heading is needed too: a rationale may hold asterisks itself.
_BLOCK_HEAD = re.compile(r"^\*{10,}\n\d+(?:st|nd|rd|th) data\n", re.MULTILINE)
_BLOCK_END = re.compile(r"^\*{10,}$", re.MULTILINE)
# "Therefore, the answer (Yes or No) is", "Therefore, among A through E, the answer is"
_ANSWER_TRIGGER = re.compile(r"\nTherefore, (?:the answer \([^()\n]*\)|among A through [A-Z], the answer) is")
_MODEL = re.compile(r"^Namespace\(.*\bmodel='([^'\n]*)'", re.MULTILINE)
_PREDICTED = re.compile(r"^pred_mode : ?(.*)$", re.MULTILINE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_FOLDED = re.compile(r"[\W_]+")
# What a finished text ends with, closing quotes and brackets aside.
_ENDED = re.compile(r"[.!?:][\"'”’)\]]*$")  # noqa: RUF001 - typographic closing quotes

_JSONL_KEYS = ("question_id", "question", "text", "rationale", "answer", "model", "prompt", "finish_reason")


class RecordedRationales(NamedTuple):
    """The rationales in the order of the questions, and what was left over.

    Attributes:
        rationales: At most one a question.
        unmatched: Rows of the file that answer none of the questions.
        missing: Questions without a row.
        truncated: Rationales that seem cut off: `finish_reason` is `length` or, where the file does not tell, the text
            does not end like a sentence.
        duplicates: Rows that answer a question which an earlier row answers; the earlier one is used.
    """

    rationales: list[Rationale]
    unmatched: int
    missing: int
    truncated: int
    duplicates: int


class _Row(NamedTuple):
    line: int
    question_id: str | None
    question: str | None
    text: str
    answer: str | None
    model: str
    prompt: str
    finish_reason: str


def read_recorded(file: pathlib.Path, questions: Sequence[Question], *, model: str | None = None) -> RecordedRationales:
    """Read the rationales of these questions; rows about other questions are only counted.

    Hand in the train questions, and no rationale of a test question can enter. Rows are matched by `question_id` or by
    the question's text without regard to case, blanks and punctuation. A multiple-choice text holds the choices, in
    order, behind the stem; the stem alone will do where only one question has it. Questions with the same text share
    a rationale.

    Args:
        file: A `.log` or `.jsonl` file.
        questions: Those that rationales are wanted for.
        model: The teacher's name, where the file does not tell it or is wrong.

    Raises:
        TeacherError: If the file is missing, of another kind, or holds a row that cannot be read (with its line), or if
            a row's `question_id` and `question` belong to different questions.
    """
    index = _Index(questions)
    rows: dict[str, _Row] = {}
    unmatched = duplicates = 0
    for row in _read_rows(file):
        matches = index.find(row, file)
        unmatched += not matches
        duplicates += any(question.question_id in rows for question in matches)
        for question in matches:
            rows.setdefault(question.question_id, row)
    rationales = [
        _rationale(rows[question.question_id], question, model=model, source=file.name)
        for question in questions
        if question.question_id in rows
    ]
    truncated = sum(_is_cut_off(rationale) for rationale in rationales)
    return RecordedRationales(rationales, unmatched, len(questions) - len(rationales), truncated, duplicates)


class _Index:
    """Questions by id and by folded text."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._by_id = {question.question_id: question for question in questions}
        self._by_text: dict[str, list[Question]] = defaultdict(list)
        stems: dict[str, list[Question]] = defaultdict(list)
        for question in questions:
            self._by_text[_fold(_with_choices(question))].append(question)
            stems[_fold(question.question)].append(question)
        for stem, sharing in stems.items():
            if len(sharing) == 1:
                self._by_text.setdefault(stem, sharing)

    def find(self, row: _Row, file: pathlib.Path) -> list[Question]:
        by_text = self._by_text.get(_fold(row.question), []) if row.question is not None else []
        if row.question_id is None:
            return by_text
        match = self._by_id.get(row.question_id)
        if match is None:
            return []
        if row.question is not None and match not in by_text:
            raise TeacherError(
                f"{file}, line {row.line}: question_id {row.question_id!r} belongs to another question than the text "
                f"{_shorten(row.question)!r}. Correct one of them, or leave one out."
            )
        return [match]


def _fold(text: str) -> str:
    return _FOLDED.sub(" ", text.casefold()).strip()


def _with_choices(question: Question) -> str:
    if not question.choices:
        return question.question
    listed = " ".join(f"{letter} {choice}" for letter, choice in zip(question.letters, question.choices, strict=True))
    return f"{question.question} answer choices {listed}"


def _rationale(row: _Row, question: Question, *, model: str | None, source: str) -> Rationale:
    extracted = _own_answer(row, question)
    return Rationale(
        question_id=question.question_id,
        model=model or row.model,
        prompt=row.prompt,
        text=row.text,
        finish_reason=row.finish_reason,
        extracted=extracted,
        correct=extracted is not None and is_correct(extracted, question),
        prompt_tokens=None,
        completion_tokens=None,
        source=source,
    )


def _own_answer(row: _Row, question: Question) -> str | None:
    if row.answer is None:
        return extract_strict(row.text, question)
    normal = normalize_gold(row.answer, question.choices)
    if question.answer_type == "text":
        return normal
    # Recorded answers may go on ("(B) spoon", "No, it cannot"); they are read like a conclusion.
    return extract_strict(f"{ANSWER_PHRASE} {normal or row.answer}", question)


def _is_cut_off(rationale: Rationale) -> bool:
    if rationale.finish_reason:
        return rationale.finish_reason == "length"
    return _ENDED.search(rationale.text) is None


def _read_rows(file: pathlib.Path) -> Iterator[_Row]:
    readers = {".log": _read_log, ".jsonl": _read_jsonl}
    if file.suffix not in readers:
        raise TeacherError(f"{file} is no file of recorded rationales; its name must end in .log or .jsonl.")
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TeacherError(f"There is no file of recorded rationales {file}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TeacherError(f"{file} cannot be read as UTF-8 text: {error}") from None
    return readers[file.suffix](file, text)


def _read_log(file: pathlib.Path, text: str) -> Iterator[_Row]:
    heads = list(_BLOCK_HEAD.finditer(text))
    if not heads:
        raise TeacherError(
            f"{file} holds no block of a zero-shot-CoT log (a line of asterisks, then `1st data`). "
            "Other records must be .jsonl files."
        )
    named = _MODEL.search(text, 0, heads[0].start())
    model = HARNESS_MODELS.get(named[1], named[1]) if named else UNKNOWN_MODEL
    ends = [*(head.start() for head in heads[1:]), len(text)]
    line = counted = 0
    for head, end in zip(heads, ends, strict=True):
        line += text.count("\n", counted, head.end())
        counted = head.end()
        yield _parse_block(text[head.end() : end], where=f"{file}, line {line}", line=line, model=model)


def _parse_block(block: str, *, where: str, line: int, model: str) -> _Row:
    _, found_question, rest = block.partition("\nQ: ")
    question, found_answer, rest = rest.partition(f"\nA: {COT_TRIGGER}")
    written, found_end, tail = rest.partition("\npred_before :")
    triggers = list(_ANSWER_TRIGGER.finditer(written))
    predicted = _PREDICTED.search(tail)
    expected = {
        "a line `Q: ..`": bool(found_question),
        f"a line `A: {COT_TRIGGER} ..`": bool(found_answer),
        "a line `pred_before : ..`": bool(found_end),
        "a line `Therefore, .. the answer .. is ..`": bool(triggers),
        "a line `pred_mode : ..`": predicted is not None,
        "a closing line of asterisks": _BLOCK_END.search(tail) is not None,
    }
    for what, found in expected.items():
        if not found:
            raise TeacherError(f"{where}: the block that begins here lacks {what}. Mend it or take the block out.")
    assert predicted is not None
    return _Row(
        line=line,
        question_id=None,
        question=question,
        text=written[: triggers[-1].start()].strip(),
        answer=predicted[1].strip(),
        model=model,
        prompt=f"Q: {question}\nA: {COT_TRIGGER}",
        finish_reason="",
    )


def _read_jsonl(file: pathlib.Path, text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TeacherError(f"{file}, line {number}: not JSON ({error}).") from None
        if not isinstance(value, dict):
            raise TeacherError(f"{file}, line {number}: a JSON object is needed, not {_shorten(line)}.")
        yield _parse_object(value, where=f"{file}, line {number}", line=number)


def _parse_object(value: Mapping[str, Any], *, where: str, line: int) -> _Row:
    texts = {key: _text_of(value, key, where) for key in _JSONL_KEYS}
    text = texts["text"] if texts["text"] is not None else texts["rationale"]
    for what, given in (
        ("text (or rationale)", text),
        ("question_id or question", texts["question_id"] if texts["question_id"] is not None else texts["question"]),
    ):
        if given is None:
            held = ", ".join(map(str, value)) or "nothing"
            raise TeacherError(f"{where}: the key {what} is missing; the row holds {_shorten(held)}.")
    assert text is not None
    return _Row(
        line=line,
        question_id=texts["question_id"],
        question=texts["question"],
        text=text.strip(),
        answer=texts["answer"],
        model=texts["model"] or UNKNOWN_MODEL,
        prompt=texts["prompt"] or "",
        finish_reason=texts["finish_reason"] or "",
    )


def _text_of(value: Mapping[str, Any], key: str, where: str) -> str | None:
    given = value.get(key)
    if given is None:
        return None
    if isinstance(given, str):
        if _SURROGATE.search(given):
            raise TeacherError(f"{where}: {key} holds half a character (a lone \\ud800..\\udfff); mend the escape.")
        return given
    # Ids are often numbers and answers true or false; a rationale never is.
    if key in ("question_id", "answer") and isinstance(given, int):
        return str(given)
    raise TeacherError(f"{where}: {key} must be a text, not {_shorten(json.dumps(given))}.")


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
