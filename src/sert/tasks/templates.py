"""The placeholders of templates, and the columns that some of them name."""

from collections.abc import Iterator
from typing import Any

from sert.config.prompts import PromptTemplates
from sert.config.tree import TaskConfig
from sert.errors import ConfigError, DataError
from sert.tasks.normalize import written
from sert.tasks.prompts import placeholders
from sert.tasks.rows import Row, column
from sert.terminal.text import shorten

_PARTS = {
    "choices": ("question", "choices"),
    "student": ("question",),
    "label": ("answer",),
    "path": ("path", "answer"),
    "teacher": ("question",),
    "rationale": ("rationale", "answer"),
}
_WITH_COLUMNS = ("choices", "student", "teacher")
_RESERVED = {part for parts in _PARTS.values() for part in parts}
# Columns with the gold answer of the kinds that have columns of their own.
_GOLD = {"answer", "answerKey", "target_scores"}


def check_placeholders(name: str, config: TaskConfig, *, has_columns: bool) -> None:
    """Check that each template holds its parts, and nothing but these and columns.

    Raises:
        ConfigError: If a part is missing, or a placeholder is unknown or would give the answer away.
    """
    for template, parts in _PARTS.items():
        text, where = getattr(config.prompts, template), f"tasks.{name}.prompts.{template}"
        for part in parts:
            if f"{{{part}}}" not in text:
                raise ConfigError(f"{where} = {shorten(text)} must hold {{{part}}}.")
        for part in placeholders(text):
            takes_columns = has_columns and template in _WITH_COLUMNS
            if part not in parts and (part in _RESERVED or not takes_columns):
                also = " and columns of the questions" if takes_columns else ""
                listed = ", ".join(f"{{{each}}}" for each in parts)
                raise ConfigError(f"{where} holds {{{part}}}; it can hold {listed}{also}.{_hint(part)}")
    for part in context_names(config.prompts):
        if _column_of(part, config).split(".")[0] in {*_GOLD, config.columns.answer.split(".")[0]}:
            raise ConfigError(f"tasks.{name}.prompts: {{{part}}} would show the gold answer; take it out.")
    if unused := sorted(config.columns.context.keys() - context_names(config.prompts)):
        raise ConfigError(
            f"tasks.{name}.columns.context names {', '.join(unused)}, which no template holds; write "
            f"{{{unused[0]}}} into prompts.student and prompts.teacher, or leave it out."
        )


def _hint(part: str) -> str:
    return " {question} holds the choices, as prompts.choices writes them." if part == "choices" else ""


def context_names(prompts: PromptTemplates) -> tuple[str, ...]:
    """List the placeholders that name columns, in the order of the templates."""
    held = (part for template in _WITH_COLUMNS for part in placeholders(getattr(prompts, template)))
    return tuple(dict.fromkeys(part for part in held if part not in _RESERVED))


def read_context(row: Row, config: TaskConfig) -> Iterator[tuple[str, Any]]:
    """Read what the templates name of a row's further columns, unchecked; texts of a list are joined by a blank.

    Raises:
        DataError: If there is no such column.
    """
    for part in context_names(config.prompts):
        if row.record is None:
            raise DataError(f"{row.where}: there are no columns; take {{{part}}} out of the prompts.")
        try:
            value = column(row.record, _column_of(part, config))
        except DataError as error:
            raise DataError(
                f"{error} The prompts hold {{{part}}}; columns.context says which column it is, as in "
                f'{{{part} = "story.text"}}.'
            ) from None
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = " ".join(value)
        yield part, written(value)


def _column_of(part: str, config: TaskConfig) -> str:
    return config.columns.context.get(part, part)
