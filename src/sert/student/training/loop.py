"""The one training loop. Finetune, SERT, RD and SERT+RD differ only in the examples they pass.

The loss is the next-token cross-entropy over the supervised tokens of the whole optimizer step, so micro-batches and
processes change nothing but rounding and, for students with dropout, where the dropout falls.
"""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sert.config.tree import TrainingConfig
from sert.errors import DataError, OutOfMemoryError
from sert.records import Example
from sert.seeds import derive_seed
from sert.student.load import Student
from sert.student.speed.dropout import fast_dropout
from sert.student.speed.lora import adapters_in_one
from sert.student.speed.memory import is_out_of_memory, out_of_memory_means
from sert.student.speed.patches import fast_activations, freed_memory_kept, head_on_rows, model_in_a_row, texts_in_a_row
from sert.student.training.batching import (
    Batch,
    EncodedExample,
    batch_order,
    collate,
    collate_in_a_row,
    encode_example,
    micro_batches,
)
from sert.student.training.checkpoints import Checkpoints, Progress, trained_parameters
from sert.student.training.curve import READ_EVERY, LossCurve
from sert.student.training.loss import cross_entropy_sum
from sert.student.training.memory import WORTH_TELLING, available_memory, memory_need, sizes_of, tokens_at_a_time
from sert.student.training.precision import advice_against_bfloat16, times_as_long
from sert.student.training.processes import Processes
from sert.student.training.recomputing import activations_recomputed
from sert.terminal.progress import Reporter, Silent

PASS_TOKENS = 48
"""What a pass costs on a CPU besides its tokens, in tokens: gradients of all weights are added up once more."""

ROW_WEIGHTS = 10**7
"""Weights from which on texts stand in a row. In the lab's student (a million) attention text by text would make 694
calls of torch a step instead of 514, for 3 % less to compute."""

CLIP_EPSILON = 1e-6
"""What torch's own clipping adds to a norm before it divides by it."""


class TrainingResult(NamedTuple):
    """What a training did.

    Attributes:
        steps: Optimizer steps.
        examples: How many were trained on.
        too_long: How many were left out.
        supervised_tokens: How many were seen.
        last_loss: Of the last step, in nats a token.
        micro_batch_shrunk_to: Most examples of a forward pass, where memory allowed fewer than were asked for.
    """

    steps: int
    examples: int
    too_long: int
    supervised_tokens: int
    last_loss: float
    micro_batch_shrunk_to: int | None


def loss_sum(model: Any, batch: Batch, *, head: nn.Module | None = None) -> Tensor:
    """Sum the next-token cross-entropy over the supervised tokens: -sum_t log p(x_t | x_<t), in nats."""
    return cross_entropy_sum(supervised_logits(model, batch, head=head), batch.targets_N)


def supervised_logits(model: Any, batch: Batch, *, head: nn.Module | None = None) -> Tensor:
    """Compute the logits (N, V) that predict the supervised tokens.

    The model may be what wraps one for several processes. `head`, its output embeddings, is to be applied where a
    supervised token is predicted and nowhere else.
    """
    examples, tokens = batch.input_ids_BT.shape
    with head_on_rows(head, batch.rows_N, shape=(examples, tokens)):
        if batch.lengths is not None:
            logits = model_in_a_row(model, batch.input_ids_BT, batch.lengths).logits
        else:
            logits = model(input_ids=batch.input_ids_BT, use_cache=False).logits
    logits_NV: Tensor = logits.flatten(0, -2)
    if len(logits_NV) == examples * tokens:  # of every position; the last one of a text is never supervised
        logits_NV = logits_NV.index_select(0, batch.rows_N)
    return logits_NV


def train_student(
    student: Student,
    examples: Sequence[Example],
    config: TrainingConfig,
    *,
    seed: int,
    loss_file: Path | None = None,
    checkpoints: Checkpoints | None = None,
    snapshot: Callable[[int], None] | None = None,
    label: str = "train",
    reporter: Reporter | None = None,
) -> TrainingResult:
    """Train the student in place.

    Under `accelerate launch` or `torchrun` each process takes its share of a step's micro-batches.

    Its weights must be float32; those that do not ask for gradients stay as they are. The seed decides data order and
    dropout. `loss_file` gets the loss curve as JSONL, a line a step. The state is saved now and then in `checkpoints`,
    and training goes on from the last one, bit for bit. `snapshot` is called after each step of
    `TrainingConfig.snapshot_steps` but the last, with its number.

    Raises:
        DataError: If no example is left.
        NonFiniteError: If a loss or gradient is not finite; that step is not applied.
        OutOfMemoryError: If a single example is too much for the memory.
        DiskError: If a checkpoint cannot be written.
    """
    encoded = [encode_example(student, example, loss_on_prompt=config.loss_on_prompt) for example in examples]
    longest = min(config.max_length, student.max_positions or config.max_length)
    usable = [example for example in encoded if len(example.token_ids) <= longest and example.num_supervised]
    if not usable:
        raise DataError(
            f"{label}: none of {len(encoded)} examples can be trained on (longest allowed: {longest} tokens)."
        )
    loop = _Loop(student, usable, config, seed=seed, label=label, reporter=reporter or Silent())
    loop.tell_memory()
    loop.tell_precision()
    with out_of_memory_means(
        f"{label}: the memory of {student.device} does not hold the student and its optimizer, 4 bytes a weight and 12 "
        "more a weight that is trained. training.lora trains few of them."
    ):
        progress = loop.run(checkpoints, snapshot or (lambda step: None))
    if loss_file is not None and loop.processes.is_first:
        loss_file.write_text("".join(json.dumps(line) + "\n" for line in progress.curve), encoding="utf-8")
    return TrainingResult(
        steps=progress.step,
        examples=len(usable),
        too_long=len(encoded) - len(usable),
        supervised_tokens=progress.tokens_seen,
        last_loss=progress.curve[-1]["loss"],
        micro_batch_shrunk_to=progress.micro_batch_size,
    )


class _Loop:
    """The loop: model, optimizer, schedule, and one step after the other."""

    def __init__(
        self,
        student: Student,
        usable: Sequence[EncodedExample],
        config: TrainingConfig,
        *,
        seed: int,
        label: str,
        reporter: Reporter,
    ) -> None:
        from transformers import get_scheduler

        self.processes = Processes(student.device)
        self._student, self._usable, self._config = student, usable, config
        self._seed, self._label, self._reporter = seed, label, reporter
        self._steps = config.num_steps(len(usable))
        self._adamw = torch.optim.AdamW(
            trained_parameters(student.model).values(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=config.adam_betas,
            fused=True,
        )
        name = "constant_with_warmup" if config.schedule == "constant" and config.warmup_steps else config.schedule
        schedule = get_scheduler(
            name, self._adamw, num_warmup_steps=config.warmup_steps, num_training_steps=self._steps
        )
        # A function of the step, so that it needs no winding when a training goes on.
        self._share_of_rate: Callable[[int], float] = schedule.lr_lambdas[0]
        self._model, self._device = self.processes.shared(student.model), self.processes.device
        self._alone_on_cpu = self._device.type == "cpu" and self.processes.number == 1
        self._broken = torch.zeros((), device=self._device)
        self._in_a_row = False

    def tell_memory(self) -> None:
        """Say how much memory it will take, and whether that is there."""
        sizes = sizes_of(self._student.model)
        need = memory_need(
            sizes,
            self._config,
            trained=sum(weight.numel() for weight in trained_parameters(self._student.model).values()),
            tokens=tokens_at_a_time(
                self._config,
                longest=max(len(example.token_ids) for example in self._usable),
                num_examples=len(self._usable),
                processes=self.processes.number,
            ),
        )
        lacking = need.lacking(available_memory(self._device), there=4 * sizes.weights)
        if lacking:
            self._reporter.say(f"warning: {self._label}: {lacking}")
        elif need.total >= WORTH_TELLING:
            self._reporter.say(f"{self._label}: takes {need} of memory")

    def tell_precision(self) -> None:
        """Say so where mixed precision would cost time here."""
        if self._config.autocast == "bf16" and self._device.type == "cpu":
            advice = advice_against_bfloat16(times_as_long())
            if advice is not None:
                self._reporter.say(f"warning: {self._label}: {advice}")

    def run(self, checkpoints: Checkpoints | None, snapshot: Callable[[int], None]) -> Progress:
        """Make the steps that are left."""
        kept = {step for step in self._config.snapshot_steps(self._steps) if step < self._steps}
        progress = checkpoints.restore(self._student.model, self._adamw) if checkpoints else Progress()
        self._agree_on(progress.step)
        if progress.step:
            self._reporter.say(f"{self._label}: goes on after step {progress.step} of {self._steps}")
        order = batch_order(len(self._usable), batch_size=self._config.batch_size, seed=self._seed)
        curve = LossCurve(self._label, progress.curve, read_every=1 if self._device.type == "cpu" else READ_EVERY)
        self._model.train()
        with ExitStack() as stack:
            self._speed_up(stack)
            advance = stack.enter_context(self._reporter.track(self._label, self._steps, "steps"))
            advance(progress.step)
            for step, indices in enumerate(itertools.islice(order, progress.step, self._steps), progress.step):
                batch = [self._usable[index] for index in indices]
                read = curve.add(*self._step(step, batch, progress), last=step + 1 == self._steps)
                progress.tokens_seen += sum(example.num_supervised for example in batch)
                progress.step = step + 1
                if progress.step in kept and self.processes.is_first:
                    snapshot(progress.step)
                if read:
                    advance(read, f"loss {progress.curve[-1]['loss']:.4f}")
                    self._measure(progress.curve[-read:])
                if read and checkpoints and checkpoints.due and self.processes.is_first:
                    checkpoints.save(progress, self._student.model, self._adamw)
        self._student.model.eval()
        return progress

    def _measure(self, lines: Sequence[Mapping[str, float]]) -> None:
        """Tell the numbers of steps to who draws curves."""
        for line in lines:
            self._reporter.measure(
                self._label, int(line["step"]), {name: value for name, value in line.items() if name != "step"}
            )

    def _step(self, step: int, batch: Sequence[EncodedExample], progress: Progress) -> tuple[Tensor, Tensor, float]:
        """Make one optimizer step and return its loss, gradient norm and learning rate."""
        loss = self._loss(step, batch, progress)
        grad_norm = _gradient_norm(self._model, self._adamw, self._config)
        # The optimizer itself leaves out a step that is not finite, and all that follow until the host learns of it:
        # `found_inf` is how torch's gradient scaler tells a fused optimizer.
        self._broken = torch.maximum(self._broken, (~(loss.isfinite() & grad_norm.isfinite())).float())
        self._adamw.found_inf = self._broken  # type: ignore[attr-defined]
        rate = self._config.learning_rate * self._share_of_rate(step)
        for group in self._adamw.param_groups:
            group["lr"] = rate
        self._adamw.step()
        self._adamw.zero_grad()
        return loss, grad_norm, rate

    def _loss(self, step: int, batch: Sequence[EncodedExample], progress: Progress) -> Tensor:
        """Leave the gradients of the step's mean loss in the model; in smaller micro-batches if memory runs out."""
        while True:
            size = progress.micro_batch_size or self._config.micro_batch_size
            parts = micro_batches(
                batch,
                max_size=size or math.ceil(len(batch) / self.processes.number),
                pass_tokens=PASS_TOKENS if self._alone_on_cpu and not self._in_a_row else None,
            )
            try:
                return self._accumulate_gradients(step, parts)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                largest = max(len(part) for part in parts)
            # Outside of the handler, which holds on to what filled the memory.
            self._adamw.zero_grad()
            self._shrink(largest, progress)

    def _shrink(self, largest: int, progress: Progress) -> None:
        if largest == 1 or self.processes.number > 1:  # the others would wait for this one for ever
            raise OutOfMemoryError(
                f"{self._label}: the memory of {self._device} does not hold a micro-batch of {largest}. Lower "
                f"training.{'max_length' if largest == 1 else 'micro_batch_size'}."
            )
        progress.micro_batch_size = largest // 2
        self._reporter.say(f"{self._label}: out of memory; micro-batches of {largest // 2} from here on")
        if self._device.type != "cpu":
            torch.accelerator.empty_cache()

    def _accumulate_gradients(self, step: int, parts: Sequence[Sequence[EncodedExample]]) -> Tensor:
        """Leave the gradients of the step's mean loss in the model and return that loss, over all processes."""
        processes = self.processes
        supervised = sum(example.num_supervised for part in parts for example in part)
        head = self._student.model.get_output_embeddings()
        collated = collate_in_a_row if self._in_a_row else collate
        mine = list(enumerate(parts))[processes.index :: processes.number]
        total = torch.zeros((), device=self._device)
        # Every process runs equally many passes, since each backward pass synchronises; the surplus weighs nothing.
        for index in range(math.ceil(len(parts) / processes.number)):
            (number, part), weight = (mine[index], 1.0) if index < len(mine) else ((0, parts[0]), 0.0)
            torch.manual_seed(derive_seed(self._seed, "dropout", step, number) % 2**63)
            with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._config.autocast == "bf16"):
                inputs = collated(part, device=self._device)
                loss = loss_sum(self._model, inputs, head=head) * (weight / supervised)
            torch.autograd.backward(loss * processes.number)  # gradients become their mean over the processes
            total += loss.detach()
        return processes.sum(total)

    def _speed_up(self, stack: ExitStack) -> None:
        """Let the model compute faster until the stack is closed."""
        model = self._student.model
        stack.enter_context(fast_activations(model))
        if self._config.lora is not None and self._device.type == "cpu":
            stack.enter_context(adapters_in_one(model))
        if self._config.gradient_checkpointing:
            stack.enter_context(activations_recomputed(model))
        stack.enter_context(freed_memory_kept())
        weights = sum(weight.numel() for weight in model.parameters())
        if self._alone_on_cpu and weights >= ROW_WEIGHTS:
            stack.enter_context(fast_dropout(model))
            longest = max(len(example.token_ids) for example in self._usable)
            self._in_a_row = stack.enter_context(texts_in_a_row(model, longest=longest))

    def _agree_on(self, step: int) -> None:
        """Check that all processes go on from the same step."""
        steps = self.processes.all_of(step)
        if len(set(steps)) > 1:
            raise DataError(
                f"{self._label}: the processes found checkpoints of different steps ({', '.join(map(str, steps))}). "
                "The folder of the result must be on a disk that all of them share."
            )


def _gradient_norm(model: Any, optimizer: torch.optim.Optimizer, config: TrainingConfig) -> Tensor:
    """Measure the gradients' norm, and have them clipped: by the optimizer, in the pass in which it reads them."""
    norm = nn.utils.get_total_norm([weight.grad for weight in model.parameters() if weight.grad is not None])
    if config.max_grad_norm is not None:
        # What a fused optimizer divides gradients by, as torch's gradient scaler tells it.
        optimizer.grad_scale = ((norm + CLIP_EPSILON) / config.max_grad_norm).clamp(min=1.0)  # type: ignore[attr-defined]
    return norm
