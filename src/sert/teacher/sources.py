"""Where rationales come from: the lab's oracle, answers recorded earlier, an endpoint. All are read in one way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sert.config.endpoints import EndpointConfig
from sert.config.tree import PromptTemplates, TeacherConfig
from sert.endpoint.ledger import Ledger, Quarantined
from sert.endpoint.session import open_session
from sert.errors import TeacherError
from sert.records import Question, Rationale
from sert.tasks.prompts import teacher_prompt
from sert.teacher.live import rationale_calls, read_quarantined, read_rationales
from sert.teacher.recorded import read_recorded
from sert.terminal.progress import Reporter


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


@contextmanager
def open_source(
    questions: Sequence[Question],
    held_out: Sequence[Question],
    *,
    teacher: TeacherConfig,
    recorded: Path | None,
    calls: Path | None,
    retry_quarantined: bool,
    prompts: PromptTemplates,
    label: str,
    reporter: Reporter | None,
) -> Iterator[Source]:
    """Open the rationales of a teacher; those of an endpoint are asked for before it returns."""
    if teacher.kind == "lab":
        yield Source("the oracle", lambda: (_oracle_rationale(question, prompts) for question in questions))
    elif teacher.kind == "recorded":
        assert recorded is not None
        yield _recorded(recorded, questions, held_out)
    else:
        endpoint = teacher.endpoint
        assert endpoint is not None and calls is not None
        with open_session(
            calls, endpoint, teacher.calls, label=label, reporter=reporter, retry_quarantined=retry_quarantined
        ) as session:
            asked = partial(rationale_calls, questions, endpoint=endpoint, prompts=prompts)
            session.settle(asked, total=len(questions))
            yield _live(session.ledger, questions, endpoint, prompts)


def check_recorded(file: Path, questions: Sequence[Question], held_out: Sequence[Question]) -> None:
    """Check that a file of recorded rationales answers some of the questions.

    Raises:
        TeacherError: If it cannot be read, or answers none.
    """
    _recorded(file, questions, held_out)


def _recorded(file: Path, questions: Sequence[Question], held_out: Sequence[Question]) -> Source:
    result = read_recorded(file, questions, held_out=held_out)
    if not result.rationales:
        raise TeacherError(
            f"{file} holds no rationale for any of {len(questions)} questions: {result.held_out} of its rows answer "
            f"dev or test questions, which are refused, {result.unmatched} no question at all. "
            "Give the train questions' file."
        )
    counts = {
        "unmatched": result.unmatched,
        "missing": result.missing,
        "seem_cut_off": result.seem_cut_off,
        "held_out": result.held_out,
    }
    return Source(str(file), lambda: result.rationales, counts)


def _live(ledger: Ledger, questions: Sequence[Question], endpoint: EndpointConfig, prompts: PromptTemplates) -> Source:
    totals = ledger.totals
    # The tasks of a run share one ledger, and one cap.
    counts = {
        "requests": totals.requests,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "dollars_spent": str(totals.spent),
        "dollars_in_doubt": str(totals.in_doubt),
    }
    return Source(
        endpoint.url,
        lambda: read_rationales(ledger, questions, endpoint=endpoint, prompts=prompts),
        counts,
        lambda: read_quarantined(ledger, questions, endpoint=endpoint, prompts=prompts),
    )


def _oracle_rationale(question: Question, prompts: PromptTemplates) -> Rationale:
    from sert.lab.oracle import write_rationale
    from sert.lab.world import lab_world

    return Rationale(
        question_id=question.question_id,
        model="lab-oracle",
        prompt=teacher_prompt(question, prompts),
        text=write_rationale(lab_world(), question),
        finish_reason="stop",
        extracted=question.answer,
        correct=True,
        prompt_tokens=None,
        completion_tokens=None,
        source="lab",
    )
