"""The earlier harness against plain forward passes over the padded tokens, and against our own decoding."""

import torch
from transformers import GenerationConfig

from sert.student.decoding.earlier_harness import BATCH, generate_padded
from sert.student.decoding.engine import decode
from sert.student.decoding.lanes import unpack
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.load import Student
from tests_support import make_tokenizer, tiny_gpt2

TEXTS = ["Is ice cold?", "Can a stone swim across a river?", "Why?", "Do birds fly over the sea?"]
STEPS = 24


def clean(student: Student, tokens: list[int]) -> tuple[list[int], str]:
    (wave,) = decode(student, [DecodingPrompt("q", tokens)], Decoding(branches=None, samples=1, max_new_tokens=STEPS))
    ((_, packed),) = wave
    (lane,) = unpack(packed)
    return lane.token_ids, lane.finish


def plain_greedy(student: Student, tokens: list[int]) -> tuple[list[int], str]:
    """Repeat whole forward passes, with no cache, no mask and no positions given."""
    grown = list(tokens)
    for _ in range(STEPS):
        with torch.no_grad():
            token = int(student.model(torch.tensor([grown])).logits[0, -1].argmax())
        if token in student.eos_ids:
            return grown[len(tokens) :], "eos"
        grown.append(token)
    return grown[len(tokens) :], "length"


def test_a_question_without_padding_is_answered_as_in_the_clean_harness(student: Student) -> None:
    for text in TEXTS:
        tokens = student.encode_prompt(text)
        (lane,) = generate_padded(student, [tokens], max_new_tokens=STEPS)
        assert (lane.token_ids, lane.finish) == clean(student, tokens)


def test_padding_is_attended_to_and_counted_as_positions(student: Student) -> None:
    prompts = [student.encode_prompt(text) for text in TEXTS]
    width = max(map(len, prompts))
    found = [(lane.token_ids, lane.finish) for lane in generate_padded(student, prompts, max_new_tokens=STEPS)]
    assert found == [plain_greedy(student, [0] * (width - len(prompt)) + prompt) for prompt in prompts]
    # What the fault is worth here: the padded ones say something else.
    assert [one == clean(student, prompt) for one, prompt in zip(found, prompts, strict=True)] == [
        len(prompt) == width for prompt in prompts
    ]


def test_all_batches_are_padded_to_the_longest_question_of_the_set(student: Student) -> None:
    short, long = student.encode_prompt("Why?"), student.encode_prompt("Can a stone swim across a river?")
    done: list[int] = []
    found = generate_padded(student, [short] * BATCH + [long], max_new_tokens=STEPS, progress=done.append)
    padded = plain_greedy(student, [0] * (len(long) - len(short)) + short)
    assert [(lane.token_ids, lane.finish) for lane in found] == [padded] * BATCH + [plain_greedy(student, long)]
    assert done == [BATCH, 1]


def test_an_output_ends_at_end_of_text_while_others_of_its_batch_go_on() -> None:
    tokenizer = make_tokenizer()
    model = tiny_gpt2(len(tokenizer))
    prompts = [tokenizer(text)["input_ids"] for text in ("Is ice cold", "Is ice warm")]
    student = Student(tokenizer, "tiny", (0,), 192, len(tokenizer), model=model)
    first, second = (plain_greedy(student, prompt)[0] for prompt in prompts)
    ending = next(
        place for place, token in enumerate(first) if place and token not in second and token not in first[:place]
    )
    student = Student(tokenizer, "tiny", (0, first[ending]), 192, len(tokenizer), model=model)
    found = [(lane.token_ids, lane.finish) for lane in generate_padded(student, prompts, max_new_tokens=STEPS)]
    assert found == [(first[:ending], "eos"), (second, "length")]


def test_the_students_own_generation_settings_do_not_count_and_stay(student: Student) -> None:
    tokens = student.encode_prompt("Is ice cold?")
    own = student.model.generation_config
    penal = GenerationConfig(repetition_penalty=9.0, do_sample=True, num_beams=3, max_length=5, eos_token_id=0)
    student.model.generation_config = penal
    try:
        (lane,) = generate_padded(student, [tokens], max_new_tokens=STEPS)
        assert student.model.generation_config is penal
    finally:
        student.model.generation_config = own
    assert lane.token_ids == plain_greedy(student, tokens)[0]
