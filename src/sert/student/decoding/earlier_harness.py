"""Greedy decoding as an earlier harness does it, faults included, so that their effect can be measured.

The paper's settings come from Fine-tune-CoT. When that tests GPT-2, it puts end-of-text in front of the prompts until
each is as long as the longest one of the question set, and calls transformers' `generate` with neither a mask nor
position ids. Since the padding token is end-of-text, no mask is inferred: students attend to the padding, and positions
count it. So what a student answers depends on the longest question that is asked beside it.

Not imitated: its limit of 1,024 tokens that counts prompt and padding, and prompts cut to 512 tokens.
"""

from collections.abc import Callable, Sequence

import torch
from transformers import GenerationConfig

from sert.store.artifacts import Draft
from sert.student.decoding.lanes import Lane
from sert.student.decoding.prompts import encode_prompts
from sert.student.decoding.units import DecodingJob
from sert.student.load import Student, load_student
from sert.student.speed.memory import out_of_memory_means
from sert.student.speed.quantized import fallback
from sert.student.surroundings import plain_numbers, surroundings_of
from sert.terminal.progress import Reporter

BATCH = 8
"""Questions that `generate` gets together, in their order: that harness's batch size. But for rounding it changes
nothing, since all prompts of a question set are padded to one length."""


@plain_numbers()
def decode_compat(job: DecodingJob, draft: Draft, *, label: str, reporter: Reporter) -> dict[int, Lane]:
    """Load the student and continue all prompts of a job greedily, as the earlier harness does.

    The whole stage is decoded in one go, in this process: when it is stopped, it begins anew. Of `job.decoding` only
    `max_new_tokens` counts.

    Returns:
        Row -> its lane; prompts that with their continuation exceed the student's positions have none.

    Raises:
        StudentError: If the student cannot be loaded, or all prompts are too long.
        OutOfMemoryError: If the memory does not hold a batch.
    """
    student = load_student(job.student)
    if (instead := fallback(student.model, job.student.dtype)) is not None:
        reporter.say(f"{label}: {instead}")
    encoded = encode_prompts(student, job.questions, job.decoding)
    for line in encoded.told:
        reporter.say(f"{label}: {line}")
    draft.made_in(surroundings_of(student))
    with (
        reporter.track(label, len(encoded.fitting), "questions") as advance,
        out_of_memory_means(
            f"The memory of {student.device} does not hold {BATCH} questions of {student.name!r}, as many as "
            "evaluation.harness = 'compat' decodes together. Lower evaluation.max_new_tokens."
        ),
    ):
        lanes = generate_padded(
            student,
            [prompt.token_ids for prompt in encoded.fitting.values()],
            max_new_tokens=job.decoding.max_new_tokens,
            progress=advance,
        )
    return dict(zip(encoded.fitting, lanes, strict=True))


@torch.inference_mode()
def generate_padded(
    student: Student,
    prompts: Sequence[list[int]],
    *,
    max_new_tokens: int,
    progress: Callable[[int], object] = lambda questions: None,
) -> list[Lane]:
    """Pad all prompts (tokens, none empty) on the left with end-of-text to the longest one, and continue them greedily.

    `progress` is called with the number of questions that were done since the last call. One lane a prompt comes back,
    in their order; their log-probabilities are not measured.
    """
    width = max(len(prompt) for prompt in prompts)
    padding = student.end_of_text
    greedy = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(student.eos_ids),
        pad_token_id=padding,
    )
    found: list[Lane] = []
    own = student.model.generation_config
    student.model.generation_config = GenerationConfig()  # else `generate` mixes it in, a repetition penalty say
    try:
        for start in range(0, len(prompts), BATCH):
            batch = prompts[start : start + BATCH]
            ids_BT = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in batch]).to(student.device)
            # A mask of ones is what `generate` takes when it is given none, as long as padding is end-of-text.
            output_BT = student.model.generate(ids_BT, attention_mask=torch.ones_like(ids_BT), generation_config=greedy)
            found += [_lane_of(row, student) for row in output_BT[:, width:].tolist()]
            progress(len(batch))
    finally:
        student.model.generation_config = own
    return found


def _lane_of(tokens: list[int], student: Student) -> Lane:
    end = next((place for place, token in enumerate(tokens) if token in student.eos_ids), None)
    return Lane(0, 0, tokens[:end], [], "length" if end is None else "eos")
