"""In which numbers a student decodes where that is left to the machine: `student.dtype = "auto"`."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D

from sert.config.tree import PromptTemplates, StudentConfig
from sert.errors import StudentError
from sert.student.decoding.proof import Distance, Drive, Reference, find_drive
from sert.student.kernels import LANE, compiled
from sert.student.load import Student, load_student
from sert.student.speed.quantized import LARGE_STUDENT, BFloat16Linear, Int8Linear, Int16Linear, num_weights
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
_ROWS, _REPEATS = 256, 5


@plain_numbers()
def chosen(student: StudentConfig, reporter: Reporter) -> StudentConfig:
    """Put the type in the place of `auto` that is the fastest here among those that hardly change the student.

    Raises:
        StudentError: If the student cannot be loaded.
    """
    reporter.say(f"{student.path}: student.dtype = 'auto': trying which numbers are fast here and hardly change it")
    exact = load_student(student.model_copy(update={"dtype": "float32"}))
    rates = product_rates(exact)
    reference = tried(exact)[1] if worth_it(rates) else None
    del exact  # before others are loaded

    def distance_of(dtype: str) -> Distance | None:
        assert reference is not None
        try:
            return reference.distance_of(load_student(student.model_copy(update={"dtype": dtype})))
        except StudentError:
            return None

    dtype, because = choose(rates, distance_of)
    reporter.say(f"{student.path}: student.dtype = 'auto' takes {dtype}: {because}")
    return student.model_copy(update={"dtype": dtype})


def choose(rates: Mapping[str, float], distance_of: Callable[[str], Distance | None]) -> tuple[str, str]:
    """Choose the fastest type that is near enough to float32, and say why; the distance of one that fails is None."""
    passed_over: list[str] = []
    for dtype in worth_it(rates):
        distance = distance_of(dtype)
        if distance is not None and not distance.is_large:
            because = [f"products are {rates[dtype]:.1f} times as fast as in float32", *passed_over, str(distance)]
            return dtype, "; ".join(because)
        far = "does not fit" if distance is None else f"lies {distance.mean:.2g} nats from float32"
        passed_over.append(f"{dtype} {far}")
    return "float32", "; ".join(passed_over) or "nothing is faster here"


def worth_it(rates: Mapping[str, float]) -> list[str]:
    """List the types that multiply so much faster than float32 that they are looked at, the fastest first."""
    return sorted((dtype for dtype, rate in rates.items() if rate >= WORTH_IT), key=rates.__getitem__, reverse=True)


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
    seconds = {dtype: _seconds(multiply, inputs_BI) for dtype, multiply in _products(weight_IO).items()}
    return {dtype: seconds["float32"] / took for dtype, took in seconds.items() if dtype != "float32"}


def _products(weight_IO: Tensor) -> Mapping[str, Callable[[Tensor], Any]]:
    weight_OI = weight_IO.t().contiguous()
    products: dict[str, Callable[[Tensor], Any]] = {"float32": partial(linear, weight=weight_OI)}
    in_bfloat16 = weight_OI.bfloat16()
    products["bfloat16"] = lambda inputs_BI: linear(inputs_BI.bfloat16(), in_bfloat16)
    kernels = compiled() if weight_IO.device.type == "cpu" and len(weight_IO) % LANE == 0 else None
    if kernels is not None and kernels.has_integers:
        products |= {"int16": Int16Linear(weight_IO, None, kernels), "int8": Int8Linear(weight_IO, None)}
    if kernels is not None and kernels.has_bfloat16:
        products["bfloat16"] = BFloat16Linear(weight_IO, None, kernels)
    return products


def _seconds(multiply: Callable[[Tensor], Any], inputs_BI: Tensor) -> float:
    """Time a product at its best: what else runs on the machine makes it slower, and nothing makes it faster."""
    took = []
    for _ in range(_REPEATS + 1):
        began = time.perf_counter()
        multiply(inputs_BI)
        if inputs_BI.device.type != "cpu":
            torch.accelerator.synchronize(inputs_BI.device)
        took.append(time.perf_counter() - began)
    return min(took[1:])
