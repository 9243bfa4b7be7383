"""Grades of single outputs and the metrics of a result row."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from sert.config.rules import RulesConfig
from sert.config.tree import EvaluationConfig
from sert.errors import DataError
from sert.paths.rules import is_reasoned, rep_n, words_of
from sert.records import TOO_LONG, Prediction, Question
from sert.stats.shares import majority, wilson_interval
from sert.tasks.answers import extract_loose, is_correct, read, reasoning_of
from sert.tasks.standing import standing_of_prediction, standing_shares


def grade(
    question: Question,
    *,
    completion: str,
    finish: str,
    token_ids: Sequence[int],
    reasoning_tokens: int,
    rules: RulesConfig,
    evaluation: EvaluationConfig,
) -> Prediction:
    """Grade one output; the arguments are those of `Prediction`, and `token_ids` of the completion without end-of-text.

    `rules` say what counts as reasoning, `evaluation` above which rep-2 the reasoning fails the format.
    """
    found, loose = read(completion, question), extract_loose(completion, question)
    repetitive = rep_n(token_ids[:reasoning_tokens], 2) > evaluation.max_format_rep_2
    return Prediction(
        question_id=question.question_id,
        prompt=question.prompt,
        completion=completion,
        finish=finish,
        num_tokens=len(token_ids),
        answer_strict=found.answer,
        answer_loose=loose,
        correct_strict=found.answer is not None and is_correct(found.answer, question),
        correct_loose=loose is not None and is_correct(loose, question),
        format_ok=found.by_phrase and finish == "eos" and not repetitive,
        rep_1=rep_n(words_of(found.reasoning), 1),
        reasoning_tokens=reasoning_tokens,
        reasoned=is_reasoned(completion, len(token_ids), question, rules),
    )


def summarize(predictions: Sequence[Prediction], questions: Sequence[Question]) -> dict[str, Any]:
    """Sum up the outputs of one student on one question set; shares are 0..1.

    `accuracy` and `correct` are loose: the strict answer where there is one, else the first plausible one, because a
    student that was never trained on `So the answer is` never writes it. An output without an answer counts as wrong.
    A question that was too long to be asked (`too_long` counts them) counts as wrong, too, and has no length.
    `mean_length` is over all outputs, `repetition` over those that have reasoning (None when none has, since an
    empty reasoning repeats nothing and would flatter the mean). `ci95` is Wilson's interval of `accuracy`.

    `right`, `wrong`, `unread` and `cut` add up to 1 and are strict (`sert.tasks.standing`); one that was too long is
    unread. `answered` counts the outputs that state an answer, and `right_of_answered` shares the right ones among
    these, with Wilson's interval (both None where there are none).

    Raises:
        DataError: If the predictions are none, or do not answer exactly these questions.
    """
    _check_same_questions(predictions, questions)
    n = len(predictions)
    correct = sum(prediction.correct_loose for prediction in predictions)
    correct_strict = sum(prediction.correct_strict for prediction in predictions)
    asked = {question.question_id: question for question in questions}
    reasoned = (each for each in predictions if reasoning_of(each.completion, asked[each.question_id]).strip())
    repetitions = [each.rep_1 for each in reasoned]
    return {
        "n": n,
        "too_long": sum(each.finish == TOO_LONG for each in predictions),
        "correct": correct,
        "accuracy": correct / n,
        "ci95": list(wilson_interval(correct, n)),
        "correct_strict": correct_strict,
        "accuracy_strict": correct_strict / n,
        **_standings(predictions, right=correct_strict),
        "format": fmean(prediction.format_ok for prediction in predictions),
        "mean_length": fmean(each.reasoning_tokens for each in predictions if each.finish != TOO_LONG),
        "repetition": fmean(repetitions) if repetitions else None,
        "reasoned": fmean(prediction.reasoned for prediction in predictions),
        "majority_accuracy": majority(question.answer for question in questions).share,
    }


def _standings(predictions: Sequence[Prediction], *, right: int) -> dict[str, Any]:
    answered = sum(prediction.answer_strict is not None for prediction in predictions)
    return {
        **standing_shares(map(standing_of_prediction, predictions)),
        "answered": answered,
        "right_of_answered": right / answered if answered else None,
        "right_of_answered_ci95": list(wilson_interval(right, answered)) if answered else None,
    }


def _check_same_questions(predictions: Sequence[Prediction], questions: Sequence[Question]) -> None:
    if not predictions:
        raise DataError("There are no predictions to sum up; give a question set with at least one test question.")
    answered = sorted(prediction.question_id for prediction in predictions)
    if answered != sorted(question.question_id for question in questions):
        raise DataError(
            f"The {len(predictions)} predictions do not answer the {len(questions)} questions they are summed up "
            "with, once each; predict again with this question set."
        )
