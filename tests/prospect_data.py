"""Paths of a prospect from what matters to a test: whose they are, how they stand, and what the rules measured."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sert.analysis.prospect import Prospected, prospect_numbers
from sert.config.rules import RULES, RuleName, RulesConfig
from sert.config.tree import MiningConfig
from sert.records import Likelihood, Path, Prediction, Question, Verdict
from shown_examples import shown_path, shown_prediction

AGREES = {"right": True, "wrong": False, "unread": None, "cut": None}
TEXTS = {"right": "So the answer is w.", "wrong": "So the answer is x.", "unread": "Well.", "cut": "Well, the"}


def make_questions(number: int, *, answers: str = "A") -> list[Question]:
    """Questions with four choices; the gold answers are taken in turn."""
    return [
        Question(f"q{place}", "t", "train", "Which?", ("w", "x", "y", "z"), answers[place % len(answers)], "Which?")
        for place in range(number)
    ]


def make_path(
    question_id: str, standing: str, *, reason: str | None = None, branch: int = 0, sample: int = 0, **measured: Any
) -> tuple[Path, Verdict]:
    """A path and its verdict; by default one that no rule of the paper drops."""
    shown = shown_path("t", question_id, question="Which?", text=TEXTS[standing], reason=reason, branch=branch)
    values = {"num_tokens": 30, "rep_2": 0.1, "perplexity": 6.0, **measured}
    path = replace(shown.path, sample=sample, finish="length" if standing == "cut" else "eos")
    return path, replace(shown.verdict, sample=sample, agrees=AGREES[standing], **values)


def make_prediction(question_id: str, standing: str) -> Prediction:
    """A greedy output."""
    answer = {"right": "A", "wrong": "B"}.get(standing)
    shown = shown_prediction(
        "t",
        question_id,
        method="greedy",
        question="Which?",
        completion=TEXTS[standing],
        gold="A",
        answer=answer,
        correct=standing == "right",
    )
    return replace(shown.prediction, finish="length" if standing == "cut" else "eos")


def numbers_of(
    questions: Sequence[Question],
    paths: Iterable[tuple[Path, Verdict]],
    *,
    raw: Iterable[Path] | None = None,
    greedy: str = "right",
    rules: RulesConfig | None = None,
    asked: Sequence[RuleName] = RULES,
    likelihoods: Sequence[Likelihood] | None = None,
) -> dict[str, Any]:
    """The numbers of a prospect; raw sampling found what branching did, and all greedy outputs stand alike."""
    paths = list(paths)
    found = Prospected(
        questions,
        questions,
        paths,
        [path for path, _ in paths] if raw is None else raw,
        [make_prediction(question.question_id, greedy) for question in questions],
        likelihoods,
    )
    return prospect_numbers(found, rules=rules or RulesConfig(), asked=asked, mining=MiningConfig())


def whole_prospect(numbers: dict[str, Any]) -> dict[str, Any]:
    """The numbers with what a run adds to them."""
    about = {"name": "prospect", "task": "t", "student": "tiny", "seed": 0, "created": "2026-01-01T00:00:00Z"}
    cost = {
        "mining_seconds_a_question": 2.0,
        "train_questions": 1000,
        "mining_seconds": 2000.0,
        "examples": 500,
        "training_seconds": 4000.0,
        "test_questions": 100,
        "testing_seconds": 50.0,
    }
    return {**about, "sert_version": "0", "config_key": "0" * 12, **numbers, "cost": cost}
