"""What is faster gives the same results: against the model's plain forward."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
)
from transformers.activations import NewGELUActivation

from sert.student.batching import EncodedExample, collate
from sert.student.fastmath import fast_activations, freed_memory_kept, head_on_rows
from sert.student.training import loss_sum
from tests_support import tiny_gpt2

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
# Models that do something to their logits, or to what their head is given.
CONFIGS = [
    GPT2Config(vocab_size=61, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.4),
    LlamaConfig(**SIZES),
    Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0),
    GraniteConfig(**SIZES, logits_scaling=3.0),
    CohereConfig(**SIZES, logit_scale=0.3),
    OPTConfig(
        vocab_size=61,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        word_embed_proj_dim=16,
        init_std=0.4,
    ),
]
ENCODED = [
    EncodedExample([5, 9, 2, 44, 31, 8, 60, 3], 4),
    EncodedExample([7, 7, 12], 0),
    EncodedExample([50, 1, 13, 27, 4], 2),
]


def plain_loss_sum(model: nn.Module) -> torch.Tensor:
    """The reference: one text at a time, logits everywhere, no trick."""
    total = torch.zeros(())
    for example in ENCODED:
        logits_TV = model(torch.tensor([example.token_ids])).logits[0]
        first = max(example.num_masked, 1)
        targets = torch.tensor(example.token_ids[first:])
        total = total + cross_entropy(logits_TV[first - 1 : -1], targets, reduction="sum")
    return total


def model_of(config: PreTrainedConfig) -> nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_the_loss_and_its_gradients_are_those_of_the_plain_forward(config: PreTrainedConfig) -> None:
    model = model_of(config)
    expected = plain_loss_sum(model)
    expected.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    batch = collate(ENCODED, device=torch.device("cpu"))
    model.zero_grad()
    with fast_activations(model):
        loss = loss_sum(model, batch, head=model.get_output_embeddings())
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], rtol=1e-4, atol=1e-5)
    assert loss_sum(model, batch).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_the_head_is_applied_to_these_rows_alone(config: PreTrainedConfig) -> None:
    model = model_of(config)
    seen = []
    head = model.get_output_embeddings()
    batch = collate(ENCODED, device=torch.device("cpu"))
    with torch.no_grad():
        everywhere = model(batch.input_ids_BT).logits.flatten(0, 1)
        with head_on_rows(head, batch.rows_N, shape=(3, 8)):
            handle = head.register_forward_hook(lambda _, args, out: seen.append(args[0].shape[:2]))
            logits = model(batch.input_ids_BT).logits
            handle.remove()
        torch.testing.assert_close(logits[0], everywhere[batch.rows_N])
        assert model(batch.input_ids_BT).logits.shape[:2] == (3, 8)
    assert seen == [(1, 9)]


class Headless(nn.Module):
    """A model whose logits come from no module that could be given rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(61, 61))

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> object:
        class Output:
            logits = self.table[input_ids]

        return Output()


def test_a_model_whose_head_cannot_be_given_rows_still_gets_its_loss() -> None:
    model = Headless()
    batch = collate(ENCODED, device=torch.device("cpu"))
    for head in (None, nn.Linear(4, 4)):
        assert loss_sum(model, batch, head=head).item() == pytest.approx(plain_loss_sum(model).item(), rel=1e-6)


def test_activations_are_swapped_for_the_same_function_and_come_back() -> None:
    model = tiny_gpt2(61)
    own = [block.mlp.act for block in model.transformer.h]
    names = list(model.state_dict())
    inputs = torch.linspace(-6, 6, 101)
    with fast_activations(model):
        assert all(isinstance(block.mlp.act, nn.GELU) for block in model.transformer.h)
        torch.testing.assert_close(model.transformer.h[0].mlp.act(inputs), own[0](inputs))
        assert list(model.state_dict()) == names
    assert all(block.mlp.act is act for block, act in zip(model.transformer.h, own, strict=True))
    assert all(isinstance(act, NewGELUActivation) for act in own)


def test_activations_come_back_after_an_error() -> None:
    model = tiny_gpt2(61)
    with pytest.raises(KeyError, match="stop"), fast_activations(model):
        raise KeyError("stop")
    assert isinstance(model.transformer.h[0].mlp.act, NewGELUActivation)


def test_memory_can_be_used_while_it_is_kept_and_afterwards() -> None:
    with freed_memory_kept():
        assert [int(torch.ones(2**23).sum()) for _ in range(3)] == [2**23] * 3
    assert torch.ones(2**23).sum() == 2**23
