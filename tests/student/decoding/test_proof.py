"""How a way is proven, and how far a coarse student lies from itself in float32."""

import copy
import math

import pytest
import torch

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.decoding.engine import decode
from sert.student.decoding.proof import Distance, Reference, check_distance, distance_between, find_drive
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.load import Student, make_student
from sert.student.speed.quantized import quantize_student
from tests_support import make_tokenizer, tiny_gpt2

TEXTS = ("Question: Is ice cold?\nAnswer:", "Do birds fly? Say:", "Is it, so?")


def prompts_of(student: Student) -> list[list[int]]:
    return [student.encode_prompt(text) for text in TEXTS]


def test_a_way_is_tried_on_the_prompts_and_on_likely_tokens_only(student: Student) -> None:
    seen: list[torch.Tensor] = []
    body = student.model.base_model
    hook = body.register_forward_pre_hook(
        lambda _, args, given: seen.append((*args, given.get("input_ids"))[0]), with_kwargs=True
    )
    try:
        find_drive(student, prompts_of(student), longest=60)
    finally:
        hook.remove()
    alone = [ids[0].tolist() for ids in seen if ids.shape[0] == 1]
    shortest, longest = sorted(prompts_of(student), key=len)[0], sorted(prompts_of(student), key=len)[-1]
    assert {tuple(text[: len(shortest)]) for text in alone} & {tuple(shortest)}
    assert {tuple(text[: len(longest)]) for text in alone} & {tuple(longest)}
    for text in alone:
        prompt = next(each for each in (longest, shortest) if text[: len(each)] == each)
        for place in range(len(prompt), len(text)):
            with torch.no_grad():
                logits = student.model(torch.tensor([text[:place]])).logits[0, -1]
            logits[list(student.eos_ids)] = -math.inf
            assert text[place] in logits.topk(2).indices


def test_distance_by_hand() -> None:
    expected = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]).log()
    found = torch.tensor([[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]]).log()
    distance = distance_between(expected, found)
    # The first place: |ln 0.5 - ln 0.25| = ln 2 twice and 0; the second one: nothing. KL = 0.5 ln 2 - 0.25 ln 2.
    assert distance.mean == pytest.approx(2 * math.log(2) / 6)
    assert distance.p99 == pytest.approx(math.log(2), abs=1e-6)
    assert distance.kl == pytest.approx(0.25 * math.log(2) / 2)
    assert distance.same_greedy == 0.5


def test_a_student_lies_nowhere_from_itself_and_somewhere_in_int8() -> None:
    tokenizer = make_tokenizer()
    exact = make_student(tiny_gpt2(len(tokenizer), scale=0.1), tokenizer, name="tiny")
    coarse = make_student(copy.deepcopy(exact.model), tokenizer, name="int8")
    quantize_student(coarse.model)
    drive = find_drive(exact, prompts_of(exact), longest=60)
    reference = Reference(exact, drive, prompts_of(exact), longest=60)
    assert reference.distance_of(exact) == Distance(0.0, 0.0, 0.0, 1.0)
    distance = reference.distance_of(coarse)
    assert 0 < distance.mean < 0.1 and distance.mean < distance.p99 and 0 < distance.kl < 0.01


@pytest.mark.parametrize(
    ("mean", "begins"), [(0.02, "student.dtype"), (0.021, "warning: student.dtype"), (0.1, "warning")]
)
def test_a_distance_is_told_and_warned_of(mean: float, begins: str) -> None:
    assert check_distance(Distance(mean, 0.5, 0.1, 0.97), StudentConfig(dtype="int8")).startswith(begins)


def test_another_student_is_refused_unless_told_otherwise() -> None:
    distance = Distance(0.31, 1.5, 0.1, 0.9)
    with pytest.raises(StudentError, match=r"0\.31 nats .* student\.max_distance = 0\.1 nats"):
        check_distance(distance, StudentConfig(dtype="int8"))
    assert check_distance(distance, StudentConfig(dtype="int8", max_distance=0.4)).startswith("warning: ")
    with pytest.raises(StudentError):
        check_distance(Distance(math.nan, math.nan, math.nan, 0.0), StudentConfig(dtype="int8"))


def test_weights_that_are_no_numbers_are_named(student: Student) -> None:
    broken = make_student(copy.deepcopy(student.model), student.tokenizer, name="merged badly")
    broken.model.base_model.ln_f.weight.data[3] = math.nan
    with pytest.raises(StudentError, match="'merged badly' gives no probabilities in float32"):
        find_drive(broken, prompts_of(broken), longest=60)


def test_logits_that_stop_to_be_numbers_on_the_way_are_named(student: Student) -> None:
    drive = find_drive(student, prompts_of(student), longest=60)
    broken = make_student(copy.deepcopy(student.model), student.tokenizer, name="merged badly")
    broken.model.base_model.wpe.weight.data[len(prompts_of(student)[0]) + 5] = math.inf
    prompts = [DecodingPrompt(text, broken.encode_prompt(text)) for text in TEXTS]
    with pytest.raises(StudentError, match="logits are no numbers"):
        list(decode(broken, prompts, Decoding(branches=2, samples=2, max_new_tokens=24, top_k=10), drive=drive))


@pytest.mark.parametrize("room", [1, 2, 5])
def test_prompts_that_nearly_fill_the_positions_are_tried_as_far_as_there_is_room(student: Student, room: int) -> None:
    positions = student.model.config.n_positions
    prompt = (student.encode_prompt("It is cold, and ") * positions)[: positions - room]
    drive = find_drive(student, [prompt], longest=positions)
    assert drive.way == "fast"
    assert Reference(student, drive, [prompt], longest=positions).distance_of(student).mean == 0


def test_a_coarse_student_whose_numbers_overflow_is_named(student: Student) -> None:
    drive = find_drive(student, prompts_of(student), longest=60)
    coarse = make_student(copy.deepcopy(student.model).half(), student.tokenizer, name="too large")
    coarse.model.base_model.h[1].mlp.c_proj.bias.data[5] = 6e4
    coarse.model.base_model.h[0].mlp.c_proj.bias.data[5] = 6e4
    with pytest.raises(
        StudentError, match=r"'too large' gives no probabilities in float16: .* 'float32' or 'bfloat16'"
    ):
        Reference(student, drive, prompts_of(student), longest=60).distance_of(coarse)
