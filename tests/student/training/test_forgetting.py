"""Held-out texts are scored before and after a training, as plain forward passes score them."""

import json
import math
from pathlib import Path

import pytest
import torch

from sert.config.tree import StudentConfig, TrainingConfig
from sert.errors import DataError
from sert.records import Example, HeldOutScore
from sert.store.tables import StoredTable
from sert.student.load import Student, make_student
from sert.student.training.forgetting import score
from sert.student.training.held_out import Choice, HeldOut, read_held_out
from sert.student.training.stage import train
from tests_support import make_tokenizer, tiny_llama

TEXTS = ("Birds sing at dawn.", "Iron rusts.", "The moon is far from here, and it is cold.")
CHOICES = (
    Choice("Water is", (" wet.", " made of sand and of bread."), 0),
    Choice("Two and two are", (" nine.", " four."), 1),
    Choice("Ice is", (" hot.", " cold.", " loud and clear."), 1),
)


def fresh() -> Student:
    tokenizer = make_tokenizer()
    return make_student(tiny_llama(len(tokenizer)), tokenizer, name="tiny")


def plain_sum(student: Student, token_ids: list[int], first: int) -> float:
    """Sum the log-probabilities from one position on, by one forward pass."""
    with torch.no_grad():
        shares = student.model(torch.tensor([token_ids])).logits[0].log_softmax(-1)
    return sum(float(shares[at - 1, token_ids[at]]) for at in range(first, len(token_ids)))


def test_the_scores_are_those_of_plain_forward_passes() -> None:
    student = fresh()
    found = score(student, HeldOut(TEXTS, CHOICES), max_length=100)
    texts = [student.encode_prompt(text) for text in TEXTS]
    total = sum(plain_sum(student, ids, 1) for ids in texts)
    assert found.perplexity == pytest.approx(math.exp(-total / sum(len(ids) - 1 for ids in texts)), rel=1e-4)
    rights, hits = [], 0
    for choice in CHOICES:
        context, sums = student.encode_prompt(choice.context), []
        for ending in choice.endings:
            ids = student.encode_completion(ending)
            sums.append((plain_sum(student, [*context, *ids], len(context)), len(ids), len(ending)))
        rights.append(sums[choice.right][0] / sums[choice.right][1])
        shares = [each / characters for each, _, characters in sums]
        hits += shares.index(max(shares)) == choice.right
    assert found.right_ending == pytest.approx(sum(rights) / 3, rel=1e-4)
    assert found.accuracy == hits / 3


def test_long_texts_are_cut_and_long_contexts_lose_their_beginning() -> None:
    student = fresh()
    cut = score(student, HeldOut((TEXTS[2],), (CHOICES[0],)), max_length=12)
    ids = student.encode_prompt(TEXTS[2])[:12]
    assert cut.perplexity == pytest.approx(math.exp(-plain_sum(student, ids, 1) / 11), rel=1e-4)
    end = student.encode_completion(" wet.")
    context = student.encode_prompt("Water is")[-7:]
    assert len(end) + len(context) == 12
    assert cut.right_ending == pytest.approx(plain_sum(student, [*context, *end], 7) / 5, rel=1e-4)


def test_what_is_not_there_has_no_score() -> None:
    assert score(fresh(), HeldOut((), CHOICES[:1]), max_length=50).perplexity is None
    assert score(fresh(), HeldOut(TEXTS[:1], ()), max_length=50)[1:] == (None, None)


def write(file: Path, *lines: object) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_both_kinds_of_lines_are_read(tmp_path: Path) -> None:
    choice = {"context": "Ice is", "endings": [" hot.", " cold."], "right": 1}
    file = write(tmp_path / "a.jsonl", {"text": "Iron rusts."}, choice)
    assert read_held_out(file) == HeldOut(("Iron rusts.",), (Choice("Ice is", (" hot.", " cold."), 1),))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"text": " "}, "line 1: `text` must be a text"),
        ({"context": "a", "endings": ["b"], "right": 0}, "`endings` must be two texts"),
        ({"context": "a", "endings": ["b", ""], "right": 0}, "`endings` must be two texts"),
        ({"context": "a", "endings": ["b", "c"], "right": 2}, "`right` must be the index"),
        ({"context": "a", "endings": ["b", "c"], "right": True}, "`right` must be the index"),
        ({"endings": ["b", "c"], "right": 0}, "`context` must be a text"),
        ("", "a JSON object is needed"),
    ],
)
def test_lines_of_another_form_are_refused(line: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        read_held_out(write(tmp_path / "a.jsonl", line))


def test_a_file_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no texts"):
        read_held_out(write(tmp_path / "a.jsonl"))


def test_a_training_tells_what_it_costs_elsewhere_and_is_the_same_training(
    student_folder: Path, tmp_path: Path
) -> None:
    examples = [Example(f"q{i}", f"Is {i} odd?", " So the answer is yes.", "label") for i in range(8)]
    start = StudentConfig(path=str(student_folder), device="cpu")
    held_out = write(tmp_path / "held-out.jsonl", *({"text": text} for text in TEXTS))
    plain = TrainingConfig(max_steps=3, learning_rate=1e-2)
    asked = plain.model_copy(update={"forgetting": held_out})
    without = train(examples, start, out=tmp_path / "without", config=plain)
    scored = train(examples, start, out=tmp_path / "scored", config=asked)
    told = scored.counts["forgetting"]
    assert (told["texts"], told["choices"], set(told)) == (3, 0, {"texts", "choices", "perplexity"})
    before, after = told["perplexity"]
    assert before != after and "forgetting" not in without.counts
    rows = list(StoredTable(scored.file("forgetting.parquet"), HeldOutScore))
    assert [(row.kind, row.number, row.right_before) for row in rows] == [("text", place, None) for place in range(3)]
    tokens = sum(row.num_tokens for row in rows)
    assert math.exp(-sum(row.logprob_before for row in rows) / tokens) == before
    assert math.exp(-sum(row.logprob_after for row in rows) / tokens) == after
    assert not (without.folder / "forgetting.parquet").exists()
    weights = "model/model.safetensors"
    assert scored.manifest["outputs"][weights] == without.manifest["outputs"][weights]
    assert str(held_out) not in scored.file("model/README.md").read_text()

    moved = write(tmp_path / "moved.jsonl", *({"text": text} for text in TEXTS))
    again = train(examples, start, out=tmp_path / "scored", config=plain.model_copy(update={"forgetting": moved}))
    assert again.manifest == scored.manifest  # its content counts, not its name
    other = write(tmp_path / "other.jsonl", {"text": "Iron rusts."})
    with pytest.raises(DataError, match="another result"):
        train(examples, start, out=tmp_path / "scored", config=plain.model_copy(update={"forgetting": other}))
