"""Mining: branch on the student's most probable first tokens and sample continuations of each.

A mined folder holds `paths.parquet` (every path, with its log-probabilities, perplexity and rep-2) and the
`questions.parquet` that they answer.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any, ClassVar

from sert.config.mining import MiningConfig
from sert.config.prompts import PromptTemplates
from sert.config.rules import RulesConfig
from sert.config.tree import APART, ExecutionConfig, StudentConfig
from sert.errors import DataError
from sert.paths.limits import named_limits
from sert.paths.referee import RuleReferee
from sert.paths.rules import path_of
from sert.records import Path, Question
from sert.store.artifacts import Artifact, Draft, artifact_key
from sert.store.executors import make_executor
from sert.store.stage import NOTHING, Cost, Inputs, Job, dumped
from sert.store.tables import questions_input, questions_key, write_table
from sert.student.decoding.schedule import Decoding
from sert.student.decoding.units import DecodingJob, DecodingWork, decode_in_units, settled
from sert.student.load import load_texts, student_key
from sert.student.served.decoding import ServedDecoding
from sert.student.served.server import check_served
from sert.student.source import StudentSource
from sert.tasks.answers import READING
from sert.terminal.progress import Advance, Reporter, Silent
from sert.terminal.text import counted

_SAMPLING = {"samples", "max_new_tokens", "top_k", "top_p", "temperature", "eos_branch", "max_lanes"}
"""Settings of mining that say how texts are sampled, beside the branches."""


@dataclass(frozen=True)
class MineJob(Job):
    """Sample `branches` x `samples` paths of every question.

    What is sampled depends on (seed, question id, branch, sample) alone. Unless `mining.keep_all`, a path is stopped
    early when a rule is certain to drop it (`finish = "rejected"`) or when another path of its question is certain to
    be preferred (`finish = "outrun"`), often at its first token; which path gets selected does not change. Where a
    limit is a percentile of all paths nothing is certain before, and `mining` keeps all (`MiningConfig.for_rules`).

    A server that has the student may sample instead (`mining.engine`). What is sampled then cannot be repeated.

    Attributes:
        questions: What the student is asked.
        student: The student; loaded only if there is work to do.
        mining: Branching and sampling.
        rules: The rules that early stopping looks at; None where every path is decoded to its end.
        prompts: Templates of the examples that are made of the paths; None where none are.
        execution: Who decodes. What was decoded is found again when the same job is done after a stop.
    """

    kind: ClassVar[str] = "mine"
    questions: tuple[Question, ...]
    student: StudentSource
    mining: MiningConfig
    rules: RulesConfig | None = None
    prompts: PromptTemplates | None = None
    execution: ExecutionConfig = APART
    seed: int = 0
    step: str = "mine"

    @property
    def num_texts(self) -> int:
        """Paths that are sampled."""
        return len(self.questions) * self.mining.paths_a_question

    @property
    def work(self) -> str:
        """How much there is to do, for people."""
        longest = counted(self.mining.max_new_tokens, "tokens")
        server = self.mining.endpoint if self.served else None
        by = "" if server is None else f", sampled by {server.model!r} at its server"
        return f"{counted(self.num_texts, 'paths')} of at most {longest}{by}"

    @property
    def served(self) -> bool:
        """Whether a server samples the paths: it has the first student, and none that is trained here."""
        return self.mining.engine != "student" and self.student.trained is None

    @property
    def cost(self) -> Cost:
        """How much there is to do here, in tokens."""
        if self.served:
            return NOTHING
        return Cost(decoded=self.num_texts * self.mining.max_new_tokens)

    def settings(self) -> dict[str, Any]:
        """What the paths depend on, and what the examples that are made of them do."""
        reading = {"reading": READING} if self._stops_early else {}
        return self._chosen() | reading

    def inputs(self) -> Inputs:
        """The questions and the student."""
        asked = self.student.weights() if self.served else self.student.inputs()
        return {**questions_input(self.questions), **asked}

    def former_inputs(self) -> Inputs:
        """The same as in earlier versions."""
        if self.served:
            return self.inputs()
        return {**questions_input(self.questions), **self.student.former_inputs()}

    def earlier_key(self) -> str:
        """The key in version 0.1."""
        inputs = {"questions": questions_key(self.questions), "student": student_key(self.student.resolve())}
        return artifact_key(self.kind, config=self._chosen() | self._notes(self.step), inputs=inputs, seed=self.seed)

    @property
    def _stops_early(self) -> bool:
        return self.rules is not None and not self.mining.keep_all

    def _chosen(self) -> dict[str, Any]:
        prompts = {} if self.prompts is None else dumped(prompts=self.prompts)
        rules = {} if self.rules is None or not self._stops_early else dumped(rules=self.rules)
        mining = self.mining if self.served else self.mining.by_student()
        return {"mining": mining.keyed()} | prompts | rules

    def _notes(self, label: str) -> dict[str, Any]:
        return dumped(prompts=self.prompts or PromptTemplates())

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        if self.rules is not None and self.rules.percentiles:
            said = "no path is stopped early, since a percentile is known when all are there"
            reporter.say(f"{label}: {named_limits(self.rules)}: {said}")
        if self.served:
            job: DecodingWork = self.serving()
            executor = make_executor(APART)  # requests are many at a time in one process
        else:
            job, executor = self.decoding(self.student.resolve()), make_executor(self.execution, say=reporter.say)
        decoded = decode_in_units(job, draft, executor=executor, label=label, reporter=reporter)
        texts, tokens, finishes = load_texts(self.student.resolve()), 0, Counter[str]()
        too_long = 0

        def paths(advance: Advance) -> Iterator[Path]:
            nonlocal tokens, too_long
            for row, question in enumerate(self.questions):
                advance(1)
                lanes = decoded.lanes(row)
                too_long += not lanes
                for lane in lanes:
                    tokens += len(lane.token_ids)
                    finishes[lane.finish] += 1
                    yield path_of(lane, question, texts, eos_id=decoded.eos_id)

        with reporter.track(f"{label}, write", len(self.questions), "questions") as advance:
            rows = write_table(draft.folder / "paths.parquet", paths(advance), Path)
        write_table(draft.folder / "questions.parquet", self.questions, Question)
        return {
            "questions": len(self.questions),
            "too_long": too_long,
            "paths": rows,
            "tokens": tokens,
            "finish": dict(sorted(finishes.items())),
            "stopped_early": decoded.stopped(),
            **decoded.driven,
        }

    def decoding(self, student: StudentConfig) -> DecodingJob:
        """What is decoded, by this student."""
        mining, referee = self.mining, None
        if self.rules is not None and self._stops_early:
            referee = partial(RuleReferee, rules=self.rules, max_new_tokens=mining.max_new_tokens)
        return DecodingJob(student, self.questions, self._how, referee)

    def serving(self) -> ServedDecoding:
        """What a server samples.

        Raises:
            ConfigError: If no server is named, or it cannot be called so.
        """
        endpoint = check_served(self.mining)
        return ServedDecoding(self.student.config, self.questions, self._how, endpoint, self.mining.calls)

    @property
    def _how(self) -> Decoding:
        settings = self.mining.model_dump(include=_SAMPLING)
        return Decoding(branches=self.mining.branches or None, seed=self.seed, **settings)


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
    """Sample `branches` x `samples` paths of every question into the folder `out` (see `MineJob`).

    Raises:
        DataError: If there are no questions.
        StudentError: If the student cannot be loaded, or all prompts and continuations exceed its positions.
        ConfigError, EndpointError: If a server samples, and it cannot be called so, refuses or cannot be reached.
    """
    if not questions:
        raise DataError(f"{label}: there are no questions to mine.")
    reporter, config = reporter or Silent(), config or MiningConfig()
    if config.engine != "student":
        check_served(config)
        student = student.model_copy(update={"dtype": "float32"})  # nothing is decoded here
    job_of = partial(mining_job, questions, config=config, rules=rules, prompts=prompts, execution=execution, seed=seed)
    job = job_of(settled(student, job_of, out=out, reporter=reporter))
    return job.make(out, label=label, reporter=reporter)


def mining_job(
    questions: Sequence[Question],
    student: StudentConfig,
    *,
    config: MiningConfig | None = None,
    rules: RulesConfig | None = None,
    prompts: PromptTemplates | None = None,
    execution: ExecutionConfig = APART,
    seed: int = 0,
) -> MineJob:
    """Describe what `mine` does with a student whose type of numbers is decided."""
    rules = rules or RulesConfig()
    return MineJob(
        tuple(questions),
        StudentSource(student),
        mining=(config or MiningConfig()).for_rules(rules),
        rules=rules,
        prompts=prompts or PromptTemplates(),
        execution=execution,
        seed=seed,
    )
