"""Answers by likelihood: which of a question's possible answers a student finds the most probable behind the prompt.

A generated answer can be wrong because the student cannot do the task, or because it does not write the form that is
read. Scoring the possible answers themselves needs no form, so that these are two numbers.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sert.config.tree import StudentConfig
from sert.records import Example, Likelihood, Question
from sert.stats.shares import wilson_interval
from sert.store.artifacts import Draft
from sert.store.tables import write_table
from sert.tasks.possible import CLOZE, LETTER, possible_answers
from sert.tasks.prompts import behind
from sert.terminal.progress import Reporter
from sert.terminal.text import counted

CLOZE_RAW = "cloze_raw"
MEASURES = (CLOZE, CLOZE_RAW, LETTER)
"""How the most probable answer is found: by its words, the log-probability a character; the same, their sum; by its
letter. The first two are `acc_norm` and `acc` of lm-evaluation-harness."""
LIKELIHOODS = "likelihoods"
"""Table of the possible answers, where they are scored."""


def score_answers(
    questions: Sequence[Question], student: StudentConfig, *, label: str, reporter: Reporter
) -> list[Likelihood]:
    """Score every possible answer of every question: one blank and its text behind the prompt, nothing behind it.

    The student is loaded in float32, whatever it decodes with. A question whose prompt and longest answer exceed its
    positions has no scores.

    Raises:
        StudentError: If the student cannot be loaded.
    """
    asked = [(question, each) for question in questions for each in possible_answers(question)]
    if not asked:
        reporter.say(f"{label}: these questions have no closed set of answers, so that none is scored by likelihood.")
        return []
    from sert.student.load import load_student
    from sert.student.surroundings import plain_numbers
    from sert.student.training.scoring import encode_answer, log_probabilities

    loaded = load_student(student.model_copy(update={"dtype": "float32"}))
    encoded = [
        encode_answer(loaded, Example(question.question_id, question.prompt, behind(question.prompt, f" {text}"), ""))
        for question, (_, _, text) in asked
    ]
    longest = loaded.max_positions or max(len(each.token_ids) for each in encoded)
    too_long = {
        question.question_id
        for (question, _), each in zip(asked, encoded, strict=True)
        if len(each.token_ids) > longest
    }
    if too_long:
        reporter.say(f"{label}: too long for their answers to be scored: {counted(len(too_long), 'questions')}.")
    fitting = [place for place, (question, _) in enumerate(asked) if question.question_id not in too_long]
    with plain_numbers(), reporter.track(f"{label}, scores", len(fitting), "answers") as advance:
        sums = log_probabilities(
            loaded,
            [encoded[place] for place in fitting],
            progress=advance,
            say=lambda line: reporter.say(f"{label}: {line}"),
        )
    return [
        Likelihood(question.question_id, form, answer, total, encoded[place].num_supervised, len(text))
        for place, total in zip(fitting, sums, strict=True)
        for question, (form, answer, text) in (asked[place],)
    ]


def write_likelihoods(
    draft: Draft, questions: Sequence[Question], student: StudentConfig, *, label: str, reporter: Reporter
) -> dict[str, Any]:
    """Score every possible answer and keep the scores; return what is counted of them, by measure."""
    likelihoods = score_answers(questions, student, label=label, reporter=reporter)
    write_table(draft.folder / f"{LIKELIHOODS}.parquet", likelihoods, Likelihood)
    found = summarize_likelihoods(likelihoods, questions)
    return {f"likelihood_{measure}": row for measure, row in found.items()}


def most_probable(likelihoods: Iterable[Likelihood]) -> dict[str, dict[str, str]]:
    """Find the most probable answers: measure -> question id -> answer. Of equals the first one is taken."""
    found: dict[str, dict[str, tuple[float, str]]] = {measure: {} for measure in MEASURES}
    for each in likelihoods:
        scores = {LETTER: each.logprob}
        if each.form == CLOZE:
            scores = {CLOZE: each.logprob / each.num_characters, CLOZE_RAW: each.logprob}
        for measure, score in scores.items():
            best = found[measure].get(each.question_id)
            if best is None or score > best[0]:
                found[measure][each.question_id] = (score, each.answer)
    return {measure: {name: answer for name, (_, answer) in best.items()} for measure, best in found.items()}


def grade_likelihoods(likelihoods: Iterable[Likelihood], questions: Iterable[Question]) -> dict[str, dict[str, bool]]:
    """Say whether the most probable answers are the gold ones: measure -> question id -> right.

    There are the questions that have such answers; one that was too long to be scored is wrong. A measure that no
    question has is not there.
    """
    best = most_probable(likelihoods)
    right: dict[str, dict[str, bool]] = {measure: {} for measure in MEASURES}
    for question in questions:
        forms = {each.form for each in possible_answers(question)}
        for measure in MEASURES:
            if (LETTER if measure == LETTER else CLOZE) in forms:
                right[measure][question.question_id] = best[measure].get(question.question_id) == question.answer
    return {measure: graded for measure, graded in right.items() if graded}


def summarize_likelihoods(likelihoods: Iterable[Likelihood], questions: Iterable[Question]) -> dict[str, Any]:
    """Count the right ones of `grade_likelihoods`: measure -> `n, correct, accuracy, ci95` (Wilson's interval)."""
    found = {}
    for measure, graded in grade_likelihoods(likelihoods, questions).items():
        n, correct = len(graded), sum(graded.values())
        ci95 = list(wilson_interval(correct, n))
        found[measure] = {"n": n, "correct": correct, "accuracy": correct / n, "ci95": ci95}
    return found
