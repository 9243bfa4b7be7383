"""How far what a server sampled lies from the student as it is here, in float32: it should be the same student."""

from collections.abc import Sequence
from typing import NamedTuple

from sert.config.tree import StudentConfig
from sert.student.decoding.lanes import Lane
from sert.student.decoding.schedule import DecodingPrompt


class Agreement(NamedTuple):
    """A server's numbers against ours, on the server's own tokens.

    Attributes:
        questions: How many were compared.
        same_branches: Of how many the first tokens are ours, in our order.
        tokens: How many log-probabilities were compared.
        mean, largest: Their differences, in nats.
    """

    questions: int
    same_branches: int
    tokens: int
    mean: float
    largest: float

    def __str__(self) -> str:
        return (
            f"the same branches on {self.same_branches} of {self.questions} questions; log-probabilities of "
            f"{self.tokens} tokens differ by {self.mean:.2g} nats on average and {self.largest:.2g} at most"
        )


def agreement(
    student: StudentConfig, prompts: Sequence[DecodingPrompt], lanes: Sequence[Sequence[Lane]], *, skip_ends: bool
) -> Agreement:
    """Read what a server sampled of some prompts by plain forward passes of the student, in float32.

    Args:
        student: The student.
        prompts: What was continued.
        lanes: The server's lanes of each, by branch.
        skip_ends: Whether ends of texts are no branches.

    Raises:
        StudentError: If the student cannot be loaded.
    """
    import torch

    from sert.student.decoding.sampling import branch_first_tokens
    from sert.student.load import load_student
    from sert.student.surroundings import plain_numbers

    same, differences = 0, list[float]()
    with plain_numbers(), torch.inference_mode():
        exact = load_student(student.model_copy(update={"dtype": "float32"}))
        skipped = exact.eos_ids if skip_ends else ()
        for prompt, found in zip(prompts, lanes, strict=True):
            firsts = list(dict.fromkeys((lane.branch, lane.token_ids[0]) for lane in found if lane.token_ids))
            read = exact.model(torch.tensor([prompt.token_ids], device=exact.device)).logits[:, -1]
            ours = branch_first_tokens(read, num_branches=len(firsts), skip_ids=skipped).tokens[0].tolist()
            same += [token for _, token in sorted(firsts)] == ours
            for lane in (each for each in found if each.token_ids):
                text = torch.tensor([[*prompt.token_ids, *lane.token_ids]], device=exact.device)
                logprobs_TV = exact.model(text).logits[0, len(prompt.token_ids) - 1 : -1].float().log_softmax(dim=-1)
                drawn_T1 = text[0, len(prompt.token_ids) :, None]
                exactly = logprobs_TV.gather(1, drawn_T1)[:, 0].tolist()
                differences += [abs(a - b) for a, b in zip(exactly, lane.logprobs, strict=True)]
    mean = sum(differences) / len(differences) if differences else 0.0
    return Agreement(len(prompts), same, len(differences), mean, max(differences, default=0.0))
