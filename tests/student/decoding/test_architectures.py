"""Architectures of all kinds, tiny and random: which way each is driven, and whether that is exact."""

import math
from typing import Any

import pytest
import torch
import transformers

from sert.student.decoding.engine import decode
from sert.student.decoding.lanes import unpack
from sert.student.decoding.proof import Drive, find_drive
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.load import Student, make_student
from tests_support import TINY, make_tokenizer

TEXTS = (
    "Question: Is ice cold?\nAnswer:",
    "Why?",
    "Do birds fly? Say:",
    "Is it, so?",
    "Question: Can it swim?\nAnswer:",
)
STEPS = 12
LONGEST = 60
MIXED = {"num_hidden_layers": 4}
# Name, configuration, what is special about it, the way that it is driven.
FAST = [
    ("llama", "LlamaConfig", {}),
    ("llama with a tied head", "LlamaConfig", {"tie_word_embeddings": True}),
    ("gpt2", "GPT2Config", {}),
    ("qwen2", "Qwen2Config", {}),
    ("qwen3", "Qwen3Config", {"head_dim": 16}),
    ("mistral", "MistralConfig", {"sliding_window": LONGEST}),
    ("phi3", "Phi3Config", {"sliding_window": 200}),
    ("smollm3", "SmolLM3Config", MIXED),
    ("gemma3", "Gemma3TextConfig", {"head_dim": 8, "sliding_window": LONGEST, "num_hidden_layers": 6}),
]
CACHE = [
    ("mistral with a short window", "MistralConfig", {"sliding_window": 8}),
    ("gemma3 with a short window", "Gemma3TextConfig", {"head_dim": 8, "sliding_window": 8, "num_hidden_layers": 6}),
    ("gemma2", "Gemma2Config", {"head_dim": 8, "sliding_window": LONGEST}),
    ("lfm2", "Lfm2Config", {**MIXED, "full_attn_idxs": [1, 3]}),
    ("mamba", "MambaConfig", {"state_size": 8}),
]


def make(config: str, special: dict[str, Any]) -> Student:
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    settings = getattr(transformers, config)(vocab_size=len(tokenizer), **TINY | special)
    return make_student(transformers.AutoModelForCausalLM.from_config(settings), tokenizer, name=config)


def drive_of(student: Student) -> Drive:
    return find_drive(student, [student.encode_prompt(text) for text in TEXTS], longest=LONGEST)


@pytest.fixture(
    scope="module",
    params=[("fast", *each) for each in FAST] + [("cache", *each) for each in CACHE],
    ids=lambda each: each[1],
)
def driven(request: pytest.FixtureRequest) -> tuple[Student, Drive, str]:
    way, _, config, special = request.param
    student = make(config, special)
    return student, drive_of(student), way


def run(student: Student, drive: Drive, decoding: Decoding) -> dict[str, list[Any]]:
    prompts = [DecodingPrompt(text, student.encode_prompt(text)) for text in TEXTS]
    waves = decode(student, prompts, decoding, drive=drive)
    return {TEXTS[index]: unpack(packed) for wave in waves for index, packed in wave}


def test_the_way_is_the_fastest_that_is_exact(driven: tuple[Student, Drive, str]) -> None:
    _, drive, way = driven
    assert drive.way == way
    assert list(drive.refused) == ([] if way == "fast" else ["fast"])
    assert 0 < drive.difference < 1e-4
    assert str(drive).startswith("driven by the fast engine" if way == "fast" else "warning: driven by its own cache")


def test_greedy_equals_generate(driven: tuple[Student, Drive, str]) -> None:
    student, drive, _ = driven
    found = run(student, drive, Decoding(branches=None, samples=1, max_new_tokens=STEPS, max_lanes=3))
    for text in TEXTS:
        ids = torch.tensor([student.encode_prompt(text)])
        told = student.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=STEPS, pad_token_id=0
        )
        expected = told[0, ids.shape[1] :].tolist()
        assert found[text][0].token_ids == (expected[: expected.index(0)] if 0 in expected else expected)


def test_branches_and_log_probabilities_are_those_of_plain_forward_passes(driven: tuple[Student, Drive, str]) -> None:
    student, drive, _ = driven
    decoding = Decoding(branches=3, samples=2, max_new_tokens=STEPS, top_k=10, top_p=0.95, max_lanes=12, seed=7)
    for text, lanes in run(student, drive, decoding).items():
        prompt = student.encode_prompt(text)
        for lane in lanes:
            with torch.no_grad():
                logits = student.model(torch.tensor([prompt + lane.token_ids]), use_cache=False).logits[0].float()
            rows = logits.log_softmax(dim=-1)[len(prompt) - 1 : -1]
            expected = rows[torch.arange(len(lane.token_ids)), torch.tensor(lane.token_ids)]
            assert torch.allclose(torch.tensor(lane.logprobs), expected, atol=1e-4)
            logits[len(prompt) - 1, 0] = -math.inf  # end-of-text is no branch
            assert lane.token_ids[0] == int(logits[len(prompt) - 1].topk(3).indices[lane.branch])


@pytest.mark.parametrize(
    ("config", "special", "way", "reason"),
    [
        ("StableLmConfig", {}, "cache", "does not hand arguments on to its attention"),
        ("Gemma2Config", {"head_dim": 8}, "cache", "its attention takes softcap"),
        (
            "Lfm2Config",
            {**MIXED, "full_attn_idxs": [1, 3]},
            "cache",
            "layers that are not attention over the whole text (conv)",
        ),
        ("MistralConfig", {"sliding_window": 8}, "cache", "its attention does not see all of 60 tokens"),
        ("RwkvConfig", {"attention_hidden_size": 32}, "plain", "differs by"),
    ],
)
def test_a_slower_way_says_why(config: str, special: dict[str, Any], way: str, reason: str) -> None:
    drive = drive_of(make(config, special))
    assert drive.way == way
    assert reason in str(drive)
    assert str(drive).startswith("warning: ")
