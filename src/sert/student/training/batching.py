"""Examples as tokens, and tokens as batches: padded, or all texts in one row.

Shapes: B examples, T tokens, N supervised tokens.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sert.records import Example
from sert.seeds import derive_seed
from sert.student.load import Student


class EncodedExample(NamedTuple):
    """Token ids of prompt, completion and end-of-text; the first `num_masked` of them are not supervised."""

    token_ids: list[int]
    num_masked: int

    @property
    def num_supervised(self) -> int:
        """Tokens that the loss counts; the very first token of a text has nothing to be predicted from."""
        return len(self.token_ids) - max(self.num_masked, 1)


class Batch(NamedTuple):
    """Token ids (B, T), padded on the right, with the tokens that the loss counts and where they are predicted.

    `rows_N` are the positions that predict `targets_N`, as indices into the B * T positions counted row by row.
    `lengths` are those of the texts when they stand one after the other in a single row, without padding.
    """

    input_ids_BT: Tensor
    rows_N: Tensor
    targets_N: Tensor
    lengths: list[int] | None = None


def encode_example(student: Student, example: Example, *, loss_on_prompt: bool) -> EncodedExample:
    """Make the tokens of an example: of its prompt as decoding has it, of its completion, and the one that ends it.

    A path is trained as it was sampled: its own tokens, then those of the conclusion. All other text is tokenized where
    it stands, behind the prompt or the path. The blank in front of it stays where there is none yet and the student's
    turn does not begin without.
    """
    prompt_ids = student.encode_prompt(example.prompt) if example.prompt else []
    path_ids, text = sampled_tokens(student, example)
    if path_ids and student.decode(path_ids)[-1:].isspace():
        text = text.removeprefix(" ")
    elif student.chat is not None and prompt_ids and not path_ids:
        text = student.chat.blank + text.removeprefix(" ")
    completion_ids = [*path_ids, *student.encode_completion(text), student.end_of_example]
    return EncodedExample([*prompt_ids, *completion_ids], 0 if loss_on_prompt else len(prompt_ids))


def sampled_tokens(student: Student, example: Example) -> tuple[list[int], str]:
    """Find the tokens of a mined path that spell the beginning of a completion, and the text that is left of it.

    Blanks at the ends do not count, and tokens of nothing else at the end of the path are left out. Tokens of another
    student's path spell something else: then all of the completion is left.
    """
    path = example.completion.removesuffix(example.conclusion).strip()
    known = len(student.tokenizer)
    token_ids = [*itertools.takewhile(lambda each: 0 <= each < known, example.path_ids)]
    while token_ids:
        spelled = student.decode(token_ids).strip()
        if spelled and path.startswith(spelled):
            while student.decode(token_ids[:-1]).strip() == spelled:
                token_ids.pop()
            return token_ids, path[len(spelled) :] + example.conclusion
        token_ids.pop()
    return [], example.completion


def collate(encoded: Sequence[EncodedExample], *, device: torch.device) -> Batch:
    """Pad on the right; causal attention never looks there, and no target lies there."""
    padded_BT = pad_sequence([torch.tensor(example.token_ids) for example in encoded], batch_first=True)
    starts = range(0, padded_BT.numel(), padded_BT.shape[1])
    return Batch(padded_BT.to(device), *_predictions(encoded, starts, device))


def collate_in_a_row(encoded: Sequence[EncodedExample], *, device: torch.device) -> Batch:
    """Put the texts one after the other, for a model whose attention keeps them apart."""
    lengths = [len(example.token_ids) for example in encoded]
    row = [token for example in encoded for token in example.token_ids]
    starts = itertools.accumulate(lengths[:-1], initial=0)
    return Batch(torch.tensor([row]).to(device), *_predictions(encoded, starts, device), lengths)


def _predictions(
    encoded: Sequence[EncodedExample], starts: Iterable[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Find where supervised tokens are predicted, and these; texts start at these positions."""
    rows, targets = [], list[int]()
    for example, start in zip(encoded, starts, strict=True):
        first = max(example.num_masked, 1)
        rows.append(torch.arange(start + first - 1, start + len(example.token_ids) - 1))
        targets += example.token_ids[first:]
    return torch.cat(rows).to(device), torch.tensor(targets, dtype=torch.long).to(device)


def batch_order(num_examples: int, *, batch_size: int, seed: int) -> Iterator[list[int]]:
    """Yield the indices of each optimizer step without end; the order is a function of (seed, epoch)."""
    epoch = 0
    while True:
        generator = np.random.Generator(np.random.PCG64(derive_seed(seed, "order", epoch)))
        shuffled = generator.permutation(num_examples).tolist()
        for start in range(0, num_examples, batch_size):
            yield shuffled[start : start + batch_size]
        epoch += 1


def micro_batches(
    encoded: Sequence[EncodedExample], *, max_size: int, pass_tokens: int | None
) -> list[list[EncodedExample]]:
    """Split one step's examples by length, at most `max_size` together, so that little is padded.

    The sum of the losses does not change. `pass_tokens` is what a pass costs besides its tokens, in tokens: the split
    has the least tokens, padding counted, plus this for each pass. None = as few passes as `max_size` allows, and among
    those the least padding.
    """
    ordered = sorted(encoded, key=lambda example: len(example.token_ids))
    lengths = [len(example.token_ids) for example in ordered]
    each = pass_tokens if pass_tokens is not None else len(lengths) * max(lengths)
    # Dynamic programming: the cheapest split of the first `end` examples and where its last micro-batch starts.
    best = [(0, 0)]
    for end in range(1, len(ordered) + 1):
        starts = range(max(0, end - max_size), end)
        best.append(min((best[start][0] + (end - start) * lengths[end - 1] + each, start) for start in starts))
    parts: list[list[EncodedExample]] = []
    end = len(ordered)
    while end:
        start = best[end][1]
        parts.append(ordered[start:end])
        end = start
    return parts[::-1]
