"""Mining: branch on the student's most probable first tokens and sample continuations of each.

A mined folder holds `paths.parquet` (every path, with its log-probabilities, perplexity and rep-2) and the
`questions.parquet` that they answer.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path as FilePath
from typing import Any

from sert.config.tree import APART, ExecutionConfig, MiningConfig, PromptTemplates, RulesConfig, StudentConfig
from sert.errors import DataError
from sert.paths.referee import RuleReferee
from sert.paths.rules import path_of
from sert.records import Path, Question
from sert.store.artifacts import Artifact, Draft, commit
from sert.store.executors import make_executor
from sert.store.tables import records_key, write_table
from sert.student.decoding.schedule import Decoding
from sert.student.decoding.units import DecodedRows, DecodingJob, decode_in_units
from sert.student.load import Texts, load_texts, student_key
from sert.terminal.progress import Advance, Reporter, Silent


def mine(
    questions: Sequence[Question],
    student: StudentConfig,
    *,
    out: FilePath,
    config: MiningConfig | None = None,
    rules: RulesConfig | None = None,
    prompts: PromptTemplates | None = None,
    execution: ExecutionConfig = APART,
    seed: int = 0,
    label: str = "mine",
    reporter: Reporter | None = None,
) -> Artifact:
    """Sample `branches` x `samples` paths of every question.

    What is sampled depends on (seed, question id, branch, sample) alone. Unless `config.keep_all`, a path is stopped
    early when a rule is certain to drop it (`finish = "rejected"`) or when another path of its question is certain to
    be preferred (`finish = "outrun"`), often at its first token; which path gets selected does not change.

    Args:
        questions: What the student is asked.
        student: The student; loaded only if there is work to do.
        out: Folder of the result.
        config: Branching and sampling.
        rules: The rules that early stopping looks at.
        prompts: Templates, kept in the manifest for the examples that are made of the paths.
        execution: Who decodes. What was decoded is found again when the same call is made after a stop.
        seed: Seed of the sampling.
        label: What the progress is called.
        reporter: Where progress goes.

    Raises:
        DataError: If there are no questions.
        StudentError: If the student cannot be loaded, or prompt and continuation exceed its positions.
    """
    config, rules, prompts = config or MiningConfig(), rules or RulesConfig(), prompts or PromptTemplates()
    if not questions:
        raise DataError(f"{label}: there are no questions to mine.")

    def fill(draft: Draft) -> Mapping[str, Any]:
        job = _job(questions, student, config=config, rules=rules, seed=seed)
        teller = reporter or Silent()
        executor = make_executor(execution.workers)
        decoded = decode_in_units(job, draft, executor=executor, label=label, reporter=teller)
        written = _Written(decoded, questions, load_texts(student))
        with teller.track(f"{label}, write", len(questions), "questions") as advance:
            rows = write_table(draft.folder / "paths.parquet", written.paths(advance), Path)
        write_table(draft.folder / "questions.parquet", questions, Question)
        return {
            "questions": len(questions),
            "paths": rows,
            "tokens": written.tokens,
            "finish": dict(sorted(written.finishes.items())),
            "stopped_early": decoded.stopped(),
        }

    settings = {"mining": config.model_dump(), "prompts": prompts.model_dump()}
    if not config.keep_all:
        settings["rules"] = rules.model_dump()
    inputs = {"questions": records_key(questions), "student": student_key(student)}
    return commit(out, fill, stage="mine", config=settings, inputs=inputs, seed=seed, keep_units=execution.keep_units)


def _job(
    questions: Sequence[Question], student: StudentConfig, *, config: MiningConfig, rules: RulesConfig, seed: int
) -> DecodingJob:
    decoding = Decoding(
        branches=config.branches or None,
        samples=config.samples,
        max_new_tokens=config.max_new_tokens,
        top_k=config.top_k,
        top_p=config.top_p,
        temperature=config.temperature,
        eos_branch=config.eos_branch,
        max_lanes=config.max_lanes,
        seed=seed,
    )
    referee = None if config.keep_all else partial(RuleReferee, rules=rules, max_new_tokens=config.max_new_tokens)
    return DecodingJob(student, tuple(questions), decoding, referee)


class _Written:
    """Makes paths of what was decoded, in the questions' order, and counts their tokens and finishes."""

    def __init__(self, decoded: DecodedRows, questions: Sequence[Question], texts: Texts) -> None:
        self.tokens, self.finishes = 0, Counter[str]()
        self._decoded, self._questions, self._texts = decoded, questions, texts

    def paths(self, advance: Advance) -> Iterator[Path]:
        """Make the paths of one question after the other."""
        for row, question in enumerate(self._questions):
            advance(1)
            for lane in self._decoded.lanes(row):
                self.tokens += len(lane.token_ids)
                self.finishes[lane.finish] += 1
                yield path_of(lane, question, self._texts, eos_id=self._decoded.eos_id)
