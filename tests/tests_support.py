"""Builders of tiny students for the tests."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)


def make_tokenizer() -> Any:
    """A tokenizer of single bytes plus end-of-text: 257 entries, nothing to train."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0, **{character: i + 1 for i, character in enumerate(alphabet)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>")


def tiny_gpt2(vocabulary: int, *, scale: float = 0.4, width: int = 32) -> GPT2LMHeadModel:
    """A GPT-2 of two layers with weights large enough that its choices are not uniform."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=192,
        n_embd=width,
        n_layer=2,
        n_head=4,
        initializer_range=scale,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config).eval()


TINY: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_TINY = TINY | {"max_position_embeddings": 192}


def tiny_llama(vocabulary: int, *, scale: float = 0.4, width: int = 32) -> LlamaForCausalLM:
    """A Llama with grouped-query attention: four query heads, two key-value heads."""
    torch.manual_seed(0)
    changed = {"hidden_size": width, "initializer_range": scale}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **_TINY | changed)).eval()


def tiny_qwen(vocabulary: int) -> Qwen3ForCausalLM:
    """A Qwen 3, which norms its queries and keys."""
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=vocabulary, head_dim=8, **_TINY)).eval()


def tiny_granite(vocabulary: int) -> GraniteForCausalLM:
    """A Granite, which divides the logits that come out of its head."""
    torch.manual_seed(0)
    return GraniteForCausalLM(GraniteConfig(vocab_size=vocabulary, logits_scaling=4.0, **_TINY)).eval()


class Census:
    """How many records of some types there are at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def of(self, record_type: type) -> type:
        """Make a type of the same records whose instances are counted."""
        census = self

        class Counted(record_type):
            def __init__(self, *values: object, **named: object) -> None:
                super().__init__(*values, **named)
                census.now += 1
                census.most = max(census.most, census.now)

            def __del__(self) -> None:
                census.now -= 1

        return Counted
