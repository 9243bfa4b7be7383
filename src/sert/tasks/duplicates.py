"""Which questions are nearly the same, so that who has learnt one knows the answer to the other.

Two questions are as similar as the smaller of two numbers, each 0..1:

- of their stems: the words in common, as a share of all words of the two. Case, punctuation, repetition and order of
  the words do not count.
- of their answers, where one of the two has choices: 1 if the gold answers are the same text, else the choices in
  common, as a share of all choices of the two. Where neither has choices, the stem says all that is asked.

So a question that comes again with other choices is nearly the same if its answer is, and another question if its
answer is another. Words are runs of letters and digits; a language that writes no blanks has one word a sentence.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sert.records import Question
from sert.tasks.folding import fold

_ROUNDING = 1e-9


class NearDuplicate(NamedTuple):
    """A question, and the one of another split that it is most similar to.

    Attributes:
        question_id: The question that is left out.
        other_id: The question that it is nearly the same as.
        split: The split of that other question.
        similarity: 0..1, see above.
    """

    question_id: str
    other_id: str
    split: str
    similarity: float


class _Folded(NamedTuple):
    words: frozenset[str]
    choices: frozenset[str]
    gold: str


def similarity(a: Question, b: Question) -> float:
    """Measure how nearly two questions are the same, 0..1; equal questions (`question_key`) have 1."""
    return _similarity(_folded(a), _folded(b))


def find_near_duplicates(
    questions: Iterable[Question], others: Sequence[Question], *, min_similarity: float
) -> Iterator[NearDuplicate]:
    """Find the questions that are at least so similar to one of the others, in order.

    Each is told once, with the most similar of the others; ties go to the lowest id. Exact: pairs that are passed over
    have too few words in common.

    Args:
        questions: Those that are looked through.
        others: Those that they may resemble.
        min_similarity: Above 0, at most 1. The lower, the more pairs must be compared.
    """
    of_questions = [(question, _folded(question)) for question in questions]
    of_others = [_folded(other) for other in others]
    frequency = Counter(word for folded in (*(each for _, each in of_questions), *of_others) for word in folded.words)
    index = _Index(of_others, frequency, min_similarity)
    for question, folded in of_questions:
        compared = ((_similarity(folded, of_others[number]), others[number]) for number in index.candidates(folded))
        found = [(-similar, other.question_id, other.split) for similar, other in compared if similar >= min_similarity]
        if found:
            similar, other_id, split = min(found)
            yield NearDuplicate(question.question_id, other_id, split, -similar)


class _Index:
    """Finds the questions that may share enough words with another, without looking at all.

    Questions of a and b words must share k = t (a + b) / (1 + t) of them to reach the similarity t. Put all words in
    one order: then one that they share is among the first a - k + 1 of the one and the first b - k + 1 of the other.
    With the rarest words first, few questions have such a word.
    """

    def __init__(self, questions: Sequence[_Folded], frequency: Mapping[str, int], min_similarity: float) -> None:
        self._frequency, self._min_similarity = frequency, min_similarity
        # By number of words: word -> its place in a question, and the number of that question.
        self._places: dict[int, dict[str, list[tuple[int, int]]]] = {}
        for number, folded in enumerate(questions):
            size = len(folded.words)
            places = self._places.setdefault(size, {})
            first = size - math.ceil(min_similarity * size - _ROUNDING) + 1
            for place, word in enumerate(self._rarest_first(folded)[:first]):
                places.setdefault(word, []).append((place, number))

    def candidates(self, folded: _Folded) -> set[int]:
        """Find the numbers of the questions that may be similar enough, and some others."""
        words = self._rarest_first(folded)
        found: set[int] = set()
        share = self._min_similarity / (1 + self._min_similarity)
        for size, places in self._places.items():
            must_share = math.ceil(share * (len(words) + size) - _ROUNDING)
            if must_share <= min(size, len(words)):
                for word in words[: len(words) - must_share + 1]:
                    found.update(number for place, number in places.get(word, ()) if place <= size - must_share)
        return found

    def _rarest_first(self, folded: _Folded) -> list[str]:
        return sorted(folded.words, key=lambda word: (self._frequency[word], word))


def _folded(question: Question) -> _Folded:
    gold = question.answer
    if question.choices:
        gold = question.choices[question.letters.index(question.answer)]
    return _Folded(frozenset(fold(question.question).split()), frozenset(map(fold, question.choices)), fold(gold))


def _similarity(a: _Folded, b: _Folded) -> float:
    stems = _share_in_common(a.words, b.words)
    if a.gold == b.gold or not (a.choices or b.choices):
        return stems
    return min(stems, _share_in_common(a.choices, b.choices))


def _share_in_common(a: frozenset[str], b: frozenset[str]) -> float:
    common = len(a & b)
    return common / (len(a) + len(b) - common)
