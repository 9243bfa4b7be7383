from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.kernels import compilation, compiled
from sert.student.load import load_student
from sert.student.speed import quantized
from sert.student.speed.quantized import (
    Int8Linear,
    fallback,
    is_coarse,
    multiply_in_bfloat16,
    quantize_rows,
    quantize_student,
    torch_is_exact,
)
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama


def test_rows_are_rounded_to_steps_of_their_own_largest_magnitude() -> None:
    quantized, steps = quantize_rows(torch.tensor([[127.0, -63.4, 0.6], [0.0, 0.0, 0.0], [-0.254, 0.002, 0.127]]))
    assert quantized.tolist() == [[127, -63, 1], [0, 0, 0], [-127, 1, 64]]
    assert steps[[0, 2], 0].tolist() == pytest.approx([1.0, 0.002])


def test_a_layer_is_close_to_the_float_layer_and_exactly_its_integer_arithmetic() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(96, 160)
    layer = Int8Linear(linear.weight.t(), linear.bias)
    inputs = torch.randn(3, 11, 96)
    expected = linear(inputs).detach()
    assert float((layer(inputs) - expected).norm() / expected.norm()) < 0.02
    rows, steps = quantize_rows(inputs.flatten(0, 1))
    weight, scale = quantize_rows(linear.weight.detach())
    exact = (rows.double() @ weight.double().t()) * steps.double() * scale.double().t() + linear.bias.detach().double()
    assert torch.allclose(layer(inputs).flatten(0, 1).double(), exact, atol=1e-5)


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    torch.manual_seed(0)
    layer = Int8Linear(torch.randn(64, 80), None)
    inputs = torch.randn(40, 64)
    inputs[7] *= 1000
    assert torch.equal(layer(inputs)[3], layer(inputs[3:4])[0])


@pytest.mark.parametrize("build", [tiny_gpt2, tiny_llama])
def test_every_linear_layer_is_replaced_and_the_embedding_stays(build: object) -> None:
    model = build(len(make_tokenizer()))  # type: ignore[operator]
    embedding = model.get_input_embeddings().weight.clone()
    assert not is_coarse(model)
    quantize_student(model)
    assert is_coarse(model)
    names = {type(module).__name__ for module in model.modules()}
    assert "Int8Linear" in names and not names & {"Linear", "Conv1D"}
    assert torch.equal(model.get_input_embeddings().weight, embedding)


@pytest.mark.parametrize("shape", [(64,), (0, 64), (2, 3, 64)])
def test_a_layer_reads_rows_of_any_shape(shape: tuple[int, ...]) -> None:
    assert Int8Linear(torch.randn(64, 80), None)(torch.randn(shape)).shape == (*shape[:-1], 80)


class ReadsItsHead(GPT2LMHeadModel):
    """Like Mamba, it wants to know the type of its head's weights."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        assert self.lm_head.weight.dtype.is_floating_point
        return super().forward(*args, **kwargs)


def reads_its_head() -> ReadsItsHead:
    model = ReadsItsHead(tiny_gpt2(len(make_tokenizer())).config)
    return model.to(torch.bfloat16).eval()


def test_a_model_that_reads_its_layers_stays_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sert.student.speed.quantized.LARGE_STUDENT", 0)
    model, ids = reads_its_head(), torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        before = model(ids).logits
        multiply_in_bfloat16(model)
        assert torch.equal(model(ids).logits, before)
    assert not is_coarse(model) and model.dtype == torch.bfloat16


def test_a_model_that_reads_its_layers_is_refused_in_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    model = reads_its_head().float()
    monkeypatch.setattr("sert.student.speed.quantized.LARGE_LAYER", 0)
    if not has_own_int8():
        pytest.skip("int8 layers keep their weights here")
    with pytest.raises(StudentError, match="does not fit ReadsItsHead"):
        quantize_student(model)


def has_own_int8() -> bool:
    kernels = compiled()
    return kernels is not None and kernels.has_integers


@pytest.mark.parametrize("large", [0, 10**9])
def test_a_bfloat16_student_keeps_its_rotary_frequencies(
    large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = make_tokenizer()
    model = tiny_llama(len(tokenizer))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr("sert.student.speed.quantized.LARGE_STUDENT", large)
    loaded = load_student(StudentConfig(path=str(tmp_path), dtype="bfloat16", device="cpu")).model
    assert torch.equal(loaded.model.rotary_emb.inv_freq, model.model.rotary_emb.inv_freq)
    kernels = compiled()
    if large == 0 and kernels is not None and kernels.has_bfloat16:
        assert is_coarse(loaded) and loaded.dtype == torch.float32
    else:
        assert not is_coarse(loaded) and loaded.dtype == torch.bfloat16
    weight = loaded.get_input_embeddings().weight
    assert torch.equal(weight.float(), model.get_input_embeddings().weight.bfloat16().float())


def test_the_lab_student_in_int8_says_nearly_the_same() -> None:
    exact, coarse = (load_student(StudentConfig(path="lab", dtype=dtype)) for dtype in ("float32", "int8"))
    ids = torch.tensor([exact.encode_prompt("Question: Is ice cold?\nAnswer:")])
    with torch.no_grad():
        expected, found = (student.model(ids).logits.log_softmax(-1) for student in (exact, coarse))
    likely = expected.exp() > 0.01
    assert float((found - expected)[likely].abs().mean()) < 0.1
    assert not torch.equal(found, expected)


def saturating(inputs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Products as AVX2 has them: of inputs with 128 added, in pairs whose sums are cut off at 16 bits."""
    rows, size = inputs.shape
    products = (inputs.int() + 128)[:, :, None] * weights.int()
    pairs = products.view(rows, size // 2, 2, -1).sum(dim=2).clamp(-(2**15), 2**15 - 1)
    return pairs.sum(dim=1) - 128 * weights.int().sum(dim=0)


def test_where_sums_saturate_compiled_loops_multiply_even_small_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(64, 80), torch.randn(5, 64)
    expected = Int8Linear(weight, None)(inputs)
    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not torch_is_exact()
    if not has_own_int8():
        pytest.skip("this processor has no integer products of ours")
    assert torch.allclose(Int8Linear(weight, None)(inputs), expected, rtol=1e-6, atol=1e-6)


def test_a_processor_whose_sums_saturate_is_refused_without_compiled_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_int_mm", saturating)
    monkeypatch.setattr(quantized, "compiled", lambda: None)
    with pytest.raises(StudentError, match="exact 8-bit products"):
        quantize_student(tiny_gpt2(len(make_tokenizer())))


# ---- what takes the place of the numbers that were asked for is said


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    tokenizer = make_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def said_of(folder: Path, dtype: Any) -> str | None:
    return fallback(load_student(StudentConfig(path=str(folder), dtype=dtype, device="cpu")).model, dtype)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CC", "no-such-compiler")
    compilation.cache_clear()
    yield
    compilation.cache_clear()


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        ("int16", "is float32 here"),
        ("bfloat16x2", "is float32 here"),
        ("bfloat16", "is torch's own here, which rounds sums and norms too and can take many times as long"),
        ("int8", "is multiplied by torch here, which is slower"),
        ("float32", "decodes without compiled loops here, which is slower"),
    ],
)
def test_without_a_compiler_large_students_say_what_they_are_and_how_to_mend_it(
    dtype: str, becomes: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "LARGE_STUDENT", 0)
    mend = "because there is no C compiler 'no-such-compiler': install gcc or clang, or set CC"
    assert said_of(tiny_folder, dtype) == f"warning: student.dtype = {dtype!r} {becomes}, {mend}"


def test_on_another_processor_the_instructions_are_named(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compiled()
    if found is None:
        pytest.skip("there is no C compiler here")
    monkeypatch.setattr(quantized, "LARGE_STUDENT", 0)
    for ability in ("has_integers", "has_bfloat16", "has_tiles"):
        monkeypatch.setattr(found, ability, False)
    for dtype in ("int16", "int8", "bfloat16", "bfloat16x2"):
        said = said_of(tiny_folder, dtype)
        assert said is not None and f"this processor ({found.instructions}) have no products for it: use flo" in said
    assert said_of(tiny_folder, "float32") is None


def test_layers_that_the_loops_cannot_read_are_named(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_own_int8():
        pytest.skip("there are no such loops here")
    monkeypatch.setattr(quantized, "LARGE_STUDENT", 0)
    assert said_of(tiny_folder, "int16") is None
    monkeypatch.setattr(quantized, "LANE", 48 * 32)
    assert "a layer of the student has 32 inputs" in str(said_of(tiny_folder, "int16"))


def test_a_model_that_reads_its_layers_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_own_int8():
        pytest.skip("there are no such loops here")
    monkeypatch.setattr(quantized, "LARGE_STUDENT", 0)
    model = reads_its_head().float()
    quantized.multiply_nearly_exactly(model, "int16")
    assert "is float32 here, because the model does more with its layers" in str(fallback(model, "int16"))


@pytest.mark.parametrize("dtype", ["int16", "bfloat16"])
def test_small_students_are_told_without_a_warning(dtype: str, tiny_folder: Path) -> None:
    said = said_of(tiny_folder, dtype)
    assert said is not None and said.startswith("student.dtype")
    assert "compiled loops are for students of 10,000,000 weights and more: use float32" in said


@pytest.mark.parametrize("dtype", ["float32", "int8", "float16"])
def test_nothing_is_said_where_small_students_are_what_was_asked_for(dtype: str, tiny_folder: Path) -> None:
    assert said_of(tiny_folder, dtype) is None
