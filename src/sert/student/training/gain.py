"""Gain: how much a text of reasoning raises the likelihood of the gold answer to a student.

    gain = log p(gold | prompt, reasoning, "So the answer is") - log p(gold | prompt, "So the answer is")

in nats. It looks at the gold answer, and at no form of the text, so that paths, outputs and rationales can be compared.
The words before the answer are those of the template `path`; what the text itself concludes is cut off, as it is for
training, and the tokens of a mined path are those that were sampled. The answer is what is learned: one blank, and the
letter where prompts have letters, else the words; nothing behind it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.student.load import Student
from sert.student.training.batching import EncodedExample
from sert.student.training.scoring import encode_answer, log_probabilities
from sert.tasks.prompts import gold_answer, path_example


class Reasoned(NamedTuple):
    """A text that reasons behind the prompt of a question; `path_ids` are its tokens where it was sampled."""

    question: Question
    text: str
    path_ids: Sequence[int] = ()


class Gain(NamedTuple):
    """What a text does to the gold answer of its question.

    Attributes:
        nats: How much more probable it makes it.
        right, right_without: Whether the gold answer is the most probable of the possible ones, a character, behind the
            text and without it; None where the answers are no closed set.
    """

    nats: float
    right: bool | None
    right_without: bool | None


def gains(
    student: Student,
    reasoned: Sequence[Reasoned],
    templates: PromptTemplates,
    *,
    progress: Callable[[int], None] | None = None,
) -> list[Gain | None]:
    """Measure the gain of each text, by plain forward passes; None where it exceeds the student's positions.

    `progress` is told how many more answers are scored, at most one for each possible answer with and without a text.
    """
    encoded = [[*_answered(student, each, templates)] for each in reasoned]
    longest = student.max_positions or max((len(one.token_ids) for each in encoded for one in each), default=0)
    fitting = [all(len(one.token_ids) <= longest for one in each) for each in encoded]
    distinct = {  # what stands behind a prompt without a text is the same for all texts of its question
        (one.num_masked, *one.token_ids): one
        for each, fits in zip(encoded, fitting, strict=True)
        if fits
        for one in each
    }
    sums = dict(zip(distinct, log_probabilities(student, [*distinct.values()], progress=progress), strict=True))
    return [
        _gain(each.question, [sums[(one.num_masked, *one.token_ids)] for one in scored], templates) if fits else None
        for each, scored, fits in zip(reasoned, encoded, fitting, strict=True)
    ]


def _possible(question: Question) -> tuple[str, ...]:
    """List the possible answers, of a question without a closed set the gold one."""
    if question.answer_type == "text":
        return (question.answer,)
    return tuple(question.letters) or ("yes", "no")


def _written(question: Question, templates: PromptTemplates) -> list[str]:
    return [gold_answer(replace(question, answer=each), templates) for each in _possible(question)]


def _answered(student: Student, reasoned: Reasoned, templates: PromptTemplates) -> Iterator[EncodedExample]:
    """Put each possible answer behind the text, then each where there is none."""
    question, text, path_ids = reasoned
    ahead = templates.model_copy(update={"path": templates.path.partition("{answer}")[0].rstrip()})
    answers = [student.encode_completion(f" {answer}") for answer in _written(question, templates)]
    for example in (path_example(question, text, ahead, path_ids=path_ids), path_example(question, "", ahead)):
        token_ids = encode_answer(student, example).token_ids
        yield from (EncodedExample([*token_ids, *answer], len(token_ids)) for answer in answers)


def _gain(question: Question, sums: Sequence[float], templates: PromptTemplates) -> Gain:
    possible, written = _possible(question), _written(question, templates)
    gold = possible.index(question.answer)
    behind, without = sums[: len(possible)], sums[len(possible) :]
    nats = behind[gold] - without[gold]
    if question.answer_type == "text":
        return Gain(nats, None, None)
    return Gain(nats, *(_most_probable(of, written) == gold for of in (behind, without)))


def _most_probable(sums: Sequence[float], written: Sequence[str]) -> int:
    by_character = [total / len(text) for total, text in zip(sums, written, strict=True)]
    return by_character.index(max(by_character))
