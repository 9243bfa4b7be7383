import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sert.student import kernels
from sert.student.decoding import sampling, stepping
from sert.student.decoding.engine import decode
from sert.student.decoding.lanes import Lane, unpack
from sert.student.decoding.proof import find_drive
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.kernels import (
    FLAGS,
    Caches,
    Kernels,
    LanePlaces,
    Packed,
    compilation,
    compile_loops,
    compiled,
    pack,
    pack_tiles,
    serves_width,
)
from sert.student.load import Student, make_student
from sert.student.speed import quantized
from sert.student.speed.quantized import (
    BFloat16Linear,
    BFloat16x2Linear,
    Int8Linear,
    Int16Linear,
    is_rounded,
    multiply_in_bfloat16,
    multiply_nearly_exactly,
    quantize_blocks,
    quantize_rows,
    quantize_student,
    torch_is_exact,
)
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama

PROMPTS = ["Question: Is ice cold?\nAnswer:", "Why?", "Do birds fly? Say:"]


@pytest.fixture(scope="module")
def native_loops() -> Kernels:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler here")
    found = compiled()
    assert found is not None, "the loops do not compile here"
    return found


@pytest.fixture(scope="module")
def avx2_loops(native_loops: Kernels) -> Kernels:
    """The loops of a processor without AVX-512, where this one can run them."""
    if not native_loops.instructions.startswith("AVX"):
        pytest.skip("this processor has no AVX2")
    found = compile_loops("-march=haswell")
    assert found.instructions == "AVX2" and found.has_integers and not found.has_bfloat16
    return found


@pytest.fixture(scope="module", params=["native_loops", "avx2_loops"])
def loops(request: pytest.FixtureRequest) -> Kernels:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Kernels)
    return found


@pytest.fixture
def everything_compiled(native_loops: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "LARGE_STUDENT", 0)
    monkeypatch.setattr(quantized, "LARGE_STUDENT", 0)
    monkeypatch.setattr(quantized, "LARGE_LAYER", 0)
    monkeypatch.setattr(sampling, "LARGE_VOCABULARY", 0)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CC", "false")
    compilation.cache_clear()
    yield
    compilation.cache_clear()


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


@pytest.fixture
def integer_loops(loops: Kernels) -> Kernels:
    if not loops.has_integers:
        pytest.skip("this processor has no integer products of ours")
    return loops


@pytest.fixture
def bfloat16_loops(native_loops: Kernels) -> Kernels:
    if not (native_loops.has_bfloat16 and native_loops.attends_in_pairs(32)):
        pytest.skip("this processor has no bfloat16 products of ours")
    return native_loops


# Inputs in whole tiles (AMX) and not.
@pytest.mark.parametrize("size", [48, 192])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("rows", "outputs"), [(1, 64), (6, 80), (13, 200), (40, 63)])
def test_int8_layers_are_their_integer_arithmetic(
    integer_loops: Kernels, rows: int, outputs: int, biased: bool, size: int
) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(rows, size) * torch.logspace(-6, 6, rows)[:, None]
    inputs[rows // 2] = 0
    weight, scale = torch.randint(-127, 128, (size, outputs), dtype=torch.int8), torch.rand(outputs)
    bias = torch.randn(outputs) if biased else None
    rounded, steps = quantize_rows(inputs)
    sums = (rounded.long() @ weight.long()).float()
    expected = sums * steps * scale + (bias if bias is not None else 0)
    found = integer_loops.linear(inputs, pack(weight, bias, scale))
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16])
def test_a_row_that_is_not_finite_stays_so_and_alone(integer_loops: Kernels, broken: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    inputs, layer = torch.randn(7, 48), pack(torch.randint(-127, 128, (48, 70), dtype=dtype), None, torch.rand(70))
    inputs[2, 30] = broken
    found = integer_loops.linear(inputs, layer)
    assert bool(found[2].isnan().all()) and bool(found[[0, 1, 3, 4, 5, 6]].isfinite().all())


@pytest.mark.parametrize("inputs", [torch.zeros(3, 32), torch.zeros(3, 48).bfloat16(), torch.zeros(48)])
def test_layers_refuse_what_they_cannot_read(bfloat16_loops: Kernels, inputs: torch.Tensor) -> None:
    with pytest.raises(RuntimeError, match="a layer of 48 inputs"):
        bfloat16_loops.linear(inputs, pack(torch.zeros(48, 64).bfloat16(), None))


@pytest.mark.parametrize("size", [80, 96])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("rows", "outputs"), [(1, 64), (6, 80), (13, 200), (40, 63)])
def test_bfloat16_layers_add_up_in_float32(
    bfloat16_loops: Kernels, rows: int, outputs: int, biased: bool, size: int
) -> None:
    torch.manual_seed(0)
    inputs, weight = torch.randn(rows, size), torch.randn(size, outputs)
    bias = torch.randn(outputs) if biased else None
    expected = inputs.bfloat16().double() @ weight.bfloat16().double() + (bias if bias is not None else 0)
    found = bfloat16_loops.linear(inputs, pack(weight.bfloat16(), bias))
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-4)


# Whole blocks and not; a row of numbers of all sizes, one of zeros.
@pytest.mark.parametrize("size", [48, 64, 144, 192])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("rows", "outputs"), [(1, 64), (6, 80), (13, 200), (40, 63)])
def test_int16_layers_are_their_integer_arithmetic(
    integer_loops: Kernels, rows: int, outputs: int, biased: bool, size: int
) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(rows, size) * torch.logspace(-6, 6, size)
    inputs[rows // 2] = 0
    weight, bias = torch.randn(size, outputs), torch.randn(outputs) if biased else None
    rounded, steps = quantize_blocks(inputs.t())
    quantized_weight, scales = quantize_blocks(weight)
    expected = bias.double().repeat(rows, 1) if bias is not None else torch.zeros(rows, outputs, dtype=torch.float64)
    for number, start in enumerate(range(0, size, 64)):
        block = slice(start, start + 64)
        sums = rounded[block].long().t() @ quantized_weight[block].long()
        assert sums.abs().max() < 2**31
        expected += sums * steps[number, :, None].double() * scales[number].double()
    found = integer_loops.linear(inputs, pack(quantized_weight, bias, scales))
    magnitudes = inputs.abs().double() @ weight.abs().double() + 1  # sums of blocks are added up in float32
    assert bool(((found - expected).abs() <= 1e-6 * magnitudes).all())


def test_blocks_have_steps_of_their_own_and_fit_into_their_sums(integer_loops: Kernels) -> None:
    inputs, weight = torch.full((2, 128), 3.0), torch.full((128, 70), -5.0)
    inputs[0, 100] = 3e6  # makes the other inputs of its block coarse, and none of the block before
    quantized_weight, scales = quantize_blocks(weight)
    assert quantized_weight.abs().max() == 5792 and 64 * 5792**2 < 2**31 and scales.shape == (2, 70)
    found = integer_loops.linear(inputs, pack(quantized_weight, None, scales))
    assert found[1].tolist() == pytest.approx([-15.0 * 128] * 70, rel=1e-5)
    coarse = 63 * -5 * 3e6 / 5792 * round(3 * 5792 / 3e6)
    assert found[0].tolist() == pytest.approx([-15.0 * 64 + coarse - 15e6] * 70, rel=1e-6)


def test_int16_is_finer_than_bfloat16(integer_loops: Kernels, bfloat16_loops: Kernels) -> None:
    torch.manual_seed(0)
    inputs, weight = torch.randn(40, 192), torch.randn(192, 128)
    exact = inputs.double() @ weight.double()
    errors = [
        float((layer(weight, None, loops)(inputs) - exact).pow(2).mean().sqrt() / exact.pow(2).mean().sqrt())
        for layer, loops in ((Int16Linear, integer_loops), (BFloat16Linear, bfloat16_loops))
    ]
    assert errors[0] < 3e-4 and errors[1] > 1.5e-3


@pytest.fixture
def tile_loops(native_loops: Kernels) -> Kernels:
    if not native_loops.has_tiles:
        pytest.skip("this processor has no tiles (AMX)")
    return native_loops


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("rows", "size", "outputs"), [(1, 32, 64), (13, 96, 63), (32, 192, 96), (70, 576, 200)])
def test_tiles_multiply_the_parts_of_numbers(
    tile_loops: Kernels, rows: int, size: int, outputs: int, biased: bool, parts: int
) -> None:
    torch.manual_seed(0)
    inputs, weight = torch.randn(rows, size) * torch.logspace(-3, 3, size), torch.randn(size, outputs)
    bias = torch.randn(outputs) if biased else None
    (row, row_rest), (weights, weights_rest) = (
        (first.double(), (whole - first).bfloat16().double())
        for whole, first in ((each, each.bfloat16().float()) for each in (inputs, weight))
    )
    expected = row @ weights + (row_rest @ weights + row @ weights_rest if parts == 2 else 0)
    expected = expected + (0 if bias is None else bias)
    found = tile_loops.linear(inputs, pack_tiles(weight, bias, parts=parts))
    magnitudes = inputs.abs().double() @ weight.abs().double() + 1
    assert found.shape == (rows, outputs) and bool(((found - expected).abs() <= 1e-6 * magnitudes).all())


def test_two_parts_are_nearer_than_int16_and_weights_of_bfloat16_need_one(tile_loops: Kernels) -> None:
    torch.manual_seed(0)
    inputs, weight = torch.randn(40, 192), torch.randn(192, 128)
    for weights, parts in ((weight, 2), (weight.bfloat16().float(), 1)):
        exact = inputs.double() @ weights.double()
        error = BFloat16x2Linear(weights, None, tile_loops)(inputs) - exact
        assert error.pow(2).mean().sqrt() < 1e-5 * exact.pow(2).mean().sqrt()
        packed = pack_tiles(weights, None, parts=2)
        assert packed.weight_parts == parts and packed.weights.numel() == parts * weights.numel()


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_in_tiles_too_a_row_that_is_not_finite_stays_so_and_alone(
    tile_loops: Kernels, broken: float, parts: int
) -> None:
    torch.manual_seed(0)
    inputs, layer = torch.randn(7, 64), pack_tiles(torch.randn(64, 70), None, parts=parts)
    inputs[2, 30] = broken
    found = tile_loops.linear(inputs, layer)
    assert not bool(found[2].isfinite().any()) and bool(found[[0, 1, 3, 4, 5, 6]].isfinite().all())


def bfloat16_layers(loops: Kernels, weight: torch.Tensor) -> list[Packed]:
    """Pack weights for every loop that multiplies in bfloat16 here."""
    in_tiles = [pack_tiles(weight, None, parts=parts) for parts in (1, 2)] if loops.has_tiles else []
    return [pack(weight.bfloat16(), None), *in_tiles]


def test_other_libraries_find_the_processor_as_they_left_it(bfloat16_loops: Kernels) -> None:
    """torch multiplies with tiles of its own shapes, in the same threads."""
    torch.manual_seed(0)
    inputs, weight = torch.randn(70, 96), torch.randn(96, 130)
    layers = bfloat16_layers(bfloat16_loops, weight)
    theirs, ours = inputs.bfloat16() @ weight.bfloat16(), [bfloat16_loops.linear(inputs, layer) for layer in layers]
    for _ in range(5):
        assert torch.equal(inputs.bfloat16() @ weight.bfloat16(), theirs)
        for layer, before in zip(layers, ours, strict=True):
            assert torch.equal(bfloat16_loops.linear(inputs, layer), before)


@pytest.mark.parametrize("rows", [700, 1400])
def test_more_rows_than_the_cache_holds_give_what_each_gives_alone(bfloat16_loops: Kernels, rows: int) -> None:
    torch.manual_seed(0)
    inputs, weight = torch.randn(rows, 768), torch.randn(768, 70)
    for layer in bfloat16_layers(bfloat16_loops, weight):
        found = bfloat16_loops.linear(inputs, layer)
        for row in (0, 5, 160, 340, 341, 342, rows - 1):
            assert torch.equal(found[row], bfloat16_loops.linear(inputs[row : row + 1], layer)[0])


@pytest.mark.parametrize(("processor", "needs"), [("haswell", "AVX"), ("skylake-avx512", "AVX-512")])
def test_integer_layers_give_the_same_bits_with_other_instructions(
    native_loops: Kernels, processor: str, needs: str
) -> None:
    if not native_loops.instructions.startswith(needs):
        pytest.skip(f"this processor does not run the loops for {processor}")
    others = compile_loops(f"-march={processor}")
    if others.instructions == native_loops.instructions:
        pytest.skip(f"loops for {processor} are those of this processor")
    torch.manual_seed(0)
    for rows, size, outputs in ((1, 16, 64), (7, 48, 70), (40, 144, 200), (64, 576, 130)):
        inputs = torch.randn(rows, size) * torch.logspace(-4, 4, size)
        weight, bias = torch.randn(size, outputs), torch.randn(outputs)
        quantized_weight, scales = quantize_blocks(weight)
        small_weight, small_scale = quantize_rows(weight.t())
        for layer in (pack(quantized_weight, bias, scales), pack(small_weight.t(), bias, small_scale.t())):
            found, expected = others.linear(inputs, layer), native_loops.linear(inputs, layer)
            assert torch.equal(found.view(torch.int32), expected.view(torch.int32))


@pytest.mark.parametrize(
    ("processor", "instructions"),
    [
        ("core2", "vectors of four numbers"),
        ("haswell", "AVX2"),
        ("alderlake", "AVX2 with VNNI"),
        ("skylake-avx512", "AVX-512"),
        ("sapphirerapids", "AVX-512 with VNNI and BF16, AMX"),
    ],
)
def test_loops_compile_for_processors_of_each_kind(native_loops: Kernels, processor: str, instructions: str) -> None:
    if not native_loops.instructions.startswith("AVX"):
        pytest.skip("the compiler here makes code for processors of another kind")
    assert compile_loops(f"-march={processor}").instructions == instructions


@pytest.mark.parametrize("processor", ["core2", "armv8-a", "armv8.2-a+dotprod"])
def test_loops_for_other_processors_give_what_they_give_here(
    native_loops: Kernels, processor: str, tmp_path: Path
) -> None:
    if not native_loops.instructions.startswith("AVX"):
        pytest.skip("this processor has no integer products of ours, or the compiler makes code of another kind")
    compiler, emulator = ["cc"], []
    if processor.startswith("arm"):
        compiler, emulator = ["aarch64-linux-gnu-gcc", "-static"], ["qemu-aarch64-static"]
        if shutil.which(compiler[0]) is None or shutil.which(emulator[0]) is None:
            pytest.skip(f"needs {compiler[0]} and {emulator[0]}")
    here = run_elsewhere(["cc", "-march=native"], [], tmp_path / "here")
    there = run_elsewhere([*compiler, f"-march={processor}"], emulator, tmp_path / "there")
    integers = {"int8", "int16"}
    assert there.keys() == (here.keys() if emulator else here.keys() - integers)
    for name, values in there.items():
        assert values == (here[name] if name in integers else pytest.approx(here[name], rel=1e-5, abs=1e-6))


def run_elsewhere(compiler: list[str], emulator: list[str], program: Path) -> dict[str, list[float]]:
    """Compile kernels_elsewhere.c and run it: name of a loop -> what it gave."""
    source = Path(__file__).with_name("kernels_elsewhere.c")
    flags = [flag for flag in FLAGS.split() if flag not in ("-march=native", "-shared")]
    folder = str(Path(kernels.__file__).parent)
    subprocess.run([*compiler, *flags, f"-I{folder}", "-o", str(program), str(source), "-lm"], check=True)
    said = subprocess.run([*emulator, str(program)], check=True, capture_output=True, text=True).stdout
    return {name: [float(value) for value in values] for name, *values in map(str.split, said.splitlines())}


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


def in_pairs(values: torch.Tensor) -> torch.Tensor:
    """Values (.., steps, D) as (.., steps / 2, D, 2)."""
    return values.unflatten(-2, (-1, 2)).transpose(-1, -2).contiguous()


def caches(keys: torch.Tensor, values: torch.Tensor, dtype: torch.dtype) -> Caches:
    if dtype == torch.float32:
        return Caches(keys.clone(), values.clone())
    return Caches(keys.to(dtype), in_pairs(values.to(dtype)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "groups", "width"), [(3, 1, 64), (2, 4, 128), (2, 2, 96)])
@pytest.mark.parametrize("filled", [1, 7, 8, 23, 32])
def test_attention_is_that_of_torch(
    loops: Kernels, dtype: torch.dtype, heads: int, groups: int, width: int, filled: int
) -> None:
    if dtype == torch.bfloat16 and not loops.attends_in_pairs(width):
        pytest.skip("this processor has no bfloat16 products")
    torch.manual_seed(0)
    lengths, questions, room = torch.tensor([19, 4, 6, 1]), [0, 0, 0, 0, 1, 3, 3], 32
    places = torch.tensor([3, 4, 0, 1, 8, 2, 7])
    prompt = [torch.randn(4, heads, 32, width).to(dtype).float() for _ in range(2)]
    lane = [torch.randn(9, heads, room, width).to(dtype).float() for _ in range(2)]
    news = [said[places, :, filled - 1].clone() for said in lane]
    hollow = [said.clone() for said in lane]
    for said in hollow:
        said[:, :, filled - 1 :] = torch.nan  # room for this step and later ones
    queries = (torch.randn(len(places), heads * groups, width) * 3).to(dtype).float()
    lanes, prompts = caches(hollow[0], hollow[1], dtype), caches(prompt[0], prompt[1], dtype)
    where = LanePlaces(places, torch.tensor([0, 4, 5, 5, 7]))
    found = loops.attend(queries, (news[0], news[1]), prompts, lengths, lanes, where, filled=filled, scaling=0.2)
    if dtype == torch.float32:
        assert torch.equal(lanes.keys[places, :, filled - 1], news[0])
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    for row, (question, place) in enumerate(zip(questions, places.tolist(), strict=True)):
        for head in range(heads * groups):
            keys, values = (
                torch.cat([of[question, head // groups, : lengths[question]], said[place, head // groups, :filled]])
                for of, said in zip(prompt, lane, strict=True)
            )
            weights = torch.softmax(0.2 * keys @ queries[row, head], dim=0)
            assert torch.allclose(found[row, head], weights @ values, **close)


def test_queries_and_news_may_be_parts_of_a_wider_tensor(loops: Kernels) -> None:
    torch.manual_seed(0)
    together = torch.randn(4, 6, 16)
    rest = {"filled": 2, "scaling": 0.25}
    found = []
    for parts in (together.split(2, dim=1), [part.clone() for part in together.split(2, dim=1)]):
        torch.manual_seed(1)
        prompt, lane = Caches(*torch.randn(2, 2, 2, 3, 16)), Caches(*torch.randn(2, 4, 2, 2, 16))
        given = prompt, torch.tensor([3, 2]), lane, LanePlaces(torch.arange(4), torch.tensor([0, 2, 4]))
        found.append(loops.attend(parts[0], (parts[1], parts[2]), *given, **rest))
    assert torch.equal(found[0], found[1])


@pytest.fixture
def own_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("own_threads")
def test_results_do_not_depend_on_the_number_of_threads(loops: Kernels) -> None:
    found = []
    for count in (1, 3):
        torch.manual_seed(0)
        torch.set_num_threads(count)
        logits, queries, news = torch.randn(40, 3000), torch.randn(40, 4, 32), tuple(torch.randn(2, 40, 4, 32))
        prompt, lane = torch.randn(2, 8, 4, 16, 32), torch.randn(2, 40, 4, 16, 32)
        results = [*loops.block_maxima(logits, block=128)]
        for dtype in (torch.float32, *([torch.bfloat16] if loops.attends_in_pairs(32) else [])):
            where = LanePlaces(torch.arange(40), torch.tensor([0, 1, 2, 2, 9, 20, 21, 39, 40]))
            given = caches(*prompt, dtype), torch.full((8,), 9), caches(*lane, dtype), where
            results.append(loops.attend(queries, news, *given, filled=6, scaling=0.2))  # type: ignore[arg-type]
        if loops.has_bfloat16:
            results += [loops.linear(logits[:, :96], layer) for layer in bfloat16_layers(loops, torch.randn(96, 200))]
        if loops.has_integers:
            layer = pack(torch.randint(-127, 128, (96, 200), dtype=torch.int8), None, torch.rand(200))
            results.append(loops.linear(logits[:, :96], layer))
            quantized_weight, scales = quantize_blocks(torch.randn(96, 200))
            results.append(loops.linear(logits[:, :96], pack(quantized_weight, None, scales)))
        found.append(results)
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))


@pytest.mark.parametrize(("width", "served"), [(64, True), (48, True), (256, True), (8, False), (512, False)])
def test_widths_that_the_attention_loop_knows(width: int, served: bool) -> None:
    assert serves_width(width) is served


@pytest.fixture(params=[tiny_gpt2, tiny_llama], ids=["gpt2", "llama"])
def wide_student(request: pytest.FixtureRequest) -> Student:
    tokenizer = make_tokenizer()
    return make_student(request.param(len(tokenizer), width=64), tokenizer, name="wide")


def decoded(student: Student, decoding: Decoding) -> dict[str, list[Lane]]:
    prompts = [DecodingPrompt(text, student.encode_prompt(text)) for text in PROMPTS]
    return {PROMPTS[i]: unpack(packed) for wave in decode(student, prompts, decoding) for i, packed in wave}


def count_attention(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    calls: list[torch.dtype] = []
    plain = Kernels.attend

    def counted(self: Kernels, *given: object, **rest: object):  # type: ignore[no-untyped-def]
        calls.append(given[-2].keys.dtype)  # type: ignore[attr-defined]
        return plain(self, *given, **rest)  # type: ignore[arg-type]

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
def test_lanes_that_are_over_cost_nothing(wide_student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded_rows: list[int] = []
    plain = Kernels.attend

    def counted(self: Kernels, query_BND: torch.Tensor, *given: object, **rest: object):  # type: ignore[no-untyped-def]
        decoded_rows.append(len(query_BND))
        return plain(self, query_BND, *given, **rest)  # type: ignore[arg-type]

    ending = replace(wide_student, eos_ids=tuple(range(80)))
    prompts = [DecodingPrompt(text, ending.encode_prompt(text)) for text in PROMPTS]
    drive = find_drive(ending, [prompt.token_ids for prompt in prompts], longest=64)
    monkeypatch.setattr(Kernels, "attend", counted)
    waves = decode(ending, prompts, SAMPLED, drive=drive)
    lanes = [lane for wave in waves for _, packed in wave for lane in unpack(packed)]
    assert len({len(lane.token_ids) for lane in lanes}) > 3
    steps = sum(len(lane.token_ids) - (lane.finish == "length") for lane in lanes)
    assert sum(decoded_rows) == steps * ending.model.config.num_hidden_layers


@pytest.mark.usefixtures("everything_compiled")
def test_a_student_in_int16_says_with_avx2_what_it_says_natively(
    native_loops: Kernels, avx2_loops: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for loops in (native_loops, avx2_loops):
        for module in (stepping, quantized, sampling):
            monkeypatch.setattr(module, "compiled", lambda loops=loops: loops)
        tokenizer = make_tokenizer()
        student = make_student(tiny_llama(len(tokenizer), width=64), tokenizer, name="wide")
        multiply_nearly_exactly(student.model, "int16")
        assert is_rounded(student.model)
        found.append(decoded(student, SAMPLED))
    for text, lanes in found[0].items():
        for lane, other in zip(lanes, found[1][text], strict=True):
            assert lane.token_ids == other.token_ids
            # Attention rounds otherwise, and steps of int16 follow.
            assert other.logprobs == pytest.approx(lane.logprobs, abs=5e-3)


@pytest.mark.usefixtures("everything_compiled")
def test_a_lane_does_not_depend_on_its_neighbours(wide_student: Student) -> None:
    together = decoded(wide_student, SAMPLED)
    for text in PROMPTS:
        prompt = DecodingPrompt(text, wide_student.encode_prompt(text))
        alone = [unpack(packed) for wave in decode(wide_student, [prompt], SAMPLED) for _, packed in wave]
        assert [lane.token_ids for lane in alone[0]] == [lane.token_ids for lane in together[text]]


@pytest.mark.usefixtures("everything_compiled", "bfloat16_loops")
@pytest.mark.parametrize("build", [tiny_gpt2, tiny_llama])
@pytest.mark.parametrize(("lower", "close"), [(quantize_student, 0.1), (multiply_in_bfloat16, 0.03)])
def test_coarse_students_remember_what_they_said_in_bfloat16(
    build: Any, lower: Callable[[Any], None], close: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = make_tokenizer()
    student = make_student(build(len(tokenizer), width=128, scale=0.1), tokenizer, name="coarse")
    lower(student.model)
    calls = count_attention(monkeypatch)
    found = decoded(student, SAMPLED)
    assert calls and set(calls) == {torch.bfloat16}
    for text, lanes in found.items():
        for lane in lanes:
            ids = torch.tensor([[*student.encode_prompt(text), *lane.token_ids]])
            with torch.no_grad():
                shares = student.model(ids).logits[0].log_softmax(-1)[-len(lane.token_ids) - 1 : -1]
            stated = shares.gather(1, torch.tensor(lane.token_ids)[:, None])[:, 0]
            assert float((stated - torch.tensor(lane.logprobs)).abs().mean()) < close


@pytest.mark.usefixtures("everything_compiled", "bfloat16_loops")
@pytest.mark.parametrize("lower", [quantize_student, multiply_in_bfloat16])
def test_a_lane_of_a_coarse_student_does_not_depend_on_its_neighbours(
    lower: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "PREFILL_TOKENS", 1)  # torch's attention over several prompts rounds differently
    tokenizer = make_tokenizer()
    student = make_student(tiny_gpt2(len(tokenizer), width=128, scale=0.1), tokenizer, name="coarse")
    lower(student.model)
    together = decoded(student, SAMPLED)
    for text in PROMPTS:
        prompt = DecodingPrompt(text, student.encode_prompt(text))
        alone = [unpack(packed) for wave in decode(student, [prompt], SAMPLED) for _, packed in wave]
        assert alone[0] == together[text]


@pytest.mark.soak
@pytest.mark.usefixtures("everything_compiled", "own_threads")
@pytest.mark.parametrize("lower", [lambda model: None, quantize_student, multiply_in_bfloat16])
def test_a_lane_does_not_depend_on_the_number_of_threads(lower: Callable[[Any], None], full: bool) -> None:
    counts = (1, 2, 3) if full else (1, 3)  # two threads on two busy processors wait for each other most of the time
    tokenizer = make_tokenizer()
    student = make_student(tiny_gpt2(len(tokenizer), width=512, scale=0.05), tokenizer, name="wider")
    lower(student.model)
    found = []
    for count in counts:
        torch.set_num_threads(count)
        found.append([[lane.token_ids for lane in lanes] for lanes in decoded(student, SAMPLED).values()])
    assert all(other == found[0] for other in found[1:])


@pytest.mark.usefixtures("everything_compiled")
def test_prompts_read_in_chunks_give_what_they_give_at_once(
    wide_student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = decoded(wide_student, SAMPLED)
    monkeypatch.setattr(stepping, "PREFILL_TOKENS", 40)
    for text, lanes in decoded(wide_student, SAMPLED).items():
        assert [lane.token_ids for lane in lanes] == [lane.token_ids for lane in at_once[text]]


@pytest.mark.usefixtures("no_compiler", "native_loops")
def test_without_a_compiler_torch_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled() is None
    if not torch_is_exact():
        pytest.skip("torch's int8 products are not exact on this processor")
    monkeypatch.setattr(quantized, "LARGE_LAYER", 0)
    torch.manual_seed(0)
    layer, inputs = Int8Linear(torch.randn(64, 80), torch.randn(80)), torch.randn(5, 64)
    rows, steps = quantize_rows(inputs)
    exact = (rows.double() @ layer.weight.double()) * steps.double() * layer.scale.double() + layer.bias.double()
    assert torch.allclose(layer(inputs).double(), exact, atol=1e-5)


@pytest.mark.parametrize("command", ["no-such-compiler", "cc -DBROKEN(", "cc 'unclosed", "true"])
def test_a_compiler_that_fails_is_done_without(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", command)
    compilation.cache_clear()
    assert compiled() is None
    compilation.cache_clear()
