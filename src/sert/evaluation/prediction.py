"""Predictions: one output of a student a question, graded: the greedy one, or the one that several voted for.

An evaluated folder holds `predictions.parquet` and the `questions.parquet` that were asked; where several outputs a
question vote, `outputs.parquet` holds them all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sert.config.tree import APART, EvaluationConfig, ExecutionConfig, MiningConfig, RulesConfig, StudentConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.grading import grade, summarize
from sert.evaluation.voting import count_votes
from sert.records import Output, Prediction, Question
from sert.store.artifacts import Artifact, Draft, commit
from sert.store.executors import make_executor
from sert.store.tables import records_key, write_table
from sert.student.decoding.lanes import Lane
from sert.student.decoding.schedule import Decoding
from sert.student.decoding.units import DecodingJob, decode_in_units
from sert.student.load import Texts, load_texts, student_key
from sert.tasks.answers import extract_loose, reasoning_of
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted

Lanes = Callable[[int], Sequence[Lane]]
"""Gives the decoded lanes of a row."""


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
    """Ask a student every question, decode, grade the outputs and keep them.

    A question gets one greedy output, or `config.votes` sampled ones that vote (see `sert.evaluation.voting`): then the
    prediction is the first output that gave the winning answer. What is sampled depends on (seed, question id, sample)
    alone. With `config.harness = "compat"` the output is that of `sert.student.decoding.earlier_harness`.

    Args:
        questions: What is asked; `Question.prompt` is the prompt, word for word.
        student: The student; loaded only if there is work to do.
        out: Folder of the result.
        config: How many outputs a question, and the limits of decoding and of the format.
        rules: What counts as reasoning (see `sert.paths.rules.is_reasoned`).
        sampling: Its `top_k`, `top_p` and `temperature` are those of outputs that vote.
        execution: Who decodes. What was decoded is found again when the same call is made after a stop, but for
            `harness = "compat"`.
        seed: Seed of outputs that vote.
        label: What the progress is called.
        reporter: Where progress goes.

    Raises:
        ConfigError: If several outputs are to vote and the harness gives one.
        DataError: If there are no questions.
        StudentError: If the student cannot be loaded, or prompt and output exceed its positions.
    """
    config, rules, sampling = config or EvaluationConfig(), rules or RulesConfig(), sampling or MiningConfig()
    if config.harness == "compat" and config.votes > 1:
        raise ConfigError(f"{label}: harness = 'compat' gives one output a question, not votes = {config.votes}.")
    if not questions:
        raise DataError(f"{label}: there are no questions to evaluate on.")

    def fill(draft: Draft) -> Mapping[str, Any]:
        job, teller = _job(questions, student, config, sampling=sampling, seed=seed), reporter or Silent()
        lanes = _decode(job, config, draft, execution=execution, label=label, reporter=teller)
        texts = load_texts(student)
        predictions = [
            _prediction(question, lanes(row), texts, config=config, rules=rules)
            for row, question in enumerate(questions)
        ]
        write_table(draft.folder / "questions.parquet", questions, Question)
        write_table(draft.folder / "predictions.parquet", predictions, Prediction)
        if config.votes > 1:
            write_table(draft.folder / "outputs.parquet", _outputs(questions, lanes, texts), Output)
        return summarize(predictions, questions)

    plain = config.model_dump(include={"max_new_tokens", "max_lanes", "max_format_rep_2"})
    settings = {"evaluation": plain | unlike_greedy(config, sampling), "rules": rules.model_dump()}
    return commit(
        out,
        fill,
        stage="evaluate",
        config=settings,
        inputs={"questions": records_key(questions), "student": student_key(student)},
        seed=seed if config.votes > 1 else 0,
        keep_units=execution.keep_units,
    )


def unlike_greedy(config: EvaluationConfig, sampling: MiningConfig) -> dict[str, Any]:
    """Name the settings by which a student is not asked once and greedily, for keys; empty where it is."""
    changed: dict[str, Any] = {}
    if config.harness != "clean":
        changed["harness"] = config.harness
    if config.votes > 1:
        changed["votes"] = config.votes
        changed["sampling"] = sampling.model_dump(include={"top_k", "top_p", "temperature"})
    return changed


def describe_evaluation(questions: Sequence[Question], config: EvaluationConfig) -> str:
    """Say for people how much there is to do."""
    asked, longest = counted(len(questions), "questions"), counted(config.max_new_tokens, "tokens")
    if config.votes == 1:
        return f"{asked}, at most {longest} each"
    return f"{asked}, {config.votes} outputs of at most {longest} each"


def with_prompt(questions: Sequence[Question], prompts: Sequence[str]) -> list[Question]:
    """Ask the same questions with other prompts."""
    return [replace(question, prompt=prompt) for question, prompt in zip(questions, prompts, strict=True)]


def _job(
    questions: Sequence[Question],
    student: StudentConfig,
    config: EvaluationConfig,
    *,
    sampling: MiningConfig,
    seed: int,
) -> DecodingJob:
    votes = config.votes > 1
    decoding = Decoding(
        branches=None,
        samples=config.votes,
        max_new_tokens=config.max_new_tokens,
        top_k=sampling.top_k if votes else 1,
        top_p=sampling.top_p if votes else 1.0,
        temperature=sampling.temperature if votes else 1.0,
        max_lanes=config.max_lanes,
        seed=seed if votes else 0,
    )
    return DecodingJob(student, tuple(questions), decoding)


def _decode(
    job: DecodingJob,
    config: EvaluationConfig,
    draft: Draft,
    *,
    execution: ExecutionConfig,
    label: str,
    reporter: Reporter,
) -> Lanes:
    if config.harness == "compat":
        from sert.student.decoding.earlier_harness import decode_compat

        found = decode_compat(job, label=label, reporter=reporter)
        return lambda row: [found[row]]
    executor = make_executor(execution.workers)
    return decode_in_units(job, draft, executor=executor, label=label, reporter=reporter).lanes


def _outputs(questions: Sequence[Question], lanes: Lanes, texts: Texts) -> Iterator[Output]:
    for row, question in enumerate(questions):
        for lane in lanes(row):
            completion = texts.decode(lane.token_ids)
            answer = extract_loose(completion, question)
            yield Output(question.question_id, lane.sample, completion, lane.finish, len(lane.token_ids), answer)


def _prediction(
    question: Question, lanes: Sequence[Lane], texts: Texts, *, config: EvaluationConfig, rules: RulesConfig
) -> Prediction:
    """Grade the only output, or the first one that gave the winning answer."""
    if len(lanes) == 1:
        return _graded(question, lanes[0], texts, config=config, rules=rules)
    vote = count_votes([extract_loose(texts.decode(lane.token_ids), question) for lane in lanes], question)
    graded = _graded(question, lanes[vote.winner], texts, config=config, rules=rules)
    return replace(graded, num_outputs=len(lanes), votes=vote.votes)


def _graded(
    question: Question, lane: Lane, texts: Texts, *, config: EvaluationConfig, rules: RulesConfig
) -> Prediction:
    completion = texts.decode(lane.token_ids)
    reasoning = len(texts.encode_completion(reasoning_of(completion).rstrip()))
    return grade(
        question,
        prompt=question.prompt,
        completion=completion,
        finish=lane.finish,
        token_ids=lane.token_ids,
        reasoning_tokens=min(reasoning, len(lane.token_ids)),
        rules=rules,
        evaluation=config,
    )
