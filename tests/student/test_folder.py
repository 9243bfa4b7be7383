"""What people have on their disks: each works, or is named for what it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.folder import check_claims, count_weights, find_student
from sert.student.load import load_student, student_key
from tests_support import make_tokenizer

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 538090408\n"


@pytest.fixture
def copy(student_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(student_folder, tmp_path / "copy")
    return tmp_path / "copy"


def configured(folder: Path, **settings: Any) -> StudentConfig:
    return StudentConfig.model_validate({"path": str(folder), "device": "cpu", **settings})


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def shard(folder: Path) -> None:
    """Save the weights in several files with an index."""
    student = load_student(configured(folder))
    (folder / "model.safetensors").unlink()
    student.model.save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def logits(folder: Path, **settings: Any) -> torch.Tensor:
    student = load_student(configured(folder, **settings))
    with torch.inference_mode():
        found: torch.Tensor = student.model(input_ids=torch.tensor([[5, 9, 20, 7]])).logits.float()
    return found


def test_shards_are_one_student(copy: Path, student_folder: Path) -> None:
    shard(copy)
    assert torch.equal(logits(copy), logits(student_folder))
    assert count_weights(find_student(configured(copy))) == count_weights(find_student(configured(student_folder)))


def test_a_missing_shard_is_named_before_loading(copy: Path) -> None:
    shard(copy)
    gone = sorted(copy.glob("model-*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(StudentError, match=rf"lacks 1 of the \d+ files of its weights: {gone}"):
        find_student(configured(copy))


def test_shards_without_their_index_are_named(copy: Path) -> None:
    shard(copy)
    (copy / "model.safetensors.index.json").unlink()
    with pytest.raises(StudentError, match=r"neither model.safetensors nor .*\.index\.json, but"):
        find_student(configured(copy))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_half_the_bytes_are_read_as_what_they_say(copy: Path, student_folder: Path, dtype: str) -> None:
    kind = getattr(torch, dtype)
    tensors = {name: weight.to(kind) for name, weight in load_file(copy / "model.safetensors").items()}
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    change(copy / "config.json", dtype=dtype)
    student = load_student(configured(copy))
    expected = load_file(student_folder / "model.safetensors")["transformer.wte.weight"].to(kind).float()
    assert student.model.dtype == torch.float32
    assert torch.equal(student.model.transformer.wte.weight, expected)


def test_a_checkpoint_with_the_state_of_its_training_is_a_student(copy: Path) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        (copy / name).write_bytes(b"\x80")
    (copy / "trainer_state.json").write_text("{}")
    assert find_student(configured(copy)).kind == "folder"


def test_a_folder_of_checkpoints_names_them_in_their_order(copy: Path, tmp_path: Path) -> None:
    for step in (500, 1000):
        shutil.copytree(copy, tmp_path / "run" / f"checkpoint-{step}")
    with pytest.raises(
        StudentError, match=r"students in it: \S+/checkpoint-500, \S+/checkpoint-1000\. Give the folder"
    ):
        find_student(configured(tmp_path / "run"))


def test_a_folder_of_snapshots_names_them(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy, tmp_path / "models--a--b" / "snapshots" / "0f3c")
    with pytest.raises(StudentError, match=r"students in it: \S+/snapshots/0f3c\."):
        find_student(configured(tmp_path / "models--a--b"))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_named_with_its_remedy(copy: Path, name: str) -> None:
    (copy / name).write_text(POINTER)
    with pytest.raises(StudentError, match=rf"{name} is a pointer of Git LFS.*`git lfs pull` in {copy}"):
        find_student(configured(copy))


def test_a_pointer_in_the_place_of_a_file_that_is_not_read_is_no_matter(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_text(POINTER)
    assert find_student(configured(copy)).kind == "folder"


CUT: dict[str, Callable[[bytes], bytes]] = {
    "in the weights": lambda whole: whole[: len(whole) - 10],
    "in the header": lambda whole: whole[:100],
    "in the length": lambda whole: whole[:5],
    "at the beginning": lambda whole: b"",
    "another form": lambda whole: b"<!DOCTYPE html><html>Sign in</html>" + 100 * b" ",
}


@pytest.mark.parametrize("name", CUT)
def test_weights_that_are_cut_off_are_named_before_loading(copy: Path, name: str) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(CUT[name](file.read_bytes()))
    with pytest.raises(StudentError, match=rf"{file} is cut off or no safetensors file"):
        check_claims(find_student(configured(copy)))


@pytest.mark.parametrize(("name", "refused"), [("tokenizer.json", True), ("config.json", True), ("README.md", False)])
def test_links_to_nothing_matter_where_the_file_is_read(copy: Path, name: str, refused: bool) -> None:
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(copy / "blobs" / "77")
    if refused:
        with pytest.raises(StudentError, match=rf"{name} is a link to a file that is not there"):
            find_student(configured(copy))
    else:
        assert len(student_key(configured(copy))) == 12


@pytest.mark.parametrize(("setting", "said", "rows"), [("vocab_size", 300, 257), ("n_positions", 4096, 192)])
def test_a_configuration_that_claims_other_sizes_is_named_before_loading(
    copy: Path, setting: str, said: int, rows: int
) -> None:
    change(copy / "config.json", **{setting: said})
    with pytest.raises(StudentError, match=rf"config.json says {setting} = {said}, and the weights have {rows} rows"):
        check_claims(find_student(configured(copy)))


def test_a_single_file_of_a_folder_is_sent_to_its_folder(copy: Path) -> None:
    with pytest.raises(StudentError, match=rf"Give its folder, {copy}, or a .gguf file"):
        find_student(configured(copy / "config.json"))


@pytest.mark.parametrize("name", ["chat_template.jinja", "additional_chat_templates/tools.jinja"])
def test_chat_templates_stand_in_the_key(copy: Path, student_folder: Path, name: str) -> None:
    plain, template = student_key(configured(student_folder)), copy / name
    assert student_key(configured(copy)) == plain
    template.parent.mkdir(exist_ok=True)
    template.write_text("{{ messages[0]['content'] }}")
    one = student_key(configured(copy))
    template.write_text("Q: {{ messages[0]['content'] }}")
    assert len({plain, one, student_key(configured(copy))}) == 3


def test_the_keys_of_folders_without_templates_are_those_of_earlier_versions() -> None:
    assert student_key(StudentConfig(path="lab")) == "90c24b1ee4fe"
    assert student_key(StudentConfig(path="gpt2", revision="main")) == "7b2d60f123aa"


# ---- tokenizers that have more entries than the model


def add(folder: Path, *tokens: str, special: bool = True, **roles: str) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken(token, special=special) for token in tokens])
    tokenizer.add_special_tokens(roles)
    tokenizer.save_pretrained(folder)


def test_a_padding_token_that_the_model_lacks_is_no_matter(copy: Path, student_folder: Path) -> None:
    add(copy, pad_token="[PAD]")
    student = load_student(configured(copy))
    assert student.unknown_ids == {257}
    assert student.encode_prompt("Is it?") == load_student(configured(student_folder)).encode_prompt("Is it?")
    for encode in (student.encode_prompt, student.encode_completion):
        token_ids = encode("It is [PAD] here.")
        assert student.decode(token_ids) == "It is [PAD] here." and max(token_ids) < 257


def test_a_chat_template_that_writes_a_token_without_an_embedding_is_named(copy: Path) -> None:
    add(copy, pad_token="[PAD]")
    (copy / "chat_template.jinja").write_text("{{ messages[0].content + pad_token }}")
    with pytest.raises(StudentError, match=r"holds '\[PAD\]', which .* has no embedding for.*resize_token_emb"):
        load_student(configured(copy))


@pytest.mark.parametrize(
    ("tokens", "special", "roles"), [((" word",), False, {}), ((), True, {"eos_token": "<|im_end|>"})]
)
def test_tokens_that_texts_hold_need_embeddings(
    copy: Path, tokens: tuple[str, ...], special: bool, roles: dict[str, str]
) -> None:
    add(copy, *tokens, special=special, **roles)
    with pytest.raises(StudentError, match=r"1 added tokens .*beyond the 257 embeddings.*resize_token_embeddings\(len"):
        load_student(configured(copy))


def test_a_head_that_is_neither_there_nor_the_embeddings_is_refused(copy: Path) -> None:
    change(copy / "config.json", tie_word_embeddings=False)
    with pytest.raises(StudentError, match=r"incomplete: lm_head\.weight and so on would be random"):
        load_student(configured(copy))


def test_embeddings_beyond_the_tokenizer_are_no_matter(copy: Path) -> None:
    student = load_student(configured(copy))
    student.model.resize_token_embeddings(320, mean_resizing=False)
    student.model.save_pretrained(copy)
    assert load_student(configured(copy)).model.get_input_embeddings().weight.shape[0] == 320


def test_several_tokens_may_end_a_text_and_those_that_are_none_are_left_out(copy: Path) -> None:
    change(copy / "generation_config.json", eos_token_id=[0, 17, 4, -1, 99_999])
    assert load_student(configured(copy)).eos_ids == (0, 4, 17)
