"""The recipe of `CONTRIBUTING.md` for a student architecture, followed with toys that transformers does not know."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import sert
from sert.records import Path as MinedPath
from sert.records import Question
from sert.store.tables import read_table
from sert.student.decoding.proof import find_drive
from sert.student.decoding.stepping import LaneStepper, PlainStepper
from sert.student.load import load_student
from tests_support import make_tokenizer

WIDTH, HEADS = 16, 2


def _eager(*_: Any, **__: Any) -> Any:
    raise NotImplementedError


class ToyConfig(PreTrainedConfig):
    model_type = "sert_toy"
    vocab_size: int = 257
    hidden_size: int = WIDTH
    num_hidden_layers: int = 1
    num_attention_heads: int = HEADS
    eos_token_id: int = 0
    tie_word_embeddings: bool = False


class ToyAttention(nn.Module):
    layer_idx = 0
    is_causal = True
    num_key_value_groups = 1

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, states: Tensor, past_key_values: Any, **kwargs: Any) -> Tensor:
        parts = self.project(states).view(*states.shape[:2], 3, HEADS, WIDTH // HEADS)
        query, key, value = (each.transpose(1, 2) for each in parts.unbind(2))
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, _eager)
        output, _ = attend(self, query, key, value, None, scaling=(WIDTH // HEADS) ** -0.5, **kwargs)
        return output.reshape(*states.shape)


class ToyBase(PreTrainedModel):
    config_class = ToyConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, WIDTH)
        self.attention = ToyAttention(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def forward(self, input_ids: Tensor, past_key_values: Any = None, **kwargs: Any) -> BaseModelOutputWithPast:
        for name in ("position_ids", "attention_mask", "use_cache"):
            kwargs.pop(name, None)
        states = self.embed(input_ids)
        return BaseModelOutputWithPast(last_hidden_state=states + self.attention(states, past_key_values, **kwargs))


class Toy(PreTrainedModel, GenerationMixin):
    config_class = ToyConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.model = ToyBase(config)
        self.head = nn.Linear(WIDTH, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(self, input_ids: Tensor, **kwargs: Any) -> CausalLMOutputWithPast:
        return CausalLMOutputWithPast(logits=self.head(self.model(input_ids, **kwargs).last_hidden_state))


class AloneConfig(ToyConfig):
    model_type = "sert_toy_alone"


class Alone(Toy):
    """Its base model takes nothing of transformers' interfaces but the tokens."""

    config_class = AloneConfig

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, use_cache: bool = False) -> Any:
        states = self.model.embed(input_ids)
        steps = torch.arange(1, 1 + states.shape[1])[None, :, None]
        return CausalLMOutputWithPast(logits=self.head(states.cumsum(dim=1) / steps))

    def get_output_embeddings(self) -> nn.Module:
        return nn.Identity()


for config_type, model_type in ((ToyConfig, Toy), (AloneConfig, Alone)):
    AutoConfig.register(config_type.model_type, config_type)
    AutoModelForCausalLM.register(config_type, model_type)


@pytest.mark.parametrize(("model_type", "driven_by"), [(Toy, LaneStepper), (Alone, PlainStepper)])
def test_a_registered_architecture_is_driven(
    model_type: Any, driven_by: type, questions: list[Question], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model_type(model_type.config_class()).save_pretrained(tmp_path / "student")
    make_tokenizer().save_pretrained(tmp_path / "student")
    config = sert.StudentConfig(path=str(tmp_path / "student"), device="cpu")
    student = load_student(config)
    prompts = [student.encode_prompt(each.prompt) for each in questions]
    assert find_drive(student, prompts, longest=64).stepper is driven_by
    mined = sert.mine(questions, config, out=tmp_path / "mined", config=sert.MiningConfig(max_new_tokens=4))
    assert len(read_table(mined.file("paths.parquet"), MinedPath)) == 25 * len(questions)
