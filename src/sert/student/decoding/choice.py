"""In which numbers a student decodes where that is left to the machine: `student.dtype = "auto"`."""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D

from sert.config.prompts import PromptTemplates
from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.decoding.proof import Distance, Drive, Reference, find_drive
from sert.student.kernels import compiled
from sert.student.load import Student, load_student
from sert.student.source import called
from sert.student.speed.quantized import (
    IN_LOOPS,
    LARGE_STUDENT,
    Lacking,
    inputs_at_once,
    lacking_loops,
    num_weights,
    products_of,
)
from sert.student.surroundings import plain_numbers
from sert.terminal.progress import Reporter

QUESTIONS = (
    "Can a goldfish bark?",
    "Is the sun hotter than a cup of tea?",
    "Tim has 4 pens and buys 3 more. How many pens has Tim?",
    "Where do people keep milk so that it stays fresh? Answer choices: (A) oven, (B) fridge, (C) garden, (D) shoe.",
    "Would a person who is afraid of heights enjoy a job that is done on the roofs of tall buildings every day?",
)
"""What a student is tried on, in the default prompt; every stage tries its own prompts again."""
LONGEST = 256
"""Tokens of the texts that are thought of: a prompt and a path."""
WORTH_IT = 1.2
"""Products must be so many times as fast as in float32 for other numbers to be taken."""
MARGIN = 1.3
"""Products must be so many times as fast as in what moves a student less to be taken before it: of two that are nearly
as fast now the one is measured faster and now the other."""
_ROWS, _ROUNDS = 256, 15


@plain_numbers()
def chosen(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    """Put the type in the place of `auto` that is the fastest here among those that hardly change the student.

    Raises:
        StudentError: If the student cannot be loaded.
    """
    reporter.say(f"{called(student)}: student.dtype = 'auto': trying which numbers are fast here and hardly change it")
    exact = load_student(student.model_copy(update={"dtype": "float32"}))
    rates, lacking = product_rates(exact), lacking_loops(exact.model, "int16")
    reference = tried(exact)[1] if worth_it(rates) else None
    del exact  # before others are loaded

    def distance_of(dtype: str) -> Distance | None:
        assert reference is not None
        try:
            return reference.distance_of(load_student(student.model_copy(update={"dtype": dtype})))
        except StudentError:
            return None

    dtype, because = choose(rates, distance_of, lacking=lacking)
    reporter.say(f"{called(student)}: student.dtype = 'auto' takes {dtype}: {because}")
    return student.model_copy(update={"dtype": dtype})


def choose(
    rates: Mapping[str, float], distance_of: Callable[[str], Distance | None], *, lacking: Lacking | None = None
) -> tuple[str, str]:
    """Choose the fastest type that is near enough to float32, and say what was measured.

    Args:
        rates: How many times as fast as float32 each type multiplies, as `product_rates` measures it.
        distance_of: Measures how far a type is from float32; None for one that the student does not decode in.
        lacking: Why there are no compiled loops, where there are none.
    """
    if not rates:
        return "float32", f"other numbers are for students of {LARGE_STUDENT:,} weights and more"
    measured = ", ".join(f"{rates[dtype]:.1f} ({dtype})" for dtype in IN_LOOPS if dtype in rates)
    because = [f"products of its largest layer are {measured} times as fast as in float32"]
    if lacking is not None:
        missing = [dtype for dtype in IN_LOOPS if dtype not in rates]
        because.append(f"{' and '.join(missing)} cannot be tried, because {lacking}")
    for dtype in worth_it(rates):
        distance = distance_of(dtype)
        if distance is not None and not distance.is_large:
            return dtype, "; ".join([*because, str(distance)])
        far = "does not fit" if distance is None else f"lies {distance.mean:.2g} nats from float32"
        because.append(f"{dtype} {far}")
    return "float32", "; ".join(because)


def worth_it(rates: Mapping[str, float]) -> list[str]:
    """List the types that multiply so much faster than float32 that they are looked at, what is to be taken first.

    That is the fastest one, but of those that are nearly as fast the one that moves students least.
    """
    left = [dtype for dtype in IN_LOOPS if rates.get(dtype, 0.0) >= WORTH_IT]
    ordered: list[str] = []
    while left:
        best = left[0]
        for dtype in left[1:]:
            best = dtype if rates[dtype] >= MARGIN * rates[best] else best
        left.remove(best)
        ordered.append(best)
    return ordered


def tried(exact: Student) -> tuple[Drive, Reference]:
    """Let a student in float32 answer `QUESTIONS`: how it is driven, and what other numbers are measured against."""
    prompts = [exact.encode_prompt(PromptTemplates().student.format(question=question)) for question in QUESTIONS]
    drive = find_drive(exact, prompts, longest=LONGEST)
    return drive, Reference(exact, drive, prompts, longest=LONGEST)


@torch.inference_mode()
def product_rates(exact: Student) -> dict[str, float]:
    """Measure how fast the largest layer below the head multiplies in other numbers: type -> times as fast.

    Small students gain nothing from other numbers; of them nothing is measured.
    """
    if num_weights(exact.model) < LARGE_STUDENT:
        return {}
    head = exact.model.get_output_embeddings()
    layers = [each for each in exact.model.modules() if isinstance(each, torch.nn.Linear | Conv1D) and each is not head]
    largest: Any = max(layers, key=lambda layer: layer.weight.numel())
    weight_IO = largest.weight if isinstance(largest, Conv1D) else largest.weight.t()
    inputs_BI = torch.randn(_ROWS, len(weight_IO), device=exact.device)
    seconds = _seconds(_products(weight_IO), inputs_BI)
    return {dtype: seconds["float32"] / took for dtype, took in seconds.items() if dtype != "float32"}


def _products(weight_IO: Tensor) -> Mapping[str, Callable[[Tensor], Any]]:
    weight_OI = weight_IO.t().contiguous()
    products: dict[str, Callable[[Tensor], Any]] = {"float32": partial(linear, weight=weight_OI)}
    in_bfloat16 = weight_OI.bfloat16()
    products["bfloat16"] = lambda inputs_BI: linear(inputs_BI.bfloat16(), in_bfloat16)
    kernels = compiled() if weight_IO.device.type == "cpu" else None
    if kernels is not None:
        fitting = [dtype for dtype in products_of(kernels) if len(weight_IO) % inputs_at_once(dtype) == 0]
        products |= {dtype: IN_LOOPS[dtype](weight_IO, None, kernels) for dtype in fitting}
    return products


def _seconds(products: Mapping[str, Callable[[Tensor], Any]], inputs_BI: Tensor) -> dict[str, float]:
    """Time products at their best: what else runs on the machine makes them slower, and nothing makes them faster.

    They take turns, so that whatever comes and goes meets all of them. On CPUs one thread multiplies and its own time
    counts, not the time for which others had its core.
    """
    on_cpu, threads = inputs_BI.device.type == "cpu", torch.get_num_threads()
    best, now = dict.fromkeys(products, math.inf), time.thread_time if on_cpu else time.perf_counter
    torch.set_num_threads(1)
    try:
        for turn in range(_ROUNDS + 1):
            for dtype, multiply in products.items():
                began = now()
                multiply(inputs_BI)
                if not on_cpu:
                    torch.accelerator.synchronize(inputs_BI.device)
                if turn:  # the first one gets ready
                    best[dtype] = min(best[dtype], now() - began)
    finally:
        torch.set_num_threads(threads)
    return best
