from collections.abc import Iterator

import pytest
import torch

from sert.student import quantized, sampling, stepping
from sert.student.decoding import Continuation, Decoding, DecodingPrompt, decode
from sert.student.kernels import Kernels, compiled, serves_width
from sert.student.load import Student, make_student
from sert.student.quantized import Int8Linear, quantize_rows, quantize_student
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama

PROMPTS = ["Question: Is ice cold?\nAnswer:", "Why?", "Do birds fly? Say:"]


@pytest.fixture(scope="module")
def loops() -> Kernels:
    found = compiled()
    if found is None:
        pytest.skip("there is no C compiler here")
    return found


@pytest.fixture
def everything_compiled(loops: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "LARGE_STUDENT", 0)
    monkeypatch.setattr(quantized, "LARGE_LAYER", 0)
    monkeypatch.setattr(sampling, "LARGE_VOCABULARY", 0)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CC", "false")
    compiled.cache_clear()
    yield
    compiled.cache_clear()


def test_gelu_is_that_of_torch(loops: Kernels) -> None:
    values = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([0.0, -0.0, 1e-30, -1e-30, 200.0, -200.0])])
    expected = torch.nn.functional.gelu(values.double(), approximate="tanh").float()
    found = loops.gelu(values.view(1, -1, 1))
    assert found.shape == (1, len(values), 1)
    assert torch.allclose(found[0, :, 0], expected, rtol=1e-5, atol=1e-6)


def test_the_largest_logit_is_found_with_compiled_loops(everything_compiled: None) -> None:
    torch.manual_seed(0)
    logits = torch.randn(40, 1003)
    logits[7, 1002] = 9.0  # behind the last whole block
    values, tokens, _ = sampling.top_logits(logits, 1)
    assert torch.equal(tokens, logits.argmax(dim=1, keepdim=True))
    assert torch.equal(values, logits.amax(dim=1, keepdim=True))


@pytest.mark.parametrize("inputs", [5, 48, 769])
def test_rows_are_rounded_as_by_torch(loops: Kernels, inputs: int) -> None:
    torch.manual_seed(0)
    values = torch.randn(7, inputs) * torch.logspace(-6, 6, 7)[:, None]
    values[3] = 0
    rounded, steps = loops.quantize_rows(values)
    expected = quantize_rows(values)
    assert torch.equal(rounded, expected[0]) and torch.equal(steps, expected[1])


@pytest.mark.parametrize("biased", [True, False])
def test_sums_are_scaled_as_by_torch(loops: Kernels, biased: bool) -> None:
    torch.manual_seed(0)
    sums = torch.randint(-(2**24), 2**24, (9, 77), dtype=torch.int32)
    steps, scale = torch.rand(9, 1), torch.rand(77)
    bias = torch.randn(77) if biased else None
    expected = sums * steps * scale + (bias if bias is not None else 0)
    assert torch.allclose(loops.scale_sums(sums, steps, scale, bias), expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("vocabulary", [128, 1000, 50_257])
def test_block_maxima_and_log_totals_are_those_of_torch(loops: Kernels, vocabulary: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, vocabulary) * 10
    logits[1] += 1000
    logits[2, :200] = -torch.inf
    logits[3, -1] = 500.0
    maxima, totals = loops.block_maxima(logits, block=128)
    whole = vocabulary // 128 * 128
    assert torch.equal(maxima, logits[:, :whole].reshape(6, -1, 128).amax(dim=2))
    assert torch.allclose(totals, logits.double().logsumexp(dim=1, keepdim=True).float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "groups", "width"), [(3, 1, 64), (2, 4, 128), (2, 2, 48)])
def test_attention_is_that_of_torch(loops: Kernels, dtype: torch.dtype, heads: int, groups: int, width: int) -> None:
    torch.manual_seed(0)
    lengths, slots, room, filled = torch.tensor([9, 4, 1]), 5, 11, 7
    prompt = [torch.randn(3, heads, 9, width) for _ in range(2)]
    lane = [torch.randn(3 * slots, heads, room, width).to(dtype) for _ in range(2)]
    for said in lane:
        said[:, :, filled:] = torch.nan  # room for later steps
    queries = torch.randn(3 * slots, heads * groups, width) * 3
    found = loops.attend(queries, (prompt[0], prompt[1]), lengths, (lane[0], lane[1]), filled=filled, scaling=0.2)
    for row in range(3 * slots):
        question = row // slots
        for head in range(heads * groups):
            keys, values = (
                torch.cat([of[question, head // groups, : lengths[question]], said[row, head // groups, :filled]])
                for of, said in zip(prompt, (said.float() for said in lane), strict=True)
            )
            weights = torch.softmax(0.2 * keys @ queries[row, head], dim=0)
            assert torch.allclose(found[row, head], weights @ values, rtol=1e-4, atol=1e-5)


def test_queries_may_be_parts_of_a_wider_tensor(loops: Kernels) -> None:
    torch.manual_seed(0)
    together = torch.randn(4, 3 * 2, 16)
    prompt, lane = (torch.randn(2, 2, 3, 16),) * 2, (torch.randn(4, 2, 2, 16),) * 2
    rest = {"filled": 2, "scaling": 0.25}
    found = loops.attend(together[:, :2], prompt, torch.tensor([3, 2]), lane, **rest)
    assert torch.equal(found, loops.attend(together[:, :2].clone(), prompt, torch.tensor([3, 2]), lane, **rest))


def test_results_do_not_depend_on_the_number_of_threads(loops: Kernels) -> None:
    torch.manual_seed(0)
    logits, queries = torch.randn(40, 3000), torch.randn(40, 4, 32)
    prompt, lane = (torch.randn(8, 4, 9, 32),) * 2, (torch.randn(40, 4, 6, 32),) * 2
    threads, found = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        attended = loops.attend(queries, prompt, torch.full((8,), 9), lane, filled=6, scaling=0.2)
        found.append([attended, *loops.block_maxima(logits, block=128), *loops.quantize_rows(logits)])
    torch.set_num_threads(threads)
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))


@pytest.mark.parametrize(("width", "served"), [(64, True), (48, True), (256, True), (8, False), (512, False)])
def test_widths_that_the_attention_loop_knows(width: int, served: bool) -> None:
    assert serves_width(width) is served


@pytest.fixture(params=[tiny_gpt2, tiny_llama], ids=["gpt2", "llama"])
def wide_student(request: pytest.FixtureRequest) -> Student:
    tokenizer = make_tokenizer()
    return make_student(request.param(len(tokenizer), width=64), tokenizer, name="wide")


def decoded(student: Student, decoding: Decoding) -> dict[str, list[Continuation]]:
    prompts = [DecodingPrompt(text, student.encode_prompt(text)) for text in PROMPTS]
    return {PROMPTS[i]: lanes for wave in decode(student, prompts, decoding) for i, lanes in wave}


def count_attention(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    calls: list[torch.dtype] = []
    plain = Kernels.attend

    def counted(self: Kernels, queries: torch.Tensor, prompt: object, lengths: object, lane: object, **rest: object):  # type: ignore[no-untyped-def]
        calls.append(lane[0].dtype)  # type: ignore[index]
        return plain(self, queries, prompt, lengths, lane, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Kernels, "attend", counted)
    return calls


SAMPLED = Decoding(branches=3, samples=4, max_new_tokens=24, top_k=10, top_p=0.95, max_lanes=24, seed=7)


@pytest.mark.usefixtures("everything_compiled")
def test_greedy_equals_generate(wide_student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_attention(monkeypatch)
    found = decoded(wide_student, Decoding(branches=None, samples=1, max_new_tokens=30))
    assert calls and set(calls) == {torch.float32}
    for text, lanes in found.items():
        ids = torch.tensor([wide_student.encode_prompt(text)])
        whole = wide_student.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30, pad_token_id=0
        )
        assert whole[0, ids.shape[1] :].tolist() == list(lanes[0].token_ids)


@pytest.mark.usefixtures("everything_compiled")
def test_paths_and_logprobs_are_those_without_compiled_loops(
    wide_student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = decoded(wide_student, SAMPLED)
    for module in (stepping, quantized, sampling):
        monkeypatch.setattr(module, "compiled", lambda: None)
    plain = decoded(wide_student, SAMPLED)
    for text, lanes in plain.items():
        for lane, other in zip(lanes, found[text], strict=True):
            assert lane.token_ids == other.token_ids
            assert other.logprobs == pytest.approx(lane.logprobs, abs=1e-4)


@pytest.mark.usefixtures("everything_compiled")
def test_a_lane_does_not_depend_on_its_neighbours(wide_student: Student) -> None:
    together = decoded(wide_student, SAMPLED)
    for text in PROMPTS:
        prompt = DecodingPrompt(text, wide_student.encode_prompt(text))
        alone = [lanes for wave in decode(wide_student, [prompt], SAMPLED) for _, lanes in wave]
        assert [lane.token_ids for lane in alone[0]] == [lane.token_ids for lane in together[text]]


@pytest.mark.usefixtures("everything_compiled")
def test_integer_students_remember_what_they_said_in_bfloat16(
    wide_student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize_student(wide_student.model)
    calls = count_attention(monkeypatch)
    found = decoded(wide_student, SAMPLED)
    assert set(calls) == {torch.bfloat16}
    for text, lanes in found.items():
        for lane in lanes:
            ids = torch.tensor([[*wide_student.encode_prompt(text), *lane.token_ids]])
            with torch.no_grad():
                shares = wide_student.model(ids).logits[0].log_softmax(-1)[-len(lane.token_ids) - 1 : -1]
            stated = shares.gather(1, torch.tensor(lane.token_ids)[:, None])[:, 0]
            assert float((stated - torch.tensor(lane.logprobs)).abs().mean()) < 0.1


@pytest.mark.usefixtures("no_compiler", "loops")
def test_without_a_compiler_torch_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled() is None
    monkeypatch.setattr(quantized, "LARGE_LAYER", 0)
    torch.manual_seed(0)
    layer, inputs = Int8Linear(torch.randn(64, 80), torch.randn(80)), torch.randn(5, 64)
    rows, steps = quantize_rows(inputs)
    exact = (rows.double() @ layer.weight.double()) * steps.double() * layer.scale.double() + layer.bias.double()
    assert torch.allclose(layer(inputs).double(), exact, atol=1e-5)


@pytest.mark.parametrize("command", ["no-such-compiler", "cc -DBROKEN(", "cc 'unclosed", "true"])
def test_a_compiler_that_fails_is_done_without(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", command)
    compiled.cache_clear()
    assert compiled() is None
    compiled.cache_clear()
