"""Adapters are merged into their base, wherever both lie, and named for what they lack."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student import folder as folders
from sert.student.folder import count_weights, find_student
from sert.student.load import load_student, load_texts, student_key

# What peft does while the tests make adapters.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
TOKENS = torch.tensor([[5, 9, 20, 7]])


@pytest.fixture
def base(student_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(student_folder, tmp_path / "base")
    return tmp_path / "base"


def make_adapter(folder: Path, base: Path, **settings: Any) -> torch.Tensor:
    """Save a LoRA adapter that changes its base, and return the logits of both together."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    shape = {"r": 2, "target_modules": ["c_attn", "c_fc"], "init_lora_weights": False, "task_type": "CAUSAL_LM"}
    config = peft.LoraConfig(**shape | settings, fan_in_fan_out=True)
    adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).eval()
    adapted.save_pretrained(folder)
    with torch.inference_mode():
        found: torch.Tensor = adapted(input_ids=TOKENS).logits
    return found


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    make_adapter(tmp_path / "adapter", base)
    return tmp_path / "adapter"


def configured(path: Path, **settings: Any) -> StudentConfig:
    return StudentConfig.model_validate({"path": str(path), "device": "cpu", **settings})


def logits(path: Path, **settings: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = load_student(configured(path, **settings)).model(input_ids=TOKENS).logits
    return found


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("settings", [{}, {"use_dora": True}, {"use_rslora": True, "lora_alpha": 16}])
def test_an_adapter_is_its_base_with_the_change(base: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    expected = make_adapter(tmp_path / "adapter", base, **settings)
    assert (expected - logits(base)).abs().max() > 0.1
    assert (logits(tmp_path / "adapter") - expected).abs().max() < 1e-4
    student = load_student(configured(tmp_path / "adapter"))
    assert type(student.model).__name__ == "GPT2LMHeadModel"
    assert not [name for name, _ in student.model.named_parameters() if "lora" in name]
    assert count_weights(find_student(configured(tmp_path / "adapter"))) == count_weights(
        find_student(configured(base))
    )


def test_a_coarse_type_is_that_of_the_merged_weights(adapter: Path, tmp_path: Path) -> None:
    merged = load_student(configured(adapter))
    merged.model.save_pretrained(tmp_path / "merged")
    merged.tokenizer.save_pretrained(tmp_path / "merged")
    assert torch.equal(logits(adapter, dtype="bfloat16"), logits(tmp_path / "merged", dtype="bfloat16"))


def test_the_tokenizer_beside_an_adapter_is_taken_before_that_of_the_base(adapter: Path, base: Path) -> None:
    tokenizer = load_texts(configured(base)).tokenizer
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert load_texts(configured(adapter)).tokenizer.pad_token is None
    tokenizer.save_pretrained(adapter)
    assert load_texts(configured(adapter)).tokenizer.pad_token == "[PAD]"


def test_the_key_covers_adapter_and_base_and_no_places(adapter: Path, base: Path, tmp_path: Path) -> None:
    before = student_key(configured(adapter))
    assert before not in (student_key(configured(base)), student_key(configured(adapter, dtype="bfloat16")))
    (tmp_path / "far" / "away").mkdir(parents=True)
    base.rename(tmp_path / "far" / "base")
    adapter.rename(tmp_path / "far" / "away" / "adapter")
    moved = tmp_path / "far" / "away" / "adapter"
    change(moved / "adapter_config.json", base_model_name_or_path="../../base")  # beside the adapter
    assert student_key(configured(moved)) == before
    change(moved / "adapter_config.json", lora_alpha=1)
    changed = student_key(configured(moved))
    change(tmp_path / "far" / "base" / "generation_config.json", temperature=0.5)
    assert len({before, changed, student_key(configured(moved))}) == 3


def test_an_adapter_of_an_adapter_is_merged_twice(adapter: Path, base: Path, tmp_path: Path) -> None:
    first = load_student(configured(adapter))
    first.model.save_pretrained(tmp_path / "merged")
    first.tokenizer.save_pretrained(tmp_path / "merged")
    expected = make_adapter(tmp_path / "second", tmp_path / "merged", target_modules=["c_proj"])
    change(tmp_path / "second" / "adapter_config.json", base_model_name_or_path=str(adapter))
    assert (logits(tmp_path / "second") - expected).abs().max() < 1e-4
    shutil.rmtree(tmp_path / "merged")
    first.tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    first.tokenizer.save_pretrained(tmp_path / "second")
    assert load_texts(configured(tmp_path / "second")).tokenizer.pad_token == "[PAD]"


def test_an_adapter_of_itself_has_no_end(adapter: Path) -> None:
    change(adapter / "adapter_config.json", base_model_name_or_path=str(adapter))
    with pytest.raises(StudentError, match="adapter of an adapter, more than 8 times") as error:
        find_student(configured(adapter))
    assert len(str(error.value)) < 300


def test_a_base_that_cannot_be_had_is_named(adapter: Path) -> None:
    change(adapter / "adapter_config.json", base_model_name_or_path="/models/gone")
    with pytest.raises(
        StudentError, match=r"adapter of '/models/gone', which cannot be had: .*base_model_name_or_path"
    ):
        find_student(configured(adapter))
    change(adapter / "adapter_config.json", base_model_name_or_path="nobody/no-model")
    with pytest.raises(StudentError, match=r"an adapter of 'nobody/no-model', cannot be loaded: .*base_model_name"):
        load_student(configured(adapter))


def test_weights_that_do_not_fit_the_base_are_refused(adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, adapter / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(StudentError, match="Found missing adapter keys"):
        load_student(configured(adapter))


def test_learned_prompts_are_no_weights(adapter: Path, base: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    shutil.rmtree(adapter)
    config = peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(adapter)
    with pytest.raises(StudentError, match=r"kind PROMPT_TUNING.* cannot be merged"):
        load_student(configured(adapter))


# ---- what needs no peft


@pytest.fixture
def bare(base: Path, tmp_path: Path) -> Path:
    """What an adapter's folder looks like."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(base)}))
    save_file({"base_model.model.x.lora_A.weight": torch.zeros(2, 2)}, folder / "adapter_model.safetensors")
    return folder


def test_without_peft_an_adapter_is_named_with_the_remedy(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "find_spec", lambda name: None)
    with pytest.raises(StudentError, match=rf"{bare} is an adapter of .*base'.*pip install 'sert\[lora\]'.*merge"):
        find_student(configured(bare))
    (bare / "config.json").write_text("{}")
    with pytest.raises(StudentError, match="is an adapter of"):
        find_student(configured(bare))


def test_pickled_adapters_are_never_loaded(bare: Path) -> None:
    (bare / "adapter_model.safetensors").rename(bare / "adapter_model.bin")
    with pytest.raises(StudentError, match=r"no adapter_model\.safetensors\. Pickled ones are not loaded"):
        find_student(configured(bare))


def test_an_adapter_beside_a_whole_model_is_not_guessed_at(bare: Path, base: Path) -> None:
    shutil.copytree(base, bare, dirs_exist_ok=True)
    with pytest.raises(StudentError, match="cannot be told which is meant"):
        find_student(configured(bare))


@pytest.mark.parametrize(
    ("text", "says"), [("[]", "holds no settings"), ("{", "cannot be read"), ("{}", "names no base")]
)
def test_settings_of_an_adapter_that_say_nothing(bare: Path, text: str, says: str) -> None:
    (bare / "adapter_config.json").write_text(text)
    with pytest.raises(StudentError, match=says):
        find_student(configured(bare))


def test_an_adapter_without_its_settings_is_named(bare: Path) -> None:
    (bare / "adapter_config.json").unlink()
    with pytest.raises(StudentError, match=r"seems to be an adapter without its adapter_config\.json"):
        find_student(configured(bare))


def test_an_adapter_of_the_hub_is_sent_to_a_folder(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "hub" / "models--me--adapter"
    shutil.copytree(bare, place / "snapshots" / "abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(StudentError, match=r"is an adapter on the hub\. Download it \(`hf download me/adapter"):
        load_texts(StudentConfig(path="me/adapter"))


def test_no_package_is_loaded_for_students_that_need_none(student_folder: Path) -> None:
    load_student(configured(student_folder))
    if "peft" not in sys.modules:
        find_student(configured(student_folder))
        assert "peft" not in sys.modules
