"""Recorded teachers: rationales that were written earlier, read from a file (its kinds: `sert.teacher.formats`)."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sert.endpoint.answers import DEFAULT_READER, AnswerReader, Used
from sert.endpoint.calls import Flag, Reply
from sert.endpoint.finish import flag_of, meaning_of
from sert.errors import TeacherError
from sert.records import Question, Rationale
from sert.tasks.answers import ANSWER_PHRASE, extract_strict, normalize_gold
from sert.tasks.duplicates import fold
from sert.tasks.expressions import gold_expression
from sert.tasks.mentions import asked_elsewhere
from sert.teacher.formats import RecordedRow, read_recorded_rows
from sert.teacher.guard import refuse_test_questions
from sert.teacher.live import rationale_of
from sert.terminal.text import shorten

# What a finished text ends with, closing quotes and brackets aside.
_ENDED = re.compile(r"[.!?:][\"'”’)\]]*$")  # noqa: RUF001 - typographic closing quotes
_CHOICES = " answer choices "


class RecordedRationales(NamedTuple):
    """The rationales in the order of the questions, and what was left over.

    Attributes:
        rationales: At most one a question.
        unmatched: Rows of the file that answer none of the questions and no held-out one.
        missing: Questions without a row.
        seem_cut_off: Rationales of which the file does not tell how they ended, and whose text does not end like a
            sentence. That is a guess (a list, a formula or a careless writer ends so, too), so they are not flagged.
        duplicates: Rows that answer a question which an earlier row answers; the earlier one is used.
        held_out: Rows that answer a held-out question and none of the questions; they are not used.
        only_thinking: Rationales that hold thinking and nothing behind it; they are flagged as empty.
    """

    rationales: list[Rationale]
    unmatched: int
    missing: int
    seem_cut_off: int
    duplicates: int
    held_out: int
    only_thinking: int


def read_recorded(
    file: Path,
    questions: Sequence[Question],
    *,
    held_out: Sequence[Question] = (),
    model: str | None = None,
    reader: AnswerReader = DEFAULT_READER,
) -> RecordedRationales:
    """Read the rationales of these questions; rows about other questions are only counted.

    Rows are matched by `question_id` or by the question's text without regard to case, blanks and punctuation. A
    multiple-choice text holds the choices, in order, behind the stem, and a context stands before it; the text without
    context, or the stem alone, will do where only one question, held-out ones included, has it. Questions with the same
    text share a rationale. Of several completions of a sample the one with the lowest `completion_index` is used, the
    others are duplicates.

    Rows of `held_out`, the dev and test questions, are told by `question_id`, by the text with the choices in any
    order, or by the stem alone. `model` is the teacher's name, where the file does not tell it or is wrong; `reader`
    says what becomes of thinking, which is left out otherwise.

    Raises:
        TeacherError: If the file is missing, of another kind, or holds a row that cannot be read (with its place); if
            a row's `question_id` and `question` belong to different questions; or if a question is held out.
    """
    refuse_test_questions(questions, held_out)
    index = _QuestionIndex(questions, held_out)
    rows: dict[str, RecordedRow] = {}
    unmatched = duplicates = num_held_out = 0
    for row in read_recorded_rows(file):
        matches = index.find(row)
        if not matches:
            of_test = index.is_held_out(row)
            num_held_out += of_test
            unmatched += not of_test
        duplicates += any(question.question_id in rows for question in matches)
        for question in matches:
            rows.setdefault(question.question_id, row)
    answered = [(rows[each.question_id], each) for each in questions if each.question_id in rows]
    used = [reader.use(row.text, row.thinking) for row, _ in answered]
    rationales = [
        _rationale(row, question, each, model=model, source=file.name)
        for (row, question), each in zip(answered, used, strict=True)
    ]
    return RecordedRationales(
        rationales=rationales,
        unmatched=unmatched,
        missing=len(questions) - len(rationales),
        seem_cut_off=sum(map(_seems_cut_off, rationales)),
        only_thinking=sum(bool(each.thinking) and not each.text for each in used),
        duplicates=duplicates,
        held_out=num_held_out,
    )


class _QuestionIndex:
    """Questions by id and by folded text: the wanted ones exactly, of the held-out ones whatever could be one."""

    def __init__(self, questions: Sequence[Question], held_out: Sequence[Question]) -> None:
        self._by_id = {question.question_id: question for question in questions}
        self._by_text: dict[str, list[Question]] = defaultdict(list)
        shorter: dict[str, list[Question]] = defaultdict(list)
        for question in questions:
            self._by_text[fold(_whole(question))].append(question)
            for text in _shorter(question):
                shorter[text].append(question)
        tested = {text for question in held_out for text in _shorter(question)}
        for text, sharing in shorter.items():
            if len(sharing) == 1 and text not in tested:
                self._by_text.setdefault(text, sharing)
        self._held_out = {question.question_id: question for question in held_out}
        self._held_out_texts = {text for question in held_out for text in _loose_texts(question)}

    def find(self, row: RecordedRow) -> list[Question]:
        """Find the wanted questions that a row answers."""
        if row.question_id is None:
            return self._by_text.get(fold(row.question), []) if row.question is not None else []
        match = self._by_id.get(row.question_id)
        if match is None:
            return []
        exact = {fold(_whole(match)), *_shorter(match)}
        _check_text(row, matches=row.question is None or fold(row.question) in exact)
        return [match]

    def is_held_out(self, row: RecordedRow) -> bool:
        """Tell whether a row answers a held-out question."""
        match = self._held_out.get(row.question_id) if row.question_id is not None else None
        if match is not None:
            _check_text(row, matches=row.question is None or _unordered(row.question) in _loose_texts(match))
            return True
        return row.question is not None and _unordered(row.question) in self._held_out_texts


def _check_text(row: RecordedRow, *, matches: bool) -> None:
    if not matches:
        raise TeacherError(
            f"{row.where}: question_id {row.question_id!r} belongs to another question than the text "
            f"{shorten(row.question)}. Correct one of them, or leave one out."
        )


def _loose_texts(question: Question) -> set[tuple[str, tuple[str, ...]]]:
    return {_unordered(text) for text in (_whole(question), _with_choices(question), question.question)}


def _unordered(text: str) -> tuple[str, tuple[str, ...]]:
    """Split a text into its folded stem and the words of its choices, in an order that says nothing."""
    stem, _, listed = fold(text).partition(_CHOICES)
    return stem, tuple(sorted(listed.split()))


def _whole(question: Question) -> str:
    """Write a question as a recorded one may be: its context, its stem, its choices."""
    return " ".join([*(text for _, text in question.context), _with_choices(question)])


def _shorter(question: Question) -> set[str]:
    """Fold what may stand for a question where nothing else has the same text: without context, without choices."""
    return {fold(_with_choices(question)), fold(question.question)}


def _with_choices(question: Question) -> str:
    if not question.choices:
        return question.question
    listed = " ".join(f"{letter} {choice}" for letter, choice in zip(question.letters, question.choices, strict=True))
    return f"{question.question}{_CHOICES}{listed}"


def _rationale(row: RecordedRow, question: Question, used: Used, *, model: str | None, source: str) -> Rationale:
    meaning = meaning_of(row.finish_reason)
    flag: Flag | None = "empty" if not used.text else None if meaning is None else flag_of(meaning)
    reply = Reply(used.text, row.finish_reason, flag, usage=None, model=model or row.model)
    return rationale_of(question, reply, prompt=row.prompt, answer=_own_answer(row, question, used), source=source)


def _own_answer(row: RecordedRow, question: Question, used: Used) -> str | None:
    if row.answer is None:
        return extract_strict(used.whole, asked_elsewhere(question))
    if question.expression:
        return gold_expression(str(row.answer))
    normal = normalize_gold(row.answer, question.choices)
    if question.answer_type == "text":
        return normal
    # Recorded answers may go on ("(B) spoon", "No, it cannot"); they are read like a conclusion.
    return extract_strict(f"{ANSWER_PHRASE} {normal or row.answer}", asked_elsewhere(question))


def _seems_cut_off(rationale: Rationale) -> bool:
    return not rationale.finish_reason and rationale.flag is None and _ENDED.search(rationale.text) is None
