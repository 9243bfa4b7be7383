"""Write a student as a GGUF file, for llama.cpp and what is built on it.

    python examples/write_gguf.py trained/model student.gguf                # float32
    python examples/write_gguf.py trained/model student.gguf --type F16     # or BF16, Q8_0

For students of the kinds GPT-2 and Llama (SmolLM2 is one) with a byte-level tokenizer, the lab's among them. What is of
another kind is refused: llama.cpp's own converter knows many more (docs/exports.md). Needs `pip install 'sert[gguf]'`.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, TokenType, get_tensor_name_map
from gguf.quants import quantize
from transformers import AutoModelForCausalLM, AutoTokenizer

ARCHITECTURES = {"gpt2": MODEL_ARCH.GPT2, "llama": MODEL_ARCH.LLAMA}
DIGITS = {"type": "Digits", "individual_digits": True}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path, help="Folder with config.json, safetensors weights and tokenizer.json.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=["F32", "F16", "BF16", "Q8_0"], default="F32", help="Of the matrices.")
    given = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(given.student, dtype=torch.float32, use_safetensors=True)
    check(model.config)
    architecture = str(model.config.model_type)
    writer = GGUFWriter(given.out, architecture)
    writer.add_name(given.student.resolve().name)
    add_settings(writer, model.config)
    add_tokenizer(writer, given.student, model)
    for name, data, kind in tensors(model, GGMLQuantizationType[given.type]):
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{given.out}: {architecture}, {model.num_parameters():,} weights, {given.type}")


def check(config: Any) -> None:
    """Refuse what the file could not say."""
    if config.model_type not in ARCHITECTURES:
        raise SystemExit(f"A {config.model_type} is not written here, only {' and '.join(ARCHITECTURES)}.")
    usual = {
        "gpt2": {
            "activation_function": "gelu_new",
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
        },
        "llama": {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False},
    }
    for name, value in usual[config.model_type].items():
        if getattr(config, name) != value:
            raise SystemExit(f"{name} = {getattr(config, name)!r} cannot be said in the file, only {value!r}.")
    if config.model_type == "llama" and config.rope_parameters["rope_type"] != "default":
        raise SystemExit("Its rotary positions are scaled, which is not written here.")


def add_settings(writer: Any, config: Any) -> None:
    """Say what the model is."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    if config.model_type == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    width = config.head_dim or config.hidden_size // config.num_attention_heads
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def add_tokenizer(writer: Any, folder: Path, model: Any) -> None:
    """Say how texts become tokens, and which of them end a text."""
    written = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    if written["model"]["type"] != "BPE" or written["normalizer"] is not None:
        raise SystemExit("Its tokenizer does not merge bytes as GPT-2's does, which is not written here.")
    tokens = {number: token for token, number in written["model"]["vocab"].items()}
    kinds = dict.fromkeys(tokens, TokenType.NORMAL)
    for added in written["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    rows = range(model.config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting(written["pre_tokenizer"]))
    writer.add_token_list([tokens.get(row, f"[PAD{row}]") for row in rows])
    writer.add_token_types([kinds.get(row, TokenType.UNUSED) for row in rows])
    writer.add_token_merges([each if isinstance(each, str) else " ".join(each) for each in written["model"]["merges"]])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    last = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else listed[0]
    writer.add_eos_token_id(last)
    for other in [token for token in listed if token not in (last, None)][:1]:
        writer.add_eot_token_id(other)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
        writer.add_add_bos_token(tokenizer.encode("a")[0] == tokenizer.bos_token_id)
    if tokenizer.chat_template is not None:
        writer.add_chat_template(tokenizer.chat_template)


def splitting(written: dict[str, Any]) -> str:
    """Name how a text is split before its bytes are merged, as llama.cpp calls it."""
    parts = written["pretokenizers"] if written["type"] == "Sequence" else [written]
    last = parts[-1]
    if last["type"] == "ByteLevel" and last.get("use_regex", True) and not last["add_prefix_space"]:
        if parts[:-1] == []:
            return "gpt-2"
        if parts[:-1] == [DIGITS]:
            return "smollm"
    raise SystemExit("How its tokenizer splits texts has no name here; llama.cpp's converter knows more.")


def tensors(model: Any, kind: GGMLQuantizationType) -> Iterator[tuple[str, np.ndarray, GGMLQuantizationType]]:
    """Lay out every weight as llama.cpp has it: vectors in float32, matrices in numbers of this kind."""
    config = model.config
    names = get_tensor_name_map(ARCHITECTURES[config.model_type], config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise SystemExit(f"The weight {name} is none that llama.cpp knows.")
        as_matrix = weight.ndim == 2 and known != "position_embd.weight"
        used = kind if as_matrix else GGMLQuantizationType.F32
        yield known, quantize(np.ascontiguousarray(laid_out(name, weight, config).numpy()), used), used


def laid_out(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:
    """Turn a weight: GPT-2's layers are written the other way round, a Llama's rotary halves are interleaved."""
    if config.model_type == "gpt2" and weight.ndim == 2 and ".h." in name:
        return weight.T
    heads = {"q_proj": config.num_attention_heads, "k_proj": getattr(config, "num_key_value_heads", 0)}
    for part, count in heads.items():
        if config.model_type == "llama" and part in name:
            return weight.unflatten(0, (count, 2, -1)).transpose(1, 2).reshape(weight.shape)
    return weight


if __name__ == "__main__":
    main()
