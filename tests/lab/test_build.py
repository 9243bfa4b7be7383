from pathlib import Path

import pytest

from sert.config.tree import StudentConfig
from sert.lab.build import build_lab_student, compare_with_shipped
from sert.lab.world import ANIMALS, ATTRIBUTES, PEOPLE
from sert.store.artifacts import Artifact
from sert.student.folder import LAB_STUDENT
from sert.student.load import Student, load_student


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return build_lab_student(out=tmp_path_factory.mktemp("lab") / "a", seed=0, steps=2)


@pytest.fixture(scope="module")
def shipped() -> Student:
    return load_student(StudentConfig(path="lab", device="cpu"))


def test_the_same_seed_builds_the_same_bytes(built: Artifact, tmp_path: Path) -> None:
    again = build_lab_student(out=tmp_path / "b", seed=0, steps=2)
    assert again.manifest["outputs"]["model/model.safetensors"] == built.manifest["outputs"]["model/model.safetensors"]
    other = build_lab_student(out=tmp_path / "c", seed=1, steps=2)
    assert other.manifest["outputs"]["model/model.safetensors"] != built.manifest["outputs"]["model/model.safetensors"]


def test_two_steps_are_not_the_shipped_student(built: Artifact) -> None:
    assert compare_with_shipped(built)["same_as_shipped"] is False


def test_the_shipped_tokenizer_is_the_one_that_is_built(built: Artifact) -> None:
    assert (LAB_STUDENT / "tokenizer.json").read_bytes() == built.file("model/tokenizer.json").read_bytes()


def test_every_word_of_the_world_is_one_token(shipped: Student) -> None:
    attributes = ATTRIBUTES.values()
    words = [*PEOPLE, *ANIMALS, *(attribute.verb_s for attribute in attributes), "yes", "no"]
    words += [value for attribute in attributes for value in attribute.values]
    assert [word for word in words if len(shipped.encode_completion(f" {word}")) != 1] == []


def test_any_text_can_be_encoded(shipped: Student) -> None:
    for text in ("Überraschung 🎉", "\x00\x1b\u2028", "x" * 1000):
        assert shipped.decode(shipped.encode_completion(text)) == text


def test_the_shipped_student_is_small_and_ordinary(shipped: Student) -> None:
    assert 500_000 < shipped.model.num_parameters() < 1_500_000
    assert shipped.model.config.architectures == ["GPT2LMHeadModel"]
    assert sorted(file.suffix for file in LAB_STUDENT.iterdir() if file.suffix != ".json") == [".safetensors"]
