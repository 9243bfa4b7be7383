"""No question that students are tested on, or that their epoch is chosen on, is taught."""

from collections.abc import Iterator, Sequence

from sert.errors import TeacherError
from sert.records import Question
from sert.tasks.duplicates import question_key
from sert.terminal.text import shorten

SHOWN_OFFENDERS = 3


def refuse_test_questions(questions: Sequence[Question], held_out: Sequence[Question]) -> None:
    """Refuse to teach a question that is held out.

    It is held out if it has the id of a held-out question, or its words and choices, whatever their case, blanks,
    punctuation and order of the choices.
    Held out are the questions that students are tested on, and those that the epoch is chosen on.

    Raises:
        TeacherError: If one is held out; the message names the first of them.
    """
    offenders = list(_offenders(questions, held_out))
    if offenders:
        more = "; ..." if len(offenders) > SHOWN_OFFENDERS else ""
        raise TeacherError(
            f"{len(offenders)} of {len(questions)} questions to teach are held out for testing or choosing the epoch: "
            f"{'; '.join(offenders[:SHOWN_OFFENDERS])}{more}. No rationale of a held-out question may be trained on; "
            "hand in train questions only, and give questions that differ ids that differ."
        )


def _offenders(questions: Sequence[Question], held_out: Sequence[Question]) -> Iterator[str]:
    ids = {question.question_id for question in held_out}
    id_of = {question_key(question): question.question_id for question in held_out}
    for question in questions:
        same = id_of.get(question_key(question))
        if same is not None:
            yield f"{question.question_id!r} asks the same as {same!r}, {shorten(question.question)}"
        elif question.question_id in ids:
            yield f"{question.question_id!r} has the id of another question that is held out"
