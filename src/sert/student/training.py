"""The one training loop. Finetune, SERT, RD and SERT+RD differ only in the examples they pass.

The loss is the next-token cross-entropy over the supervised tokens of the whole optimizer step, so micro-batches and
processes change nothing but rounding and, for students with dropout, where the dropout falls.
"""

import json
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sert.config import TrainingConfig
from sert.errors import DataError, NonFiniteError
from sert.progress import Reporter, Silent
from sert.records import Example
from sert.seeds import derive_seed
from sert.student.batching import (
    IGNORE_INDEX,
    Batch,
    EncodedExample,
    batch_order,
    collate,
    encode_example,
    micro_batches,
)
from sert.student.load import Student


class TrainingResult(NamedTuple):
    """What a training did: steps, examples used and left out, supervised tokens seen, and the last step's loss."""

    steps: int
    examples: int
    too_long: int
    supervised_tokens: int
    last_loss: float


def loss_sum(model: Any, batch: Batch) -> Tensor:
    """Sum the next-token cross-entropy over the supervised tokens: -sum_t log p(x_t | x_<t), in nats."""
    logits_BTV = model(input_ids=batch.input_ids_BT, use_cache=False).logits
    return cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1).float(),
        batch.labels_BT[:, 1:].flatten(),
        ignore_index=IGNORE_INDEX,
        reduction="sum",
    )


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
    optimizer = torch.optim.AdamW(
        student.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=config.adam_betas
    )
    schedule = get_scheduler(
        _schedule_name(config), optimizer, num_warmup_steps=config.warmup_steps, num_training_steps=steps
    )
    # One process trains where the student is; several go where the launcher puts them.
    placed = accelerator.num_processes > 1
    model, optimizer = accelerator.prepare(student.model, optimizer, device_placement=[placed, placed])
    device = accelerator.device if placed else student.device
    model.train()
    order = batch_order(len(usable), batch_size=config.batch_size, seed=seed)
    tokens_seen, losses = 0, []
    with (reporter or Silent()).track(label, steps, "steps") as advance:
        for step in range(steps):
            batch = [usable[index] for index in next(order)]
            loss = _accumulate_gradients(accelerator, model, batch, config, device=device, seed=(seed, step))
            grad_norm = _gradient_norm(accelerator, model, config)
            if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                raise NonFiniteError(
                    f"{label}: loss {loss}, gradient norm {grad_norm} at step {step + 1}; the step was not applied. "
                    "Lower training.learning_rate or set training.max_grad_norm."
                )
            optimizer.step()
            optimizer.zero_grad()
            losses.append({"step": step + 1, "loss": loss, "grad_norm": grad_norm, "lr": schedule.get_last_lr()[0]})
            schedule.step()
            tokens_seen += sum(example.num_supervised for example in batch)
            advance(1, f"loss {loss:.4f}")
    student.model.eval()
    if loss_file is not None and accelerator.is_main_process:
        loss_file.write_text("".join(json.dumps(line) + "\n" for line in losses), encoding="utf-8")
    return TrainingResult(steps, len(usable), len(encoded) - len(usable), tokens_seen, losses[-1]["loss"])


def _accumulate_gradients(
    accelerator: Any,
    model: Any,
    batch: Sequence[EncodedExample],
    config: TrainingConfig,
    *,
    device: torch.device,
    seed: tuple[int, int],
) -> float:
    """Leave the gradients of the step's mean loss in the model and return that loss, over all processes."""
    supervised = sum(example.num_supervised for example in batch)
    parts = micro_batches(batch, size=config.micro_batch_size or math.ceil(len(batch) / accelerator.num_processes))
    mine = list(enumerate(parts))[accelerator.process_index :: accelerator.num_processes]
    total = torch.zeros((), device=device)
    # Every process runs equally many passes, since each backward pass synchronises; the surplus weighs nothing.
    for index in range(math.ceil(len(parts) / accelerator.num_processes)):
        (number, part), weight = (mine[index], 1.0) if index < len(mine) else ((0, parts[0]), 0.0)
        torch.manual_seed(derive_seed(seed[0], "dropout", seed[1], number) % 2**63)
        with _autocast(device, config):
            loss = loss_sum(model, collate(part, device=device)) * (weight / supervised)
        accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    return float(accelerator.reduce(total, reduction="sum"))


def _schedule_name(config: TrainingConfig) -> str:
    return "constant_with_warmup" if config.schedule == "constant" and config.warmup_steps else config.schedule


def _autocast(device: torch.device, config: TrainingConfig) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16) if config.autocast == "bf16" else nullcontext()


def _gradient_norm(accelerator: Any, model: Any, config: TrainingConfig) -> float:
    limit = config.max_grad_norm if config.max_grad_norm is not None else math.inf
    return float(accelerator.clip_grad_norm_(model.parameters(), limit))
