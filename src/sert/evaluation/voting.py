"""Self-consistency: several outputs of one question vote on its answer."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sert.records import Question
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
    differ only in case, blanks, wrapping or the way a number is written. An output without an answer does not vote. Of
    answers with equally many votes the one wins whose first vote came first. At
    least one answer is needed, a loose one or None of each output, in the order of the samples.
    """
    same = canonical if question.answer_type == "text" else str
    ballots = [None if answer is None else same(answer) for answer in answers]
    counts = Counter(ballot for ballot in ballots if ballot is not None)
    if not counts:
        return Vote(0, 0)
    # Counters list their keys in the order of the first votes, and `max` takes the first of equals.
    winning = max(counts, key=lambda ballot: counts[ballot])
    return Vote(ballots.index(winning), counts[winning])
