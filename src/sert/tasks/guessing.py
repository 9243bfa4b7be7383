"""Which columns of a file hold question, choices, answer and id: guessed from their names and from what they hold.

A guess is tried: the first rows are read by it as they are in a run. What could mean two things is not guessed.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sert.config.columns import Columns
from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Question
from sert.tasks.choices import numbered_columns, read_choices
from sert.tasks.load import BAD_ROW, load_task
from sert.tasks.normalize import is_number
from sert.tasks.readers import read_file
from sert.tasks.rows import Record, all_names, column, nearest_names
from sert.tasks.statements import TRUTH
from sert.terminal.text import shorten

LOOKED_AT = 200
"""Rows that a guess is made from."""
MOST_BAD = 0.05
"""Share of these rows that may be unusable by a guess."""
_MARK = "####"
# In a few languages; what a column holds counts as well.
_WORDS = {
    "question": "question stem problem query ask prompt input sentence text ctx goal frage pregunta "
    "pergunta domanda vraag",
    "answer": "answer answerkey gold label target correct key solution output result antwort lösung loesung "
    "respuesta réponse reponse resposta risposta antwoord",
    "choices": "choices options choix optionen opciones",
    "id": "id qid uid key index nummer number nr num numero numéro",
}
# As names by themselves alone: in longer ones they mean other things.
_WHOLE = {"id": ("no", "n°", "nº")}
_PLACES = ("index", "number")


class Guess(NamedTuple):
    """How a file of questions is read.

    Attributes:
        columns: Which column holds what.
        first: The first question as it is read so.
        unused: Columns that are not read.
        rows, bad: Rows that were looked at, and how many of them cannot be used.
        slips: What is likely a slip in them, for people.
    """

    columns: Columns
    first: Question
    unused: tuple[str, ...]
    rows: int
    bad: int
    slips: tuple[str, ...]


def guess_columns(file: Path, given: Mapping[str, Any] | None = None, *, task: str = "own") -> Guess:
    """Guess how a file of questions is read; `given` settings of `Columns` are taken as they are.

    Messages name the settings of the task so called.

    Raises:
        DataError: If the file cannot be read, a column that is given is not there, no column holds answers, no guess
            reads the rows, or an answer could be counted from 0 or from 1.
    """
    records, said = _first_records(file), ""
    with tempfile.TemporaryDirectory(prefix="sert-guess-") as folder:
        sample = _Sample(file, Path(folder) / "sample.jsonl", records, task)
        known = _checked(sample, given or {})
        for columns in _candidates(sample, known):
            found = [guess for guess in map(sample.tried, _ways(columns)) if isinstance(guess, Guess)]
            if len(found) == 1:
                return found[0]
            if found:
                raise DataError(
                    f"{file}: the answers in {columns.answer!r} may be counted from 0 or from 1; say which by "
                    "--answer-is index (0 is the first choice) or number (1 is the first)."
                )
            said = said or str(sample.tried(columns))
    if not said and "answer" not in known:
        raise _no_answers(sample)
    hint = f" What was guessed first: {said}" if said else ""
    told = "answer" in known or any(_hint(name, "answer") for name in sample.names)
    unsure = "which of them hold question and answer" if told else "none is called as one of answers; which it is"
    raise DataError(
        f"{file} has the columns {', '.join(map(shorten, sample.names[:20]))}, and {unsure} cannot be guessed; "
        f"name them: --question-column, --choices-column, --answer-column, --answer-is.{hint}"
    )


def column_names(file: Path) -> tuple[str, ...]:
    """List the columns of a file's first rows, and those one level below.

    Raises:
        DataError: If the file cannot be read, or holds no rows.
    """
    return tuple(_names(_first_records(file)))


def _first_records(file: Path) -> list[Record]:
    records = list(islice(read_file(file), LOOKED_AT))
    if not records:
        raise DataError(f"{file} holds no questions.")
    return records


def _names(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(name for each in records for name in all_names(each.columns)))


class _Sample:
    """The first rows of a file, and a copy of them that guesses are tried on."""

    def __init__(self, file: Path, copy: Path, records: Sequence[Record], task: str) -> None:
        self.file, self.copy, self.records, self.task = file, copy, records, task
        self.names = _names(records)
        self.texts = {name: _texts(records, name) for name in self.names}
        lines = (json.dumps(dict(each.columns), default=str) + "\n" for each in records)
        copy.write_text("".join(lines), encoding="utf-8")

    def tried(self, columns: Columns) -> Guess | DataError:
        """Read the sample by a guess; what is wrong with it, where too many rows cannot be read so."""
        try:
            data = load_task(self.task, TaskConfig(kind="table", data=self.copy, columns=columns, bad_rows="leave_out"))
        except DataError as error:
            return DataError(self._in_place(str(error)))
        bad = data.left_out.get(BAD_ROW, 0)
        if bad > MOST_BAD * len(self.records):
            return DataError(self._in_place("; ".join(data.slips)))
        used = [columns.question_id or "", columns.answer, *_listed(columns.question), *_listed(columns.choices)]
        roots = {name.split(".")[0] for name in used}
        unused = tuple(name for name in self.names if name.split(".")[0] not in roots)
        slips = tuple(self._in_place(slip) for slip in data.slips if not slip.startswith("left out"))
        return Guess(columns, data.questions[0], unused, len(self.records), bad, slips)

    def has(self, name: str) -> bool:
        """Tell whether a row has a column so called."""
        return any(_reaches(record, name) for record in self.records)

    def is_empty(self, name: str) -> bool:
        """Tell whether a column holds nothing in any row."""
        values = (_value(record, name) for record in self.records)
        return all(value is None or (isinstance(value, str) and not value.strip()) for value in values)

    def _in_place(self, message: str) -> str:
        """Name the rows of the file, where a message names lines of the copy."""
        placed = re.sub(
            re.escape(str(self.copy)) + r", line (\d+)", lambda found: self.records[int(found[1]) - 1].where, message
        )
        return placed.replace(str(self.copy), str(self.file))


def _checked(sample: _Sample, given: Mapping[str, Any]) -> dict[str, Any]:
    """Split listed names at their commas, and check that the columns that are given are there.

    Raises:
        DataError: If one is not there, holds nothing, or is given for both question and answer.
    """
    known = dict(given)
    for part in ("question", "choices"):
        if known.get(part) is not None:
            names = tuple(name for each in _listed(known[part]) for name in _parted(sample, each))
            known[part] = names[0] if len(names) == 1 else names
    for part in ("question", "choices", "answer", "question_id"):
        for name in _listed(known.get(part)):
            if not sample.has(name):
                near = nearest_names(name, sample.names)
                hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
                listed = ", ".join(map(shorten, sample.names[:20]))
                raise DataError(f"{sample.file}: there is no column {name!r};{hint} The columns there are: {listed}.")
    if known.get("answer") in _listed(known.get("question")):
        raise DataError(f"{sample.file}: {known['answer']!r} is given for question and answer; name another for one.")
    if "answer" in known and sample.is_empty(known["answer"]):
        raise _no_answers(sample, known["answer"])
    called = [name for name in sample.names if _hint(name, "answer") == 2]
    if "answer" not in known and called and all(map(sample.is_empty, called)):
        raise _no_answers(sample, called[0])
    return known


def _parted(sample: _Sample, names: str) -> tuple[str, ...]:
    """Split names at their commas, unless a column is called so in whole."""
    return (
        (names,) if sample.has(names) else tuple(part.strip() for part in names.split(",") if part.strip()) or (names,)
    )


def _no_answers(sample: _Sample, name: str | None = None) -> DataError:
    """Say that there is nothing to learn from or to grade by; `name` is the column that should hold it."""
    what = "no column holds answers" if name is None else f"the column {name!r} is empty, and it is that of the answers"
    listed = ", ".join(map(shorten, sample.names[:20]))
    return DataError(
        f"{sample.file}: {what}. Every question needs its gold answer; fill it in, or name the column that holds it by "
        f"--answer-column. The columns there are: {listed}."
    )


def _ways(columns: Columns) -> Iterator[Columns]:
    """List how the answers may be written where that does not show: then one way alone must read them."""
    yield columns
    if columns.answer_is == "auto" and columns.choices is not None:
        yield from (columns.model_copy(update={"answer_is": place}) for place in _PLACES)


def _listed(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names or ()


def _texts(records: Iterable[Record], name: str) -> list[str]:
    """List what a column holds as texts; longer lists and objects are none."""
    found = []
    for record in records:
        try:
            value = column(record, name)
        except DataError:
            continue
        if isinstance(value, list) and len(value) == 1:
            (value,) = value
        if isinstance(value, str | int | float) and str(value).strip():
            found.append(str(value).strip())
    return found


def _candidates(sample: _Sample, given: Mapping[str, Any]) -> Iterator[Columns]:
    """List guesses, the likeliest first."""
    texts, choices = sample.texts, given.get("choices", _choices(sample))
    held = _listed(choices)
    free = [name for name in sample.names if texts[name] and not any(_within(name, other) for other in held)]
    asking = [name for name in free if name not in (given.get("answer"), given.get("question_id"))]
    asking = _ranked(asking, texts, _as_question)
    certain = [name for name in asking[:1] if _asks(name, asking, texts)]
    for question in [given["question"]] if "question" in given else certain or asking[:2]:
        others = [name for name in free if name not in _listed(question)]
        question_id = given.get("question_id", _id(others, sample))
        rest = [name for name in others if name != question_id]
        for answer in [given["answer"]] if "answer" in given else _ranked(rest, texts, _as_answer)[:3]:
            marked = any(_MARK in text for text in texts.get(answer, ()))
            yield Columns(
                question=question,
                answer=answer,
                choices=choices,
                question_id=question_id,
                answer_is=given.get("answer_is", "auto"),
                answer_after=_MARK if marked else None,
            )


def _choices(sample: _Sample) -> Any:
    """Find the column of choices, or those that hold one each; None where there are none."""
    for name in sorted(sample.names, key=lambda name: ("." in name, -_hint(name, "choices"))):
        if all(_is_listed(_value(record, name)) for record in sample.records):
            try:
                found = [read_choices(record, Columns(choices=name)) for record in sample.records]
            except DataError:
                continue
            texts = [text for each in found if each is not None for text in each.texts]
            several = all(each is not None and len(each.texts) >= 2 for each in found)
            if several and (
                _hint(name, "choices") or not all(isinstance(text, str) and is_number(text) for text in texts)
            ):
                return name
    flat = [name for name in sample.names if "." not in name]
    return next((tuple(group) for group in numbered_columns(flat)), None)


def _is_listed(value: Any) -> bool:
    """Tell whether a value looks like several texts."""
    if not isinstance(value, str):
        return isinstance(value, Mapping | list)
    return value.lstrip().startswith(("[", "{")) or "|" in value or re.match(r"\(?A[).]", value.lstrip()) is not None


def _value(record: Record, name: str) -> Any:
    try:
        return column(record, name)
    except DataError:
        return None


def _reaches(record: Record, name: str) -> bool:
    try:
        column(record, name)
    except DataError:
        return False
    return True


def _within(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}.")


def _id(names: Sequence[str], sample: _Sample) -> str | None:
    """Find a column of ids: called so, and each another one."""
    rows = len(sample.records)
    called = [name for name in names if _hint(name, "id") == 2]
    return next((name for name in called if rows == len(sample.texts[name]) == len(set(sample.texts[name]))), None)


def _ranked(
    names: Sequence[str], texts: Mapping[str, list[str]], score: Callable[[str, Sequence[str]], float]
) -> list[str]:
    return sorted(names, key=lambda name: -score(name, texts[name]))


def _hint(name: str, what: str) -> int:
    """Tell how far a column is called as this is: 2 the same, 1 in part, 0 not at all."""
    low, words = name.rstrip(".").rpartition(".")[2].strip().casefold(), _WORDS[what].split()
    if low in words or low in _WHOLE.get(what, ()) or set(re.split(r"\W|_", low)) & set(words):
        return 2
    return int(any(len(word) > 3 and word in low for word in words))


def _asks(name: str, others: Sequence[str], texts: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a column is surely that of the questions: it alone is called so, or it alone asks."""
    called = [each for each in others if _hint(each, "question") == 2]
    asking = [each for each in others if 2 * sum(text.endswith("?") for text in texts[each]) > len(texts[each])]
    return name in (called if len(called) == 1 else asking if len(asking) == 1 else ())


def _as_question(name: str, texts: Sequence[str]) -> float:
    """Score a column as that of the questions: called so, ends in a question mark, long, each another one."""
    asks = sum(text.endswith("?") for text in texts) / len(texts)
    length = min(sum(map(len, texts)) / len(texts), 100) / 100
    return 2 * _hint(name, "question") + 3 * asks + length + len(set(texts)) / len(texts)


def _as_answer(name: str, texts: Sequence[str]) -> float:
    """Score a column as that of the answers: called so, short, and yes or no, a letter or a number."""
    short = sum(len(text) <= 40 or _MARK in text for text in texts) / len(texts)
    told = sum(text.casefold() in TRUTH or re.fullmatch(r"[A-Ja-j]|-?[\d.,]+", text) is not None for text in texts)
    return 2 * _hint(name, "answer") + 2 * short + told / len(texts)
