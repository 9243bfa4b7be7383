"""GGUF files of all architectures that are read are what they were made of; what would be another one is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

pytest.importorskip("gguf")

import gguf
import tiny_gguf

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.load import Student, load_student

PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
PIECES += ["is", "▁is", "it", "▁it", "▁", "i", "s", "t", "?", "<|turn|>"]


def write_pieces(writer: Any) -> None:
    """The tokenizer of a Llama 2, of few pieces: the first ones are merged first."""
    writer.add_tokenizer_model("llama")
    writer.add_token_list(PIECES)
    writer.add_token_scores([0.0] * 259 + [-float(place) for place in range(len(PIECES) - 259)])
    writer.add_token_types([2, 3, 3, *([6] * 256), *([1] * 9), 3])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ bos_token }}{{ messages[0]['content'] }}<|turn|>")


COMMON = {
    "vocab_size": len(tiny_gguf.TOKENS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 192,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
ROTARY = {"rope_type": "default", "rope_theta": 20_000.0}
WIDE = {"head_dim": 16}  # not the width of the model over its heads
# Nothing that a file states is what a class takes when it is not told.
MADE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("llama", "LlamaConfig", {"rms_norm_eps": 0.01, "rope_parameters": ROTARY}),
    "llama, tied": ("llama", "LlamaConfig", {"rope_parameters": ROTARY, "tie_word_embeddings": True}),
    "llama of wide heads": ("llama", "LlamaConfig", {"rope_parameters": ROTARY, **WIDE}),
    "mistral": ("llama", "MistralConfig", {"rope_parameters": ROTARY, "sliding_window": None}),
    "qwen2": ("qwen2", "Qwen2Config", {"rms_norm_eps": 0.01, "rope_parameters": ROTARY}),
    "qwen3": ("qwen3", "Qwen3Config", {"rms_norm_eps": 0.01, "rope_parameters": ROTARY, **WIDE}),
    "gemma2": (
        "gemma2",
        "Gemma2Config",
        {
            **{"rms_norm_eps": 0.01, "sliding_window": 4, "query_pre_attn_scalar": 16, "tie_word_embeddings": True},
            **{"vocab_size": len(PIECES), "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, **WIDE},
        },
    ),
    "gemma3": (
        "gemma3",
        "Gemma3TextConfig",
        {
            **{"rms_norm_eps": 0.01, "sliding_window": 4, "query_pre_attn_scalar": 16, "tie_word_embeddings": True},
            **{
                "rope_parameters": {"full_attention": ROTARY, "sliding_attention": None},
                "num_hidden_layers": 6,
                **WIDE,
            },
            **{"vocab_size": len(PIECES)},
        },
    ),
    "phi3": (
        "phi3",
        "Phi3Config",
        {
            **{"rms_norm_eps": 0.01, "sliding_window": 4, "original_max_position_embeddings": 192},
            **{"rope_parameters": ROTARY | {"partial_rotary_factor": 0.75}},
        },
    ),
    "gpt2": ("gpt2", "GPT2Config", {"layer_norm_epsilon": 0.01, "tie_word_embeddings": True}),
    "stablelm": ("stablelm", "StableLmConfig", {"layer_norm_eps": 0.01, "partial_rotary_factor": 0.5}),
    "stablelm with biases": ("stablelm", "StableLmConfig", {"use_qkv_bias": True}),
    "starcoder2": ("starcoder2", "Starcoder2Config", {"norm_epsilon": 0.01, "rope_parameters": ROTARY}),
    "mamba": ("mamba", "MambaConfig", {"layer_norm_epsilon": 0.01, "state_size": 8, "time_step_rank": 3}),
    "lfm2": (
        "lfm2",
        "Lfm2Config",
        {
            **{"norm_eps": 0.01, "rope_parameters": ROTARY, "num_hidden_layers": 3, "full_attn_idxs": [1]},
            **{"block_auto_adjust_ff_dim": False, "conv_L_cache": 4},
        },
    ),
}
TEXT = torch.tensor([[40, 41, 90, 12, 7, 33, 200, 41, 5, 77, 91, 18]])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make(name: str, **special: Any) -> tuple[str, Any]:
    """Make a model with numbers of its own in every weight, norms and biases included; and name its architecture."""
    architecture, config, settings = MADE[name]
    torch.manual_seed(0)
    made = getattr(transformers, config)(**COMMON | settings | special)
    model = transformers.AutoModelForCausalLM.from_config(made).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return architecture, model


def loaded(file: Path) -> Student:
    return load_student(StudentConfig(path=str(file), device="cpu", prompt="plain"))


def farthest(student: Student, model: Any) -> float:
    with torch.inference_mode():
        found, expected = (each(input_ids=TEXT).logits.log_softmax(-1) for each in (student.model, model))
    return float((found - expected).abs().max())


@pytest.mark.parametrize("name", MADE)
def test_a_file_is_the_model_that_it_was_made_of(name: str, tmp_path: Path) -> None:
    architecture, model = make(name)
    in_pieces = architecture.startswith("gemma")
    tiny_gguf.write_gguf(*(tmp_path / "it.gguf", model, architecture), tokenizer=write_pieces if in_pieces else None)
    student = loaded(tmp_path / "it.gguf")
    assert farthest(student, model) < 1e-5
    assert student.eos_ids == ((2,) if in_pieces else (tiny_gguf.END, tiny_gguf.TURN))
    assert student.max_positions == 192
    assert student.model.config.tie_word_embeddings == model.config.tie_word_embeddings


@pytest.mark.parametrize("packed", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_packed_weights_are_unpacked_to_what_they_stand_for(packed: str, tmp_path: Path) -> None:
    kind, (architecture, model) = gguf.GGMLQuantizationType[packed], make("qwen2")
    tiny_gguf.write_gguf(tmp_path / "it.gguf", model, architecture, packed=packed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.copy_(torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind)))
    assert farthest(loaded(tmp_path / "it.gguf"), model) < 1e-5


@pytest.mark.parametrize(("packed", "scales"), [("Q2_K", -4), ("Q3_K", -2), ("Q4_K", 0), ("Q5_K", 0), ("Q6_K", -2)])
def test_blocks_of_256_weights_are_unpacked_too(packed: str, scales: int, tmp_path: Path) -> None:
    """Their bytes are drawn here: the package unpacks such blocks and makes none. One or two scales are numbers."""
    kind, (architecture, model) = gguf.GGMLQuantizationType[packed], make("llama", intermediate_size=256)
    rng, width, blocks = np.random.default_rng(0), gguf.GGML_QUANT_SIZES[kind][1], {}
    for number, layer in enumerate(model.model.layers):
        drawn = rng.integers(0, 256, (32, width), dtype=np.uint8)
        size = 2 if scales == -2 else 4
        drawn[:, scales % width : scales % width + size] = rng.normal(0, 1e-3, (32, size // 2)).astype("f2").view("u1")
        blocks[f"blk.{number}.ffn_down.weight"] = drawn
        layer.mlp.down_proj.weight.data = torch.from_numpy(gguf.quants.dequantize(drawn, kind))
    tiny_gguf.write_gguf(tmp_path / "it.gguf", model, architecture, packed=packed, blocks=blocks)
    assert farthest(loaded(tmp_path / "it.gguf"), model) < 1e-5


def test_the_positions_of_llama_3_are_understood(tmp_path: Path) -> None:
    scaled = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaled |= {"original_max_position_embeddings": 8192, "rope_theta": 500_000.0}
    architecture, model = make("llama", rope_parameters=scaled, **WIDE)
    _, plain = make("llama", rope_parameters=ROTARY | {"rope_theta": 500_000.0}, **WIDE)
    factors = plain.model.rotary_emb.inv_freq / model.model.rotary_emb.inv_freq
    assert factors.max() == 32 and factors.min() == 1
    tiny_gguf.write_gguf(tmp_path / "it.gguf", model, architecture, frequencies=factors)
    assert farthest(loaded(tmp_path / "it.gguf"), model) < 1e-5


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "other experts": ("llama", {"llama.expert_count": 4}, r"llama\.expert_count = 4, which transformers' reader"),
    "a scale": ("qwen2", {"qwen2.attention.scale": 0.5}, r"qwen2\.attention\.scale = 0\.5, which"),
    "scaled positions": ("qwen2", {"qwen2.rope.scaling.type": "yarn"}, "rotary positions .* are scaled"),
    "heads turned in part": ("qwen2", {"qwen2.rope.dimension_count": 4}, "turns 4 of the 8 dimensions"),
    "another splitting": ("qwen2", {"tokenizer.ggml.pre": "xsplit"}, r"tokenizer\.ggml\.pre = 'xsplit'"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_would_become_another_student_is_refused(why: str, tmp_path: Path) -> None:
    name, values, says = REFUSED[why]
    architecture, model = make(name)

    def tokenizer(writer: Any) -> None:
        tiny_gguf.write_byte_tokenizer(writer, pre=values.get("tokenizer.ggml.pre", "gpt-2"))

    others = {name: value for name, value in values.items() if not name.startswith("tokenizer")}
    tiny_gguf.write_gguf(tmp_path / "it.gguf", model, architecture, values=others, tokenizer=tokenizer)
    with pytest.raises(StudentError, match=rf"{says}.*folder of safetensors"):
        loaded(tmp_path / "it.gguf")


def test_a_llama_that_is_called_mistral_is_one(tmp_path: Path) -> None:
    architecture, model = make("mistral")
    tiny_gguf.write_gguf(tmp_path / "it.gguf", model, architecture, values={"general.name": "mistral"})
    student = loaded(tmp_path / "it.gguf")
    assert farthest(student, model) < 1e-5
    assert student.model.config.model_type == "llama"


def test_weights_that_are_left_out_are_refused(tmp_path: Path) -> None:
    architecture, model = make("llama")
    biases = {"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}
    tiny_gguf.write_gguf(tmp_path / "it.gguf", model, architecture, more=biases)
    with pytest.raises(StudentError, match=r"holds [\d,]+ weights, and a LlamaForCausalLM .* leaves some out"):
        loaded(tmp_path / "it.gguf")


@pytest.mark.parametrize("architecture", ["falcon", "bloom", "granite", "qwen3moe", "t5"])
def test_other_architectures_are_named_with_those_that_are_read(architecture: str, tmp_path: Path) -> None:
    file = tmp_path / "it.gguf"
    writer = gguf.GGUFWriter(file, architecture)
    tiny_gguf.write_byte_tokenizer(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(
        StudentError, match=rf"architecture '{architecture}'\. GGUF files are read of gemma2, .*folder of"
    ):
        loaded(file)


# ---- tokenizers

SPLITS = {
    "gpt-2": ["is", " 12", ".", "34", "'s"],
    "smollm": ["is", " ", "1", "2", ".", "3", "4", "'s"],
    "qwen2": ["is", " ", "1", "2", ".", "3", "4", "'s"],
    "stablelm2": ["is", " ", "1", "2", ".", "3", "4", "'s"],
    "llama-bpe": ["is", " ", "12", ".", "34", "'s"],
}


@pytest.mark.parametrize("pre", SPLITS)
def test_texts_are_split_as_the_file_says(pre: str, tmp_path: Path) -> None:
    architecture, model = make("llama")
    tiny_gguf.write_gguf(
        *(tmp_path / "it.gguf", model, architecture),
        tokenizer=lambda writer: tiny_gguf.write_byte_tokenizer(writer, pre=pre),
    )
    split = loaded(tmp_path / "it.gguf").tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("is 12.34's")
    assert [part.replace("Ġ", " ") for part, _ in split] == SPLITS[pre]


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_pieces_of_texts_are_read(name: str, tmp_path: Path) -> None:
    architecture, model = make(name, vocab_size=len(PIECES))
    tiny_gguf.write_gguf(tmp_path / "it.gguf", model, architecture, tokenizer=write_pieces)
    student = loaded(tmp_path / "it.gguf")
    start = ["<s>", "▁is" if name == "llama" else "is"]  # Gemma puts no space in front
    text = "is it?\té<|turn|>"
    tokens = student.tokenizer(text)["input_ids"]
    expected = [*start, "▁it", "?", "<0x09>", "<0xC3>", "<0xA9>", "<|turn|>"]
    assert student.tokenizer.convert_ids_to_tokens(tokens) == expected
    assert student.decode(tokens[1:]).strip() == text
    assert student.eos_ids == (2,)
    asked = student.tokenizer.apply_chat_template([{"role": "user", "content": "it?"}], tokenize=False)
    assert asked == "<s>it?<|turn|>"
