"""What a student that was loaded must be, before hours are spent on it."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertLMHeadModel

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.load import load_student
from tests_support import make_tokenizer


@pytest.fixture
def copy(student_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(student_folder, tmp_path / "copy")
    return tmp_path / "copy"


def configured(folder: Path, dtype: str = "float32") -> StudentConfig:
    return StudentConfig.model_validate({"path": str(folder), "device": "cpu", "dtype": dtype})


def write(folder: Path, name: str, *, place: int, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[place] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers_are_named(copy: Path, value: float) -> None:
    write(copy, "transformer.ln_f.weight", place=3, value=value)
    with pytest.raises(StudentError, match=r"NaN or infinite: transformer\.ln_f\.weight\. The file is damaged"):
        load_student(configured(copy))


def test_large_weights_are_numbers(copy: Path) -> None:
    for place in (0, 1):  # whose sum is none
        write(copy, "transformer.h.0.mlp.c_fc.bias", place=place, value=-3e38)
    load_student(configured(copy, "bfloat16"))


def test_weights_too_large_for_float16_are_sent_to_another_type(copy: Path) -> None:
    write(copy, "transformer.h.1.mlp.c_proj.bias", place=5, value=8e4)
    with pytest.raises(StudentError, match=r"c_proj\.bias\. Use student\.dtype = 'float32' or 'bfloat16'"):
        load_student(configured(copy, "float16"))
    load_student(configured(copy))


@pytest.mark.parametrize(("prefix", "says"), [("_orig_mod.", "compiled"), ("module.", "wrapped")])
def test_weights_of_a_wrapped_model_are_named(copy: Path, prefix: str, says: str) -> None:
    tensors = load_file(copy / "model.safetensors")
    save_file({prefix + name: each for name, each in tensors.items()}, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        StudentError, match=rf"would be random\. The file is of a {says} model: save model\.{prefix[:-1]}"
    ):
        load_student(configured(copy))


@pytest.mark.parametrize("is_decoder", [True, False])
def test_a_model_that_looks_ahead_is_refused(tmp_path: Path, is_decoder: bool) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=257, **shape, is_decoder=is_decoder, eos_token_id=0, initializer_range=0.4)
    BertLMHeadModel(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    if is_decoder:
        load_student(configured(tmp_path))
    else:
        with pytest.raises(StudentError, match=r"looks ahead.*is_decoder is not set in its config\.json"):
            load_student(configured(tmp_path))
