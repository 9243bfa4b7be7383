"""What is faster gives the same results: against the model's plain forward."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
)
from transformers.activations import NewGELUActivation

from sert.student.speed.attention import BLOCK, causal_attention
from sert.student.speed.patches import (
    fast_activations,
    freed_memory_kept,
    head_on_rows,
    model_in_a_row,
    texts_in_a_row,
)
from sert.student.training.batching import EncodedExample, collate, collate_in_a_row
from sert.student.training.loop import loss_sum
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


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_texts_in_a_row_have_the_loss_and_the_gradients_of_texts_alone(config: PreTrainedConfig) -> None:
    model = model_of(config)
    own = model.config._attn_implementation
    expected = plain_loss_sum(model)
    expected.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    with texts_in_a_row(model, longest=8) as able:
        # Soft caps on attention are no part of torch's attention; Gemma 2 has them unless told otherwise.
        assert able == (config.model_type in {"gpt2", "llama", "granite", "cohere", "opt"})
        batch = (collate_in_a_row if able else collate)(ENCODED, device=torch.device("cpu"))
        loss = loss_sum(model, batch, head=model.get_output_embeddings())
        loss.backward()
    assert model.config._attn_implementation == own
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], rtol=1e-4, atol=1e-5)


def test_a_row_holds_the_texts_and_what_is_predicted_in_it() -> None:
    batch = collate_in_a_row(ENCODED, device=torch.device("cpu"))
    assert batch.input_ids_BT.tolist() == [[token for example in ENCODED for token in example.token_ids]]
    assert batch.lengths == [8, 3, 5]
    assert batch.rows_N.tolist() == [3, 4, 5, 6, 8, 9, 12, 13, 14]
    assert batch.targets_N.tolist() == [31, 8, 60, 3, 7, 12, 13, 27, 4]


@pytest.mark.parametrize(
    ("config", "able"),
    [
        (MistralConfig(**SIZES, sliding_window=None), True),
        (MistralConfig(**SIZES, sliding_window=8), True),
        (MistralConfig(**SIZES, sliding_window=7), False),
        (MambaConfig(vocab_size=61, hidden_size=32, num_hidden_layers=2, pad_token_id=None), False),
    ],
)
def test_a_model_that_sees_less_or_remembers_otherwise_is_given_no_rows(config: PreTrainedConfig, able: bool) -> None:
    model = model_of(config)
    own = model.config._attn_implementation
    with texts_in_a_row(model, longest=8) as found:
        assert found is able
    assert model.config._attn_implementation == own


def test_a_model_that_mixes_texts_is_given_no_rows() -> None:
    model = tiny_gpt2(61).train()
    model.transformer.h[1].ln_2.register_forward_hook(lambda _, args, out: out + out.cumsum(1))
    with texts_in_a_row(model, longest=8) as able:
        assert not able
        assert model.config._attn_implementation == "sdpa" and model.training


def test_no_rows_for_what_is_no_transformers_model_or_has_its_attention_in_another_way() -> None:
    eager = AutoModelForCausalLM.from_config(CONFIGS[0], attn_implementation="eager")
    for model in (Headless(), eager):
        with texts_in_a_row(model, longest=8) as able:
            assert not able


def test_the_attention_comes_back_after_an_error() -> None:
    model = tiny_gpt2(61)
    seen = []
    with pytest.raises(KeyError, match="stop"), texts_in_a_row(model, longest=8):
        raise KeyError(seen.append(model.config._attn_implementation) or "stop")
    assert seen == ["sert_in_a_row"] and model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("heads", [2, 6])
def test_attention_and_its_gradients_are_torchs_text_by_text(heads: int) -> None:
    torch.manual_seed(0)
    lengths = [3, 2 * BLOCK + 5, BLOCK, 1]
    sizes = [(count, sum(lengths), 4) for count in (heads, 2, 2)]
    inputs = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    found = causal_attention(*inputs, lengths=lengths, dropout=0.0, scaling=0.3)
    parts = zip(*(torch.split(each, lengths, dim=1) for each in inputs), strict=True)
    plain = [
        scaled_dot_product_attention(*(each[None] for each in part), is_causal=True, scale=0.3, enable_gqa=True)[0]
        for part in parts
    ]
    expected = torch.cat(plain, dim=1).transpose(0, 1)
    torch.testing.assert_close(found, expected)
    weights = torch.arange(found.numel(), dtype=torch.float64).view(found.shape).sin()
    gradients = [torch.autograd.grad((output * weights).sum(), inputs) for output in (found, expected)]
    for own, torchs in zip(*gradients, strict=True):
        torch.testing.assert_close(own, torchs)


def test_attention_with_dropout_drops_shares_and_scales_the_others() -> None:
    torch.manual_seed(0)
    lengths = [70, 90]
    q, k = torch.randn(2, 4, 160, 16)
    v = torch.cat([torch.eye(length, 90) for length in lengths]).expand(4, 160, 90)  # the output is the shares
    shares = causal_attention(q, k, v, lengths=lengths, dropout=0.2, scaling=0.25)
    for start, length in ((0, 70), (70, 90)):
        part = slice(start, start + length)
        future = torch.full((length, length), -torch.inf).triu(1)
        plain = (q[:, part] @ k[:, part].mT * 0.25 + future).softmax(-1)
        found = shares[part].transpose(0, 1)[..., :length]
        kept = found != 0
        torch.testing.assert_close(found[kept], plain[kept] / 0.8)
        assert kept[plain > 0].float().mean().item() == pytest.approx(0.8, abs=0.02)


def test_attention_with_dropout_is_the_same_in_bfloat16_up_to_rounding() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 20, 16) for _ in range(3)]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        own = [each.to(dtype).detach().requires_grad_() for each in inputs]
        torch.manual_seed(1)
        output = causal_attention(*own, lengths=[7, 13], dropout=0.3, scaling=0.25)
        output.square().sum().backward()
        found.append([each.detach().float() for each in (output, *(leaf.grad for leaf in own))])
        assert output.dtype == dtype
    for plain, rounded in zip(*found, strict=True):
        assert (rounded - plain).norm() < 0.02 * plain.norm()


def test_the_gradients_of_attention_with_dropout_are_those_of_its_function() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 8, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]

    def attend(*inputs: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return causal_attention(*inputs, lengths=[3, 5], dropout=0.3, scaling=0.6)

    assert torch.autograd.gradcheck(attend, inputs)


def test_a_row_of_one_model_has_dropout_in_training_alone() -> None:
    model = AutoModelForCausalLM.from_config(
        GPT2Config(vocab_size=61, n_positions=64, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0)
    )
    batch = collate_in_a_row(ENCODED, device=torch.device("cpu"))
    with texts_in_a_row(model, longest=8), torch.no_grad():
        for mode, repeats in ((True, False), (False, True)):
            model.train(mode)
            first, second = (model_in_a_row(model, batch.input_ids_BT, batch.lengths).logits for _ in range(2))
            assert torch.equal(first, second) is repeats
