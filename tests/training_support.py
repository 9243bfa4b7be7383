"""What the tests of training share: a textbook's loop, and what a forward pass keeps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from sert.records import Example
from sert.student.load import Student
from sert.student.training.batching import batch_order, encode_example


def plain_losses(
    model: Any, student: Student, examples: Sequence[Example], *, steps: int, batch_size: int, rate: float, seed: int
) -> list[float]:
    """Train as a textbook does: one text after the other, labels, transformers' own loss, torch's plain AdamW."""
    found = []
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0, foreach=False)
    order = batch_order(len(examples), batch_size=batch_size, seed=seed)
    for _ in range(steps):
        batch = [encode_example(student, examples[index], loss_on_prompt=False) for index in next(order)]
        total = torch.zeros(())
        for example in batch:
            labels = [-100] * example.num_masked + example.token_ids[example.num_masked :]
            mean = model(input_ids=torch.tensor([example.token_ids]), labels=torch.tensor([labels])).loss
            total = total + mean * example.num_supervised
        loss = total / sum(example.num_supervised for example in batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found


@contextmanager
def kept_for_gradients(model: torch.nn.Module) -> Iterator[dict[int, int]]:
    """Note what is kept for the gradients, besides weights: bytes by the place in memory."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept
