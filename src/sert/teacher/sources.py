"""Where rationales come from: the lab's oracle, answers recorded earlier, an endpoint. All are read in one way."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sert.config.prompts import PromptTemplates
from sert.endpoint.answers import DEFAULT_READER, AnswerReader
from sert.endpoint.calls import Reply
from sert.endpoint.ledger import Ledger, Quarantined
from sert.errors import TeacherError
from sert.records import Question, Rationale
from sert.tasks.prompts import teacher_prompt
from sert.teacher.live import Asked, rationale_of
from sert.teacher.recorded import read_recorded


@dataclass(frozen=True)
class Source:
    """The rationales of some questions.

    Attributes:
        name: What people call it.
        rationales: Reads them in the order of the questions, anew each time.
        counts: What is known of them beforehand.
        quarantined: Reads what was put aside.
    """

    name: str
    rationales: Callable[[], Iterable[Rationale]]
    counts: dict[str, Any] = field(default_factory=dict)
    quarantined: Callable[[], Iterable[Quarantined]] = tuple


def recorded_source(
    file: Path,
    questions: Sequence[Question],
    held_out: Sequence[Question],
    *,
    reader: AnswerReader = DEFAULT_READER,
) -> Source:
    """Read a file of recorded rationales.

    Raises:
        TeacherError: If it cannot be read, or answers none of the questions.
    """
    result = read_recorded(file, questions, held_out=held_out, reader=reader)
    if not result.rationales:
        raise TeacherError(
            f"{file} holds no rationale for any of {len(questions)} questions: {result.held_out} of its rows answer "
            f"dev or test questions, which are refused, {result.unmatched} no question at all. "
            "Give the train questions' file."
        )
    counts = {
        name: getattr(result, name) for name in ("unmatched", "missing", "seem_cut_off", "only_thinking", "held_out")
    }
    return Source(str(file), lambda: result.rationales, counts)


def endpoint_source(ledger: Ledger, asked: Asked) -> Source:
    """Read what an endpoint was asked for."""
    totals = ledger.totals
    # The tasks of a run share one ledger, and one cap.
    counts = {
        "requests": totals.requests,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "dollars_spent": str(totals.spent),
        "dollars_in_doubt": str(totals.in_doubt),
    }
    rationales, quarantined = partial(asked.rationales, ledger), partial(asked.quarantined, ledger)
    return Source(asked.endpoint.url, rationales, counts, quarantined)


def oracle_source(questions: Sequence[Question], prompts: PromptTemplates) -> Source:
    """Have the lab's oracle write."""
    from sert.lab.oracle import write_rationale
    from sert.lab.world import lab_world

    def write(question: Question) -> Rationale:
        reply = Reply(write_rationale(lab_world(), question), "stop", flag=None, usage=None, model="lab-oracle")
        prompt = teacher_prompt(question, prompts)
        return rationale_of(question, reply, prompt=prompt, answer=question.answer, source="lab")

    return Source("the oracle", lambda: map(write, questions))
