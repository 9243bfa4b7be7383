"""GGUF files of tiny models, written as llama.cpp's converter writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel

TOKENS = ["<|end|>", *sorted(ByteLevel.alphabet()), "is", "<|turn|>"]
"""A vocabulary: an end, single bytes, one merge, the end of a turn."""
END, TURN = 0, len(TOKENS) - 1
_CONTROL, _NORMAL = 3, 1
_NEVER_PACKED = ("norm.weight", "conv1d.weight", "conv.weight", "position_embd.weight", ".bias", "ssm_a", "ssm_d")
"""Ends of the names of tensors that stay in float32."""


def write_gguf(
    file: Path,
    model: Any,
    architecture: str = "llama",
    *,
    values: Mapping[str, Any] | None = None,
    packed: str = "F32",
    blocks: Mapping[str, np.ndarray] | None = None,
    tokenizer: Callable[[Any], None] | None = None,
    frequencies: Any = None,
    more: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a model of `len(TOKENS)` tokens.

    Args:
        file: Where to.
        model: A causal language model of transformers.
        architecture: Its name in llama.cpp.
        values: Entries to change or add, by their whole names; None leaves one out.
        packed: Type of the matrices, or of the tensors in `blocks` alone if there are some.
        blocks: The bytes of tensors, by their names in the file.
        tokenizer: Writes another one than that of `TOKENS`.
        frequencies: What the frequencies of the rotary positions are divided by.
        more: Further tensors.
    """
    from gguf import MODEL_ARCH_NAMES, GGMLQuantizationType, GGUFWriter, get_tensor_name_map
    from gguf.quants import quantize

    config, writer = model.config, GGUFWriter(file, architecture)
    (tokenizer or write_byte_tokenizer)(writer)
    named = {f"{architecture}.{name}": value for name, value in settings_of(config, architecture).items()}
    for name, value in (named | dict(values or {})).items():
        if value is not None:
            _add(writer, name, value)
    (number,) = (number for number, name in MODEL_ARCH_NAMES.items() if name == architecture)
    names = get_tensor_name_map(number, config.num_hidden_layers)
    tensors = dict(model.state_dict())
    if config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    for name, weight in (tensors | dict(more or {})).items():
        known = names.get_name(name, try_suffixes=(".weight", ".bias")) or name
        data = _laid_out(name, weight.float(), config, architecture).numpy()
        stays = known not in blocks if blocks else data.ndim < 2 or known.endswith(_NEVER_PACKED)
        kind = GGMLQuantizationType["F32" if stays else packed]
        given = blocks[known] if blocks and not stays else quantize(np.ascontiguousarray(data), kind)
        writer.add_tensor(known, given, raw_dtype=kind)
    if frequencies is not None:
        writer.add_tensor("rope_freqs.weight", np.asarray(frequencies, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def settings_of(config: Any, architecture: str) -> dict[str, Any]:
    """Say what llama.cpp's converter says of a configuration, without the architecture's name in front."""
    said = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
    }
    if architecture == "mamba":
        return said | _of_states(config)
    said |= {
        "feed_forward_length": 4 * config.hidden_size if architecture == "gpt2" else config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
    }
    epsilon = {
        "gpt2": "layer_norm_epsilon",
        "lfm2": "norm_eps",
        "stablelm": "layer_norm_eps",
        "starcoder2": "norm_epsilon",
    }
    rms = "" if architecture in ("gpt2", "stablelm", "starcoder2") else "rms_"
    said[f"attention.layer_norm_{rms}epsilon"] = getattr(config, epsilon.get(architecture, "rms_norm_eps"))
    return said if architecture == "gpt2" else said | _of_rotary(config, architecture)


def _of_states(config: Any) -> dict[str, Any]:
    return {
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "ssm.conv_kernel": config.conv_kernel,
        "ssm.inner_size": config.intermediate_size,
        "ssm.state_size": config.state_size,
        "ssm.time_step_rank": config.time_step_rank,
        "ssm.dt_b_c_rms": False,
        "attention.layer_norm_rms_epsilon": config.layer_norm_epsilon,
    }


def _of_rotary(config: Any, architecture: str) -> dict[str, Any]:
    rotary = config.rope_parameters.get("full_attention", config.rope_parameters)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    said: dict[str, Any] = {"attention.head_count_kv": config.num_key_value_heads}
    if architecture not in ("gemma2", "stablelm"):
        said["rope.freq_base"] = float(rotary["rope_theta"])
    if architecture in ("gemma2", "gemma3", "qwen3") or width * config.num_attention_heads != config.hidden_size:
        said |= {"attention.key_length": width, "attention.value_length": width}
    if architecture in ("gemma2", "gemma3", "phi3"):
        said["attention.sliding_window"] = config.sliding_window
    own: dict[str, dict[str, Any]] = {
        "llama": {"rope.dimension_count": width, "vocab_size": config.vocab_size},
        "gemma2": {
            "attn_logit_softcapping": getattr(config, "attn_logit_softcapping", None),
            "final_logit_softcapping": getattr(config, "final_logit_softcapping", None),
        },
        "phi3": {
            "rope.dimension_count": int(width * rotary.get("partial_rotary_factor", 1)),
            "rope.scaling.original_context_length": config.max_position_embeddings,
        },
        "stablelm": {
            "rope.dimension_count": int(width * rotary.get("partial_rotary_factor", 1)),
            "use_parallel_residual": False,
        },
        "lfm2": {
            "shortconv.l_cache": getattr(config, "conv_L_cache", None),
            "attention.head_count_kv": [
                config.num_key_value_heads if kind == "full_attention" else 0
                for kind in getattr(config, "layer_types", None) or ()
            ],
        },
    }
    return said | own.get(architecture, {})


def write_byte_tokenizer(writer: Any, *, pre: str = "gpt-2") -> None:
    """Write the tokenizer of `TOKENS`."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([_CONTROL, *(_NORMAL for _ in TOKENS[1:-1]), _CONTROL])
    writer.add_token_merges(["i s"])
    writer.add_bos_token_id(END)
    writer.add_eos_token_id(END)
    writer.add_eot_token_id(TURN)
    writer.add_chat_template("{{ messages[0]['content'] }}")


def _add(writer: Any, name: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(name, value)
        return
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    add[type(value)](name, value)


def _laid_out(name: str, weight: torch.Tensor, config: Any, architecture: str) -> torch.Tensor:
    """Turn a weight as llama.cpp's converter does."""
    if architecture == "llama" and "q_proj" in name:
        return _interleaved(weight, config.num_attention_heads)
    if architecture == "llama" and "k_proj" in name:
        return _interleaved(weight, config.num_key_value_heads)
    if architecture == "gpt2" and weight.ndim == 2 and ".h." in name:
        return weight.T
    if architecture in ("gemma2", "gemma3") and name.endswith("norm.weight"):
        return weight + 1
    if name.endswith("A_log"):
        return -weight.exp()
    return weight.squeeze(1) if name.endswith(("conv.weight", "conv1d.weight")) else weight


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Interleave the halves of each head."""
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)
