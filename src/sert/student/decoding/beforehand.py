"""What a dry run says of a student: which way will drive it and why, in the words of the stage that it is about.

A student that is here and not large is loaded and tried on the stage's own prompts. Of another one its configuration is
read where it is here. Nothing is downloaded, and nothing written.
"""

import shlex
from pathlib import Path
from typing import Any

from sert.config.tree import StudentConfig
from sert.student.decoding.choice import chosen
from sert.student.decoding.proof import known_refusal, refusal
from sert.student.decoding.units import DecodingJob, undecided
from sert.student.folder import count_weights, find_student
from sert.student.gguf import is_converted
from sert.student.load import load_settings
from sert.student.source import called
from sert.terminal.progress import Reporter

LARGEST_TRIED = 500_000_000
"""Weights of a student up to which a dry run loads it: some seconds, and 2 GB of memory."""


def foresee(job: DecodingJob, reporter: Reporter) -> dict[str, Any]:
    """Find out how the student of a job will be driven: what `DecodingJob.prepare` says of it.

    `driven_by` is None where it was not tried; then `told` says why, and which command does.

    Raises:
        StudentError: If the job would be refused for its student or its prompts.
    """
    if (reason := why_untried(job.student)) is None:
        reporter.say(f"{called(job.student)}: trying it on the prompts that it will get")
        return job.prepare(worker=0)[-1]
    told = [
        f"which way drives it was not tried, as {reason}: `sert doctor --student {shlex.quote(job.student.path)}` does"
    ]
    if (settings := load_settings(job.student)) is not None:
        known = known_refusal(settings, job.longest_guess)
        told.append(
            "its configuration says nothing against the fast engine"
            if known is None
            else f"warning: {refusal('fast', known)}"
        )
    return {"driven_by": None, "told": told}


def choose_beforehand(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    """Choose the type as the run itself will, where `auto` leaves it to the machine; float32 where that takes long."""
    return chosen(student, reporter) if why_untried(student) is None else undecided(student, reporter)


def why_untried(student: StudentConfig) -> str | None:
    """Say why a dry run does not load a student; None where it does.

    Raises:
        StudentError: If it could not be loaded, as far as its files show.
    """
    place = find_student(student)
    weights = count_weights(place)
    while place.base is not None:
        place = place.base
    if place.kind == "hub":
        return "a dry run gets nothing from the hub"
    if place.kind == "gguf" and not is_converted(Path(place.path)):
        return "its file is converted first, which a dry run does not do"
    if weights is not None and weights > LARGEST_TRIED:
        return f"a dry run loads no student of more than {LARGEST_TRIED:,} weights"
    return None
