"""Gain: how much a text of reasoning raises the likelihood of the gold answer to a student.

    gain = log p(gold | prompt, reasoning, "So the answer is") - log p(gold | prompt, "So the answer is")

in nats. It looks at the gold answer, and at no form of the text, so that paths, outputs and rationales can be compared.
The words before the answer are those of the template `path`; what the text itself concludes is cut off, as it is for
training, and the tokens of a mined path are those that were sampled. The answer is what is learned: one blank, and the
letter where prompts have letters, else the words; nothing behind it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sert.config.prompts import PromptTemplates
from sert.records import Gain, Question
from sert.student.load import Student
from sert.student.training.batching import EncodedExample
from sert.student.training.scoring import encode_answer, log_probabilities
from sert.tasks.possible import learned_answers
from sert.tasks.prompts import path_example


class Reasoned(NamedTuple):
    """A text that reasons behind the prompt of a question.

    Attributes:
        path_ids: Its tokens, where it was sampled.
        branch, sample: Which path of the question it is, if it is one.
    """

    question: Question
    text: str
    path_ids: Sequence[int] = ()
    branch: int | None = None
    sample: int | None = None

    def gain(self, nats: float | None, right: bool | None = None, right_without: bool | None = None) -> Gain:
        """Say what it gains."""
        return Gain(self.question.question_id, self.branch, self.sample, nats, right, right_without)


def gains(
    student: Student,
    reasoned: Sequence[Reasoned],
    templates: PromptTemplates,
    *,
    progress: Callable[[float], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Gain]:
    """Measure the gain of each text, as plain forward passes give it; there is none where it exceeds the positions.

    `progress` is told how many more texts are scored, in parts; what is told by `say`, see `log_probabilities`.
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
    told = None if progress is None else _in_parts(progress, sum(fitting) / max(1, len(distinct)))
    scored = log_probabilities(student, [*distinct.values()], progress=told, say=say)
    sums = dict(zip(distinct, scored, strict=True))
    if progress is not None:
        progress(len(fitting) - sum(fitting))
    return [
        _gain(each, [sums[(one.num_masked, *one.token_ids)] for one in scored], templates) if fits else each.gain(None)
        for each, scored, fits in zip(reasoned, encoded, fitting, strict=True)
    ]


def _in_parts(progress: Callable[[float], None], size: float) -> Callable[[int], None]:
    return lambda number: progress(number * size)


def _answered(student: Student, reasoned: Reasoned, templates: PromptTemplates) -> Iterator[EncodedExample]:
    """Put each possible answer behind the text, then each where there is none."""
    question, text, path_ids = reasoned[:3]
    ahead = templates.model_copy(update={"path": templates.path.partition("{answer}")[0].rstrip()})
    answers = [student.encode_completion(f" {answer}") for answer in learned_answers(question, templates).values()]
    for example in (path_example(question, text, ahead, path_ids=path_ids), path_example(question, "", ahead)):
        token_ids = encode_answer(student, example).token_ids
        yield from (EncodedExample([*token_ids, *answer], len(token_ids)) for answer in answers)


def _gain(reasoned: Reasoned, sums: Sequence[float], templates: PromptTemplates) -> Gain:
    question, written = reasoned.question, learned_answers(reasoned.question, templates)
    gold, texts = [*written].index(question.answer), [*written.values()]
    behind, without = sums[: len(written)], sums[len(written) :]
    nats = behind[gold] - without[gold]
    if question.answer_type in ("text", "expression"):
        return reasoned.gain(nats)
    return reasoned.gain(nats, *(_most_probable(of, texts) == gold for of in (behind, without)))


def _most_probable(sums: Sequence[float], written: Sequence[str]) -> int:
    by_character = [total / len(text) for total, text in zip(sums, written, strict=True)]
    return by_character.index(max(by_character))
