"""Mining: branch on the student's most probable first tokens and sample continuations of each.

A mined folder holds `paths.parquet` (every path, with its log-probabilities, perplexity and rep-2) and the
`questions.parquet` that they answer.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from sert.config import MiningConfig, PromptTemplates, RulesConfig, StudentConfig
from sert.errors import DataError
from sert.paths.rules import certainly_dropped, perplexity, rep_n
from sert.progress import Reporter, Silent
from sert.records import Path, Question
from sert.store.artifacts import Artifact, commit
from sert.store.tables import records_key, write_table
from sert.student.load import load_student, student_key


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

    What is sampled depends on (seed, question id, branch, sample) alone. Unless `config.keep_all`, a path that a rule
    is certain to drop is stopped early (`finish = "rejected"`); which path gets selected does not change.

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
        paths = _sample_paths(questions, student, config, rules, seed, label, reporter or Silent())
        write_table(folder / "questions.parquet", questions, Question)
        write_table(folder / "paths.parquet", paths, Path)
        tokens = sum(path.num_tokens for path in paths)
        seconds = time.monotonic() - started
        return {
            "questions": len(questions),
            "paths": len(paths),
            "tokens": tokens,
            "finish": dict(sorted(Counter(path.finish for path in paths).items())),
            "tokens_per_second": round(tokens / seconds, 1),
        }

    settings = {"mining": config.model_dump(), "prompts": prompts.model_dump()}
    if not config.keep_all:
        settings["rules"] = rules.model_dump()
    inputs = {"questions": records_key(questions), "student": student_key(student)}
    return commit(out, fill, stage="mine", config=settings, inputs=inputs, seed=seed)


def _sample_paths(
    questions: Sequence[Question],
    student_config: StudentConfig,
    config: MiningConfig,
    rules: RulesConfig,
    seed: int,
    label: str,
    reporter: Reporter,
) -> list[Path]:
    from sert.student.decoding import Decoding, DecodingPrompt, decode

    student = load_student(student_config)
    prompts = [DecodingPrompt(question.question_id, student.encode_prompt(question.prompt)) for question in questions]
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

    def reject(token_ids: list[int]) -> bool:
        text = student.decode(token_ids)
        return certainly_dropped(text, token_ids, rules, max_new_tokens=config.max_new_tokens)

    paths: list[list[Path]] = [[] for _ in questions]
    with reporter.track(label, len(questions) * decoding.lanes_per_question, "paths") as advance:
        for wave in decode(student, prompts, decoding, reject=None if config.keep_all else reject, progress=advance):
            for index, continuations in wave:
                paths[index] = [
                    _path(
                        questions[index], item.branch, item.sample, item.token_ids, item.logprobs, item.finish, student
                    )
                    for item in continuations
                ]
    return [path for of_question in paths for path in of_question]


def _path(
    question: Question,
    branch: int,
    sample: int,
    token_ids: list[int],
    logprobs: list[float],
    finish: str,
    student: Any,
) -> Path:
    return Path(
        question_id=question.question_id,
        branch=branch,
        sample=sample,
        first_token_id=token_ids[0] if token_ids else student.eos_ids[0],
        first_token_logprob=logprobs[0] if logprobs else None,
        token_ids=tuple(token_ids),
        logprobs=tuple(logprobs),
        text=student.decode(token_ids),
        finish=finish,
        num_tokens=len(token_ids),
        perplexity=perplexity(logprobs),
        rep_2=rep_n(token_ids, 2),
    )
