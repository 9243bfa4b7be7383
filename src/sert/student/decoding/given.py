"""Log-probabilities of given texts: a prompt is read once, however many texts stand behind it.

Shapes: Q prompts, S lanes a prompt, B lanes, V vocabulary, T tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sert.student.decoding.proof import Drive, check_numbers
from sert.student.decoding.stepping import lent
from sert.student.load import Student


@torch.inference_mode()
def score_given(
    student: Student,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[Sequence[int]]],
    *,
    drive: Drive,
) -> list[list[float]]:
    """Sum the log-probabilities of each text's tokens behind its prompt, in nats.

    Args:
        student: The student, whose prompts are all read together.
        prompts: Their tokens; those of one length are best beside each other.
        texts: Of each prompt the tokens of what may follow it; none is empty, and a prompt has at least one.
        drive: How the student is driven, as `find_drive` found it on these prompts.

    Returns:
        Of each prompt the sums of its texts.

    Raises:
        StudentError: If the student's logits are no numbers.
    """
    slots = max(map(len, texts))
    lanes = [list(text) for of_one in texts for text in [*of_one, *[()] * (slots - len(of_one))]]
    tokens_BT = pad_sequence([torch.tensor(lane, dtype=torch.long) for lane in lanes], batch_first=True)
    tokens_BT, lengths_B = tokens_BT.to(student.device), torch.tensor(list(map(len, lanes)), device=student.device)
    with lent(student, drive.stepper):
        stepper = drive.stepper(student, prompts)
        first_BV = stepper.prefill().repeat_interleave(slots, dim=0)
        sums_B = _of_tokens(student, first_BV, tokens_BT[:, 0])
        lanes_B, longest = torch.arange(len(lanes), device=student.device), tokens_BT.shape[1]
        if longest > 1:
            stepper.fork(slots, max_steps=longest)
        for place in range(1, longest):
            kept_B = stepper.keep(lengths_B[lanes_B] > place)
            lanes_B = lanes_B if kept_B is None else lanes_B[kept_B]
            logits_BV = stepper.logits(stepper.step(tokens_BT[lanes_B, place - 1]))
            found_B = _of_tokens(student, logits_BV, tokens_BT[lanes_B, place])
            sums_B[lanes_B] += found_B.where(lengths_B[lanes_B] > place, 0.0)  # some may be over
    sums = sums_B.view(len(prompts), slots).tolist()
    return [of_one[: len(wanted)] for of_one, wanted in zip(sums, texts, strict=True)]


def _of_tokens(student: Student, logits_BV: Tensor, tokens_B: Tensor) -> Tensor:
    """Give the log-probability of one token a row, as a sum of many can hold it, (B,)."""
    check_numbers(student, logits_BV)
    logits_BV = logits_BV.float()
    chosen_B = logits_BV.gather(1, tokens_B[:, None])[:, 0]
    return chosen_B.double() - logits_BV.logsumexp(dim=1).double()
