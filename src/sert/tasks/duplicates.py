"""Which questions are the same or nearly so, so that who has learnt one knows the answer to the other.

The same are those with the same words and choices, whatever their case, punctuation and order of choices, and the same
context (a passage, for instance), where the prompts hold one.

Two questions are as similar as the smallest of these numbers, each 0..1:

- of their stems: the words in common, as a share of all words of the two. Case, punctuation, repetition and order of
  the words do not count.
- of their answers, where one of the two has choices: 1 if the gold answers are the same text, else the choices in
  common, as a share of all choices of the two. Where neither has choices, the stem says all that is asked.
- of their contexts, where one of the two has one: the words in common, as for the stems.

So a question that comes again with other choices is nearly the same if its answer is, and another question if its
answer is another. Words are runs of letters and digits; a language that writes no blanks has one word a sentence.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from sert.records import Question

_NOT_WORD = re.compile(r"[\W_]+")
PAIRS_AT_A_TIME = 2**19
"""Pairs of questions whose words in common are held at a time."""


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
    context: frozenset[str]


def fold(text: str) -> str:
    """Reduce a text to its words in lower case, one blank between them; a text without words stays as it is."""
    return _NOT_WORD.sub(" ", text.casefold()).strip() or text


def question_key(question: Question) -> tuple[str, tuple[str, ...]]:
    """Make what is equal for the same questions: the folded context and stem, and the folded choices, sorted."""
    asked = " ".join([*(text for _, text in question.context), question.question])
    return fold(asked), tuple(sorted(map(fold, question.choices)))


def similarity(a: Question, b: Question) -> float:
    """Measure how nearly two questions are the same, 0..1; equal questions (`question_key`) have 1."""
    return _similarity(_folded(a), _folded(b))


def find_near_duplicates(
    questions: Sequence[Question], others: Sequence[Question], *, min_similarity: float
) -> Iterator[NearDuplicate]:
    """Find the questions that are at least so similar to one of the others, in order.

    Each is told once, with the most similar of the others; ties go to the lowest id. `min_similarity` is above 0 and at
    most 1.
    """
    of_questions, of_others = [_folded(each) for each in questions], [_folded(each) for each in others]
    close = _close_stems(of_questions, of_others, min_similarity)
    for question, folded, numbers in zip(questions, of_questions, close, strict=True):
        compared = ((_similarity(folded, of_others[number]), others[number]) for number in numbers)
        found = [(-similar, other.question_id, other.split) for similar, other in compared if similar >= min_similarity]
        if found:
            similar, other_id, split = min(found)
            yield NearDuplicate(question.question_id, other_id, split, -similar)


def _close_stems(questions: Sequence[_Folded], others: Sequence[_Folded], least: float) -> Iterator[Sequence[int]]:
    """Find for each question the others whose stems share enough words with its own."""
    words = {word for folded in (*questions, *others) for word in folded.words}
    numbers = {word: number for number, word in enumerate(words)}
    rows, columns = _word_matrix(questions, numbers), _word_matrix(others, numbers).T.tocsr()
    row_sizes, column_sizes = rows.sum(axis=1), columns.sum(axis=0)
    step = max(1, PAIRS_AT_A_TIME // max(1, len(others)))
    for start in range(0, len(questions), step):
        common = rows[start : start + step] @ columns
        sizes = np.repeat(row_sizes[start : start + step], np.diff(common.indptr))
        common.data = common.data / (sizes + column_sizes[common.indices] - common.data) >= least
        common.eliminate_zeros()
        yield from (row.tolist() for row in np.split(common.indices, common.indptr[1:-1]))


def _word_matrix(questions: Sequence[_Folded], numbers: Mapping[str, int]) -> Any:
    """Make a sparse matrix: a row a question, a column a word, 1 where the question has the word."""
    indices = [numbers[word] for folded in questions for word in folded.words]
    ends = np.cumsum([0, *(len(folded.words) for folded in questions)])
    return sparse.csr_array((np.ones(len(indices), np.int32), indices, ends), shape=(len(questions), len(numbers)))


def _folded(question: Question) -> _Folded:
    gold = question.choices[question.letters.index(question.answer)] if question.choices else question.answer
    context = frozenset(word for _, text in question.context for word in fold(text).split())
    stem, choices = frozenset(fold(question.question).split()), frozenset(map(fold, question.choices))
    return _Folded(stem, choices, fold(gold), context)


def _similarity(a: _Folded, b: _Folded) -> float:
    shares = [_share_in_common(a.words, b.words)]
    if a.context or b.context:
        shares.append(_share_in_common(a.context, b.context))
    if a.gold != b.gold and (a.choices or b.choices):
        shares.append(_share_in_common(a.choices, b.choices))
    return min(shares)


def _share_in_common(a: frozenset[str], b: frozenset[str]) -> float:
    common = len(a & b)
    return common / (len(a) + len(b) - common)
