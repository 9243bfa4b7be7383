"""Paths and outputs as a report shows them, from the texts that matter to a test."""

from sert.config.tree import Config
from sert.evaluation.grading import grade
from sert.records import Path, Prediction, Question, Verdict
from sert.report.examples import ShownPath, ShownPrediction


def shown_path(
    task: str,
    question_id: str,
    *,
    question: str,
    text: str,
    reason: str | None = None,
    selected: bool = False,
    true: bool | None = None,
    branch: int = 0,
    num_tokens: int = 1,
    perplexity: float = 1.0,
) -> ShownPath:
    """A path with its verdict."""
    asked = Question(question_id, task, "train", question, (), "no", "")
    path = Path(question_id, branch, 1, 0, None, (), (), text, "eos", num_tokens, perplexity, 0.0625)
    measured = (num_tokens, 0.0625, perplexity, False, False, False)
    return ShownPath(task, asked, path, Verdict(question_id, branch, 1, reason, *measured, None, None, selected), true)


def shown_prediction(
    task: str,
    question_id: str,
    *,
    method: str,
    question: str,
    completion: str,
    gold: str,
    answer: str | None,
    correct: bool,
) -> ShownPrediction:
    """An output with its grades."""
    asked = Question(question_id, task, "test", question, (), gold, "")
    answers = {"answer_strict": answer, "answer_loose": answer, "correct_strict": correct, "correct_loose": correct}
    numbers = {"num_tokens": 1, "format_ok": correct, "rep_1": 0.0, "reasoning_tokens": 0, "reasoned": False}
    return ShownPrediction(task, method, asked, Prediction(question_id, "", completion, "eos", **answers, **numbers))


def graded(question: Question, completion: str, config: Config) -> Prediction:
    """An output of two tokens that ended by itself."""
    return grade(
        question,
        completion=completion,
        finish="eos",
        token_ids=[1, 2],
        reasoning_tokens=0,
        rules=config.rules,
        evaluation=config.evaluation,
    )
