"""What a GGUF file says of its model and transformers' reader leaves out, put right or refused by name.

That reader takes some entries of a file and leaves the rest at the defaults of a configuration's class: a student with
other epsilons, windows or rotary positions than its own, which nobody would see.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sert.errors import StudentError

_WIDTHS = {"attention.key_length": "head_dim"}
_READ: dict[str, dict[str, str]] = {
    "gemma2": {
        "attn_logit_softcapping": "attn_logit_softcapping",
        "final_logit_softcapping": "final_logit_softcapping",
    },
    "gemma3": {"final_logit_softcapping": "final_logit_softcapping"},
    "gpt2": {"context_length": "n_positions", "feed_forward_length": "n_inner"},
    "lfm2": {},
    "llama": _WIDTHS,
    "mamba": {},
    "phi3": {"attention.sliding_window": "sliding_window"},
    "qwen2": {},
    "qwen3": _WIDTHS,
    "stablelm": {},
    "starcoder2": {},
}
"""Architectures that are read as they are, and what is read of them besides what transformers reads: an entry's name in
the file and in the configuration."""
_ROTATED_IN_PART = {"phi3", "stablelm"}
"""Those that leave a part of each head where it is."""
_LOOKED_AT = {
    *("attention.key_length", "attention.value_length", "rope.dimension_count", "rope.freq_base"),
    *("rope.scaling.type", "rope.scaling.original_context_length", "use_parallel_residual", "vocab_size"),
}
"""Entries that are compared below, or told by the tensors."""
_HARMLESS = {
    **{"attention.causal": True, "expert_count": 0, "expert_used_count": 0},
    **{"attention.head_count": 0, "feed_forward_length": 0, "ssm.dt_b_c_rms": False},  # of Mamba, which has none
}
"""Entries that say nothing new if they have these values."""
_TOKENS = {"bos_token_id": "bos_token_id", "eos_token_id": "eos_token_id", "pad_token_id": "padding_token_id"}
"""Tokens with a part to play, in a configuration and in a file."""
_LLAMA_3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""How the rotary positions of Llama 3.1 and later are scaled, but for the factor."""
_LLAMA_CPP_BASE = 10_000.0
_WIDEST = {"gemma2": 46, "gemma3": 62}
"""Layers of the 27B sizes of Gemma, whose scores are divided by the width of the model over its heads."""
_SPLIT_AS = {
    "gpt2": {"gpt-2", "phi-2", "mpt", "olmo", "gigachat", "mellum"},
    "digits": {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
    "qwen2": {"stablelm2"},
}
"""Ways to split a text before its bytes are merged, and their names in files, besides those that transformers knows: as
GPT-2 does; the same, with each digit alone; as Qwen 2 does."""
MEND = "Take the same model's folder of safetensors files."


class GgufHeader(NamedTuple):
    """What stands before the weights.

    Attributes:
        file: Where it was read.
        architecture: Its name in llama.cpp.
        values: What it says of the architecture, by names without the architecture's.
        tokens: Which tokens play a part, by the names of a configuration; None where none does.
        tensors: The names of the tensors.
    """

    file: Path
    architecture: str
    values: Mapping[str, Any]
    tokens: Mapping[str, int | None]
    tensors: frozenset[str]


def header_of(file: Path, reader: Any) -> GgufHeader:
    """Take the header out of a reader of the package `gguf`.

    Raises:
        StudentError: If the file is of an architecture that is not read.
    """
    architecture = str(value_of(reader, "general.architecture"))
    if architecture not in _READ:
        known = ", ".join(sorted(_READ))
        raise StudentError(f"{file} is of the architecture {architecture!r}. GGUF files are read of {known}. {MEND}")
    start = f"{architecture}."
    values = {
        name.removeprefix(start): each.contents() for name, each in reader.fields.items() if name.startswith(start)
    }
    tokens = {name: value_of(reader, f"tokenizer.ggml.{in_file}") for name, in_file in _TOKENS.items()}
    return GgufHeader(file, architecture, values, tokens, frozenset(tensor.name for tensor in reader.tensors))


def value_of(reader: Any, name: str) -> Any:
    """Read an entry; None if there is none."""
    field = reader.get_field(name)
    return None if field is None else field.contents()


def put_right(config: Any, header: GgufHeader, *, frequencies: Any) -> None:
    """Let a configuration that transformers made of a header say all that the header says.

    Args:
        config: It is changed.
        header: What it was made of.
        frequencies: What each frequency of the rotary positions is divided by (D/2), for heads of width D; or None.

    Raises:
        StudentError: If something in the header cannot be said, or is not known.
    """
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    values, architecture = header.values, header.architecture
    own = _READ[architecture]
    known = own.keys() | GGUF_CONFIG_MAPPING[architecture].keys() | _LOOKED_AT
    unknown = [name for name in values if name not in known and values[name] != _HARMLESS.get(name, ...)]
    if unknown:
        told = ", ".join(f"{architecture}.{name} = {values[name]!r}" for name in sorted(unknown))
        raise StudentError(f"{header.file} says {told}, which transformers' reader of GGUF leaves out. {MEND}")
    said = {setting: values[name] for name, setting in own.items() if name in values}
    for setting, value in {**said, **header.tokens}.items():
        setattr(config, setting, value)
    config.tie_word_embeddings = "output.weight" not in header.tensors
    if architecture in _WIDEST:
        by_width = config.num_hidden_layers == _WIDEST[architecture]
        config.query_pre_attn_scalar = config.hidden_size // config.num_attention_heads if by_width else config.head_dim
    if getattr(config, "rope_parameters", None):
        _put_rotary_right(config, header, frequencies)


def _put_rotary_right(config: Any, header: GgufHeader, frequencies: Any) -> None:
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    of_all = config.rope_parameters
    parameters = of_all.get("full_attention", of_all)  # of Gemma 3, whose windows have their own
    parameters["rope_theta"] = float(header.values.get("rope.freq_base", _LLAMA_CPP_BASE))
    rotated = int(header.values.get("rope.dimension_count", width))
    if header.architecture in _ROTATED_IN_PART:
        parameters["partial_rotary_factor"] = rotated / width
    elif rotated != width:
        raise StudentError(f"{header.file} turns {rotated} of the {width} dimensions of each head. {MEND}")
    if frequencies is not None and (factor := _factor_of_llama_3(frequencies, parameters["rope_theta"])) is not None:
        parameters |= {"rope_type": "llama3", "factor": factor, **_LLAMA_3}
    elif frequencies is not None or header.values.get("rope.scaling.type", "none") != "none":
        raise StudentError(
            f"The rotary positions of {header.file} are scaled, and transformers' reader of GGUF leaves that out: it "
            f"would be another student. {MEND}"
        )


def _factor_of_llama_3(frequencies: Any, base: float) -> float | None:
    """Find the factor by which Llama 3.1 and later stretch low frequencies; None if they are not what these have."""
    import numpy as np

    factor, width = float(np.max(frequencies)), 2 * len(frequencies)
    wavelengths = 2 * math.pi * base ** (np.arange(0, width, 2) / width)
    turns = _LLAMA_3["original_max_position_embeddings"] / wavelengths
    low, high = _LLAMA_3["low_freq_factor"], _LLAMA_3["high_freq_factor"]
    share = np.clip((turns - low) / (high - low), 0.0, 1.0)  # of what stays as it is
    expected = 1 / ((1 - share) / factor + share)
    return factor if np.allclose(frequencies, expected, rtol=1e-4) else None


def split_as_named(tokenizer: Any, header: GgufHeader, *, model: str, pre: str | None) -> None:
    """Let a byte-level tokenizer split texts as its file says, which transformers does for some names only.

    Args:
        tokenizer: It is changed.
        header: Whose file is named in errors.
        model: The kind of tokenizer (`tokenizer.ggml.model`).
        pre: The name of the splitting (`tokenizer.ggml.pre`).

    Raises:
        StudentError: If it is not known how texts are split.
    """
    from tokenizers import Regex, pre_tokenizers
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    if model != "gpt2" or pre in GGUF_PRE_TOKENIZER_SPLITS:
        return
    way = next((way for way, names in _SPLIT_AS.items() if pre in names), None)
    if way is None:
        raise StudentError(
            f"How the tokenizer of {header.file} splits texts (tokenizer.ggml.pre = {pre!r}) is not known. {MEND}"
        )
    first: dict[str, list[Any]] = {
        "gpt2": [],
        "digits": [pre_tokenizers.Digits(individual_digits=True)],
        "qwen2": [pre_tokenizers.Split(Regex(GGUF_PRE_TOKENIZER_SPLITS["qwen2"]), "isolated")],
    }
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=way != "qwen2")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*first[way], byte_level])
