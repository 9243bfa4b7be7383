"""Loading a question set, and the checks that all kinds share."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sert.config.columns import Columns
from sert.config.prompts import PromptTemplates
from sert.config.tree import TaskConfig
from sert.errors import ConfigError, DataError
from sert.records import LETTERS, Question
from sert.tasks.answers import ANSWER_PHRASE, extract_strict, is_correct, normalize_gold
from sert.tasks.duplicates import NearDuplicate
from sert.tasks.expressions import MOST_CHARACTERS, check_comparing
from sert.tasks.gold import UNANSWERED, check_keys
from sert.tasks.kinds import KINDS
from sert.tasks.prompts import label_example, student_prompt
from sert.tasks.readers import HUB, QuestionSet
from sert.tasks.rows import Row
from sert.tasks.slips import SHOWN_ANSWERS, find_slips, find_template_slips
from sert.tasks.splits import make_splits
from sert.tasks.templates import check_placeholders, read_context
from sert.terminal.text import counted, shorten

Questions = tuple[Question, ...]
LONGEST_TEXT = 131_072
"""Characters of a question, a choice, an answer or an id; a CSV cell holds no more either."""
SHOWN_ROWS = 10
"""Rows that cannot be used and are named; where none can, the first three are."""
BAD_ROW = "row that cannot be used"
_SETTING = re.compile(r"(?<![\w.])(?:columns\.[a-z_]+|hub_config|hub_revision)\b")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TaskData:
    """The questions of a task, and what was left out.

    Attributes:
        questions: Train before dev before test.
        left_out: Reason -> train questions that were left out.
        near_duplicates: Those that were left out because a question of another split is nearly the same.
        slips: What is likely a slip in the question set, for people.
        places: Question id -> where it stands, for people.
    """

    questions: tuple[Question, ...]
    left_out: dict[str, int]
    near_duplicates: tuple[NearDuplicate, ...] = ()
    slips: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    def split(self, name: str) -> tuple[Question, ...]:
        """Return the questions of `train`, `dev` or `test`, in order."""
        return tuple(question for question in self.questions if question.split == name)

    @property
    def held_out(self) -> tuple[Question, ...]:
        """The questions that nothing is trained on: those of `dev`, then those of `test`."""
        return self.split("dev") + self.split("test")


def load_task(name: str, config: TaskConfig) -> TaskData:
    """Load a question set and check every question.

    A train question that is also in the test split (the same words and choices, whatever their case, punctuation and
    order of the choices) is left out and counted; so is one that is nearly the same as one of the test or dev split,
    where `near_duplicates` says from which similarity on. `limit` applies to each split after that, `train_limit` to
    what is trained on.

    Raises:
        ConfigError: If an option does not fit the kind, two options exclude each other, or a template lacks a part or
            holds an unknown one.
        DataError: If a source cannot be read, or rows cannot be used; the message names the first of them.
    """
    _check_options(name, config)
    _check_columns(name, config.columns)
    check_placeholders(name, config, has_columns=bool(KINDS[config.kind].options))
    if config.kind == "math" or config.columns.answer_is == "expression":
        check_comparing(name)
    try:
        asked, refused = _read(name, config)
    except DataError as error:
        raise DataError(f"{error}{_in_full(name, str(error))}") from None
    splits, limit = make_splits(name, config, [question for _, question in asked]), config.limit
    left_out = {BAD_ROW: len(refused), **splits.left_out}
    return TaskData(
        (*splits.train[: config.train_limit][:limit], *splits.dev[:limit], *splits.test[:limit]),
        {reason: count for reason, count in left_out.items() if count},
        tuple(splits.near_duplicates),
        (
            *_bad_rows(refused),
            *find_template_slips(name, config.prompts),
            *find_slips(name, asked, columns=config.columns),
        ),
        {question.question_id: row.where for row, question in asked},
    )


def _in_full(name: str, message: str) -> str:
    """Say where the settings stand that a message names, as `--set` takes them."""
    settings = dict.fromkeys(_SETTING.findall(message))
    begin = "\n  " if "\n" in message else " "
    return f"{begin}(In full: {', '.join(f'tasks.{name}.{each}' for each in settings)}.)" if settings else ""


def _bad_rows(refused: Sequence[str]) -> Iterator[str]:
    if refused:
        shown = [*refused[:SHOWN_ANSWERS], *(["..."] if len(refused) > SHOWN_ANSWERS else [])]
        yield f"left out, since they cannot be used, {counted(len(refused), 'rows')}: {'; '.join(shown)}"


def _check_options(name: str, config: TaskConfig) -> None:
    fields = TaskConfig.model_fields
    given = {field for field in fields if field == "kind" or getattr(config, field) != fields[field].default}
    special = frozenset[str]().union(*(each.options for each in KINDS.values()))
    source = KINDS[config.kind].options
    allowed = fields.keys() - special | source
    for option in sorted(given - allowed):
        raise ConfigError(
            f"tasks.{name}.{option} makes no sense for kind = {config.kind!r}; leave it out. "
            f"It takes: {', '.join(sorted(allowed))}."
        )
    if source:
        _check_source(name, config, given)


def _check_source(name: str, config: TaskConfig, given: set[str]) -> None:
    hub_id = KINDS[config.kind].hub_id
    if len(given & {"data", "hub"}) != 1:
        both = "both are given" if "data" in given else "neither is given"
        raise ConfigError(f"tasks.{name} needs either data = 'FILE' or hub = '{hub_id or 'owner/name'}'; {both}.")
    excluded = HUB if "data" in given else {"test_data", "split_file"}
    for option in sorted(given & excluded):
        raise ConfigError(
            f"tasks.{name}.{option} does not go with {'data' if 'data' in given else 'hub'}; leave it out."
        )
    tests = sorted(given & {"test_data", "split_file", "test_share", "test_split"})
    if hub_id is not None and {"hub", "test_share"} <= given:
        raise ConfigError(f"tasks.{name}.test_share: this hub set has a test split of its own; leave test_share out.")
    if len(tests) > 1:
        raise ConfigError(f"tasks.{name} says twice what is tested on: {' and '.join(tests)}; keep one.")


def _check_columns(name: str, columns: Columns) -> None:
    """Check that what is said of choices is said where there are some."""
    of_choices = [f"answer_is = {columns.answer_is!r}"] if columns.answer_is in ("label", "index", "number") else []
    of_choices += ["labels"] if columns.labels is not None else []
    if columns.choices is None and of_choices:
        raise ConfigError(f"tasks.{name}.columns.{of_choices[0]} needs choices; name their column in columns.choices.")
    if columns.choices is not None and columns.answer_is in ("yes_no", "expression"):
        raise ConfigError(
            f"tasks.{name}.columns.answer_is = {columns.answer_is!r} is for questions without choices; leave one of "
            "them out."
        )


def _read(name: str, config: TaskConfig) -> tuple[list[tuple[Row, Question]], list[str]]:
    """Read all rows that can be used, and why the others cannot: of the first of these; the rest are counted."""
    asked, refused, places = list[tuple[Row, Question]](), list[str](), dict[str, str]()
    for row in KINDS[config.kind].read_rows(config):
        try:
            if isinstance(row, DataError):
                raise row
            question = _question(name, row, config)
            _check_new(question.question_id, row, places)
        except DataError as error:
            refused.append(str(error) if len(refused) < SHOWN_ROWS else "")
        else:
            places[question.question_id] = row.where
            asked.append((row, question))
    check_keys(name, [row.read_as for row, _ in asked])
    if refused and (config.bad_rows == "refuse" or not asked):
        raise DataError(_told(name, refused, len(refused) + len(asked)))
    return asked, refused


def _check_new(question_id: str, row: Row, places: Mapping[str, str]) -> None:
    if question_id in places:
        raise DataError(
            f"{row.where}: the id {question_id!r} was given already, by {places[question_id]}; "
            "ids must be unique within a task."
        )


def _told(name: str, refused: Sequence[str], count: int) -> str:
    if len(refused) == 1:
        return refused[0]
    shown = refused[: SHOWN_ROWS if len(refused) < count else 3]
    more = [f"and {len(refused) - len(shown)} more"] if len(refused) > len(shown) else []
    which = f"{len(refused)} of {count}" if len(refused) < count else f"All {count}"
    remedy = f'; mend them, or leave them out by tasks.{name}.bad_rows = "leave_out"' if len(refused) < count else ""
    return "\n  ".join([f"{which} rows of {name} cannot be used{remedy}:", *shown, *more])


def _question(name: str, row: Row, config: TaskConfig) -> Question:
    question_id = _text(str(row.question_id) if type(row.question_id) is int else row.question_id, "id", row)
    stem = _text(row.question, "question", row)
    question_set = KINDS[config.kind]
    choices = _choices(row, question_set)
    context = {part: _text(value, f"{{{part}}}", row, can_be_empty=True) for part, value in read_context(row, config)}
    question = Question(
        question_id=question_id,
        task=name,
        split=row.split,
        question=stem,
        choices=choices,
        answer=_answer(row, choices, question_set),
        prompt=student_prompt(stem, choices, config.prompts, context=context),
        context=tuple(context.items()),
        expression=row.expression,
    )
    _check_readable(question, row, config.prompts)
    return question


def _text(value: Any, what: str, row: Row, *, can_be_empty: bool = False) -> str:
    if not isinstance(value, str):
        raise DataError(f"{row.where}: the {what} must be a text, not {shorten(value)}.")
    if not value.strip() and not can_be_empty:
        raise DataError(f"{row.where}: the {what} is empty.")
    if len(value) > LONGEST_TEXT:
        raise DataError(
            f"{row.where}: the {what} {shorten(value)} has {len(value):,} characters; {LONGEST_TEXT:,} are allowed."
        )
    if _SURROGATE.search(value):
        raise DataError(f"{row.where}: the {what} {shorten(value)} holds half a character (\\ud800..\\udfff); mend it.")
    return value.strip()


def _choices(row: Row, question_set: QuestionSet) -> tuple[str, ...]:
    if row.choices is None:
        return ()
    if not isinstance(row.choices, list):
        raise DataError(f"{row.where}: the choices must be a list of texts, not {shorten(row.choices)}.")
    if not 2 <= len(row.choices) <= len(LETTERS):
        count = counted(len(row.choices), "choices")
        raise DataError(f"{row.where}: the question has {count}; 2 to {len(LETTERS)} are allowed.")
    choices = [_text(choice, f"choice {letter}", row) for letter, choice in zip(LETTERS, row.choices, strict=False)]
    for letter, choice in zip(LETTERS, choices, strict=False):
        first = LETTERS[choices.index(choice)]
        if first != letter and not question_set.repeats_choices:
            raise DataError(f"{row.where}: the choices {first} and {letter} are both {shorten(choice)}; mend one.")
    return tuple(choices)


def _answer(row: Row, choices: tuple[str, ...], question_set: QuestionSet) -> str:
    if row.answer is None or (isinstance(row.answer, str) and not row.answer.strip()):
        raise DataError(f"{row.where}: the answer is empty. {UNANSWERED}")
    if not isinstance(row.answer, bool | str):
        allowed = "a text" if isinstance(row.answer, int | float) else "a text, a number, true or false"
        raise DataError(f"{row.where}: the answer must be {allowed}, not {shorten(row.answer)}.")
    if row.expression:
        return _expression(row)
    raw = row.answer if isinstance(row.answer, bool) else _text(row.answer, "answer", row)
    answer = normalize_gold(raw, choices)
    if choices and answer is None:
        letters = " or ".join(LETTERS[: len(choices)])
        listed = ", ".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
        raise DataError(
            f"{row.where}: the answer {shorten(raw)} does not name exactly one of {shorten(listed)[1:-1]}; "
            f"give {letters} (in brackets, where a choice is such a letter itself), or the text of one choice."
        )
    if answer is None or (question_set.is_yes_no and answer not in ("yes", "no")):
        allowed = "yes/no or true/false" if question_set.is_yes_no else "yes/no, true/false or a text with words"
        raise DataError(f"{row.where}: the answer is {shorten(raw)}; it must be {allowed}.")
    return answer


def _expression(row: Row) -> str:
    text = _text(row.answer, "answer", row)
    if len(text) > MOST_CHARACTERS:
        raise DataError(
            f"{row.where}: the answer {shorten(text)} has {len(text):,} characters; an expression has at most "
            f"{MOST_CHARACTERS}."
        )
    return text


def _check_readable(question: Question, row: Row, templates: PromptTemplates) -> None:
    """Grade the grader: the gold answer, written as the student learns to, must be read back as correct."""
    completion = label_example(question, templates).completion
    read = extract_strict(completion, question)
    if read is None or not is_correct(read, question):
        raise DataError(
            f"{row.where}: the answer {shorten(question.answer)} is read back as {shorten(read)} from its label "
            f"completion {shorten(completion)}. Give an answer of one sentence or less, and keep "
            f"`{ANSWER_PHRASE} {{answer}}.` in the label template."
        )
