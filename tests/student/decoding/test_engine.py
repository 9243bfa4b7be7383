import math
from dataclasses import replace

import pytest
import torch

from sert.errors import StudentError
from sert.student.decoding.engine import decode
from sert.student.decoding.lanes import Lane, unpack
from sert.student.decoding.proof import Drive, find_drive
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.decoding.stepping import CacheStepper, LaneStepper, PlainStepper, StepperType, WholeStepper, lent
from sert.student.load import Student, make_student
from sert.student.speed.quantized import quantize_student
from tests_support import make_tokenizer, tiny_gpt2, tiny_granite, tiny_llama, tiny_qwen

BUILDERS = {"gpt2": tiny_gpt2, "llama": tiny_llama, "qwen": tiny_qwen, "granite": tiny_granite}

TEXTS = [
    "Question: Is ice cold?\nAnswer:",
    "Why?",
    "Question: Can a stone swim?\nAnswer:",
    "Do birds fly? Say:",
    "Is it?",
]


def run(student: Student, texts: list[str], decoding: Decoding, **kwargs: object) -> dict[str, list[Lane]]:
    prompts = [DecodingPrompt(text, student.encode_prompt(text)) for text in texts]
    found = {}
    for wave in decode(student, prompts, decoding, **kwargs):  # type: ignore[arg-type]
        found.update({texts[index]: unpack(packed) for index, packed in wave})
    return found


def plain_logprobs(student: Student, prompt_ids: list[int], token_ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = student.model(torch.tensor([prompt_ids + token_ids])).logits[0].float()
    shares = logits.log_softmax(dim=-1)
    rows = torch.arange(len(prompt_ids) - 1, len(prompt_ids) + len(token_ids) - 1)
    return shares[rows, torch.tensor(token_ids, dtype=torch.long)]


@pytest.fixture(scope="module", params=list(BUILDERS))
def any_student(request: pytest.FixtureRequest) -> Student:
    tokenizer = make_tokenizer()
    return make_student(BUILDERS[request.param](len(tokenizer)), tokenizer, name=request.param)


SAMPLED = Decoding(branches=3, samples=4, max_new_tokens=24, top_k=10, top_p=0.95, max_lanes=24, seed=7)


@pytest.fixture(scope="module")
def sampled(any_student: Student) -> dict[str, list[Lane]]:
    return run(any_student, TEXTS, SAMPLED)


def drive_of(student: Student, *, longest: int = 60) -> Drive:
    return find_drive(student, [student.encode_prompt(text) for text in TEXTS], longest=longest)


def test_students_with_full_attention_take_the_fast_way(any_student: Student) -> None:
    before = any_student.model.config._attn_implementation
    drive = drive_of(any_student)
    # Granite scales its logits behind the head, so it has to make them itself.
    assert drive.stepper is (WholeStepper if any_student.name == "granite" else LaneStepper)
    assert drive.way == "fast" and 0 < drive.difference < 1e-4 and not drive.refused
    assert any_student.model.config._attn_implementation == before


@pytest.mark.parametrize(("window", "way"), [(60, "fast"), (59, "cache")])
def test_a_window_that_sees_the_whole_text_takes_the_fast_way(
    any_student: Student, window: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(any_student.model.config, "sliding_window", window, raising=False)
    drive = drive_of(any_student)
    assert drive.way == way
    assert list(drive.refused) == ([] if way == "fast" else ["fast"])


def test_greedy_equals_generate(any_student: Student) -> None:
    found = run(any_student, TEXTS, Decoding(branches=None, samples=1, max_new_tokens=30, max_lanes=3))
    for text in TEXTS:
        ids = torch.tensor([any_student.encode_prompt(text)])
        expected = any_student.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30, pad_token_id=0
        )[0, ids.shape[1] :].tolist()
        expected = expected[: expected.index(0)] if 0 in expected else expected
        assert found[text][0].token_ids == expected


def test_branches_are_the_top_tokens_of_a_plain_forward(any_student: Student, sampled: dict[str, list[Lane]]) -> None:
    for text in TEXTS:
        with torch.no_grad():
            logits = any_student.model(torch.tensor([any_student.encode_prompt(text)])).logits[0, -1]
        logits[0] = -math.inf  # end-of-text is skipped
        expected = logits.topk(3).indices.tolist()
        firsts = [continuation.token_ids[0] for continuation in sampled[text]]
        assert firsts == [token for token in expected for _ in range(4)]


def test_logprobs_equal_a_plain_forward(any_student: Student, sampled: dict[str, list[Lane]]) -> None:
    for text, continuations in sampled.items():
        for continuation in continuations:
            expected = plain_logprobs(any_student, any_student.encode_prompt(text), continuation.token_ids)
            assert torch.allclose(torch.tensor(continuation.logprobs), expected, atol=1e-4)


def test_a_lane_does_not_depend_on_its_neighbours(any_student: Student, sampled: dict[str, list[Lane]]) -> None:
    for text in TEXTS:
        assert [c.token_ids for c in run(any_student, [text], SAMPLED)[text]] == [c.token_ids for c in sampled[text]]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1), (1, 1, 1, 2, 2), (3,)])
def test_logits_are_those_of_the_text_alone_whatever_is_padded_and_beside_it(
    any_student: Student, order: tuple[int, ...]
) -> None:
    """At the prompts' ends and four steps on, two lanes a prompt, against forward passes of single texts."""
    prompts = [any_student.encode_prompt(TEXTS[index]) for index in order]
    following_TB = [torch.tensor([(7 * lane + step) % 200 + 1 for lane in range(2 * len(order))]) for step in range(4)]
    alone_TBV = logits_alone(any_student, prompts, following_TB)
    for stepper_type in (drive_of(any_student).stepper, CacheStepper, PlainStepper):
        logits_TBV = logits_together(any_student, stepper_type, prompts, following_TB)
        assert logits_TBV.shape == alone_TBV.shape
        assert (logits_TBV - alone_TBV).abs().max() <= 1e-4
        assert torch.equal(logits_TBV.argmax(dim=2), alone_TBV.argmax(dim=2))


def logits_alone(student: Student, prompts: list[list[int]], following_TB: list[torch.Tensor]) -> torch.Tensor:
    found_TBV = []
    for step in range(len(following_TB) + 1):
        given_TB = following_TB[:step]
        texts = [
            prompts[lane // 2] + [int(tokens_B[lane]) for tokens_B in given_TB] for lane in range(2 * len(prompts))
        ]
        with torch.no_grad():
            found_TBV.append(torch.stack([student.model(torch.tensor([text])).logits[0, -1].float() for text in texts]))
    return torch.stack(found_TBV)


def logits_together(
    student: Student, stepper_type: StepperType, prompts: list[list[int]], following_TB: list[torch.Tensor]
) -> torch.Tensor:
    with lent(student, stepper_type), torch.inference_mode():
        stepper = stepper_type(student, prompts)
        logits_TBV = [stepper.prefill().repeat_interleave(2, dim=0)]
        stepper.fork(2, max_steps=4)
        logits_TBV += [stepper.logits(stepper.step(tokens_B)) for tokens_B in following_TB]
    return torch.stack(logits_TBV)


def test_another_seed_samples_other_paths(student: Student) -> None:
    other = Decoding(branches=3, samples=4, max_new_tokens=24, top_k=10, top_p=0.95, seed=8)
    text = TEXTS[0]
    assert [c.token_ids for c in run(student, [text], other)[text]] != [
        c.token_ids for c in run(student, [text], SAMPLED)[text]
    ]


@pytest.mark.parametrize("stepper", [CacheStepper, PlainStepper])
def test_slower_ways_sample_the_same(student: Student, stepper: StepperType) -> None:
    fast = run(student, TEXTS, SAMPLED)
    slow = run(student, TEXTS, SAMPLED, drive=Drive("slow", stepper, 0.0, {}))
    assert {text: [c.token_ids for c in cs] for text, cs in slow.items()} == {
        text: [c.token_ids for c in cs] for text, cs in fast.items()
    }


def test_finish_tells_end_of_text_from_the_limit(student: Student) -> None:
    lanes = [lane for lanes in run(student, TEXTS, SAMPLED).values() for lane in lanes]
    assert {lane.finish for lane in lanes} == {"eos", "length"}
    for lane in lanes:
        assert 0 not in lane.token_ids
        assert (len(lane.token_ids) == 24) or lane.finish == "eos"


def test_an_end_of_text_branch_is_skipped_or_continued(student: Student) -> None:
    vocabulary = student.model.config.vocab_size
    for eos_branch in ("skip", "continue"):
        decoding = Decoding(branches=vocabulary - 1, samples=1, max_new_tokens=3, top_k=5, eos_branch=eos_branch)
        lanes = run(student, ["Why?"], decoding)["Why?"]
        assert any(lane.token_ids[:1] == [0] for lane in lanes) is (eos_branch == "continue")


def test_rejected_lanes_stop_and_others_are_unchanged(student: Student) -> None:
    long = Decoding(branches=3, samples=4, max_new_tokens=64, top_k=10, top_p=0.95, seed=7)
    full = run(student, TEXTS, long)
    odd = {tuple(lane.token_ids[:16]) for lanes in full.values() for lane in lanes if len(lane.token_ids) > 20}
    chosen = set(sorted(odd)[::2])

    class Chooser:
        def ended(self, prompt: int, lane: Lane) -> None:
            ends.append(lane)

        def stops(self, prompt: int, lane: Lane) -> str | None:
            return "rejected" if tuple(lane.token_ids[:16]) in chosen else None

    ends: list[Lane] = []
    cut = run(student, TEXTS, long, referee=Chooser())
    assert chosen
    unchanged = []
    for text in TEXTS:
        for whole, lane in zip(full[text], cut[text], strict=True):
            if tuple(whole.token_ids[:16]) in chosen:
                assert lane.finish == "rejected" and lane.token_ids == whole.token_ids[: len(lane.token_ids)]
                assert len(lane.token_ids) < 64
            else:
                assert_same(lane, whole)
                unchanged.append(lane)
    # Each finished lane is told once, those that reached the limit too.
    assert sorted(ends, key=repr) == sorted(unchanged, key=repr)
    assert {lane.finish for lane in ends} == {"eos", "length"}


def assert_same(lane: Lane, whole: Lane) -> None:
    assert replace(lane, logprobs=[]) == replace(whole, logprobs=[])
    assert lane.logprobs == pytest.approx(whole.logprobs, abs=1e-4)


class Spare:
    """Wants the lanes of these places only; says which it was asked about, and after how many tokens."""

    def __init__(self, wanted: set[tuple[int, int]]) -> None:
        self.wanted = wanted
        self.asked: list[tuple[int, int, int]] = []

    def ended(self, prompt: int, lane: Lane) -> None:
        assert lane.finish in ("eos", "length")

    def stops(self, prompt: int, lane: Lane) -> str | None:
        self.asked.append((lane.branch, lane.sample, len(lane.token_ids)))
        return None if (lane.branch, lane.sample) in self.wanted else "outrun"


@pytest.mark.parametrize("max_lanes", [1, 5, 24, 400])
@pytest.mark.parametrize("branches", [3, None])
def test_lanes_that_wait_have_their_first_token_and_go_on_in_later_rounds(
    student: Student, branches: int | None, max_lanes: int
) -> None:
    samples = 4 if branches else 12
    decoding = Decoding(branches, samples, max_new_tokens=32, top_k=10, top_p=0.95, max_lanes=max_lanes, seed=7)
    full = run(student, TEXTS, decoding)
    late = {(0, samples - 1)}
    spare, seen = Spare(late), list[float]()
    cut = run(student, TEXTS, decoding, referee=spare, progress=seen.append)
    assert sum(seen) == pytest.approx(len(TEXTS) * 12)
    stumps = 0
    for text in TEXTS:
        places = [(lane.branch, lane.sample) for lane in cut[text]]
        assert places == [(lane.branch, lane.sample) for lane in full[text]]
        for whole, lane in zip(full[text], cut[text], strict=True):
            if lane.finish == "outrun":
                assert lane.token_ids == whole.token_ids[: len(lane.token_ids)] and len(lane.token_ids) > 0
                assert lane.logprobs == pytest.approx(whole.logprobs[: len(lane.token_ids)], abs=1e-4)
                stumps += len(lane.token_ids) == 1
            else:
                assert_same(lane, whole)
            if (lane.branch, lane.sample) in late:
                assert lane.finish != "outrun"
    if max_lanes < 400:  # where all lanes fit into one small wave, they are decoded in one
        assert stumps >= len(TEXTS) * 5
        assert (0, samples - 1, 1) in spare.asked


def test_without_a_referee_there_is_one_round(student: Student) -> None:
    waves = list(decode(student, [DecodingPrompt(text, student.encode_prompt(text)) for text in TEXTS], SAMPLED))
    assert [len(wave) for wave in waves] == [2, 2, 1]


def test_too_long_a_prompt_is_refused_before_any_work(student: Student) -> None:
    with pytest.raises(StudentError, match="192 positions"):
        run(student, ["x" * 150], Decoding(branches=1, samples=1, max_new_tokens=64))


def test_an_empty_prompt_is_refused(student: Student) -> None:
    with pytest.raises(StudentError, match="no tokens"):
        list(decode(student, [DecodingPrompt("empty", [])], SAMPLED))


def test_progress_sums_to_the_lanes(student: Student) -> None:
    seen: list[float] = []
    run(student, TEXTS, SAMPLED, progress=seen.append)
    assert sum(seen) == pytest.approx(len(TEXTS) * 12)
    assert len(seen) > 24


def test_more_branches_than_tokens_are_refused(student: Student) -> None:
    with pytest.raises(StudentError, match="300 branches"):
        run(student, TEXTS, Decoding(branches=300, samples=1, max_new_tokens=4))


@pytest.mark.parametrize("shift", [0.0, -100.0])
def test_a_wrong_attention_is_found_whatever_the_scale_of_the_logits(
    any_student: Student, shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sert.student.decoding.cache import LaneLayer

    exact = LaneLayer.attend
    monkeypatch.setattr(LaneLayer, "attend", lambda self, *args, **kwargs: exact(self, *args, **kwargs) * 0.5)
    head = any_student.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda module, inputs, output: output + shift)
    try:
        drive = drive_of(any_student)
    finally:
        hook.remove()
    assert drive.way == "cache"
    assert "it differs by" in drive.refused["fast"]


def test_a_quantized_student_takes_the_cached_stepper_and_states_its_own_logprobs() -> None:
    tokenizer = make_tokenizer()
    quantized = make_student(tiny_gpt2(len(tokenizer)), tokenizer, name="int8")
    quantize_student(quantized.model)
    assert drive_of(quantized).stepper is LaneStepper
    for text, continuations in run(quantized, TEXTS, SAMPLED).items():
        for continuation in continuations:
            expected = plain_logprobs(quantized, quantized.encode_prompt(text), continuation.token_ids)
            assert torch.allclose(torch.tensor(continuation.logprobs), expected, atol=0.05)
