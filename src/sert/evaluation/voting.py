"""Several outputs of one question: how they vote on its answer, and how often one of k is right."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sert.records import Output, Question
from sert.stats.clusters import clustered_share
from sert.stats.pass_at_k import ks_of, pass_at_k
from sert.tasks.answers import is_correct
from sert.tasks.expressions import form_of_expression
from sert.tasks.normalize import canonical


class Vote(NamedTuple):
    """What a vote comes to.

    Attributes:
        winner: Place of the first output that gave the winning answer; of the first output when none answers.
        votes: How many outputs gave the winning answer; 0 when none answers.
    """

    winner: int
    votes: int


def count_votes(answers: Sequence[str | None], question: Question) -> Vote:
    """Find the answer that most outputs gave.

    Answers that mean the same count together: letters and yes/no are equal when they are the same, texts when they
    differ only in case, blanks, wrapping or the way a number is written, expressions when they are spelled alike (their
    values are not compared). An output without an answer does not vote. Of answers with equally many votes the one wins
    whose first vote came first. At least one answer is needed, a loose one or None of each output, in the order of the
    samples.
    """
    same = {"text": canonical, "expression": form_of_expression}.get(question.answer_type, str)
    ballots = [None if answer is None else same(answer) for answer in answers]
    counts = Counter(ballot for ballot in ballots if ballot is not None)
    if not counts:
        return Vote(0, 0)
    # Counters list their keys in the order of the first votes, and `max` takes the first of equals.
    winning = max(counts, key=lambda ballot: counts[ballot])
    return Vote(ballots.index(winning), counts[winning])


def pass_rates(outputs: Iterable[Output], questions: Sequence[Question], *, votes: int) -> dict[str, Any]:
    """Say for some k how often at least one of k outputs is right, by the loose answer: k -> share and interval.

    `votes` is how many outputs a question has; one that was too long to be asked has none, and none that is right.
    """
    right, asked = Counter[str](), {question.question_id: question for question in questions}
    for each in outputs:
        right[each.question_id] += each.answer is not None and is_correct(each.answer, asked[each.question_id])
    found: dict[str, Any] = {}
    for k in ks_of(votes):
        hits = [pass_at_k(votes, right[question_id], k) for question_id in asked]
        share = clustered_share(hits, [1.0] * len(hits))
        found[str(k)] = {"share": share.share, "ci95": None if share.interval is None else list(share.interval)}
    return found
