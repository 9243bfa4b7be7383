"""A GGUF file is converted once, to what it is."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("gguf")

import tiny_gguf

import commands
from sert.config.lora import LoraConfig
from sert.config.tree import StudentConfig, TrainingConfig
from sert.errors import StudentError
from sert.records import Example
from sert.store.artifacts import file_hash
from sert.store.tables import write_table
from sert.student import gguf
from sert.student.decoding.beforehand import why_untried
from sert.student.folder import count_weights, find_student
from sert.student.load import Student, load_student, load_texts, student_key
from sert.student.training.memory import MemoryNeed, guess_memory
from sert.student.training.stage import train
from tests_support import tiny_llama


@pytest.fixture(scope="module")
def original() -> torch.nn.Module:
    return tiny_llama(len(tiny_gguf.TOKENS))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sert" / "gguf"


@pytest.fixture
def file(original: torch.nn.Module, tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    tiny_gguf.write_gguf(tmp_path / "models" / "tiny-f32.gguf", original)
    return tmp_path / "models" / "tiny-f32.gguf"


def configured(path: Path) -> StudentConfig:
    return StudentConfig(path=str(path), device="cpu")


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([[40, 41, 90, 12, 7]])).logits
    return found


def test_a_file_is_the_model_that_it_was_made_of(file: Path, original: torch.nn.Module) -> None:
    student = load_student(configured(file))
    assert (logits(student.model) - logits(original)).abs().max() < 1e-5
    assert student.eos_ids == (tiny_gguf.END, tiny_gguf.TURN)
    assert student.max_positions == 192
    text = "Is ice cold? Yes, it is."
    tokens = student.encode_prompt(text)
    assert student.decode(tokens) == text
    assert len(tokens) == len(text) - 1  # one merge
    assert student.tokenizer.chat_template == "{{ messages[0]['content'] }}"


def test_a_folder_with_one_file_is_that_student(file: Path) -> None:
    assert find_student(configured(file.parent)).path == str(file)
    (file.parent / "config.json").write_text("{}")  # beside many GGUFs of the hub
    assert student_key(configured(file.parent)) == student_key(configured(file))


def test_a_folder_with_several_files_names_them(file: Path) -> None:
    shutil.copy(file, file.with_name("tiny-q8.gguf"))
    with pytest.raises(StudentError, match=r"several students: \S+tiny-f32\.gguf, \S+tiny-q8\.gguf\. Give one"):
        find_student(configured(file.parent))


def test_the_key_is_of_the_files_content(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = student_key(configured(file))
    load_texts(configured(file))
    moved = shutil.copy(file, tmp_path / "other.gguf")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert student_key(configured(moved)) == before
    with moved.open("ab") as stream:
        stream.write(b"\0")
    assert student_key(configured(moved)) != before


def test_it_is_converted_once(file: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = gguf.converted(file)
    assert capsys.readouterr() == ("", "")
    (first / "mark").touch()
    assert gguf.converted(Path(shutil.copy(file, file.with_name("again.gguf")))) == first
    assert (first / "mark").exists()
    assert [each.name for each in cache.iterdir() if each.is_dir()] == [first.name]


def test_a_conversion_that_was_stopped_leaves_nothing_that_is_read(file: Path, cache: Path) -> None:
    (cache / ".0badc0de").mkdir(parents=True)
    (cache / ".0badc0de" / "config.json").write_text("{")
    load_student(configured(file))
    assert len([each for each in cache.iterdir() if each.is_dir()]) == 1


def test_two_processes_at_once_convert_it_together(file: Path, cache: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "examples.parquet", [Example("q", "Is ice cold?", " Yes.", "label")], Example)
    train = ["train", "--examples", "examples.parquet", "--student", str(file), "--set", "training.max_steps=1"]
    started = [commands.start(*train, "--out", out, cwd=tmp_path) for out in ("one", "two")]
    assert [commands.wait(each).returncode for each in started] == [0, 0]
    assert [each.is_dir() for each in cache.iterdir()].count(True) == 1
    one, two = (file_hash(tmp_path / out / "model" / "model.safetensors") for out in ("one", "two"))
    assert one == two


def test_whoever_comes_while_it_is_converted_waits(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert, begun = gguf._convert, []

    def slow(*given: Any, **named: Any) -> None:
        begun.append(given)
        time.sleep(0.2)
        convert(*given, **named)

    monkeypatch.setattr(gguf, "_convert", slow)
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(gguf.converted, [file, file]))
    assert len(begun) == 1
    assert told[0] == told[1] and [each for each in cache.iterdir() if each.is_dir()] == [told[0]]


def test_weights_are_counted_before_and_after(file: Path, original: torch.nn.Module) -> None:
    expected = sum(weight.numel() for weight in original.state_dict().values())
    assert count_weights(find_student(configured(file))) == expected
    gguf.converted(file)
    assert count_weights(find_student(configured(file))) == expected


def test_what_it_becomes_loads_elsewhere(file: Path, original: torch.nn.Module) -> None:
    from transformers import AutoModelForCausalLM

    assert (logits(AutoModelForCausalLM.from_pretrained(gguf.converted(file))) - logits(original)).abs().max() < 1e-5


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_file_that_is_cut_off_is_named(file: Path, cache: Path, share: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    for refuse in (lambda: count_weights(find_student(configured(file))), lambda: load_student(configured(file))):
        with pytest.raises(StudentError, match=rf"{file} is cut off or no GGUF file"):
            refuse()
    assert not [each for each in cache.glob("*") if each.is_dir()]


def test_a_part_is_named(file: Path, original: torch.nn.Module) -> None:
    tiny_gguf.write_gguf(file, original, values={"split.count": 3})
    with pytest.raises(StudentError, match=r"one of 3 parts.*llama-gguf-split --merge"):
        load_student(configured(file))


def test_scaled_positions_that_would_be_lost_are_refused(file: Path, original: torch.nn.Module) -> None:
    tiny_gguf.write_gguf(file, original, frequencies=4 * [8.0])
    with pytest.raises(StudentError, match=r"rotary positions .* are scaled"):
        load_student(configured(file))


def test_an_architecture_that_is_not_known_is_told(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"llama", b"xlama"))
    with pytest.raises(StudentError, match="xlama"):
        load_student(configured(file))


def test_without_the_package_it_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(StudentError, match=r"needs the package gguf: pip install 'sert\[gguf\]'"):
        find_student(configured(file))


def test_a_file_that_is_not_there_is_no_id_of_the_hub() -> None:
    with pytest.raises(StudentError, match=r"There is no student folder .models/some\.gguf."):
        find_student(StudentConfig(path="models/some.gguf"))


def test_a_student_of_a_file_is_trained_and_saved_whole(file: Path, tmp_path: Path) -> None:
    student: Student = load_student(configured(file))
    student.model.save_pretrained(tmp_path / "trained")
    student.tokenizer.save_pretrained(tmp_path / "trained")
    again = load_student(configured(tmp_path / "trained"))
    assert torch.equal(logits(again.model), logits(student.model))


def test_a_dry_run_converts_nothing(file: Path, cache: Path) -> None:
    assert str(why_untried(configured(file))).startswith("its file is converted first")
    assert not cache.exists()
    load_student(configured(file))
    assert why_untried(configured(file)) is None


def test_the_memory_of_a_training_is_guessed_where_a_file_was_converted(file: Path) -> None:
    def guess() -> MemoryNeed | None:
        return guess_memory(configured(file), TrainingConfig(), tokens=100)

    assert guess() is None
    student = load_student(configured(file))
    need = guess()
    assert need is not None and need.weights == 4 * student.model.num_parameters()


def greedy(model: Any, student: Student) -> list[list[int]]:
    told = []
    for text in ("Is ice cold?", "Why?", "Do birds"):
        ids = torch.tensor([student.encode_prompt(text)])
        told.append(model.generate(ids, max_new_tokens=16, do_sample=False, pad_token_id=0)[0].tolist())
    return told


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_of_a_file_are_what_they_were_trained_to_be_wherever_they_are_loaded(
    file: Path, cache: Path, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    before = load_student(configured(file))
    told = [greedy(before.model, before)]
    for output in ("merged", "adapter"):
        lora = LoraConfig(rank=4, output=output)
        recipe = TrainingConfig(max_steps=8, learning_rate=1e-2, lora=lora)
        examples = [Example("q", "Is ice cold?", " Yes.", "label"), Example("r", "Why?", " Ask ice.", "label")]
        folder = train(examples, configured(file), out=tmp_path / output, config=recipe).file("model")
        theirs = peft.AutoPeftModelForCausalLM if output == "adapter" else AutoModelForCausalLM
        ours = load_student(configured(folder))
        assert ours.eos_ids == before.eos_ids
        told += [greedy(ours.model, ours), greedy(theirs.from_pretrained(folder).eval(), ours)]
    assert told[1:] == 4 * [told[1]] != 4 * [told[0]]
    shutil.rmtree(cache)
    with pytest.raises(StudentError, match=r"made of a GGUF file\. Make it again \(sert doctor --student FILE\.gguf\)"):
        load_student(configured(folder))
    assert commands.sert("doctor", "--student", str(file), cwd=tmp_path).returncode == 0
    ours = load_student(configured(folder))
    assert greedy(ours.model, ours) == told[1]
