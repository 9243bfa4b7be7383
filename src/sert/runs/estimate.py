"""What a plan will roughly take on this machine: tokens, time and disk. Loads no model."""

import math
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from sert.config.tree import StudentConfig
from sert.store.stage import Stage
from sert.student.folder import count_weights as weights_of
from sert.student.folder import find_student
from sert.student.training.memory import WORTH_TELLING, available_by_name
from sert.student.training.stage import TrainJob

HUB_WEIGHTS = {"gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200}
"""Weights of students that are known by their hub ids."""
SECONDS_A_TOKEN, SECONDS_A_STAGE = 8e-5, 1.0
"""What a token takes beside its products, and a stage beside its tokens; seen with the lab's student on one core."""
SHARE_OF_RATE = 0.7
"""Share of the rate of plain matrix products that decoding and training come to."""
BYTES_A_WEIGHT, BYTES_A_TOKEN = 4, 12
"""What is kept of each: weights in float32; of a decoded token its id, its log-probability and its text."""
MEASURED_SECONDS = 0.3
"""Seconds for which the rate of products is measured."""
_SIZE = 1024


class Estimate(NamedTuple):
    """Sums over the stages that are to be made; `seconds` and `bytes_kept` are None for students of unknown size.

    Attributes:
        memory: Bytes that the largest training takes; None where there is none, or none of known size.
        memory_warning: That it is more than there is here.
    """

    stages: int
    tokens_decoded: int
    tokens_trained: int
    seconds: float | None
    bytes_kept: int | None
    memory: int | None = None
    memory_warning: str | None = None


def estimate(stages: Iterable[tuple[Stage, StudentConfig]]) -> Estimate:
    """Add up what unfinished stages will take, each with the student that it is about.

    The time is an upper bound of a rough guess: every path is taken to be as long as it may be, and the rate is that of
    this machine's processor in matrix products, measured now.
    """
    to_do = [(stage, student) for stage, student in stages if not stage.finished]
    weights: dict[str, int | None] = {student.path: count_weights(student) for _, student in to_do}
    decoded, trained = (sum(getattr(stage.job.cost, kind) for stage, _ in to_do) for kind in ("decoded", "trained"))
    memory = largest_training(to_do)
    seconds, kept = 0.0, 0
    rate = product_rate() if to_do else 1.0
    for stage, student in to_do:
        size = weights[student.path]
        if size is None:
            return Estimate(len(to_do), decoded, trained, None, None, *memory)
        cost = stage.job.cost
        products = (2 * (cost.decoded + cost.scored) + 6 * cost.trained) * size
        tokens = cost.decoded + cost.scored + cost.trained
        seconds += products / rate / SHARE_OF_RATE + tokens * SECONDS_A_TOKEN + SECONDS_A_STAGE
        kept += cost.saved * size * BYTES_A_WEIGHT + cost.decoded * BYTES_A_TOKEN
    return Estimate(len(to_do), decoded, trained, seconds, kept, *memory)


def largest_training(stages: Sequence[tuple[Stage, StudentConfig]]) -> tuple[int | None, str | None]:
    """Find how much memory the largest training takes, and say so if that is not there; None where nothing is known."""
    trainings = [(stage.job.memory, student) for stage, student in stages if isinstance(stage.job, TrainJob)]
    known = [(need, student) for need, student in trainings if need is not None]
    if not known:
        return None, None
    need, student = max(known, key=lambda each: each[0].total)
    if need.total < WORTH_TELLING:
        return need.total, None
    return need.total, need.lacking(available_by_name(student.device))


def count_weights(student: StudentConfig) -> int | None:
    """Count a student's weights by the headers of its files, or by its hub id; None if neither says it."""
    place = find_student(student)
    return HUB_WEIGHTS.get(place.path) if place.kind == "hub" else weights_of(place)


def product_rate() -> float:
    """Measure the rate of float32 matrix products, operations a second: the fastest, as other work slows some down."""
    ones = np.ones((_SIZE, _SIZE), dtype=np.float32)
    _ = ones @ ones
    began, fastest = time.perf_counter(), math.inf
    while (since := time.perf_counter()) - began < MEASURED_SECONDS:
        _ = ones @ ones
        fastest = min(fastest, time.perf_counter() - since)
    return 2 * _SIZE**3 / fastest
