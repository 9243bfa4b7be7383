"""Given texts behind prompts that are read once have the log-probabilities of plain forward passes."""

from collections.abc import Sequence

import pytest
import torch

from sert.errors import StudentError
from sert.student.decoding.given import score_given
from sert.student.decoding.proof import Drive
from sert.student.decoding.stepping import CacheStepper, LaneStepper, PlainStepper, StepperType, WholeStepper
from sert.student.load import Student, make_student
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama

PROMPTS = ("A?", "Do birds fly, or is it the wind?", "Is ice cold? Say:", "Is ice warm? Say:")
TEXTS = ((" yes", " no"), (" it is",), (" a", " a stone that is thrown", " b", " c"), (" no", " never", " n"))


def plain_sum(student: Student, prompt: Sequence[int], text: Sequence[int]) -> float:
    with torch.no_grad():
        shares = student.model(torch.tensor([[*prompt, *text]])).logits[0].log_softmax(-1)
    return sum(float(shares[len(prompt) + at - 1, token]) for at, token in enumerate(text))


def encoded(student: Student) -> tuple[list[list[int]], list[list[list[int]]]]:
    texts = [[student.encode_completion(text) for text in of_one] for of_one in TEXTS]
    return [student.encode_prompt(prompt) for prompt in PROMPTS], texts


@pytest.mark.parametrize("stepper", [LaneStepper, WholeStepper, CacheStepper, PlainStepper])
def test_every_way_gives_the_sums_of_plain_forward_passes(student: Student, stepper: StepperType) -> None:
    prompts, texts = encoded(student)
    found = score_given(student, prompts, texts, drive=Drive("any", stepper, 0.0, {}))
    expected = [
        [plain_sum(student, prompt, text) for text in of_one] for prompt, of_one in zip(prompts, texts, strict=True)
    ]
    assert [len(of_one) for of_one in found] == [2, 1, 4, 3]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_heads_that_share_keys_are_driven_too() -> None:
    tokenizer = make_tokenizer()
    student = make_student(tiny_llama(len(tokenizer)), tokenizer, name="llama")
    prompts, texts = encoded(student)
    found = score_given(student, prompts, texts, drive=Drive("fast", LaneStepper, 0.0, {}))
    assert found[2] == pytest.approx([plain_sum(student, prompts[2], text) for text in texts[2]], rel=1e-4)


def test_a_prompt_is_read_once_and_texts_of_one_token_take_no_step(student: Student) -> None:
    tokens: list[int] = []
    hook = student.model.base_model.register_forward_pre_hook(
        lambda _, args, given: tokens.append(given["input_ids"].numel()), with_kwargs=True
    )
    prompt, texts = student.encode_prompt("Which?"), [[token] for token in (1, 2, 3)]
    try:
        score_given(student, [prompt], [texts], drive=Drive("fast", LaneStepper, 0.0, {}))
        assert tokens == [len(prompt)]
        longer = [[1, 2, 3], [4, 5], [6]]
        score_given(student, [prompt], [longer], drive=Drive("fast", LaneStepper, 0.0, {}))
    finally:
        hook.remove()
    # Two texts go on behind their first token, one of them behind its second.
    assert tokens[1:] == [len(prompt), 2, 1]


def test_logits_that_are_no_numbers_are_refused() -> None:
    tokenizer = make_tokenizer()
    broken = make_student(tiny_gpt2(len(tokenizer)), tokenizer, name="broken")
    with torch.no_grad():
        broken.model.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(StudentError, match="its logits are no numbers"):
        score_given(broken, [[1, 2]], [[[3]]], drive=Drive("fast", LaneStepper, 0.0, {}))
