"""Examples as tokens, and tokens as padded batches.

Shapes: B examples, T tokens.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sert.records import Example
from sert.seeds import derive_seed
from sert.student.load import Student

IGNORE_INDEX = -100


class EncodedExample(NamedTuple):
    """Token ids of prompt, completion and end-of-text; the first `num_masked` of them are not supervised."""

    token_ids: list[int]
    num_masked: int

    @property
    def num_supervised(self) -> int:
        """Tokens that the loss counts; the very first token of a text has nothing to be predicted from."""
        return len(self.token_ids) - max(self.num_masked, 1)


class Batch(NamedTuple):
    """Token ids (B, T), padded on the right, and labels (B, T) with `IGNORE_INDEX` where nothing is supervised."""

    input_ids_BT: Tensor
    labels_BT: Tensor


def encode_example(student: Student, example: Example, *, loss_on_prompt: bool) -> EncodedExample:
    """Tokenize prompt and completion apart, so that the border lies where decoding puts it, and append end-of-text."""
    prompt_ids = student.encode_prompt(example.prompt) if example.prompt else []
    end = student.tokenizer.eos_token_id if student.tokenizer.eos_token_id is not None else student.eos_ids[0]
    completion_ids = [*student.encode_completion(example.completion), end]
    return EncodedExample([*prompt_ids, *completion_ids], 0 if loss_on_prompt else len(prompt_ids))


def collate(encoded: Sequence[EncodedExample], *, device: torch.device) -> Batch:
    """Pad on the right; causal attention never looks there, and the loss ignores it."""
    longest = max(len(example.token_ids) for example in encoded)
    input_ids = torch.zeros((len(encoded), longest), dtype=torch.long)
    labels = torch.full((len(encoded), longest), IGNORE_INDEX, dtype=torch.long)
    for row, example in enumerate(encoded):
        tokens = torch.tensor(example.token_ids)
        input_ids[row, : len(tokens)] = tokens
        labels[row, example.num_masked : len(tokens)] = tokens[example.num_masked :]
    labels[:, 0] = IGNORE_INDEX
    return Batch(input_ids.to(device), labels.to(device))


def batch_order(num_examples: int, *, batch_size: int, seed: int) -> Iterator[list[int]]:
    """Yield the indices of each optimizer step without end; the order is a function of (seed, epoch)."""
    epoch = 0
    while True:
        generator = np.random.Generator(np.random.PCG64(derive_seed(seed, "order", epoch)))
        shuffled = generator.permutation(num_examples).tolist()
        for start in range(0, num_examples, batch_size):
            yield shuffled[start : start + batch_size]
        epoch += 1


def micro_batches(encoded: Sequence[EncodedExample], *, size: int) -> list[list[EncodedExample]]:
    """Split one step's examples by length, so that little is padded; the sum of the losses does not change."""
    ordered = sorted(encoded, key=lambda example: len(example.token_ids))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
