"""Mining: branch on the student's most probable first tokens and sample continuations of each.

A mined folder holds `paths.parquet` (every path, with its log-probabilities, perplexity and rep-2) and the
`questions.parquet` that they answer.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from sert.config import MiningConfig, PromptTemplates, RulesConfig, StudentConfig
from sert.errors import DataError
from sert.paths.rules import certain_reason, judge, least_rep_2, perplexity, rep_n
from sert.paths.selection import preference
from sert.progress import Advance, Reporter, Silent
from sert.records import Path, Question
from sert.store.artifacts import Artifact, commit
from sert.store.spill import Spill
from sert.store.tables import records_key, write_table
from sert.student.load import load_student, student_key
from sert.student.packing import LanePacker


def mine(
    questions: Sequence[Question],
    student: StudentConfig,
    *,
    out: FilePath,
    config: MiningConfig | None = None,
    rules: RulesConfig | None = None,
    prompts: PromptTemplates | None = None,
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

    def fill(folder: FilePath) -> Mapping[str, Any]:
        started = time.monotonic()
        with Spill(folder, len(questions)) as spill:
            work = _Work(questions, student, config=config, rules=rules, seed=seed, spill=spill)
            with (reporter or Silent()).track(label, len(questions) * work.lanes_per_question, "paths") as advance:
                counts = work.sample(advance)
                rows = write_table(folder / "paths.parquet", work.paths(advance), Path)
        write_table(folder / "questions.parquet", questions, Question)
        seconds = time.monotonic() - started
        return {
            "questions": len(questions),
            "paths": rows,
            **counts,
            "tokens_per_second": round(counts["tokens"] / seconds, 1),
        }

    settings = {"mining": config.model_dump(), "prompts": prompts.model_dump()}
    if not config.keep_all:
        settings["rules"] = rules.model_dump()
    inputs = {"questions": records_key(questions), "student": student_key(student)}
    return commit(out, fill, stage="mine", config=settings, inputs=inputs, seed=seed)


class _Work:
    """Samples the paths of all questions, then hands them out in the questions' order.

    Questions are done in the order of their lengths. What was sampled waits on the disk, packed, until all are.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        student: StudentConfig,
        *,
        config: MiningConfig,
        rules: RulesConfig,
        seed: int,
        spill: Spill,
    ) -> None:
        from sert.student.decoding import Decoding

        self._questions, self._student, self._spill = questions, load_student(student), spill
        self._packer = LanePacker()
        self._referee = None if config.keep_all else _Referee(questions, self._student, config, rules)
        self._decoding = Decoding(
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
        self.lanes_per_question = self._decoding.lanes_per_question

    def sample(self, advance: Advance) -> dict[str, Any]:
        """Sample everything; count the tokens, how paths finished, and what was stopped early for which reason."""
        from sert.student.decoding import DecodingPrompt, decode

        encode = self._student.encode_prompt
        prompts = [DecodingPrompt(question.question_id, encode(question.prompt)) for question in self._questions]
        tokens, finishes = 0, Counter[str]()
        for wave in decode(self._student, prompts, self._decoding, referee=self._referee, progress=advance):
            for index, lanes in wave:
                self._spill.put(index, self._packer.pack(lanes))
                tokens += sum(len(lane.token_ids) for lane in lanes)
                finishes.update(lane.finish for lane in lanes)
        stopped = self._referee.stopped if self._referee else {}
        return {"tokens": tokens, "finish": dict(sorted(finishes.items())), "stopped_early": stopped}

    def paths(self, advance: Advance) -> Iterator[Path]:
        """Make the paths of one question after the other."""
        for index, question in enumerate(self._questions):
            advance(0)  # nothing is finished by it, but the reporter may want to stop the work
            for lane in self._packer.unpack(self._spill.get(index)):
                yield _path(question, lane, self._student)


class _Referee:
    """Stops the lanes that cannot be selected: a rule is certain to drop them, or a better path is there already."""

    def __init__(self, questions: Sequence[Question], student: Any, config: MiningConfig, rules: RulesConfig) -> None:
        self.stopped: dict[str, dict[str, int]] = {}
        self._questions, self._student, self._rules = questions, student, rules
        self._max_new_tokens = config.max_new_tokens
        self._best: dict[int, tuple[float, int, int]] = {}

    def ended(self, prompt: int, lane: Any) -> None:
        """Remember the most preferred path that is kept of each question."""
        if self._is_outrun(prompt, lane):
            return
        question = self._questions[prompt]
        verdict = judge(_path(question, lane, self._student), question, self._rules)
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


def _path(question: Question, lane: Any, student: Any) -> Path:
    token_ids, logprobs = lane.token_ids, lane.logprobs
    return Path(
        question_id=question.question_id,
        branch=lane.branch,
        sample=lane.sample,
        first_token_id=token_ids[0] if token_ids else student.eos_ids[0],
        first_token_logprob=logprobs[0] if logprobs else None,
        token_ids=tuple(token_ids),
        logprobs=tuple(logprobs),
        text=student.decode(token_ids),
        finish=lane.finish,
        num_tokens=len(token_ids),
        perplexity=perplexity(logprobs),
        rep_2=rep_n(token_ids, 2),
    )
