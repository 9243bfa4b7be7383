"""Predictions: one output of a student a question, graded: the greedy one, or the one that several voted for.

An evaluated folder holds `predictions.parquet` and the `questions.parquet` that were asked; where several outputs a
question vote, `outputs.parquet` holds them all, and where `evaluation.likelihood` asks for it, `likelihoods.parquet`
how probable each possible answer is (see `sert.evaluation.likelihood`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from sert.config.mining import MiningConfig
from sert.config.rules import RulesConfig
from sert.config.tree import APART, EvaluationConfig, ExecutionConfig, StudentConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.grading import grade, summarize
from sert.evaluation.likelihood import write_likelihoods
from sert.evaluation.voting import Vote, count_votes, pass_rates
from sert.records import TOO_LONG, Output, Prediction, Question
from sert.store.artifacts import Artifact, Draft, artifact_key
from sert.store.executors import make_executor
from sert.store.stage import Cost, Inputs, Job, dumped
from sert.store.tables import questions_input, questions_key, write_table
from sert.student.decoding.lanes import Lane
from sert.student.decoding.schedule import Decoding
from sert.student.decoding.units import DecodingJob, decode_in_units, settled
from sert.student.load import load_texts, student_key
from sert.student.source import StudentSource
from sert.student.texts import Texts
from sert.tasks.answers import READING, extract_loose, reasoning_of
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted

_BESIDE = {"probe_samples": 0, "scored_questions": 0, "epoch_choice": "last"}
"""Settings that change no prediction: what is chosen among the results, and what is sampled beside them."""
_LATER = {"votes", "harness", "likelihood", "gain"}
"""Settings that are in a key only where they are not at their defaults; `gain` never is: other stages score."""
_SAMPLING = {"top_k", "top_p", "temperature"}
"""Settings of mining by which outputs that vote are sampled."""

Lanes = Callable[[int], Sequence[Lane]]
"""Gives the decoded lanes of a row."""


@dataclass(frozen=True)
class EvaluateJob(Job):
    """Ask a student every question, decode, grade the outputs and keep them.

    A question gets one greedy output, or `evaluation.votes` sampled ones that vote (see `sert.evaluation.voting`): then
    the prediction is the first output that gave the winning answer. What is sampled depends on (seed, question id,
    sample) alone. With `evaluation.harness = "compat"` the output is that of `sert.student.decoding.earlier_harness`.

    Attributes:
        questions: What is asked; `Question.prompt` is the prompt, word for word.
        student: The student; loaded only if there is work to do.
        evaluation: How many outputs a question, and the limits of decoding and of the format.
        rules: What counts as reasoning (see `sert.paths.rules.is_reasoned`).
        sampling: Its `top_k`, `top_p` and `temperature` are those of outputs that vote.
        execution: Who decodes. What was decoded is found again when the same job is done after a stop, but for
            `harness = "compat"`.
        seed: Seed of outputs that vote.
    """

    kind: ClassVar[str] = "evaluate"
    questions: tuple[Question, ...]
    student: StudentSource
    evaluation: EvaluationConfig
    rules: RulesConfig
    sampling: MiningConfig
    execution: ExecutionConfig = APART
    seed: int = 0
    step: str = "evaluate"

    @property
    def work(self) -> str:
        """How much there is to do, for people."""
        votes = self.evaluation.votes
        outputs = "" if votes == 1 else f"{votes} outputs of "
        longest = counted(self.evaluation.max_new_tokens, "tokens")
        return f"{counted(len(self.questions), 'questions')}, {outputs}at most {longest} each"

    @property
    def cost(self) -> Cost:
        """How much there is to do, in tokens."""
        return Cost(decoded=len(self.questions) * self.evaluation.votes * self.evaluation.max_new_tokens)

    @property
    def num_texts(self) -> int:
        """Questions that get an output."""
        return len(self.questions)

    def settings(self) -> dict[str, Any]:
        """What the predictions depend on: all but what is chosen among results, or sampled beside them."""
        evaluation = self.evaluation.model_copy(update=_BESIDE).model_dump(mode="json", exclude=_LATER)
        asked = evaluation | _unlike_greedy(self.evaluation, self.sampling)
        return {"evaluation": asked, "reading": READING, **self._reasoning()}

    def _reasoning(self) -> dict[str, Any]:
        """What says which outputs reason: no rule that was added later does."""
        return dumped(rules=self.rules.usual)

    def inputs(self) -> Inputs:
        """The questions and the student."""
        return {**questions_input(self.questions), **self.student.inputs()}

    def former_inputs(self) -> Inputs:
        """The same as in earlier versions."""
        return {**questions_input(self.questions), **self.student.former_inputs()}

    def earlier_key(self) -> str:
        """The key in version 0.1."""
        plain = self.evaluation.model_dump(include={"max_new_tokens", "max_lanes", "max_format_rep_2"})
        settings = {"evaluation": plain | _unlike_greedy(self.evaluation, self.sampling), **self._reasoning()}
        inputs = {"questions": questions_key(self.questions), "student": student_key(self.student.resolve())}
        return artifact_key(self.kind, config=settings, inputs=inputs, seed=self.seed)

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        questions, (lanes, driven) = self.questions, self._decode(draft, label=label, reporter=reporter)
        texts = load_texts(self.student.resolve())
        predictions = [self._grade(question, lanes(row), texts) for row, question in enumerate(questions)]
        write_table(draft.folder / "questions.parquet", questions, Question)
        write_table(draft.folder / "predictions.parquet", predictions, Prediction)
        scored: dict[str, Any] = {}
        if (votes := self.evaluation.votes) > 1:
            outputs = list(_outputs(questions, lanes, texts))
            write_table(draft.folder / "outputs.parquet", outputs, Output)
            scored["pass_at_k"] = pass_rates(outputs, questions, votes=votes)
        if self.evaluation.likelihood:
            scored |= write_likelihoods(draft, questions, self.student.resolve(), label=label, reporter=reporter)
        return summarize(predictions, questions) | scored | driven

    def decoding(self, student: StudentConfig) -> DecodingJob:
        """What is decoded, by this student."""
        config = self.evaluation
        sampled = self.sampling.model_dump(include=_SAMPLING) | {"seed": self.seed} if config.votes > 1 else {}
        decoding = Decoding(None, config.votes, config.max_new_tokens, max_lanes=config.max_lanes, **sampled)
        return DecodingJob(student, self.questions, decoding)

    def _decode(self, draft: Draft, *, label: str, reporter: Reporter) -> tuple[Lanes, dict[str, Any]]:
        job = self.decoding(self.student.resolve())
        if self.evaluation.harness == "compat":
            from sert.student.decoding.earlier_harness import decode_compat

            found = decode_compat(job, draft, label=label, reporter=reporter)
            return lambda row: [found[row]] if row in found else [], {}
        executor = make_executor(self.execution, say=reporter.say)
        decoded = decode_in_units(job, draft, executor=executor, label=label, reporter=reporter)
        return decoded.lanes, decoded.driven

    def _grade(self, question: Question, lanes: Sequence[Lane], texts: Texts) -> Prediction:
        """Grade the only output, or the first one that gave the winning answer; without any it is not answered."""
        lanes = lanes or [Lane(0, 0, [], [], TOO_LONG)]
        completions = [texts.decode(lane.token_ids) for lane in lanes]
        answers = [extract_loose(completion, question) for completion in completions]
        vote = count_votes(answers, question) if len(lanes) > 1 else Vote(winner=0, votes=1)
        lane, completion = lanes[vote.winner], completions[vote.winner]
        reasoning = len(texts.encode_completion(reasoning_of(completion, question).rstrip()))
        graded = grade(
            question,
            completion=completion,
            finish=lane.finish,
            token_ids=lane.token_ids,
            reasoning_tokens=min(reasoning, len(lane.token_ids)),
            rules=self.rules,
            evaluation=self.evaluation,
        )
        if lane.finish == TOO_LONG:
            return replace(graded, num_outputs=0, votes=0)
        return replace(graded, num_outputs=len(lanes), votes=vote.votes)


def evaluate(
    questions: Sequence[Question],
    student: StudentConfig,
    *,
    out: Path,
    config: EvaluationConfig | None = None,
    rules: RulesConfig | None = None,
    sampling: MiningConfig | None = None,
    execution: ExecutionConfig = APART,
    seed: int = 0,
    label: str = "evaluate",
    reporter: Reporter | None = None,
) -> Artifact:
    """Ask a student every question and keep its graded outputs in the folder `out` (see `EvaluateJob`).

    Raises:
        ConfigError: If several outputs are to vote and the harness gives one.
        DataError: If there are no questions.
        StudentError: If the student cannot be loaded, or all prompts and outputs exceed its positions.
    """
    config = config or EvaluationConfig()
    if config.harness == "compat" and config.votes > 1:
        raise ConfigError(f"{label}: harness = 'compat' gives one output a question, not votes = {config.votes}.")
    if not questions:
        raise DataError(f"{label}: there are no questions to evaluate on.")
    reporter = reporter or Silent()
    job_of = partial(
        evaluation_job, questions, config=config, rules=rules, sampling=sampling, execution=execution, seed=seed
    )
    job = job_of(settled(student, job_of, out=out, reporter=reporter))
    return job.make(out, label=label, reporter=reporter)


def evaluation_job(
    questions: Sequence[Question],
    student: StudentConfig,
    *,
    config: EvaluationConfig | None = None,
    rules: RulesConfig | None = None,
    sampling: MiningConfig | None = None,
    execution: ExecutionConfig = APART,
    seed: int = 0,
) -> EvaluateJob:
    """Describe what `evaluate` does with a student whose type of numbers is decided."""
    config = config or EvaluationConfig()
    return EvaluateJob(
        tuple(questions),
        StudentSource(student),
        evaluation=config,
        rules=rules or RulesConfig(),
        sampling=sampling or MiningConfig(),
        execution=execution,
        seed=seed if config.votes > 1 else 0,
    )


def evaluation_step(method: str, number: int, count: int, *, dev: bool) -> str:
    """Name the test of a snapshot of a training, one of so many, in its run; the last one's on test has no number."""
    which = f"-{number}-of-{count}" if number < count or dev else ""
    return f"evaluate-{method}{which}{'-dev' if dev else ''}"


def _unlike_greedy(config: EvaluationConfig, sampling: MiningConfig) -> dict[str, Any]:
    """Name the settings by which a student is not asked once and greedily alone, for keys; empty where it is."""
    changed: dict[str, Any] = {}
    if config.harness != "clean":
        changed["harness"] = config.harness
    if config.likelihood:
        changed["likelihood"] = True
    if config.votes > 1:
        changed["votes"] = config.votes
        changed["sampling"] = sampling.model_dump(include=_SAMPLING)
    return changed


def _outputs(questions: Sequence[Question], lanes: Lanes, texts: Texts) -> Iterator[Output]:
    for row, question in enumerate(questions):
        for lane in lanes(row):
            completion = texts.decode(lane.token_ids)
            answer = extract_loose(completion, question)
            yield Output(question.question_id, lane.sample, completion, lane.finish, len(lane.token_ids), answer)
