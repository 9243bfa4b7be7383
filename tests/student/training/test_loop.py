import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sert.config.tree import StudentConfig, TrainingConfig
from sert.errors import DataError, NonFiniteError, OutOfMemoryError
from sert.records import Example
from sert.store.artifacts import Artifact
from sert.student.load import Student, load_student, make_student
from sert.student.source import trained_student
from sert.student.training.batching import (
    EncodedExample,
    batch_order,
    collate,
    collate_in_a_row,
    encode_example,
    micro_batches,
)
from sert.student.training.curve import READ_EVERY, LossCurve
from sert.student.training.loop import loss_sum, train_student
from sert.student.training.stage import train
from sert.terminal.progress import Advance, Silent
from tests_support import make_tokenizer, tiny_gpt2, tiny_llama
from training_support import plain_losses

EXAMPLES = [
    Example(
        f"q{i}", f"Question: Is {i} odd?\nAnswer:", f" So the answer is {'yes' if i % 2 else 'no, it is not'}.", "label"
    )
    for i in range(16)
]


def fresh() -> Student:
    tokenizer = make_tokenizer()
    return make_student(tiny_gpt2(len(tokenizer), scale=0.05), tokenizer, name="tiny")


def losses(config: TrainingConfig, tmp_path: Path, *, seed: int = 0) -> list[float]:
    file = tmp_path / "loss.jsonl"
    train_student(fresh(), EXAMPLES, config, seed=seed, loss_file=file)
    return [json.loads(line)["loss"] for line in file.read_text().splitlines()]


@pytest.mark.parametrize("in_a_row", [False, True])
def test_micro_batches_change_nothing(in_a_row: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if in_a_row:
        monkeypatch.setattr("sert.student.training.loop.ROW_WEIGHTS", 0)
    config = TrainingConfig(batch_size=8, max_steps=6, learning_rate=1e-3)
    curves = [losses(config.model_copy(update={"micro_batch_size": size}), tmp_path) for size in (8, 4, 2, 1, 3)]
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], rel=1e-5)


@pytest.mark.parametrize("micro_batch_size", [None, 3])
def test_texts_in_a_row_change_nothing(
    micro_batch_size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainingConfig(batch_size=8, max_steps=6, learning_rate=1e-2, micro_batch_size=micro_batch_size)
    padded = losses(config, tmp_path)
    monkeypatch.setattr("sert.student.training.loop.ROW_WEIGHTS", 0)
    made = []
    monkeypatch.setattr(
        "sert.student.training.loop.collate_in_a_row",
        lambda part, *, device: made.append(len(part)) or collate_in_a_row(part, device=device),
    )
    assert losses(config, tmp_path) == pytest.approx(padded, rel=1e-4)
    assert sum(made) == 6 * 8 and max(made) == (micro_batch_size or 8)


def test_autocast_trains_in_a_row_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(batch_size=8, max_steps=4, learning_rate=1e-2, autocast="bf16")
    plain = losses(config, tmp_path)
    monkeypatch.setattr("sert.student.training.loop.ROW_WEIGHTS", 0)
    assert losses(config, tmp_path) == pytest.approx(plain, rel=2e-2)


def test_autocast_trains_students_with_rotary_positions_and_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sert.student.training.loop.ROW_WEIGHTS", 0)
    tokenizer = make_tokenizer()
    model = tiny_llama(len(tokenizer), scale=0.05)
    model.config.attention_dropout = 0.1
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.1
    config = TrainingConfig(batch_size=8, max_steps=12, learning_rate=1e-2, autocast="bf16")
    first = train_student(make_student(model, tokenizer, name="llama"), EXAMPLES, config, seed=0)
    assert first.last_loss < 4 and model.dtype == torch.float32


def test_the_loss_is_the_mean_over_the_supervised_tokens_of_the_step(tmp_path: Path) -> None:
    student = fresh()
    encoded = [encode_example(student, example, loss_on_prompt=False) for example in EXAMPLES]
    total, count = 0.0, 0
    with torch.no_grad():
        for example in encoded:
            ids = torch.tensor([example.token_ids])
            shares = student.model(ids).logits[0].log_softmax(-1)
            for position in range(example.num_masked, len(example.token_ids)):
                total -= float(shares[position - 1, example.token_ids[position]])
                count += 1
    first = losses(TrainingConfig(batch_size=16, micro_batch_size=4, max_steps=1), tmp_path)[0]
    assert first == pytest.approx(total / count, rel=1e-4)


def plain_loop(steps: int, *, batch_size: int, learning_rate: float) -> list[float]:
    student = fresh()
    return plain_losses(
        student.model, student, EXAMPLES, steps=steps, batch_size=batch_size, rate=learning_rate, seed=0
    )


@pytest.mark.parametrize("row_weights", [0, 10**7])
def test_the_losses_are_those_of_a_plain_loop(
    row_weights: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sert.student.training.loop.ROW_WEIGHTS", row_weights)
    config = TrainingConfig(batch_size=8, max_steps=8, learning_rate=1e-2)
    expected = plain_loop(8, batch_size=8, learning_rate=1e-2)
    assert losses(config, tmp_path) == pytest.approx(expected, rel=1e-4)
    assert expected[-1] < 0.8 * expected[0]


def test_padding_and_neighbours_do_not_change_a_loss() -> None:
    student = fresh()
    encoded = [encode_example(student, example, loss_on_prompt=False) for example in EXAMPLES[:4]]
    with torch.no_grad():
        together = float(loss_sum(student.model, collate(encoded, device=torch.device("cpu"))))
        alone = sum(float(loss_sum(student.model, collate([each], device=torch.device("cpu")))) for each in encoded)
    assert together == pytest.approx(alone, rel=1e-5)


def test_prompt_is_masked_and_end_of_text_is_trained() -> None:
    student = fresh()
    encoded = encode_example(student, Example("q", "ab", "cd", "label"), loss_on_prompt=False)
    batch = collate([encoded], device=torch.device("cpu"))
    assert batch.targets_N.tolist() == [*student.encode_completion("cd"), 0] and batch.rows_N.tolist() == [1, 2, 3]
    everything = encode_example(student, Example("q", "ab", "cd", "label"), loss_on_prompt=True)
    batch = collate([everything, encoded], device=torch.device("cpu"))
    assert batch.targets_N.tolist() == [*student.encode_completion("bcd"), 0, *student.encode_completion("cd"), 0]
    assert batch.rows_N.tolist() == [0, 1, 2, 3, 6, 7, 8]
    assert everything.num_supervised == 4 and encoded.num_supervised == 3


def of_length(length: int) -> EncodedExample:
    return EncodedExample([7] * length, 2)


@pytest.mark.parametrize(
    ("lengths", "max_size", "pass_tokens", "parts"),
    [
        ([10, 30, 11], 3, 5, [[10, 11], [30]]),  # 22 + 30 + two passes = 62; one pass: 90 + 5
        ([10, 30, 11], 3, 40, [[10, 11, 30]]),  # two passes: 52 + 80; one: 90 + 40
        ([10, 10, 10], 2, 0, [[10], [10, 10]]),
        ([10, 30, 11], 2, None, [[10, 11], [30]]),
        ([10, 30, 31], 2, None, [[10], [30, 31]]),
        ([10, 30, 90], 3, None, [[10, 30, 90]]),
    ],
)
def test_micro_batches_are_the_cheapest(lengths, max_size, pass_tokens, parts) -> None:
    made = micro_batches([of_length(length) for length in lengths], max_size=max_size, pass_tokens=pass_tokens)
    assert [[len(example.token_ids) for example in part] for part in made] == parts


def test_order_is_a_function_of_seed_and_epoch() -> None:
    first, second = batch_order(10, batch_size=4, seed=1), batch_order(10, batch_size=4, seed=1)
    epochs = [[next(first) for _ in range(3)] for _ in range(2)]
    assert epochs == [[next(second) for _ in range(3)] for _ in range(2)]
    assert [sorted(index for batch in epoch for index in batch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert next(batch_order(10, batch_size=4, seed=2)) != epochs[0][0]


def test_training_learns_and_repeats_itself(tmp_path: Path) -> None:
    config = TrainingConfig(batch_size=8, epochs=10, learning_rate=3e-3)
    curve = losses(config, tmp_path)
    assert len(curve) == 20
    assert curve[-1] < curve[0] / 2
    assert losses(config, tmp_path) == curve
    assert losses(config, tmp_path, seed=1) != curve


def test_dropout_repeats_itself(tmp_path: Path) -> None:
    def curve() -> list[float]:
        student = fresh()
        for module in student.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.3
        torch.rand(3)
        file = tmp_path / "loss.jsonl"
        train_student(student, EXAMPLES, TrainingConfig(max_steps=3), seed=0, loss_file=file)
        return [json.loads(line)["loss"] for line in file.read_text().splitlines()]

    assert curve() == curve()


def test_warm_up_works_with_every_schedule(tmp_path: Path) -> None:
    file = tmp_path / "loss.jsonl"
    for schedule in ("constant", "linear", "cosine"):
        config = TrainingConfig(max_steps=4, warmup_steps=2, learning_rate=1e-3, schedule=schedule)
        train_student(fresh(), EXAMPLES, config, seed=0, loss_file=file)
        rates = [json.loads(line)["lr"] for line in file.read_text().splitlines()]
        assert rates[:3] == pytest.approx([0.0, 5e-4, 1e-3])


def test_a_step_that_is_not_finite_is_not_applied() -> None:
    student = fresh()
    with torch.no_grad():
        student.model.transformer.h[0].mlp.c_fc.weight[0, 0] = math.nan
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    with pytest.raises(NonFiniteError, match="step 1"):
        train_student(student, EXAMPLES, TrainingConfig(max_steps=3), seed=0)
    after = student.model.state_dict()
    assert all(torch.equal(before[name], after[name]) or "c_fc" in name for name in before)


class GrowsBad(torch.nn.Module):
    """A head that turns the scores into something else at its `after`-th use."""

    def __init__(self, head: torch.nn.Module, *, after: int, to: float = math.nan) -> None:
        super().__init__()
        self.head, self.uses, self.after, self.to = head, 0, after, to

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        self.uses += 1
        return self.head(hidden) * (self.to if self.uses == self.after else 1.0)


def test_a_later_step_that_is_not_finite_is_named_and_leaves_the_weights_as_they_were() -> None:
    good, bad = fresh(), fresh()
    train_student(good, EXAMPLES, TrainingConfig(max_steps=2, batch_size=1), seed=0)
    head = bad.model.lm_head
    bad.model.lm_head = GrowsBad(head, after=3)
    with pytest.raises(NonFiniteError, match="at step 3"):
        train_student(bad, EXAMPLES, TrainingConfig(max_steps=5, batch_size=1), seed=0)
    bad.model.lm_head = head
    for name, value in good.model.state_dict().items():
        torch.testing.assert_close(bad.model.state_dict()[name], value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["loss", "gradient", "weight"])
def test_what_is_not_finite_changes_no_weight_wherever_it_comes_from(place: str, value: float) -> None:
    student = fresh()
    weight = student.model.transformer.h[1].mlp.c_proj.weight
    if place == "loss":  # at the third step, and in one of its micro-batches only
        student.model.lm_head = GrowsBad(student.model.lm_head, after=2 * 4 + 2, to=value)
    elif place == "gradient":
        calls = iter(range(1, 10**6))
        weight.register_hook(lambda grad: torch.full_like(grad, value) if next(calls) == 2 * 4 + 2 else grad)
    else:
        with torch.no_grad():
            weight[0, 0] = value
    seen: list[dict[str, torch.Tensor]] = []

    class Watching(Silent):
        @contextmanager
        def track(self, label: str, total: int, unit: str) -> Iterator[Advance]:
            yield lambda units, note="": seen.append(weights_of(student))

    seen.append(weights_of(student))
    config = TrainingConfig(max_steps=5, batch_size=8, micro_batch_size=2)
    with pytest.raises(NonFiniteError, match="step 1;" if place == "weight" else "step 3;"):
        train_student(student, EXAMPLES, config, seed=0, reporter=Watching())
    assert len(seen) == (2 if place == "weight" else 4)  # before the first step, when it began, after each good one
    for name, before in seen[-1].items():
        assert torch.equal(before, weights_of(student)[name]) or (place == "weight" and "1.mlp.c_proj" in name)


def weights_of(student: Student) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in student.model.named_parameters()}


class Exhausted(torch.nn.Module):
    """A head that needs more memory than there is for more than so many texts."""

    def __init__(self, head: torch.nn.Module, *, most: int, error: Exception) -> None:
        super().__init__()
        self.head, self.most, self.error, self.seen = head, most, error, []
        self.texts = 0

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.texts > self.most:
            raise self.error
        self.seen.append(self.texts)
        return self.head(hidden)


ALLOCATION = "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"


def exhausted(student: Student, *, most: int, error: Exception) -> Exhausted:
    head = Exhausted(student.model.lm_head, most=most, error=error)
    student.model.lm_head = head
    student.model.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: setattr(head, "texts", len(args[0])), with_kwargs=True
    )
    return head


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(ALLOCATION), MemoryError()]
)
@pytest.mark.parametrize("most", [1, 3])
def test_out_of_memory_shrinks_micro_batches_and_nothing_else(error: Exception, most: int, tmp_path: Path) -> None:
    config = TrainingConfig(batch_size=8, max_steps=6, learning_rate=1e-3)
    student = fresh()
    head = exhausted(student, most=most, error=error)
    file = tmp_path / "small.jsonl"
    result = train_student(student, EXAMPLES, config, seed=0, loss_file=file)
    found = [json.loads(line)["loss"] for line in file.read_text().splitlines()]
    assert found == pytest.approx(losses(config, tmp_path), rel=1e-5)
    assert result.steps == 6 and result.micro_batch_shrunk_to is not None
    assert max(head.seen) <= result.micro_batch_shrunk_to <= most
    assert sum(head.seen) >= 6 * 8


def test_an_example_too_large_for_the_memory_is_refused() -> None:
    student = fresh()
    before = weights_of(student)
    exhausted(student, most=0, error=MemoryError())
    with pytest.raises(OutOfMemoryError, match=r"micro-batch of 1\. Lower training\.max_length"):
        train_student(student, EXAMPLES, TrainingConfig(max_steps=2), seed=0)
    assert all(
        torch.equal(value, weights_of(student)[name.replace("lm_head.", "lm_head.head.")])
        for name, value in before.items()
    )


def test_other_errors_are_no_lack_of_memory() -> None:
    student = fresh()
    exhausted(student, most=3, error=RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train_student(student, EXAMPLES, TrainingConfig(max_steps=2), seed=0)


def test_a_broken_step_and_what_follows_is_left_out_by_the_optimizer_itself() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    for found_inf, expected in ((0.0, 0.9), (1.0, 0.9)):
        optimizer.found_inf = torch.tensor(found_inf)
        weight.grad = torch.full((3,), math.nan if found_inf else 1.0)
        optimizer.step()
        assert weight.tolist() == pytest.approx([expected] * 3, abs=2e-3)


@pytest.mark.parametrize("max_norm", [0.05, 1e3])
def test_clipping_is_torchs(max_norm: float, tmp_path: Path) -> None:
    student, plain = fresh(), fresh().model.train()
    file = tmp_path / "loss.jsonl"
    config = TrainingConfig(batch_size=16, max_steps=4, learning_rate=1e-2, max_grad_norm=max_norm)
    train_student(student, EXAMPLES, config, seed=0, loss_file=file)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.0)
    batch = collate(
        [encode_example(student, example, loss_on_prompt=False) for example in EXAMPLES], device=torch.device("cpu")
    )
    for line in file.read_text().splitlines():
        (loss_sum(plain, batch) / len(batch.targets_N)).backward()
        norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), max_norm)
        assert json.loads(line)["grad_norm"] == pytest.approx(norm.item(), rel=1e-3)
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in plain.state_dict().items():
        if not name.endswith(
            "c_attn.bias"
        ):  # a key's bias has no gradient but rounding; Adam takes whole steps of that
            torch.testing.assert_close(student.model.state_dict()[name], weight, rtol=1e-3, atol=1e-4)


def test_a_curve_is_read_now_and_then_and_at_the_end() -> None:
    curve = LossCurve("train", [], read_every=READ_EVERY)
    read = [curve.add(torch.tensor(i), torch.tensor(1.0), 0.1, last=i == READ_EVERY + 1) for i in range(READ_EVERY + 2)]
    assert [count for count in read if count] == [READ_EVERY, 2]
    assert [line["loss"] for line in curve.lines] == list(range(READ_EVERY + 2))
    assert [line["step"] for line in curve.lines] == list(range(1, READ_EVERY + 3))


def test_a_curve_names_the_first_step_that_is_not_finite() -> None:
    curve = LossCurve("train", [], read_every=3)
    curve.add(torch.tensor(1.0), torch.tensor(1.0), 0.1, last=False)
    curve.add(torch.tensor(1.0), torch.tensor(math.inf), 0.1, last=False)
    with pytest.raises(NonFiniteError, match=r"norm inf at step 2"):
        curve.add(torch.tensor(math.nan), torch.tensor(1.0), 0.1, last=False)


def test_too_long_examples_are_counted_and_only_such_are_refused() -> None:
    result = train_student(
        fresh(),
        [*EXAMPLES, replace(EXAMPLES[0], completion="x" * 90)],
        TrainingConfig(max_length=100, max_steps=1),
        seed=0,
    )
    assert (result.examples, result.too_long) == (16, 1)
    with pytest.raises(DataError, match="longest allowed: 10 tokens"):
        train_student(fresh(), EXAMPLES, TrainingConfig(max_length=10), seed=0)


def test_examples_beyond_the_students_positions_are_left_out() -> None:
    long = replace(EXAMPLES[0], completion="x" * 200)
    assert train_student(fresh(), [*EXAMPLES, long], TrainingConfig(max_steps=1), seed=0).too_long == 1


def test_the_trained_folder_loads_and_generates(student_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    start = StudentConfig(path=str(student_folder), device="cpu")
    trained = train(EXAMPLES, start, out=tmp_path / "out", config=TrainingConfig(max_steps=2), label="sert")
    assert isinstance(trained, Artifact) and trained.counts["steps"] == 2
    model = AutoModelForCausalLM.from_pretrained(trained.file("model"))
    tokenizer = AutoTokenizer.from_pretrained(trained.file("model"))
    ids = tokenizer("Question:", return_tensors="pt")
    assert model.generate(**ids, max_new_tokens=3, pad_token_id=0).shape[1] <= ids["input_ids"].shape[1] + 3
    card = trained.file("model/README.md").read_text()
    assert "learning_rate | 0.0003" in card and str(student_folder) not in card
    assert not list(trained.folder.rglob("*.bin")) and not list(trained.folder.rglob("*.pt"))
    again = load_student(trained_student(trained, like=start))
    assert torch.equal(again.model.lm_head.weight, model.lm_head.weight)


def test_training_starts_from_the_given_student_and_not_from_an_earlier_training(
    student_folder: Path, tmp_path: Path
) -> None:
    start = StudentConfig(path=str(student_folder), device="cpu")
    first = train(EXAMPLES, start, out=tmp_path / "a", config=TrainingConfig(max_steps=2))
    second = train(EXAMPLES, start, out=tmp_path / "b", config=TrainingConfig(max_steps=2))
    assert first.manifest["outputs"]["model/model.safetensors"] == second.manifest["outputs"]["model/model.safetensors"]
