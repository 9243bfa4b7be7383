"""Answers by likelihood beside written ones, by hand."""

import pytest

from sert.analysis.epochs import SnapshotOutputs
from sert.analysis.likelihood import LikelihoodOutcome, likelihood_outcomes, likelihood_rows
from sert.analysis.task_results import MethodResults, TaskResults
from sert.config.grid import MAIN, Arm
from sert.config.tree import Config
from sert.records import Likelihood, Question
from sert.stats.holm import holm
from sert.stats.shares import wilson_interval
from sert.tasks.load import TaskData
from shown_examples import graded


def marks(text: str) -> dict[str, bool]:
    """A question a letter: `r` is right, `w` wrong."""
    return {f"q{number}": mark == "r" for number, mark in enumerate(text)}


def outcome(generated: str, seed: int = 0, **measures: str) -> LikelihoodOutcome:
    right = {"generated": marks(generated), **{name: marks(text) for name, text in measures.items()}}
    return LikelihoodOutcome("s", "t", MAIN, "zero_shot", seed, right)


def test_each_measure_is_counted_and_compared_with_what_is_written() -> None:
    written, cloze, letter = likelihood_rows([outcome("wwwwwwwrr", cloze="rrrrrrrrw", letter="wwwwwwwwr")])
    assert [row["measure"] for row in (written, cloze, letter)] == ["generated", "cloze", "letter"]
    assert (written["correct"], written["n"], written["difference"], written["p_holm"]) == ([2], 9, None, None)
    assert (cloze["correct"], letter["correct"]) == ([8], [1])
    assert cloze["difference"] == pytest.approx(6 / 9) and letter["difference"] == pytest.approx(-1 / 9)
    # McNemar: of 8 that differ 7 are won, 2 (1 + 8) / 2^8; the only one that differs is lost.
    assert (cloze["p_value"], letter["p_value"]) == (pytest.approx(2 * 9 / 2**8), 1.0)
    assert [cloze["p_holm"], letter["p_holm"]] == holm([cloze["p_value"], letter["p_value"]])
    assert cloze["interval"] == pytest.approx(list(wilson_interval(8, 9)))


def test_seeds_are_averaged_and_their_intervals_span() -> None:
    (_, row) = likelihood_rows([outcome("wwww", cloze="rrww"), outcome("wwww", seed=1, cloze="rrrw")])
    assert (row["seeds"], row["correct"], row["accuracy"]["mean"]) == (2, [2, 3], pytest.approx(0.625))
    assert row["interval"] == pytest.approx([wilson_interval(2, 4).low, wilson_interval(3, 4).high])


def test_of_letters_only_questions_that_have_some_are_compared() -> None:
    (_, row) = likelihood_rows([outcome("wrww", letter="rr")])
    assert (row["n"], row["correct"], row["difference"]) == (2, [2], pytest.approx(0.5))


CONFIG = Config.model_validate({"name": "n", "tasks": {"t": {"kind": "table", "data": "x.jsonl"}}})
ARM = Arm("s", 0, MAIN, None, CONFIG, "")
ASKED = [
    Question(name, "t", "test", "Is it?", (), answer, "Is it?")
    for name, answer in (("a", "yes"), ("b", "no"), ("c", "72"))
]


def results(*likelihoods: Likelihood) -> TaskResults:
    predictions = [graded(question, " yes", CONFIG) for question in ASKED]
    outputs = [SnapshotOutputs(0, None, predictions, likelihoods)]
    return TaskResults("t", CONFIG, TaskData(tuple(ASKED), {}), {"zero_shot": MethodResults(outputs)})


def test_the_scores_of_a_run_are_graded_beside_its_predictions() -> None:
    scores = {"a": (-3.0, -2.5), "b": (-3.0, -9.0)}  # of `yes` and of `no`
    found = results(
        *(
            Likelihood(name, "cloze", answer, logprob, 1, len(answer))
            for name, both in scores.items()
            for answer, logprob in zip(("yes", "no"), both, strict=True)
        )
    )
    (outcome,) = likelihood_outcomes(ARM, found)
    # By the character: a, -1 of `yes` and -1.25 of `no`; b, -1 and -4.5. The number has no closed set of answers.
    assert outcome.right == {
        "generated": {"a": True, "b": False},
        "cloze": {"a": True, "b": False},
        "cloze_raw": {"a": False, "b": False},
    }


def test_without_scores_there_are_no_rows() -> None:
    assert list(likelihood_outcomes(ARM, results())) == [] and likelihood_rows([]) == []
