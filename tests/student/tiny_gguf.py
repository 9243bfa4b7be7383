"""A GGUF file of a tiny Llama, written as llama.cpp's converter writes it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaForCausalLM

_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOKENS = ["<|end|>", *sorted(ByteLevel.alphabet()), "is", "<|turn|>"]
"""Its vocabulary: an end, single bytes, one merge, the end of a turn."""
END, TURN = 0, len(TOKENS) - 1


def write_gguf(file: Path, model: LlamaForCausalLM, *, scaled: bool = False, parts: int | None = None) -> None:
    """Write a model of `len(TOKENS)` tokens; `scaled` adds frequencies of its rotary positions."""
    from gguf import GGUFWriter

    config, writer = model.config, GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, *(1 for _ in TOKENS[1:-1]), 3])
    writer.add_token_merges(["i s"])
    writer.add_bos_token_id(END)
    writer.add_eos_token_id(END)
    writer.add_eot_token_id(TURN)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    if parts is not None:
        writer.add_uint16("split.count", parts)
    for name, weight in model.state_dict().items():
        writer.add_tensor(_name(name), _laid_out(name, weight, config))
    if scaled:
        writer.add_tensor("rope_freqs.weight", np.full(config.head_dim // 2, 8.0, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _name(name: str) -> str:
    kind = name.removesuffix(".weight")
    if kind.startswith("model.layers."):
        number, part = kind.removeprefix("model.layers.").split(".", 1)
        return f"blk.{number}.{_NAMES[part]}.weight"
    return {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[kind] + ".weight"


def _laid_out(name: str, weight: torch.Tensor, config: Any) -> np.ndarray:
    """Interleave the halves of the heads of queries and keys, as llama.cpp turns them."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    number = next((number for part, number in heads.items() if part in name), None)
    if number is None:
        return weight.numpy()
    rows, columns = weight.shape
    return weight.reshape(number, 2, rows // number // 2, columns).transpose(1, 2).reshape(rows, columns).numpy()
