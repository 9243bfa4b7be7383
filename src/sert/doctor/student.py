"""Examining a student: which way it is driven here, and what coarser numbers make of it."""

from sert.config.tree import PromptTemplates, StudentConfig
from sert.doctor.finding import Finding
from sert.errors import StudentError
from sert.student.load import Student, load_student

QUESTIONS = (
    "Can a goldfish bark?",
    "Is the sun hotter than a cup of tea?",
    "Tim has 4 pens and buys 3 more. How many pens has Tim?",
    "Where do people keep milk so that it stays fresh? Answer choices: (A) oven, (B) fridge, (C) garden, (D) shoe.",
    "Would a person who is afraid of heights enjoy a job that is done on the roofs of tall buildings every day?",
)
"""What it is asked, in the default prompt; a run tries its own prompts."""
_LONGEST = 256
"""Tokens of the texts that are thought of: a prompt and a path."""


def examine_student(config: StudentConfig) -> list[Finding]:
    """Load a student in float32 and in coarser numbers, and try it on a few questions.

    Raises:
        StudentError: If it cannot be loaded, or gives no numbers.
    """
    from sert.student.decoding.proof import Reference, check_distance, find_drive

    exact = load_student(config.model_copy(update={"dtype": "float32"}))
    prompts = [exact.encode_prompt(PromptTemplates().student.format(question=question)) for question in QUESTIONS]
    drive = find_drive(exact, prompts, longest=_LONGEST)
    findings = [_described(exact), Finding("driven by", "warning" if drive.refused else "ok", str(drive))]
    reference = Reference(exact, drive, prompts, longest=_LONGEST)
    for dtype in ("int16", "bfloat16", "int8"):
        coarse = config.model_copy(update={"dtype": dtype})
        try:
            distance = reference.distance_of(load_student(coarse))
        except StudentError as error:
            findings.append(Finding(dtype, "unknown", str(error)))
            continue
        try:
            check_distance(distance, coarse)
        except StudentError:
            findings.append(Finding(dtype, "warning", f"refused, as it makes another student of it: {distance}"))
        else:
            findings.append(Finding(dtype, "warning" if distance.is_large else "ok", str(distance)))
    return findings


def _described(student: Student) -> Finding:
    ends = ", ".join(repr(student.decode([token])) for token in student.eos_ids)
    positions = "no limit of positions" if student.max_positions is None else f"{student.max_positions:,} positions"
    return Finding(
        "student", "ok", f"{student.model.num_parameters():,} weights, {positions}; its texts end with {ends}"
    )
