"""Log-probabilities of given texts are those of plain forward passes, whatever shares a pass."""

import pytest
import torch

from sert.records import Example
from sert.student.decoding.given import score_given
from sert.student.decoding.proof import Drive
from sert.student.decoding.stepping import PlainStepper
from sert.student.load import Student
from sert.student.training.batching import EncodedExample
from sert.student.training.scoring import encode_answer, log_probabilities


def plain_sum(student: Student, encoded: EncodedExample) -> float:
    """Sum the log-probabilities of the supervised tokens by one forward pass."""
    with torch.no_grad():
        shares = student.model(torch.tensor([encoded.token_ids])).logits[0].log_softmax(-1)
    places = range(max(encoded.num_masked, 1), len(encoded.token_ids))
    return sum(float(shares[at - 1, encoded.token_ids[at]]) for at in places)


def answer(student: Student, prompt: str, text: str) -> EncodedExample:
    return encode_answer(student, Example("q", prompt, text, ""))


def test_an_answer_is_the_prompt_and_its_own_tokens_without_an_end(student: Student) -> None:
    token_ids, num_masked = answer(student, "Is ice cold?", " yes")
    assert token_ids[:num_masked] == student.encode_prompt("Is ice cold?")
    assert token_ids[num_masked:] == student.encode_completion(" yes")


def test_the_sums_are_those_of_plain_forward_passes(student: Student) -> None:
    prompts = ["A?", "Is the sea made of sand?", "Why does a stone that is thrown into a lake never swim?"]
    texts = [" yes", " no", " a stone is heavy", " B"]
    encoded = [answer(student, prompt, text) for prompt in prompts for text in texts]
    told: list[int] = []
    found = log_probabilities(student, encoded, progress=told.append)
    assert found == pytest.approx([plain_sum(student, each) for each in encoded], rel=1e-4)
    assert len(set(found)) == len(encoded)
    assert sum(told) == len(encoded)


def test_answers_that_differ_in_their_last_token_take_one_pass(student: Student) -> None:
    class Counting:
        rows = 0

        def __call__(self, _module: object, args: object, given: dict[str, torch.Tensor]) -> None:
            self.rows += len(given["input_ids"])

    passes = Counting()
    hook = student.model.register_forward_pre_hook(passes, with_kwargs=True)
    try:
        together = log_probabilities(student, [answer(student, "Which?", f" {letter}") for letter in "ABCD"])
    finally:
        hook.remove()
    assert passes.rows == 1
    apart = [log_probabilities(student, [answer(student, "Which?", f" {letter}")])[0] for letter in "ABCD"]
    assert together == pytest.approx(apart, rel=1e-5)


def test_the_same_last_tokens_behind_longer_and_shorter_prompts_are_kept_apart(student: Student) -> None:
    whole = student.encode_prompt("Is it so? yes")
    encoded = [EncodedExample(whole, len(whole) - 4), EncodedExample(whole, len(whole) - 1)]
    found = log_probabilities(student, encoded)
    assert found == pytest.approx([plain_sum(student, each) for each in encoded], rel=1e-4)
    assert found[0] < found[1]


def test_what_has_nothing_to_score_is_0(student: Student) -> None:
    assert log_probabilities(student, [EncodedExample([5], 0), EncodedExample([5, 6], 2)]) == [0.0, 0.0]


# ---- prompts that are read once


def many_answers(student: Student) -> list[EncodedExample]:
    """Four answers behind each of twelve prompts, one of which stands there twice, and a text without a prompt."""
    prompts = [f"Is stone {number} a fish, or what is it? Say:" for number in range(11)] + ["Is stone 3 a fish"]
    texts = [" yes", " it is a stone", " it is a fish of the sea", " n"]
    found = [answer(student, prompt, text) for text in texts for prompt in prompts]
    return [*found, found[0], EncodedExample(student.encode_prompt("It is a stone."), 0)]


class Reading:
    """Counts the tokens that a student reads."""

    def __init__(self, student: Student) -> None:
        self.tokens, self._student = 0, student

    def __call__(self, _module: object, args: tuple[torch.Tensor, ...], given: dict[str, torch.Tensor]) -> None:
        self.tokens += (*args, given.get("input_ids"))[0].numel()

    def of(self, encoded: list[EncodedExample]) -> tuple[list[float], int]:
        hook = self._student.model.base_model.register_forward_pre_hook(self, with_kwargs=True)
        try:
            return log_probabilities(self._student, encoded), self.tokens
        finally:
            hook.remove()


def test_prompts_that_are_read_once_give_the_sums_of_plain_forward_passes(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, told = many_answers(student), list[int]()
    together, read = Reading(student).of(encoded)
    assert together == pytest.approx([plain_sum(student, each) for each in encoded], rel=1e-4)
    assert log_probabilities(student, encoded, progress=told.append) == together
    assert sum(told) == len(encoded)
    monkeypatch.setattr("sert.student.training.scoring.WORTH_TRYING", 10**6)
    apart, read_apart = Reading(student).of(encoded)
    assert together == pytest.approx(apart, rel=1e-5) and together != apart
    assert read < 0.6 * read_apart  # finding out how it is driven included


def test_few_prompts_are_read_at_a_time(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = many_answers(student)
    at_once = log_probabilities(student, encoded)
    waves: list[int] = []

    def counting(*given: object, **named: object) -> list[list[float]]:
        waves.append(len(given[1]))  # type: ignore[arg-type]
        return score_given(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("sert.student.training.scoring.score_given", counting)
    length = len(student.encode_prompt("Is stone 10 a fish, or what is it? Say:"))
    for constant, value in (("PROMPTS_TOGETHER", 5), ("TOKENS_TOGETHER", 3 * length)):
        monkeypatch.setattr(f"sert.student.training.scoring.{constant}", value)
        assert log_probabilities(student, encoded) == pytest.approx(at_once, rel=1e-5)
    assert waves[:3] == [5, 5, 2] and max(waves[3:]) == 3 and sum(waves[3:]) == 12


def test_a_student_that_cannot_read_a_prompt_once_reads_each_text(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = many_answers(student)
    plain = Drive("plain", PlainStepper, 0.0, {})
    monkeypatch.setattr("sert.student.training.scoring.find_drive", lambda *_, **__: plain)
    found = log_probabilities(student, encoded)
    assert found == pytest.approx([plain_sum(student, each) for each in encoded], rel=1e-4)
