"""Mining: branch on the student's most probable first tokens and sample continuations of each.

A mined folder holds `paths.parquet` (every path, with its log-probabilities, perplexity and rep-2) and the
`questions.parquet` that they answer.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from sert.config.tree import APART, ExecutionConfig, MiningConfig, PromptTemplates, RulesConfig, StudentConfig
from sert.errors import DataError
from sert.paths.filtering import preference
from sert.paths.rules import certain_reason, judge, least_rep_2, perplexity, rep_n
from sert.records import Path, Question
from sert.store.artifacts import Artifact, Draft, commit
from sert.store.executors import make_executor
from sert.store.tables import records_key, write_table
from sert.student.load import Student, Texts, load_texts, student_key
from sert.terminal.progress import Advance, Reporter, Silent

if TYPE_CHECKING:
    from sert.student.decoding.units import DecodedRows, DecodingJob


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
        from sert.student.decoding.units import decode_in_units

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
) -> "DecodingJob":
    from sert.student.decoding.engine import Decoding
    from sert.student.decoding.units import DecodingJob

    return DecodingJob(
        student,
        items=tuple(question.question_id for question in questions),
        prompts=tuple(question.prompt for question in questions),
        decoding=Decoding(
            branches=config.branches or None,
            samples=config.samples,
            max_new_tokens=config.max_new_tokens,
            top_k=config.top_k,
            top_p=config.top_p,
            temperature=config.temperature,
            eos_branch=config.eos_branch,
            max_lanes=config.max_lanes,
            seed=seed,
        ),
        referee=None if config.keep_all else _RefereeMaker(tuple(questions), rules, config.max_new_tokens),
    )


class _Written:
    """Makes paths of what was decoded, in the questions' order, and counts their tokens and finishes."""

    def __init__(self, decoded: "DecodedRows", questions: Sequence[Question], texts: Texts) -> None:
        self.tokens, self.finishes = 0, Counter[str]()
        self._decoded, self._questions, self._texts = decoded, questions, texts

    def paths(self, advance: Advance) -> Iterator[Path]:
        """Make the paths of one question after the other."""
        for row, question in enumerate(self._questions):
            advance(1)
            for lane in self._decoded.lanes(row):
                self.tokens += len(lane.token_ids)
                self.finishes[lane.finish] += 1
                yield _path(question, lane, self._texts, eos_id=self._decoded.eos_id)


@dataclass(frozen=True)
class _RefereeMaker:
    """Makes the referee of some of the questions."""

    questions: tuple[Question, ...]
    rules: RulesConfig
    max_new_tokens: int

    def __call__(self, rows: Sequence[int], student: Student) -> "_Referee":
        return _Referee([self.questions[row] for row in rows], student, self.rules, self.max_new_tokens)


class _Referee:
    """Stops the lanes that cannot be selected: a rule is certain to drop them, or a better path is there already."""

    def __init__(
        self, questions: Sequence[Question], student: Student, rules: RulesConfig, max_new_tokens: int
    ) -> None:
        self.stopped: dict[str, dict[str, int]] = {}
        self._questions, self._student, self._rules = questions, student, rules
        self._max_new_tokens = max_new_tokens
        self._best: dict[int, tuple[float, int, int]] = {}

    def ended(self, prompt: int, lane: Any) -> None:
        """Remember the most preferred path that is kept of each question."""
        if self._is_outrun(prompt, lane):
            return
        question = self._questions[prompt]
        path = _path(question, lane, self._student, eos_id=self._student.eos_ids[0])
        verdict = judge(path, question, self._rules)
        if verdict.reason is None:
            self._best[prompt] = min(self._best.get(prompt, preference(verdict)), preference(verdict))

    def stops(self, prompt: int, lane: Any) -> str | None:
        """Tell a lane that loses whatever follows."""
        if self._is_outrun(prompt, lane):
            return self._count("outrun", "outrun", lane)
        text = self._student.decode(lane.token_ids)
        reason = certain_reason(text, lane.token_ids, self._rules, max_new_tokens=self._max_new_tokens)
        return None if reason is None else self._count(reason, "rejected", lane)

    def _is_outrun(self, prompt: int, lane: Any) -> bool:
        """Tell whether the best that can come of the lane is worse than what is there."""
        if prompt not in self._best:
            return False
        rep_2 = least_rep_2(lane.token_ids, self._rules, max_new_tokens=self._max_new_tokens)
        return (rep_2, lane.branch, lane.sample) > self._best[prompt]

    def _count(self, reason: str, finish: str, lane: Any) -> str:
        counts = self.stopped.setdefault(reason, {"paths": 0, "tokens_saved_at_most": 0})
        counts["paths"] += 1
        counts["tokens_saved_at_most"] += self._max_new_tokens - len(lane.token_ids)
        return finish


def _path(question: Question, lane: Any, texts: Texts, *, eos_id: int) -> Path:
    token_ids, logprobs = lane.token_ids, lane.logprobs
    return Path(
        question_id=question.question_id,
        branch=lane.branch,
        sample=lane.sample,
        first_token_id=token_ids[0] if token_ids else eos_id,
        first_token_logprob=logprobs[0] if logprobs else None,
        token_ids=tuple(token_ids),
        logprobs=tuple(logprobs),
        text=texts.decode(token_ids),
        finish=lane.finish,
        num_tokens=len(token_ids),
        perplexity=perplexity(logprobs),
        rep_2=rep_n(token_ids, 2),
    )
