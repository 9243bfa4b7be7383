"""Rationales for questions: asked of an endpoint, from answers recorded earlier, or from the lab's oracle.

A taught folder holds `rationales.parquet`, the `questions.parquet` that they answer, the `examples.parquet` of
distillation that they make, and for an endpoint `quarantined.jsonl`, the questions that were put aside with what came
back for them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from sert.config.endpoints import CallsConfig
from sert.config.prompts import PromptTemplates
from sert.config.tree import TeacherConfig
from sert.endpoint.answers import AnswerReader
from sert.endpoint.session import open_session, plan_calls
from sert.errors import ConfigError, TeacherError
from sert.records import Example, Question, Rationale
from sert.store.artifacts import Artifact, Draft, artifact_key, file_hash
from sert.store.stage import Inputs, Job, discard, dumped
from sert.store.tables import questions_input, questions_key, write_table
from sert.tasks.answers import READING
from sert.tasks.prompts import rationale_example
from sert.teacher.guard import refuse_test_questions
from sert.teacher.live import Asked
from sert.teacher.sources import Source, endpoint_source, oracle_source, recorded_source
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted


@dataclass(frozen=True)
class TeachJob(Job):
    """Get one rationale a question.

    A rationale is kept only for the questions handed in, and a question that is held out is refused. An endpoint's
    answers are kept in a ledger of their own while they come; the same job again goes on where it stopped.

    Attributes:
        held_out: The dev and test questions; nothing is trained on a teacher's answers to them.
        recorded: The file of earlier answers, for the recorded teacher.
        calls: Folder of the ledger of an endpoint's calls; None for other teachers.
        retry_quarantined: Ask again what was put aside earlier, and make the result anew if there was any.
    """

    kind: ClassVar[str] = "teach"
    questions: tuple[Question, ...]
    held_out: tuple[Question, ...]
    teacher: TeacherConfig
    prompts: PromptTemplates
    recorded: Path | None = None
    calls: Path | None = None
    retry_quarantined: bool = False
    seed: int = 0
    step: str = "teach"

    @property
    def work(self) -> str:
        """How much there is to do and what it may cost, for people. Opens no connection and writes nothing."""
        teacher = self.teacher
        if teacher.kind != "endpoint" or teacher.endpoint is None or self.calls is None:
            return f"{counted(len(self.questions), 'rationales')} ({teacher.kind})"
        asked = Asked(self.questions, teacher.endpoint, self.prompts)
        plan = plan_calls(asked.calls(), folder=self.calls, config=teacher.calls)
        wanted = counted(plan.calls, "rationales")
        return f"{wanted}, {plan.answered} answered earlier; low / likely / most: {plan.price_tag()}"

    @property
    def num_texts(self) -> int:
        """Questions that get a rationale, at most."""
        return len(self.questions)

    def settings(self) -> dict[str, Any]:
        """What the rationales depend on. How an endpoint is called and paid for does not change what it answers."""
        asked = self.teacher.model_copy(update={"calls": CallsConfig(), "num_rationales": None})
        settings = dumped(teacher=asked, prompts=self.prompts)
        if self.teacher.kind == "lab":  # the oracle does not think, says what is read, and its results keep their keys
            del settings["teacher"]["thinking"]
            return settings
        return {"reading": READING, **settings}

    def inputs(self) -> Inputs:
        """The questions, those that are held out, and the file of earlier answers."""
        return {
            **questions_input(self.questions),
            "test questions": questions_key(self.held_out),  # and those of dev
            "recorded rationales": file_hash(self.recorded) if self.recorded else "",
        }

    def earlier_key(self) -> str:
        """The key in version 0.1."""
        later = {"thinking"} if self.teacher.kind == "lab" else set()  # others were read otherwise
        teacher = self.teacher.model_dump(mode="json", exclude={"calls", *later})
        settings = {"teacher": teacher, **dumped(prompts=self.prompts)}
        inputs = {"questions": questions_key(self.questions), "held_out": questions_key(self.held_out)}
        if self.recorded is not None:
            inputs["recorded"] = file_hash(self.recorded)
        return artifact_key(self.kind, config=settings, inputs=inputs, seed=self.seed)

    def make(self, folder: Path, *, label: str, reporter: Reporter) -> Artifact:
        """Get the rationales.

        Raises:
            TeacherError: If a question is held out, there is no rationale for any question, or the recorded file is
                missing or cannot be read.
            ConfigError: If the endpoint is not named, or it is not said who pays for it.
            EndpointError: If the endpoint refuses, fails or cannot be reached.
            BudgetError: If the next call could pass the cap.
        """
        refuse_test_questions(self.questions, self.held_out)
        check_teacher(self.teacher, self.recorded, label=label)
        if self.retry_quarantined:
            discard(self, folder, if_counts=lambda counts: counts.get("quarantined", 0) > 0)
        return super().make(folder, label=label, reporter=reporter)

    @property
    def _reader(self) -> AnswerReader:
        teacher, endpoint = self.teacher, self.teacher.endpoint
        words = endpoint.finish_reasons if endpoint is not None else {}
        return AnswerReader("teacher", teacher.thinking, words, keep_flagged=teacher.keep_flagged)

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        folder, teacher, counts = draft.folder, self.teacher, _RationaleCounts()
        with self._open_source(label, reporter) as source:
            write_table(folder / "questions.parquet", self.questions, Question)
            write_table(folder / "rationales.parquet", counts.watch(source.rationales()), Rationale)
            if not counts.rationales:
                asked = len(self.questions)
                raise TeacherError(f"{label}: {source.name} holds no rationale for any of {asked} questions.")
            for line in _summary(counts, source, len(self.questions)):
                reporter.say(f"{label}: {line}")
            chosen = rationale_examples(
                self.questions,
                source.rationales(),
                prompts=self.prompts,
                only_correct=teacher.only_correct,
                keep_flagged=teacher.keep_flagged,
            )
            examples = write_table(folder / "examples.parquet", chosen, Example)
            quarantined = [json.dumps(each._asdict()) for each in source.quarantined()]
        if quarantined:
            (folder / "quarantined.jsonl").write_text("\n".join(quarantined) + "\n", encoding="utf-8")
        aside = {"quarantined": len(quarantined)} if teacher.kind == "endpoint" else {}
        return {"questions": len(self.questions), **vars(counts), "examples": examples, **aside, **source.counts}

    @contextmanager
    def _open_source(self, label: str, reporter: Reporter) -> Iterator[Source]:
        """Open the rationales of the teacher; those of an endpoint are asked for before they can be read."""
        teacher, endpoint = self.teacher, self.teacher.endpoint
        if teacher.kind == "lab":
            yield oracle_source(self.questions, self.prompts)
        elif teacher.kind == "recorded":
            assert self.recorded is not None
            yield recorded_source(self.recorded, self.questions, self.held_out, reader=self._reader)
        else:
            assert endpoint is not None and self.calls is not None
            again = self.retry_quarantined
            with open_session(
                self.calls,
                endpoint,
                teacher.calls,
                label=label,
                reader=self._reader,
                reporter=reporter,
                retry_quarantined=again,
            ) as session:
                asked = Asked(self.questions, endpoint, self.prompts, self._reader)
                session.settle(asked.calls, total=len(self.questions))
                yield endpoint_source(session.ledger, asked)


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
    """Get one rationale a question into the folder `out` (see `TeachJob`); its ledger is `<out>.calls` unless named.

    Raises:
        TeacherError, ConfigError, EndpointError, BudgetError: As `TeachJob.make` does.
    """
    job = TeachJob(
        tuple(questions),
        tuple(held_out),
        teacher or TeacherConfig(),
        prompts or PromptTemplates(),
        recorded=recorded,
        calls=calls or out.with_name(f"{out.name}.calls"),
        retry_quarantined=retry_quarantined,
    )
    return job.make(out, label=label, reporter=reporter or Silent())


def rationale_examples(
    questions: Sequence[Question],
    rationales: Iterable[Rationale],
    *,
    prompts: PromptTemplates,
    only_correct: bool,
    keep_flagged: bool = False,
) -> Iterator[Example]:
    """Make the examples of distillation: the rationale, then the gold answer. Empty rationales are left out.

    The questions are those that the rationales answer, and possibly others. `only_correct` leaves out rationales whose
    own answer is wrong or cannot be read, `keep_flagged` keeps those that were cut off, filtered or damaged.
    """
    by_id = {question.question_id: question for question in questions}
    for rationale in rationales:
        sound = rationale.flag is None or keep_flagged
        if rationale.text.strip() and sound and (rationale.correct or not only_correct):
            yield rationale_example(by_id[rationale.question_id], rationale.text, prompts)


@dataclass
class _RationaleCounts:
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


def _summary(counts: _RationaleCounts, source: Source, questions: int) -> Iterator[str]:
    share = 100 * counts.correct / counts.rationales
    yield f"{counted(counts.rationales, 'rationales')}, {counts.correct} with the right answer ({share:.1f} %)"
    if counts.flagged:
        yield f"not trained on by default: {', '.join(f'{count} {flag}' for flag, count in counts.flagged.items())}"
    if source.counts.get("seem_cut_off"):
        yield f"{source.counts['seem_cut_off']} seem cut off, but the record does not tell; they are not left out"
    if source.counts.get("only_thinking"):
        yield f"{source.counts['only_thinking']} hold nothing but thinking; teacher.thinking=keep trains on that"
    if source.counts.get("held_out"):
        yield f"{counted(source.counts['held_out'], 'answers')} to held-out questions refused"
    if counts.rationales < questions:
        yield f"{questions - counts.rationales} of {questions} questions have no rationale"


def check_teacher(teacher: TeacherConfig, recorded: Path | None, *, label: str) -> None:
    """Check that a teacher has what its kind needs.

    Raises:
        TeacherError: If there is no file of recorded rationales.
        ConfigError: If the endpoint is not named.
    """
    if teacher.kind == "recorded" and recorded is None:
        raise TeacherError(f"{label}: a recorded teacher needs a file; set tasks.<name>.rationales or teacher.kind.")
    if recorded is not None and not recorded.is_file():
        raise TeacherError(f"{label}: there is no file of recorded rationales {recorded}.")
    if teacher.kind == "endpoint" and teacher.endpoint is None:
        raise ConfigError(f"{label}: the teacher's endpoint is not named; give teacher.endpoint.url and .model.")
