"""Examples for TRL hold the tokens that are trained here, and its trainer computes the same loss from them."""

import json
import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import six_tokenizers
from exported_results import LAB, source_of
from sert.config.tree import StudentConfig, TrainingConfig
from sert.errors import DataError
from sert.export.trl import KINDS, write_trl
from sert.records import Example
from sert.store.tables import read_table
from sert.student.load import Student, load_student
from sert.student.training.batching import encode_example
from sert.student.training.stage import train
from tests_support import tiny_llama

FORMS = ("prompt-completion", "conversational")


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trl")
    written = write_trl(source_of(trained, KINDS), folder)
    assert written.files == {form: f"trained.{form}.parquet" for form in FORMS}
    assert written.told == ["3 of 4 examples; the student is asked by plain prompts"]
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_the_tokens_and_masks_are_those_of_the_training(
    exported: Path, trained: Path, student: Student, form: str
) -> None:
    rows = pq.read_table(exported / f"trained.{form}.parquet").to_pylist()
    examples = read_table(trained / "examples.parquet", Example)
    assert [row["question_id"] for row in rows] == ["q0", "q1", "q2"]
    for row, example in zip(rows, examples, strict=False):
        encoded = encode_example(student, example, loss_on_prompt=False)
        assert row["input_ids"] == encoded.token_ids
        assert row["completion_mask"].index(1) == encoded.num_masked
        assert sum(row["completion_mask"]) == len(encoded.token_ids) - encoded.num_masked


def test_texts_and_messages_say_the_same(exported: Path) -> None:
    texts, turns = (pq.read_table(exported / f"trained.{form}.parquet").to_pylist() for form in FORMS)
    assert texts[1]["prompt"] == "Question: Is it 5 | 6?\nAnswer:"
    assert texts[1]["completion"] == " So the answer is no."
    assert turns[1]["prompt"] == [{"role": "user", "content": "Question: Is it 5 | 6?\nAnswer:"}]
    assert turns[1]["completion"] == [{"role": "assistant", "content": "So the answer is no."}]


def test_the_tokens_can_be_those_of_another_student(trained: Path, tmp_path: Path) -> None:
    write_trl(source_of(trained, KINDS), tmp_path, student=LAB)
    (first, *_) = pq.read_table(tmp_path / "trained.conversational.parquet").to_pylist()
    example = read_table(trained / "examples.parquet", Example)[0]
    assert first["input_ids"] == encode_example(load_student(LAB), example, loss_on_prompt=False).token_ids


def test_without_a_student_there_are_no_tokens(trained: Path, tmp_path: Path) -> None:
    source = source_of(trained, KINDS)
    filtered = source._replace(artifact=type(source.artifact)(trained, source.artifact.manifest | {"stage": "filter"}))
    with pytest.raises(DataError, match=r"was made by `filter`; --student says whose tokens"):
        write_trl(filtered, tmp_path)


def test_a_chat_student_has_its_turns_around_the_tokens_and_its_system_text_among_the_messages(tmp_path: Path) -> None:
    tokenizer = six_tokenizers.smollm2()
    tiny_llama(len(tokenizer)).save_pretrained(tmp_path / "chatty")
    tokenizer.save_pretrained(tmp_path / "chatty")
    start = StudentConfig(path=str(tmp_path / "chatty"), system="Be brief.", device="cpu")
    example = Example("q", "Is ice cold?", " So the answer is yes.", "label")
    trained = train([example], start, out=tmp_path / "trained", config=TrainingConfig(max_steps=1)).folder
    written = write_trl(source_of(trained, KINDS), tmp_path)
    assert written.told == ["1 of 1 examples; the student is asked by its chat template"]
    (row,) = pq.read_table(tmp_path / written.files["conversational"]).to_pylist()
    assert row["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Is ice cold?"},
    ]
    masked = row["completion_mask"].count(0)
    opened = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=True, return_dict=False)
    assert row["input_ids"][:masked] == opened
    assert tokenizer.decode(row["input_ids"][masked:-1]) == "So the answer is yes."


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
def test_the_trainer_of_trl_has_our_loss(
    exported: Path, trained: Path, student_folder: Path, tmp_path: Path, form: str
) -> None:
    with warnings.catch_warnings():  # of the library, which are not ours
        warnings.simplefilter("ignore")
        trl = pytest.importorskip("trl", exc_type=ImportError)
        datasets = pytest.importorskip("datasets", exc_type=ImportError)
    rows = datasets.Dataset(pq.read_table(exported / f"trained.{form}.parquet"))
    config = trl.SFTConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=len(rows),
        max_steps=1,
        max_length=None,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    theirs = trl.SFTTrainer(str(student_folder), args=config, train_dataset=rows).train().training_loss
    ours = json.loads((trained / "loss.jsonl").read_text(encoding="utf-8"))["loss"]
    assert theirs == pytest.approx(ours, abs=1e-4)
