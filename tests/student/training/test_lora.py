"""Adapters are trained as peft trains them, alone, and are saved in their student or beside it."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sert.config.lora import LoraConfig
from sert.config.tree import ExecutionConfig, StudentConfig, TrainingConfig
from sert.errors import StudentError
from sert.records import Example
from sert.seeds import derive_seed
from sert.store.artifacts import Artifact, file_hash
from sert.student.load import Student, load_student, make_student
from sert.student.source import trained_student
from sert.student.training.checkpoints import CHECKPOINTS, Checkpoints, trained_parameters
from sert.student.training.loop import train_student
from sert.student.training.lora import add_adapters, save_merged
from sert.student.training.stage import train
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama
from training_support import plain_losses

peft = pytest.importorskip("peft")

# Where the tests themselves call peft, it asks for what transformers calls otherwise now.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
]

EXAMPLES = [
    Example(f"q{i}", f"Is {i} odd?", f" So the answer is {'yes' if i % 2 else 'no, it is not'}.", "label")
    for i in range(12)
]
PROMPTS = [example.prompt for example in EXAMPLES[:6]]
FAMILIES = {"gpt2": tiny_gpt2, "llama": tiny_llama}
BASE = StudentConfig(path="some/base")
LORA = LoraConfig(rank=4, alpha=16)


def fresh(family: str = "llama") -> Student:
    tokenizer = make_tokenizer()
    return make_student(FAMILIES[family](len(tokenizer), scale=0.05), tokenizer, name="tiny")


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StudentConfig:
    folder, student = tmp_path_factory.mktemp(request.param), fresh(request.param)
    student.model.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    return StudentConfig(path=str(folder), device="cpu", num_threads=1)


def training(**lora: Any) -> TrainingConfig:
    return TrainingConfig(batch_size=4, max_steps=6, learning_rate=1e-2, lora=LORA.model_copy(update=lora))


@pytest.fixture(scope="module")
def trained(base: StudentConfig, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """Train with settings of the adapters, once for each; what was made is only read."""

    @cache
    def make(**lora: Any) -> Artifact:
        return train(EXAMPLES, base, out=tmp_path_factory.mktemp("trained") / "out", config=training(**lora))

    return make


def curve(file: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in file.read_text().splitlines()]


def plain_loop(student: Student, config: TrainingConfig) -> list[float]:
    """What peft's own manual does: its wrapper, transformers' loss, torch's plain AdamW."""
    lora = config.lora
    torch.manual_seed(derive_seed(5, "lora") % 2**63)
    fan_in_fan_out = student.model.config.model_type == "gpt2"
    settings = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules="all-linear",
        use_dora=lora.dora,
        fan_in_fan_out=fan_in_fan_out,
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(student.model, settings)
    steps, batch_size, rate = config.max_steps or 0, config.batch_size, config.learning_rate
    return plain_losses(model, student, EXAMPLES, steps=steps, batch_size=batch_size, rate=rate, seed=5)


@pytest.mark.parametrize("row_weights", [0, 10**7])
@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_losses_are_those_of_a_plain_loop_with_peft(
    family: str, dora: bool, row_weights: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sert.student.training.loop.ROW_WEIGHTS", row_weights)
    config, student = training(dora=dora), fresh(family)
    add_adapters(student, config.lora, base=BASE, seed=5)
    train_student(student, EXAMPLES, config, seed=5, loss_file=tmp_path / "loss.jsonl")
    expected = plain_loop(fresh(family), config)
    assert curve(tmp_path / "loss.jsonl") == pytest.approx(expected, rel=1e-4)
    assert expected[-1] < 0.9 * expected[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_adapters_move(family: str) -> None:
    student, plain = fresh(family), fresh(family)
    add_adapters(student, LORA, base=BASE, seed=0)
    tokens = torch.tensor([[5, 9, 7]])
    assert torch.equal(student.model(tokens).logits, plain.model(tokens).logits)  # until they are trained
    before = {name: weight.clone() for name, weight in student.model.named_parameters()}
    train_student(student, EXAMPLES, training(), seed=0)
    moved = {name for name, weight in student.model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name for name in before if "lora_" in name} == trained_parameters(student.model).keys()


def greedy(folder: Path, loader: Any = AutoModelForCausalLM) -> list[str]:
    """What others get who load the folder, and go on from the prompts."""
    model = loader.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")
        texts.append(tokenizer.decode(model.generate(**ids, max_new_tokens=24, do_sample=False, pad_token_id=0)[0]))
    return texts


@pytest.mark.parametrize("dora", [False, True])
def test_merged_and_apart_the_greedy_answers_are_the_same(base: StudentConfig, dora: bool, tmp_path: Path) -> None:
    folders = {}
    for output in ("merged", "adapter"):
        config = training(dora=dora, output=output).model_copy(update={"max_steps": 12})
        folders[output] = train(EXAMPLES, base, out=tmp_path / output, config=config).file("model")
    assert curve(tmp_path / "merged" / "loss.jsonl") == curve(tmp_path / "adapter" / "loss.jsonl")
    answers = greedy(folders["merged"])
    assert answers == greedy(folders["adapter"], peft.AutoPeftModelForCausalLM) != greedy(Path(base.path))
    assert len(set(answers)) > 1
    if not dora:  # transformers alone passes over the lengths of DoRA
        assert answers == greedy(folders["adapter"])


@pytest.mark.parametrize("dora", [False, True])
def test_adapters_of_adapters_are_loaded_as_they_were_trained(
    base: StudentConfig, trained: Callable[..., Artifact], dora: bool, tmp_path: Path
) -> None:
    first = trained(dora=dora, output="adapter")
    start, tokens = trained_student(first, like=base), torch.tensor([[5, 9, 7]])
    logits = {}
    for output in ("merged", "adapter"):
        config = training(dora=dora, output=output)
        folder = train(EXAMPLES, start, out=tmp_path / output, config=config).file("model")
        logits[output] = load_student(base.model_copy(update={"path": str(folder)})).model(tokens).logits
    torch.testing.assert_close(logits["adapter"], logits["merged"], rtol=1e-4, atol=1e-5)
    settings = json.loads((tmp_path / "adapter/model/adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == start.path
    assert not torch.allclose(load_student(start).model(tokens).logits, logits["merged"], atol=1e-3)


def test_a_student_that_is_an_adapter_can_be_trained_whole(
    base: StudentConfig, trained: Callable[..., Artifact], tmp_path: Path
) -> None:
    first = trained(dora=False, output="adapter")
    start, config = trained_student(first, like=base), training().model_copy(update={"lora": None, "max_steps": 1})
    whole = train(EXAMPLES, start, out=tmp_path / "whole", config=config)
    before = dict(load_student(start).model.named_parameters())
    after = load_student(trained_student(whole, like=base)).model.named_parameters()
    assert not [name for name, weight in after if torch.equal(weight, before[name])]


def test_an_adapter_names_its_base_and_holds_nothing_of_it(
    base: StudentConfig, trained: Callable[..., Artifact]
) -> None:
    folder = trained(dora=False, output="adapter").file("model")
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == base.path
    assert (settings["r"], settings["lora_alpha"], settings["peft_type"]) == (4, 16, "LORA")
    assert settings["target_modules"] == sorted(settings["target_modules"])
    assert not (folder / "config.json").exists() and (folder / "tokenizer.json").is_file()
    assert sorted(file.name for file in folder.glob("*.safetensors")) == ["adapter_model.safetensors"]
    card = (folder / "README.md").read_text()
    assert "library_name: peft" in card and "| lora.rank | 4 |" in card and "| peft | " in card
    assert base.path not in card


def test_a_merged_student_is_a_whole_one(base: StudentConfig, trained: Callable[..., Artifact]) -> None:
    folder = trained(dora=False, output="merged").file("model")
    before, after = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (base.path, folder))
    assert before.keys() == after.keys() and not (folder / "adapter_config.json").exists()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not [name for name in moved if "norm" in name or "ln_" in name or "embed" in name or "wte" in name]
    assert "library_name: transformers" in (folder / "README.md").read_text()


@pytest.mark.parametrize("dora", [False, True])
def test_saving_changes_nothing(dora: bool, tmp_path: Path) -> None:
    student = fresh()
    add_adapters(student, LORA.model_copy(update={"dora": dora}), base=BASE, seed=0)
    train_student(student, EXAMPLES, training(), seed=0)
    before = {name: weight.clone() for name, weight in student.model.state_dict().items()}
    save_merged(student.model, tmp_path / "merged")
    after = student.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_saving_writes_the_same_and_copies_nothing(family: str, dora: bool, tmp_path: Path) -> None:
    student = fresh(family)
    add_adapters(student, LORA.model_copy(update={"dora": dora}), base=BASE, seed=0)
    train_student(student, EXAMPLES, training(), seed=0)
    bases = {name: weight for name, weight in student.model.named_parameters() if "base_layer.weight" in name}
    before = {name: weight.clone() for name, weight in bases.items()}
    save_merged(student.model, tmp_path / "kept")
    assert all(torch.equal(weight, before[name]) for name, weight in bases.items())
    save_merged(student.model, tmp_path / "last", last=True)
    assert not any(torch.equal(weight, before[name]) for name, weight in bases.items())
    kept, last = (file_hash(tmp_path / name / "model.safetensors") for name in ("kept", "last"))
    assert kept == last


def test_a_head_that_is_tied_to_the_embeddings_gets_no_adapters() -> None:
    student = fresh()
    student.model.config.tie_word_embeddings = True
    student.model.tie_weights()
    with pytest.raises(StudentError, match=r"'lm_head'.* whose weights are those of its embeddings too.*Leave it out"):
        add_adapters(student, LORA.model_copy(update={"targets": ("lm_head",)}), base=BASE, seed=0)
    add_adapters(fresh(), LORA.model_copy(update={"targets": ("lm_head",)}), base=BASE, seed=0)


def test_a_training_with_adapters_goes_on_bit_for_bit(base: StudentConfig, tmp_path: Path) -> None:
    config = training(dropout=0.2, output="adapter").model_copy(update={"snapshots": 3, "micro_batch_size": 2})
    often = ExecutionConfig(checkpoint_seconds=1e-9)
    whole = train(EXAMPLES, base, out=tmp_path / "whole", config=config, execution=often)

    class Stopped(Exception):
        pass

    saves = Checkpoints.save
    with pytest.MonkeyPatch.context() as patched:

        def stop_at_the_fourth(self: Checkpoints, progress: Any, *rest: Any) -> None:
            saves(self, progress, *rest)
            if progress.step == 4:
                raise Stopped

        patched.setattr(Checkpoints, "save", stop_at_the_fourth)
        with pytest.raises(Stopped):
            train(EXAMPLES, base, out=tmp_path / "again", config=config, execution=often)
    (kept,) = tmp_path.glob(f".again.*/{CHECKPOINTS}/step-00000004/tensors.safetensors")
    assert kept.stat().st_size < 4 * sum(file.stat().st_size for file in whole.file("model").glob("*.safetensors"))
    torch.rand(7)  # whatever the generator did meanwhile
    again = train(EXAMPLES, base, out=tmp_path / "again", config=config, execution=often)
    assert again.manifest["outputs"] == whole.manifest["outputs"]
    assert "snapshots/2/adapter_model.safetensors" in again.manifest["outputs"]


@pytest.mark.parametrize("output", ["merged", "adapter"])
def test_snapshots_do_not_disturb_a_training(
    base: StudentConfig, trained: Callable[..., Artifact], output: str, tmp_path: Path
) -> None:
    config = training(output=output)
    plain = trained(dora=False, output=output).manifest["outputs"]
    several = train(EXAMPLES, base, out=tmp_path / "several", config=config.model_copy(update={"snapshots": 2}))
    short = train(EXAMPLES, base, out=tmp_path / "short", config=config.model_copy(update={"max_steps": 3}))
    weights = "model.safetensors" if output == "merged" else "adapter_model.safetensors"
    assert several.manifest["outputs"][f"model/{weights}"] == plain[f"model/{weights}"]
    assert several.manifest["outputs"][f"snapshots/1/{weights}"] == short.manifest["outputs"][f"model/{weights}"]


def test_the_seed_decides_where_adapters_start() -> None:
    def start(seed: int) -> torch.Tensor:
        student = fresh()
        torch.rand(seed + 1)
        add_adapters(student, LORA, base=BASE, seed=seed)
        return next(weight for name, weight in student.model.named_parameters() if "lora_A" in name)

    assert torch.equal(start(1), start(1)) and not torch.equal(start(1), start(2))


def test_layers_can_be_named() -> None:
    student = fresh()
    add_adapters(student, LORA.model_copy(update={"targets": ("q_proj", "v_proj")}), base=BASE, seed=0)
    adapted = {name.split(".")[-4] for name in trained_parameters(student.model)}
    assert adapted == {"q_proj", "v_proj"}


def test_layers_that_are_not_there_are_named_with_those_that_are() -> None:
    wrong = LORA.model_copy(update={"targets": ("c_attn",)})
    with pytest.raises(StudentError, match=r"'c_attn'.*down_proj, gate_proj, k_proj, lm_head, o_proj"):
        add_adapters(fresh(), wrong, base=BASE, seed=0)


def test_without_peft_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(StudentError, match=r"pip install 'sert\[lora\]'"):
        add_adapters(fresh(), LORA, base=BASE, seed=0)
