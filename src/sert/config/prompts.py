"""What students and teachers are asked, and what students learn to answer."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from sert.config.section import Section


class PromptTemplates(Section):
    """Prompts as data. `{question}`, `{choices}`, `{path}`, `{rationale}` and `{answer}` are replaced literally.

    In `choices`, `student` and `teacher` so is the name of any other column of the questions, such as `{passage}`.
    """

    choices: str = "{question} Answer choices: {choices}."
    """How choices follow the stem. Paper: `{stem} Answer choices: (A) a, (B) b, ...`"""
    choices_as: Literal["lettered", "listed", "none"] = "lettered"
    """How `{choices}` is written: with letters, `(A) a, (B) b`; without, `a, b`; or not at all, when the stem stands
    alone. Without letters `{answer}` is the text of the gold choice. Paper: with letters."""
    student: str = "Question: {question}\nAnswer:"
    """What the student is asked. Paper: `Question: {q} Answer:`; its figure shows the newline."""
    label: str = " So the answer is {answer}."
    """Completion of label-only training (Finetune). Not stated by the paper."""
    path: str = "{path} So the answer is {answer}."
    """Completion of self-training. Paper: `{path} So the answer is {a}.`"""
    teacher: str = "Question: {question}\nAnswer: Let's think step by step."
    """What the teacher is asked, and what the distilled student is asked."""
    rationale: str = " {rationale} So the answer is {answer}."
    """Completion of distillation. Paper: `{R} So the answer is {a}.`"""

    @model_serializer(mode="wrap")
    def _leave_out_letters(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `choices_as`, which came later, only where there are no letters, so that earlier results keep keys."""
        return {name: value for name, value in write(self).items() if (name, value) != ("choices_as", "lettered")}


_WITH_PASSAGE = "Passage: {passage}\nQuestion: {question}\nAnswer:"

OF_KIND: Mapping[str, Mapping[str, str]] = {
    "boolq": {"student": _WITH_PASSAGE, "teacher": f"{_WITH_PASSAGE} Let's think step by step."},
}
"""Templates of kinds of question sets that the defaults do not fit; what a configuration gives goes before."""
