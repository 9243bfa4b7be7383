"""Log-probabilities of given texts are those of plain forward passes, whatever shares a pass."""

import pytest
import torch

from sert.records import Example
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
