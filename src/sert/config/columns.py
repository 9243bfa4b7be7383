"""Settings of tables: which column holds what, and how."""

from typing import Annotated, Literal

from pydantic import Field

from sert.config.section import Section

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Columns(Section):
    """Which column of a table holds what. Names with dots reach into nested columns."""

    question_id: str | None = None
    """Column of the ids; without one, ids are made from the row numbers."""
    question: str | Names = "question"
    """Column of the question; the texts of several are joined by a blank."""
    choices: str | Names | None = None
    """Column of the options, or one column an option; None for questions without options."""
    labels: str | None = None
    """Column of what the options are called, where that does not stand beside them."""
    answer: str = "answer"
    """Gold answer: yes/no or true/false, a letter or an option's text, a number, or a text."""
    answer_is: Literal["auto", "text", "label", "index", "number", "yes_no", "expression"] = "auto"
    """How the gold answer is written: as an option's text, its label, its index (0 is the first option) or its number
    (1 is the first); `yes_no` takes 1 for yes and 0 for no; `expression` is one of mathematics, compared by its value.
    `auto` takes what can mean one thing only."""
    answer_after: str | None = Field(default=None, min_length=1)
    """The gold answer stands behind the last of these signs, such as `####`."""
    context: dict[Annotated[str, Field(pattern=r"^\w+$")], str] = Field(default={})
    """What templates call further columns, where that is not the column's own name: `{passage = "story.text"}`."""
