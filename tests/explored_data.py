"""Mined folders for the tests of the explorer: paths of every kind, many of them exactly at the paper's limits."""

import random
from collections.abc import Sequence
from dataclasses import replace
from math import log
from pathlib import Path as FilePath
from typing import Any

from sert.config.prompts import PromptTemplates
from sert.config.tree import MiningConfig
from sert.paths.rules import perplexity, rep_n
from sert.records import Path, Question
from sert.store.artifacts import Artifact, Draft, commit
from sert.store.tables import write_table

ROOMS = ("attic", "dark room", "barn", "new york", "cellar")
WORDS = "bats look for quiet places under a roof where farmers keep hay since nobody walks there at night".split()
ENDINGS = (" So the answer is barn.", " So the answer is attic.", "", " and then", " So the answer is dark room.", ".")


def make_questions(number: int) -> tuple[Question, ...]:
    """Questions with five choices, of which C is right."""
    return tuple(
        Question(f"q{row}", "demo", "train", f"Where do bats sleep, {row}?", ROOMS, "C", f"Question {row}\nAnswer:")
        for row in range(number)
    )


def make_paths(questions: Sequence[Question], *, branches: int, samples: int, seed: int) -> list[Path]:
    """Paths of every question, as a seed draws them."""
    drawn = random.Random(seed)
    return [
        _make_path(question, branch, sample, drawn)
        for question in questions
        for branch in range(branches)
        for sample in range(samples)
    ]


def _make_path(question: Question, branch: int, sample: int, drawn: random.Random) -> Path:
    number = drawn.choice((0, 1, 2, 24, 25, 26, 31, *range(3, 60)))
    vocabulary = drawn.choice((3, 8, 40, 1000))
    token_ids = tuple(drawn.randrange(1, vocabulary) for _ in range(number))
    if drawn.random() < 0.2:  # 30 bigrams, 6 of them again: rep-2 is exactly 20 %
        token_ids = (*range(1, 25), *range(1, 8))
    logprobs = _logprobs(len(token_ids), drawn)
    return Path(
        question.question_id,
        branch,
        sample,
        first_token_id=token_ids[0] if token_ids else 0,
        first_token_logprob=logprobs[0] if logprobs else None,
        token_ids=token_ids,
        logprobs=logprobs,
        text=_text(question, drawn),
        finish=drawn.choice(("eos", "eos", "length", "length", "eos")),
        num_tokens=len(token_ids),
        perplexity=perplexity(logprobs),
        rep_2=rep_n(token_ids, 2),
    )


def _logprobs(number: int, drawn: random.Random) -> tuple[float, ...]:
    """Some have a perplexity of 5, or of 1; others are values that a column of float32 holds exactly."""
    kind = drawn.random()
    if kind < 0.2:
        return (-log(5.0),) * number
    if kind < 0.3:
        return (0.0,) * number
    step = drawn.choice((0.25, 1 / 1024))
    return tuple(-step * round(drawn.expovariate(0.5) / step) for _ in range(number))


def _text(question: Question, drawn: random.Random) -> str:
    kind = drawn.random()
    if kind < 0.1:
        return f" Question: {question.question}\nAnswer: yes"
    if kind < 0.2:
        return " (A) attic (B) dark room (C) barn (D) new york"
    if kind < 0.3:
        return " barn."
    sentences = (
        " "
        + " ".join(drawn.choices(WORDS, k=drawn.randrange(1, 14))).capitalize()
        + drawn.choice((".", ". \U0001f987"))
        for _ in range(drawn.randrange(0, 5))
    )
    return "".join(sentences) + drawn.choice(ENDINGS)


def cut_short(paths: Sequence[Path], seed: int) -> list[Path]:
    """Stop some of the paths early, as mining does."""
    drawn = random.Random(seed)
    return [
        replace(path, finish=drawn.choice(("rejected", "outrun"))) if drawn.random() < 0.4 else path for path in paths
    ]


def spelled(paths: Sequence[Path], tokenizer: Any) -> list[Path]:
    """Give paths the tokens of their texts, and a log-probability each, that the others follow from."""
    made = []
    for path in paths:
        token_ids = tuple(tokenizer(path.text)["input_ids"])
        logprobs = tuple(-0.3 * (place % 50) for place in range(len(token_ids)))
        made.append(
            replace(
                path,
                token_ids=token_ids,
                logprobs=logprobs,
                num_tokens=len(token_ids),
                perplexity=perplexity(logprobs),
                rep_2=rep_n(token_ids, 2),
            )
        )
    return made


def make_mined(folder: FilePath, questions: Sequence[Question], paths: Sequence[Path], *, seed: int = 5) -> Artifact:
    """Leave paths as `mine` does."""

    def fill(draft: Draft) -> dict[str, int]:
        write_table(draft.folder / "questions.parquet", questions, Question)
        write_table(draft.folder / "paths.parquet", paths, Path)
        return {"paths": len(paths), "questions": len(questions), "tokens": sum(path.num_tokens for path in paths)}

    config = {
        "prompts": PromptTemplates().model_dump(mode="json"),
        "mining": MiningConfig(keep_all=True).model_dump(mode="json"),
    }
    return commit(folder, fill, stage="mine", config=config, inputs={}, seed=seed)
