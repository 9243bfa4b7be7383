"""How probable given texts are to a student.

Shapes: N supervised tokens, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy

from sert.records import Example
from sert.student.decoding.given import score_given
from sert.student.decoding.proof import Drive, find_drive
from sert.student.load import Student
from sert.student.training.batching import EncodedExample, collate, encode_example
from sert.student.training.loop import supervised_logits

TOGETHER = 8
"""Texts that are read at a time where each is read as a whole."""
PROMPTS_TOGETHER, TOKENS_TOGETHER = 32, 4096
"""Prompts that are read at a time where all that stands behind one goes on from it, and their tokens; at least one."""
WORTH_TRYING = 10
"""Readings of the longest prompt that must be spared, since finding out how a student is driven takes about as many."""


def encode_answer(student: Student, example: Example) -> EncodedExample:
    """Make the tokens of a prompt and of a completion as training has them, without the token that ends it."""
    token_ids, num_masked = encode_example(student, example, loss_on_prompt=False)
    return EncodedExample(token_ids[:-1], num_masked)


class Scoring(NamedTuple):
    """Texts behind one prompt: its tokens, and the numbers of the texts."""

    prompt_ids: tuple[int, ...]
    numbers: list[int]


def log_probabilities(
    student: Student, encoded: Sequence[EncodedExample], *, progress: Callable[[int], None] | None = None
) -> list[float]:
    """Sum the log-probabilities of the supervised tokens of each text, in nats; 0 where there are none.

    A prompt with several texts behind it is read once where the student can be driven so (`find_drive`); else texts
    that differ in their last token alone, as letters do, take one pass together. `progress` is told how many more texts
    are scored.

    Raises:
        StudentError: If the student's logits are no numbers.
    """
    student.model.eval()
    sums, alone = [0.0] * len(encoded), [*range(len(encoded))]
    if (shared := _shared_prompts(encoded)) and (drive := _drive_of(student, encoded, shared)) is not None:
        for wave in _waves(shared):
            texts = [[encoded[each].token_ids[len(prompt) :] for each in numbers] for prompt, numbers in wave]
            found = score_given(student, [prompt for prompt, _ in wave], texts, drive=drive)
            for (_, numbers), of_one in zip(wave, found, strict=True):
                for number, total in zip(numbers, of_one, strict=True):
                    sums[number] = total
                if progress is not None:
                    progress(len(numbers))
        done = {number for _, numbers in shared for number in numbers}
        alone = [number for number in alone if number not in done]
    _score_alone(student, encoded, alone, sums, progress)
    return sums


def _shared_prompts(encoded: Sequence[EncodedExample]) -> list[Scoring]:
    """Find the prompts that would be read again and again, the shortest first; none where little would be saved."""
    behind: dict[tuple[int, ...], list[int]] = {}
    for number, (token_ids, num_masked) in enumerate(encoded):
        if 0 < num_masked < len(token_ids):
            behind.setdefault(tuple(token_ids[:num_masked]), []).append(number)
    shared, spared = list[Scoring](), 0
    for prompt_ids, numbers in sorted(behind.items(), key=lambda each: len(each[0])):
        passes = len({tuple(encoded[number].token_ids[:-1]) for number in numbers})
        if passes > 1:
            shared.append(Scoring(prompt_ids, numbers))
            spared += (passes - 1) * len(prompt_ids)
    return shared if shared and spared > WORTH_TRYING * len(shared[-1].prompt_ids) else []


def _waves(shared: Sequence[Scoring]) -> Iterator[Sequence[Scoring]]:
    """Part the prompts, whose lengths grow, into those that are read together."""
    start = 0
    for end, (prompt_ids, _) in enumerate(shared):
        together = end + 1 - start
        if start < end and (together > PROMPTS_TOGETHER or together * len(prompt_ids) > TOKENS_TOGETHER):
            yield shared[start:end]
            start = end
    yield shared[start:]


def _drive_of(student: Student, encoded: Sequence[EncodedExample], shared: Sequence[Scoring]) -> Drive | None:
    """Find out how the student reads a prompt once; None where it cannot."""
    longest = max(len(encoded[number].token_ids) for _, numbers in shared for number in numbers)
    drive = find_drive(student, [prompt_ids for prompt_ids, _ in shared], longest=longest)
    return None if drive.way == "plain" else drive


@torch.no_grad()
def _score_alone(
    student: Student,
    encoded: Sequence[EncodedExample],
    wanted: Sequence[int],
    sums: list[float],
    progress: Callable[[int], None] | None,
) -> None:
    """Score each of the wanted texts by a plain forward pass of all of it."""
    model, alike = student.model, dict[tuple[int, ...], list[int]]()
    for number in wanted:
        token_ids, num_masked = encoded[number]
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
