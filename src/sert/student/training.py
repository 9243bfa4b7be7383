"""The one training loop. Finetune, SERT, RD and SERT+RD differ only in the examples they pass.

The loss is the next-token cross-entropy over the supervised tokens of the whole optimizer step, so micro-batches and
processes change nothing but rounding and, for students with dropout, where the dropout falls.
"""

import json
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sert.config import TrainingConfig
from sert.errors import DataError, NonFiniteError
from sert.progress import Reporter, Silent
from sert.records import Example
from sert.seeds import derive_seed
from sert.student.batching import (
    Batch,
    EncodedExample,
    batch_order,
    collate,
    collate_in_a_row,
    encode_example,
    micro_batches,
)
from sert.student.dropout import fast_dropout
from sert.student.fastmath import fast_activations, freed_memory_kept, head_on_rows, model_in_a_row, texts_in_a_row
from sert.student.load import Student
from sert.student.losses import cross_entropy_sum

PASS_TOKENS = 48
"""What a pass costs on a CPU besides its tokens, in tokens: gradients of all weights are added up once more."""

ROW_WEIGHTS = 10**7
"""Weights from which on texts stand in a row. In the lab's student (a million) attention text by text would make 694
calls of torch a step instead of 514, for 3 % less to compute."""

CLIP_EPSILON = 1e-6
"""What torch's own clipping adds to a norm before it divides by it."""

READ_EVERY = 16
"""Steps between readings of loss and gradient norm from an accelerator, which must not wait for its host."""


class TrainingResult(NamedTuple):
    """What a training did: steps, examples used and left out, supervised tokens seen, and the last step's loss."""

    steps: int
    examples: int
    too_long: int
    supervised_tokens: int
    last_loss: float


def loss_sum(model: Any, batch: Batch, *, head: nn.Module | None = None) -> Tensor:
    """Sum the next-token cross-entropy over the supervised tokens: -sum_t log p(x_t | x_<t), in nats.

    Args:
        model: The language model, or what wraps it for several processes.
        batch: What it reads and what it is to predict.
        head: The model's output embeddings, to be applied where a supervised token is predicted and nowhere else.
    """
    examples, tokens = batch.input_ids_BT.shape
    with head_on_rows(head, batch.rows_N, shape=(examples, tokens)):
        if batch.lengths is not None:
            logits = model_in_a_row(model, batch.input_ids_BT, batch.lengths).logits
        else:
            logits = model(input_ids=batch.input_ids_BT, use_cache=False).logits
    logits_NV = logits.flatten(0, -2)
    if len(logits_NV) == examples * tokens:  # of every position; the last one of a text is never supervised
        logits_NV = logits_NV.index_select(0, batch.rows_N)
    return cross_entropy_sum(logits_NV, batch.targets_N)


def train_student(
    student: Student,
    examples: Sequence[Example],
    config: TrainingConfig,
    *,
    seed: int,
    loss_file: Path | None = None,
    label: str = "train",
    reporter: Reporter | None = None,
) -> TrainingResult:
    """Train the student in place.

    Under `accelerate launch` or `torchrun` each process takes its share of a step's micro-batches.

    Args:
        student: The student; its weights must be float32.
        examples: What it is trained on.
        config: The recipe.
        seed: Decides data order and dropout.
        loss_file: JSONL file for the loss curve, a line a step.
        label: What the progress is called.
        reporter: Where progress goes.

    Raises:
        DataError: If no example is left.
        NonFiniteError: If a loss or gradient is not finite; that step is not applied.
    """
    from accelerate import Accelerator
    from transformers import get_scheduler

    encoded = [encode_example(student, example, loss_on_prompt=config.loss_on_prompt) for example in examples]
    longest = min(config.max_length, student.max_positions or config.max_length)
    usable = [example for example in encoded if len(example.token_ids) <= longest and example.num_supervised]
    if not usable:
        raise DataError(
            f"{label}: none of {len(encoded)} examples can be trained on (longest allowed: {longest} tokens)."
        )
    accelerator = Accelerator()
    steps = config.num_steps(len(usable))
    adamw = torch.optim.AdamW(
        student.model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=config.adam_betas,
        fused=True,
    )
    schedule = get_scheduler(
        _schedule_name(config), adamw, num_warmup_steps=config.warmup_steps, num_training_steps=steps
    )
    # One process trains where the student is; several go where the launcher puts them.
    placed = accelerator.num_processes > 1
    model, optimizer = accelerator.prepare(student.model, adamw, device_placement=[placed, placed])
    device = accelerator.device if placed else student.device
    head = student.model.get_output_embeddings()
    model.train()
    order = batch_order(len(usable), batch_size=config.batch_size, seed=seed)
    curve = _Curve(label, read_every=1 if device.type == "cpu" else READ_EVERY)
    tokens_seen, broken = 0, torch.zeros((), device=device)
    with ExitStack() as stack:
        stack.enter_context(fast_activations(student.model))
        stack.enter_context(freed_memory_kept())
        in_a_row = False
        if (
            _alone_on_cpu(accelerator, device)
            and sum(weight.numel() for weight in student.model.parameters()) >= ROW_WEIGHTS
        ):
            stack.enter_context(fast_dropout(student.model))
            in_a_row = stack.enter_context(
                texts_in_a_row(student.model, longest=max(len(example.token_ids) for example in usable))
            )
        advance = stack.enter_context((reporter or Silent()).track(label, steps, "steps"))
        for step in range(steps):
            batch = [usable[index] for index in next(order)]
            loss = _accumulate_gradients(
                accelerator, model, batch, config, head=head, device=device, in_a_row=in_a_row, seed=(seed, step)
            )
            grad_norm = _gradient_norm(accelerator, model, adamw, config)
            # The optimizer itself leaves out a step that is not finite, and all that follow until the host learns of
            # it: `found_inf` is how torch's gradient scaler tells a fused optimizer.
            broken = torch.maximum(broken, (~(loss.isfinite() & grad_norm.isfinite())).float())
            adamw.found_inf = broken  # type: ignore[attr-defined]
            optimizer.step()
            optimizer.zero_grad()
            read = curve.add(loss, grad_norm, schedule.get_last_lr()[0], last=step + 1 == steps)
            schedule.step()
            tokens_seen += sum(example.num_supervised for example in batch)
            if read:
                advance(read, f"loss {curve.lines[-1]['loss']:.4f}")
    student.model.eval()
    if loss_file is not None and accelerator.is_main_process:
        loss_file.write_text("".join(json.dumps(line) + "\n" for line in curve.lines), encoding="utf-8")
    return TrainingResult(steps, len(usable), len(encoded) - len(usable), tokens_seen, curve.lines[-1]["loss"])


class _Curve:
    """Loss and gradient norm of each step: tensors first, numbers once they are read."""

    def __init__(self, label: str, *, read_every: int) -> None:
        self.lines: list[dict[str, float]] = []
        self._label = label
        self._read_every = read_every
        self._unread: list[tuple[Tensor, Tensor, float]] = []

    def add(self, loss: Tensor, grad_norm: Tensor, rate: float, *, last: bool) -> int:
        """Note a step, and read what is unread when it is time.

        Returns:
            How many steps were read.

        Raises:
            NonFiniteError: Naming the first of them that is not finite.
        """
        self._unread.append((loss, grad_norm, rate))
        if len(self._unread) < self._read_every and not last:
            return 0
        values = torch.stack([torch.stack([loss, norm.to(loss)]) for loss, norm, _ in self._unread]).tolist()
        for (loss_value, norm_value), (_, _, rate_value) in zip(values, self._unread, strict=True):
            step = len(self.lines) + 1
            if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
                raise NonFiniteError(
                    f"{self._label}: loss {loss_value}, gradient norm {norm_value} at step {step}; the step was not "
                    "applied. Lower training.learning_rate or set training.max_grad_norm."
                )
            self.lines.append({"step": step, "loss": loss_value, "grad_norm": norm_value, "lr": rate_value})
        self._unread.clear()
        return len(values)


def _accumulate_gradients(
    accelerator: Any,
    model: Any,
    batch: Sequence[EncodedExample],
    config: TrainingConfig,
    *,
    head: nn.Module | None,
    device: torch.device,
    in_a_row: bool,
    seed: tuple[int, int],
) -> Tensor:
    """Leave the gradients of the step's mean loss in the model and return that loss, over all processes."""
    supervised = sum(example.num_supervised for example in batch)
    parts = micro_batches(
        batch,
        max_size=config.micro_batch_size or math.ceil(len(batch) / accelerator.num_processes),
        pass_tokens=PASS_TOKENS if _alone_on_cpu(accelerator, device) and not in_a_row else None,
    )
    mine = list(enumerate(parts))[accelerator.process_index :: accelerator.num_processes]
    total = torch.zeros((), device=device)
    # Every process runs equally many passes, since each backward pass synchronises; the surplus weighs nothing.
    for index in range(math.ceil(len(parts) / accelerator.num_processes)):
        (number, part), weight = (mine[index], 1.0) if index < len(mine) else ((0, parts[0]), 0.0)
        torch.manual_seed(derive_seed(seed[0], "dropout", seed[1], number) % 2**63)
        with _autocast(device, config):
            inputs = collate_in_a_row(part, device=device) if in_a_row else collate(part, device=device)
            loss = loss_sum(model, inputs, head=head) * (weight / supervised)
        accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    reduced: Tensor = accelerator.reduce(total, reduction="sum")
    return reduced


def _alone_on_cpu(accelerator: Any, device: torch.device) -> bool:
    return device.type == "cpu" and bool(accelerator.num_processes == 1)


def _schedule_name(config: TrainingConfig) -> str:
    return "constant_with_warmup" if config.schedule == "constant" and config.warmup_steps else config.schedule


def _autocast(device: torch.device, config: TrainingConfig) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16) if config.autocast == "bf16" else nullcontext()


def _gradient_norm(accelerator: Any, model: Any, optimizer: torch.optim.Optimizer, config: TrainingConfig) -> Tensor:
    """Measure the gradients' norm, and have them clipped: by the optimizer, in the pass in which it reads them."""
    if config.max_grad_norm is not None and accelerator.num_processes > 1:
        norm: Tensor = accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        return norm
    norm = nn.utils.get_total_norm([weight.grad for weight in model.parameters() if weight.grad is not None])
    if config.max_grad_norm is not None:
        # What a fused optimizer divides gradients by, as torch's gradient scaler tells it.
        optimizer.grad_scale = ((norm + CLIP_EPSILON) / config.max_grad_norm).clamp(min=1.0)  # type: ignore[attr-defined]
    return norm
