"""How probable given texts are to a student, by plain forward passes.

Shapes: N supervised tokens, V vocabulary.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import cross_entropy

from sert.records import Example
from sert.student.load import Student
from sert.student.training.batching import EncodedExample, collate, encode_example
from sert.student.training.loop import supervised_logits

TOGETHER = 8
"""Texts that are scored at a time."""


def encode_answer(student: Student, example: Example) -> EncodedExample:
    """Make the tokens of a prompt and of a completion as training has them, without the token that ends it."""
    token_ids, num_masked = encode_example(student, example, loss_on_prompt=False)
    return EncodedExample(token_ids[:-1], num_masked)


@torch.no_grad()
def log_probabilities(
    student: Student, encoded: Sequence[EncodedExample], *, progress: Callable[[int], None] | None = None
) -> list[float]:
    """Sum the log-probabilities of the supervised tokens of each text, in nats; 0 where there are none.

    Texts that differ in their last token alone, as letters behind one prompt do, take one pass together. `progress` is
    told how many more texts are scored.
    """
    model, sums = student.model.eval(), [0.0] * len(encoded)
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, (token_ids, num_masked) in enumerate(encoded):
        if encoded[number].num_supervised > 0:
            alike.setdefault((num_masked, *token_ids[:-1]), []).append(number)
    groups = sorted(alike.values(), key=lambda numbers: len(encoded[numbers[0]].token_ids))
    for start in range(0, len(groups), TOGETHER):
        together = groups[start : start + TOGETHER]
        batch = collate([encoded[numbers[0]] for numbers in together], device=student.device)
        logits_NV = supervised_logits(model, batch, head=model.get_output_embeddings())
        parts = torch.split(logits_NV.float(), [encoded[numbers[0]].num_supervised for numbers in together])
        for numbers, part_NV in zip(together, parts, strict=True):
            for number in numbers:
                targets_N = torch.tensor(encoded[number].token_ids[-len(part_NV) :], device=part_NV.device)
                losses_N = cross_entropy(part_NV, targets_N, reduction="none")
                sums[number] = -float(losses_N.double().sum())
            if progress is not None:
                progress(len(numbers))
    return sums
