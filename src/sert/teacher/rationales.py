"""Rationales for questions: asked of an endpoint, from answers recorded earlier, or from the lab's oracle.

A taught folder holds `rationales.parquet`, the `questions.parquet` that they answer, the `examples.parquet` of
distillation that they make, and for an endpoint `quarantined.jsonl`, the questions that were put aside with what came
back for them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sert.config.tree import PromptTemplates, TeacherConfig
from sert.endpoint.session import plan_calls
from sert.errors import ConfigError, TeacherError
from sert.records import Example, Question, Rationale
from sert.store.artifacts import Artifact, Draft, artifact_key, commit, discard, file_hash
from sert.store.tables import records_key, write_table
from sert.tasks.prompts import rationale_example
from sert.teacher.guard import refuse_test_questions
from sert.teacher.live import rationale_calls
from sert.teacher.sources import Source, open_source
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted


def teach(
    questions: Sequence[Question],
    *,
    out: Path,
    held_out: Sequence[Question] = (),
    teacher: TeacherConfig | None = None,
    recorded: Path | None = None,
    calls: Path | None = None,
    retry_quarantined: bool = False,
    prompts: PromptTemplates | None = None,
    label: str = "teach",
    reporter: Reporter | None = None,
) -> Artifact:
    """Get one rationale a question.

    A rationale is kept only for the questions handed in, and a question that is held out is refused. An endpoint's
    answers are kept in a log of their own while they come; the same call again goes on where it stopped.

    Args:
        questions: What the teacher is asked.
        out: Folder of the result.
        held_out: The dev and test questions; nothing is trained on a teacher's answers to them.
        teacher: Which teacher.
        recorded: The file of earlier answers, for the recorded teacher.
        calls: Folder of the log of an endpoint's calls; `<out>.calls` when not given.
        retry_quarantined: Ask again what was put aside earlier, and make the result anew if there was any.
        prompts: Templates.
        label: What the progress is called.
        reporter: Where progress and warnings go.

    Raises:
        TeacherError: If a question is held out, there is no rationale for any question, or the recorded file is missing
            or cannot be read.
        ConfigError: If the endpoint is not named, or it is not said who pays for it.
        EndpointError: If the endpoint refuses, fails or cannot be reached.
        BudgetError: If the next call could pass the cap.
    """
    teacher, prompts = teacher or TeacherConfig(), prompts or PromptTemplates()
    refuse_test_questions(questions, held_out)
    _check_teacher(teacher, recorded, label=label)
    settings = {
        "teacher": teacher.model_dump(mode="json", exclude={"calls"}),
        "prompts": prompts.model_dump(),
    }
    inputs = {"questions": records_key(questions), "held_out": records_key(held_out)}
    if recorded is not None:
        inputs["recorded"] = file_hash(recorded)
    if retry_quarantined:
        # All that it holds can be made again from the log.
        key = artifact_key("teach", config=settings, inputs=inputs, seed=0)
        discard(out, key, if_counts=lambda counts: counts.get("quarantined", 0) > 0)

    def fill(draft: Draft) -> Mapping[str, Any]:
        with open_source(
            questions,
            held_out,
            teacher=teacher,
            recorded=recorded,
            calls=calls or out.with_name(f"{out.name}.calls"),
            retry_quarantined=retry_quarantined,
            prompts=prompts,
            label=label,
            reporter=reporter,
        ) as source:
            return _write(
                source, questions, draft.folder, teacher=teacher, prompts=prompts, label=label, reporter=reporter
            )

    return commit(out, fill, stage="teach", config=settings, inputs=inputs, seed=0)


def describe_teaching(
    questions: Sequence[Question], *, teacher: TeacherConfig, calls: Path, prompts: PromptTemplates
) -> str:
    """Say what teaching would do and cost. Opens no connection and writes nothing."""
    if teacher.kind != "endpoint" or teacher.endpoint is None:
        return f"{counted(len(questions), 'rationales')} ({teacher.kind})"
    asked = rationale_calls(questions, endpoint=teacher.endpoint, prompts=prompts)
    plan = plan_calls(asked, folder=calls, config=teacher.calls)
    wanted = counted(plan.calls, "rationales")
    return f"{wanted}, {plan.answered} answered earlier; low / likely / most: {plan.price_tag()}"


def rationale_examples(
    questions: Sequence[Question],
    rationales: Iterable[Rationale],
    *,
    prompts: PromptTemplates,
    only_correct: bool,
    keep_flagged: bool = False,
) -> Iterator[Example]:
    """Make the examples of distillation: the rationale, then the gold answer. Empty rationales are left out.

    Args:
        questions: Those that the rationales answer, and possibly others.
        rationales: What the teacher wrote.
        prompts: Templates.
        only_correct: Leave out rationales whose own answer is wrong or cannot be read.
        keep_flagged: Keep rationales that were cut off, filtered or damaged.
    """
    by_id = {question.question_id: question for question in questions}
    for rationale in rationales:
        sound = rationale.flag is None or keep_flagged
        if rationale.text.strip() and sound and (rationale.correct or not only_correct):
            yield rationale_example(by_id[rationale.question_id], rationale.text, prompts)


@dataclass
class _Tally:
    """Counts rationales as they pass by."""

    rationales: int = 0
    correct: int = 0
    without_answer: int = 0
    flagged: dict[str, int] = field(default_factory=dict)

    def watch(self, rationales: Iterable[Rationale]) -> Iterator[Rationale]:
        for rationale in rationales:
            self.rationales += 1
            self.correct += rationale.correct
            self.without_answer += rationale.extracted is None
            if rationale.flag is not None:
                self.flagged[rationale.flag] = self.flagged.get(rationale.flag, 0) + 1
            yield rationale


def _write(
    source: Source,
    questions: Sequence[Question],
    folder: Path,
    *,
    teacher: TeacherConfig,
    prompts: PromptTemplates,
    label: str,
    reporter: Reporter | None,
) -> dict[str, Any]:
    tally = _Tally()
    write_table(folder / "questions.parquet", questions, Question)
    write_table(folder / "rationales.parquet", tally.watch(source.rationales()), Rationale)
    if not tally.rationales:
        raise TeacherError(f"{label}: {source.name} holds no rationale for any of {len(questions)} questions.")
    for line in _summary(tally, source, len(questions)):
        (reporter or Silent()).say(f"{label}: {line}")
    chosen = rationale_examples(
        questions,
        source.rationales(),
        prompts=prompts,
        only_correct=teacher.only_correct,
        keep_flagged=teacher.keep_flagged,
    )
    examples = write_table(folder / "examples.parquet", chosen, Example)
    quarantined = [json.dumps(each._asdict()) for each in source.quarantined()]
    if quarantined:
        (folder / "quarantined.jsonl").write_text("\n".join(quarantined) + "\n", encoding="utf-8")
    aside = {"quarantined": len(quarantined)} if teacher.kind == "endpoint" else {}
    return {"questions": len(questions), **vars(tally), "examples": examples, **aside, **source.counts}


def _summary(tally: _Tally, source: Source, questions: int) -> Iterator[str]:
    share = 100 * tally.correct / tally.rationales
    yield f"{counted(tally.rationales, 'rationales')}, {tally.correct} with the right answer ({share:.1f} %)"
    if tally.flagged:
        yield f"not trained on by default: {', '.join(f'{count} {flag}' for flag, count in tally.flagged.items())}"
    if source.counts.get("seem_cut_off"):
        yield f"{source.counts['seem_cut_off']} seem cut off, but the record does not tell; they are not left out"
    if source.counts.get("held_out"):
        yield f"{counted(source.counts['held_out'], 'answers')} to held-out questions refused"
    if tally.rationales < questions:
        yield f"{questions - tally.rationales} of {questions} questions have no rationale"


def _check_teacher(teacher: TeacherConfig, recorded: Path | None, *, label: str) -> None:
    if teacher.kind == "recorded" and recorded is None:
        raise TeacherError(f"{label}: a recorded teacher needs a file; set tasks.<name>.rationales or teacher.kind.")
    if recorded is not None and not recorded.is_file():
        raise TeacherError(f"{label}: there is no file of recorded rationales {recorded}.")
    if teacher.kind == "endpoint" and teacher.endpoint is None:
        raise ConfigError(f"{label}: the teacher's endpoint is not named; give teacher.endpoint.url and .model.")
