"""Gains are differences of log-probabilities that plain forward passes give."""

from dataclasses import replace

import pytest
import torch

from sert.config.prompts import PromptTemplates
from sert.config.tree import StudentConfig
from sert.records import Gain, Question
from sert.student.load import Student, load_student
from sert.student.training.gain import Reasoned, gains

CHOICE = Question("a", "t", "test", "What cuts?", ("rope", "a saw"), "B", "Question: What cuts?\nAnswer:")
YES_NO = Question("b", "t", "test", "Is ice cold?", (), "yes", "Question: Is ice cold?\nAnswer:")
NUMBER = replace(YES_NO, question_id="c", answer="72")
PHRASE = " So the answer is"
DEFAULT = PromptTemplates()


def plain_sum(student: Student, context: list[int], answer: str) -> float:
    """Sum the log-probabilities of an answer behind a context by one forward pass."""
    own = student.tokenizer(answer)["input_ids"]
    with torch.no_grad():
        shares = student.model(torch.tensor([context + own])).logits[0].log_softmax(-1)
    return sum(float(shares[len(context) + at - 1, token]) for at, token in enumerate(own))


def ids(student: Student, text: str) -> list[int]:
    token_ids: list[int] = student.tokenizer(text)["input_ids"]
    return token_ids


def test_a_gain_is_what_the_text_adds_to_the_gold_answer(student: Student) -> None:
    text = " Saws have teeth."
    (found,) = gains(student, [Reasoned(CHOICE, f"{text} So the answer is A.")], DEFAULT)
    behind, without = (ids(student, f"{CHOICE.prompt}{each}{PHRASE}") for each in (text, ""))
    with_text, alone = ([plain_sum(student, each, f" {letter}") for letter in "AB"] for each in (behind, without))
    assert found.nats == pytest.approx(with_text[1] - alone[1], rel=1e-3) and found.nats
    assert (found.right, found.right_without) == (with_text[1] > with_text[0], alone[1] > alone[0])


def test_the_tokens_of_a_path_are_those_that_were_sampled() -> None:
    lab = load_student(StudentConfig(path="lab", device="cpu", num_threads=1))
    text = " Mara has an owl."
    path = [token for character in text for token in ids(lab, character)]  # spelled letter by letter
    assert path != ids(lab, text)
    behind = [*ids(lab, YES_NO.prompt), *path, *ids(lab, PHRASE)]
    expected = plain_sum(lab, behind, " yes") - plain_sum(lab, ids(lab, f"{YES_NO.prompt}{PHRASE}"), " yes")
    sampled, retold = gains(lab, [Reasoned(YES_NO, text, path), Reasoned(YES_NO, text)], DEFAULT)
    assert sampled.nats == pytest.approx(expected, abs=1e-4)
    assert retold.nats is not None and abs(retold.nats - expected) > 0.01


def test_without_letters_the_words_of_the_choices_are_compared_by_the_character(student: Student) -> None:
    templates = PromptTemplates(choices_as="none")
    (found,) = gains(student, [Reasoned(CHOICE, " Saws have teeth.")], templates)
    context = ids(student, f"{CHOICE.prompt} Saws have teeth.{PHRASE}")
    rope, saw = (plain_sum(student, context, f" {choice}") / len(choice) for choice in CHOICE.choices)
    assert found.right == (saw > rope)


def test_numbers_gain_and_are_not_chosen_among(student: Student) -> None:
    (found,) = gains(student, [Reasoned(NUMBER, " It is seventy-two.")], DEFAULT)
    assert found.nats
    assert (found.right, found.right_without) == (None, None)


def test_no_reasoning_gains_nothing(student: Student) -> None:
    (found,) = gains(student, [Reasoned(YES_NO, " So the answer is no.")], DEFAULT)
    assert found.nats == 0 and found.right == found.right_without


def test_the_words_before_the_answer_are_those_of_the_template(student: Student) -> None:
    templates = PromptTemplates(path="{path} Hence: {answer}!")
    (found,) = gains(student, [Reasoned(YES_NO, " Ice.")], templates)
    behind, alone = (ids(student, f"{YES_NO.prompt}{each} Hence:") for each in (" Ice.", ""))
    expected = plain_sum(student, behind, " yes") - plain_sum(student, alone, " yes")
    assert found.nats == pytest.approx(expected, rel=1e-3)


def test_what_is_too_long_has_no_gain_and_texts_stay_in_their_order(student: Student) -> None:
    long = Reasoned(YES_NO, " long" * 60)  # the student has 192 positions, and a token is a byte
    short = [Reasoned(YES_NO, " Ice."), Reasoned(CHOICE, " Saws cut."), Reasoned(YES_NO, " No.")]
    first, none, second, third = gains(student, [short[0], long, *short[1:]], DEFAULT)
    assert none == Gain("b", None, None, None, None, None)
    for found, each in zip((first, second, third), short, strict=True):
        (alone,) = gains(student, [each], DEFAULT)
        assert found.nats == pytest.approx(alone.nats, abs=1e-4)
