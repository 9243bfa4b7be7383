"""The contestants: our engine, loop and commands, and what a user could take instead.

Each function builds one contestant in the process that calls it and returns what is to be timed.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.nn.functional import linear
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from benchmarks.harness import Contestant, Timed
from sert.config.lora import LoraConfig
from sert.config.tree import MiningConfig, RulesConfig, StudentConfig, TaskConfig, TrainingConfig
from sert.paths.filtering import filter_paths
from sert.paths.mining import mine
from sert.records import Example
from sert.student.decoding.engine import decode
from sert.student.decoding.lanes import unpack
from sert.student.decoding.proof import Drive
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.decoding.stepping import StepperType
from sert.student.load import Student, make_student
from sert.student.speed.quantized import multiply_in_bfloat16, quantize_student
from sert.student.training.loop import train_student
from sert.student.training.precision import advice_against_bfloat16, times_as_long
from sert.tasks.load import load_task

LANES = 25
SAMPLING = {"top_k": 10, "top_p": 0.95}
SIZES = {
    "124M": {},
    "355M": {"n_layer": 24, "n_embd": 1024, "n_head": 16},
    "774M": {"n_layer": 36, "n_embd": 1280, "n_head": 20},
}
HYBRIDS: dict[str, dict[str, Any]] = {
    "Lfm2Config": {
        **{"vocab_size": 50257, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "full_attn_idxs": [2, 5], "eos_token_id": 50256},
        **{"block_auto_adjust_ff_dim": False},
    },
    "MambaConfig": {"vocab_size": 50257, "hidden_size": 256, "num_hidden_layers": 6, "eos_token_id": 50256},
}
"""Students with convolutions or states, small enough for plain forward passes."""
END = 50256
SECONDS_A_PRODUCT = 2.0
"""What the tries of one product may take together, before the last: some types have no fast products everywhere."""
PROMPT = 52
"""Tokens of the mean prompt."""


def sert_mining(size: str, dtype: str, questions: int, new_tokens: int) -> Contestant:
    """Our engine: 25 paths of each question, log-probabilities kept, all questions in one wave."""
    student = student_of(random_gpt2(size), dtype)

    def run(count: int = questions, length: int = new_tokens) -> int:
        return mined_tokens(student, question_prompts(count), length)

    run(1, 4)
    return run


def mined_tokens(student: Student, prompts: list[list[int]], length: int, drive: Drive | None = None) -> int:
    """Mine 25 paths of each prompt, 16 prompts in a wave, and count their tokens."""
    decoding = Decoding(branches=5, samples=5, max_new_tokens=length, max_lanes=400, **SAMPLING)
    named = [DecodingPrompt(str(number), prompt) for number, prompt in enumerate(prompts)]
    waves = decode(student, named, decoding, drive=drive)
    return sum(len(lane.token_ids) for wave in waves for _, packed in wave for lane in unpack(packed))


def hybrid_mining(config: str, stepper: StepperType, new_tokens: int) -> Contestant:
    """Our engine with a student that has no cache of keys alone: 25 paths of one question, driven by this stepper."""
    quiet()
    set_seed(0)
    model = AutoModelForCausalLM.from_config(getattr(transformers, config)(**HYBRIDS[config])).eval()
    student, drive = student_of(model, "float32"), Drive("cache", stepper, 0.0, {})

    def run(length: int = new_tokens) -> int:
        return mined_tokens(student, question_prompts(1), length, drive)

    run(4)
    return run


def generate_mining(size: str, dtype: str, questions: int, new_tokens: int, perplexity: bool = False) -> Contestant:
    """transformers' `generate`, some questions of 25 lanes a call; with the pass that gives the perplexity if asked."""
    model = random_gpt2(size).to(getattr(torch, dtype))

    def run(count: int = questions, length: int = new_tokens) -> int:
        ids, mask = left_padded(question_prompts(count))
        with torch.inference_mode():
            texts = model.generate(ids, attention_mask=mask, do_sample=True, num_return_sequences=LANES,
                                   min_new_tokens=length, max_new_tokens=length, pad_token_id=END,
                                   **SAMPLING)  # fmt: skip
            if perplexity:
                logits = model(texts, logits_to_keep=length + 1).logits[:, :-1]
                torch.nn.functional.cross_entropy(logits.flatten(0, 1), texts[:, -length:].flatten())
        return texts[:, ids.shape[1] :].numel()

    assert not (perplexity and questions > 1), "the perplexity pass knows no padding"
    run(1, 4)
    return run


def continuous_mining(size: str, dtype: str, questions: int, new_tokens: int, attention: str) -> Contestant:
    """transformers' continuous batching, `generate_batch`, with room for all lanes at once."""
    from transformers.generation import ContinuousBatchingConfig

    quiet()
    model = random_gpt2(size).to(getattr(torch, dtype))
    model.set_attn_implementation(attention)
    page = 32
    blocks = questions * LANES * (-(-(80 + new_tokens) // page) + 1)

    def run(length: int = new_tokens) -> int:
        config = GenerationConfig(do_sample=True, num_return_sequences=LANES, max_new_tokens=length, eos_token_id=END,
                                  pad_token_id=END, **SAMPLING)  # fmt: skip
        found = model.generate_batch(
            question_prompts(questions),
            generation_config=config,
            continuous_batching_config=ContinuousBatchingConfig(num_blocks=blocks, page_size=page),
            progress_bar=False,
        )
        tokens = sum(len(one.generated_tokens) for one in found.values())
        assert tokens >= 0.95 * questions * LANES * length, "paths are missing"
        return tokens

    run(4)
    return run


def ctranslate2_mining(size: str, dtype: str, workers: int, batch: int, questions: int, new_tokens: int) -> Contestant:
    """CTranslate2 with `workers` processes' worth of threads, prompts of one length, scores on."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    folder = Path(tempfile.mkdtemp(prefix="sert-bench-"))
    random_gpt2(size).save_pretrained(folder / "model")
    save_tokenizer(folder / "model")
    TransformersConverter(str(folder / "model")).convert(str(folder / "ct2"))
    generator = ctranslate2.Generator(str(folder / "ct2"), compute_type=dtype, inter_threads=workers,
                                      intra_threads=(os.cpu_count() or 1) // workers)  # fmt: skip
    rng = np.random.default_rng(0)
    prompts = [[f"t{token}" for token in rng.integers(0, END, size=PROMPT)] for _ in range(questions)]

    def run(length: int = new_tokens) -> int:
        results = generator.generate_batch(
            prompts, max_batch_size=batch, num_hypotheses=LANES, beam_size=1, min_length=length, max_length=length,
            sampling_topk=SAMPLING["top_k"], sampling_topp=SAMPLING["top_p"], include_prompt_in_result=False,
            return_scores=True,
        )  # fmt: skip
        return sum(len(ids) for result in results for ids in result.sequences_ids)

    run(4)
    return run


def sert_training(steps: int, bf16: bool) -> Contestant:
    """Our loop: optimizer steps of eight examples; weights are float32, products bfloat16 if asked."""
    student = student_of(random_gpt2("124M"), "float32")
    names = [" ".join(f"t{token}" for token in text) for text in training_texts(steps)]
    examples = [
        Example(str(number), " ".join(words[:PROMPT]), " ".join(words[PROMPT:]), "path")
        for number, words in enumerate(name.split() for name in names)
    ]
    return trained_by_us(student, examples, steps, bf16)


def trained_by_us(
    student: Student, examples: Sequence[Example], steps: int, bf16: bool, lora: LoraConfig | None = None
) -> Contestant:
    """Train a student, as it is, by our loop; the adapters in it are those of `lora`."""
    check_precision(bf16)

    def run(of: int = steps) -> Timed:
        started = time.perf_counter()
        config = TrainingConfig(
            batch_size=8, max_steps=of, max_grad_norm=1.0, autocast="bf16" if bf16 else "no", lora=lora
        )
        train_student(student, examples, config, seed=0)
        return Timed(time.perf_counter() - started, 8 * of)

    run(1)
    return run


def trainer_training(steps: int, bf16: bool) -> Contestant:
    """transformers' `Trainer` on the same examples, all in one pass a step."""
    rows = [{"input_ids": text, "labels": [-100] * PROMPT + text[PROMPT:]} for text in training_texts(steps)]
    return trained_by_trainer(random_gpt2("124M"), rows, steps, bf16)


def trained_by_trainer(model: Any, rows: Sequence[dict[str, list[int]]], steps: int, bf16: bool) -> Contestant:
    """Train a model by transformers' `Trainer`."""
    check_precision(bf16)
    quiet()
    folder = tempfile.mkdtemp(prefix="sert-bench-")

    def run(of: int = steps) -> Timed:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=8, max_steps=of, bf16=bf16, use_cpu=True,
            report_to="none", save_strategy="no", disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        runner = Trainer(model.train(), arguments, train_dataset=rows, data_collator=right_padded)
        started = time.perf_counter()
        runner.train()
        return Timed(time.perf_counter() - started, 8 * of)

    run(1)
    return run


def check_precision(bf16: bool) -> None:
    """Refuse to train in bfloat16 where that only costs time, perhaps hours."""
    if bf16 and (advice := advice_against_bfloat16(times_as_long())):
        raise RuntimeError(advice)


def bfloat16_pays() -> dict[str, bool]:
    """Tell whether training in bfloat16 is no slower than in float32 here."""
    return {"pays": advice_against_bfloat16(times_as_long()) is None}


def sert_evaluation(dtype: str, questions: int, new_tokens: int) -> Contestant:
    """Our engine, greedy, all questions in one wave."""
    student = student_of(random_gpt2("124M"), dtype)

    def run(count: int = questions, length: int = new_tokens) -> int:
        prompts = [DecodingPrompt(str(number), prompt) for number, prompt in enumerate(question_prompts(count))]
        waves = decode(student, prompts, Decoding(branches=None, samples=1, max_new_tokens=length))
        return sum(len(wave) for wave in waves)

    run(4, 4)
    return run


def generate_evaluation(dtype: str, batch: int, questions: int, new_tokens: int) -> Contestant:
    """`generate`, greedy, in batches padded on the left; sorted by length, so that little is padded."""
    model = random_gpt2("124M").to(getattr(torch, dtype))
    prompts = sorted(question_prompts(questions), key=len)

    def run(length: int = new_tokens) -> int:
        for start in range(0, len(prompts), batch):
            ids, mask = left_padded(prompts[start : start + batch])
            with torch.inference_mode():
                model.generate(ids, attention_mask=mask, do_sample=False, min_new_tokens=length,
                               max_new_tokens=length, pad_token_id=END)  # fmt: skip
        return len(prompts)

    run(4)
    return run


def lab_mining(questions: int, keep_all: bool, digests: str) -> Contestant:
    """Mining and filtering with the lab student, as the commands do it; writes down what was selected.

    More questions than the lab's 240 are the same ones again under other names.
    """
    asked = load_task("lab", TaskConfig(kind="lab_yes_no")).split("train")
    asked = [replace(asked[n % len(asked)], question_id=f"q{n}") for n in range(questions)]
    student = StudentConfig(path="lab", num_threads=1)
    rules = RulesConfig(min_tokens=12, min_perplexity=1.2)

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            config = MiningConfig(max_new_tokens=48, keep_all=keep_all)
            mined = mine(asked, student, out=Path(folder) / "m", config=config, rules=rules)
            kept = filter_paths(mined, rules=rules, out=Path(folder) / "f")
            if digests:
                name = f"{keep_all}-{mined.counts['tokens']}"
                Path(digests, name).write_bytes(kept.file("examples.parquet").read_bytes())
        return questions

    return run


def new_process(*arguments: str) -> Contestant:
    """A new Python process."""

    def run() -> int:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        return 1

    run()
    return run


def product_rates(shapes: Sequence[tuple[int, int]] = ((768, 3072), (3072, 768), (768, 50257))) -> dict[str, float]:
    """The machine's matrix products in GFLOP/s: the best of these shapes, which GPT-2 124M has."""
    rates: dict[str, float] = {}
    for rows in (200, 400, 1024):
        for inner, columns in shapes:
            left, weight = torch.randn(rows, inner), torch.randn(columns, inner)
            made: dict[str, Any] = {
                "float32": (linear, left, weight),
                "bfloat16": (linear, left.bfloat16(), weight.bfloat16()),
                "int8": (torch._int_mm, (left * 30).to(torch.int8), (weight.t() * 30).to(torch.int8)),
            }
            for name, (product, one, other) in made.items():
                times: list[float] = []
                while len(times) < (7 if columns > 10_000 else 15) and sum(times) < SECONDS_A_PRODUCT:
                    started = time.perf_counter()
                    product(one, other)
                    times.append(time.perf_counter() - started)
                rate = 2 * rows * inner * columns / float(np.median(times)) / 1e9
                rates[name] = max(rates.get(name, 0.0), rate)
    return rates


def gflops_per_token() -> float:
    """Operations of GPT-2 124M's linear layers for one token, in thousand millions."""
    model = GPT2LMHeadModel(GPT2Config())
    layers = sum(weight.numel() for name, weight in model.named_parameters() if "wte" not in name and "wpe" not in name)
    return 2 * (layers + model.lm_head.weight.numel()) / 1e9


def random_gpt2(size: str) -> Any:
    """Make a GPT-2 with random weights."""
    quiet()
    set_seed(0)
    return GPT2LMHeadModel(GPT2Config(**SIZES[size])).eval()


def student_of(model: Any, dtype: str) -> Student:
    """Make a student of the model; its tokenizer knows every token by a name of its own."""
    if dtype == "int8":
        quantize_student(model)
    elif dtype == "bfloat16":
        multiply_in_bfloat16(model.to(torch.bfloat16))
    with tempfile.TemporaryDirectory() as folder:
        return make_student(model, save_tokenizer(Path(folder)), name=f"random GPT-2 {dtype}")


def save_tokenizer(folder: Path) -> Any:
    """Make a tokenizer of whitespace words and save it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"t{number}": number for number in range(END)} | {"<|endoftext|>": END}
    raw = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, **ends)
    tokenizer.save_pretrained(folder)
    return tokenizer


def question_prompts(count: int) -> list[list[int]]:
    """Draw prompts of random tokens, as long as CommonsenseQA's: mean 52, 35 to 80."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(PROMPT, 8, count), 35, 80).astype(int)
    return [rng.integers(0, END, size=length).tolist() for length in lengths]


def training_texts(steps: int) -> list[list[int]]:
    """Draw texts of 90 to 180 random tokens, eight a step."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, END, size=int(rng.integers(90, 180))).tolist() for _ in range(8 * steps)]


def left_padded(prompts: list[list[int]], end: int = END) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of a batch that is padded on the left, both (B, T)."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[end] * (longest - len(prompt)) + prompt for prompt in prompts])
    return ids, torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])


def right_padded(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Pad a batch on the right, as the Trainer's users do."""
    longest = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": 0, "labels": -100, "attention_mask": 0}
    rows = [row | {"attention_mask": [1] * len(row["input_ids"])} for row in rows]
    return {
        name: torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])
        for name, value in fill.items()
    }


def quiet() -> None:
    """No warnings and bars of transformers in between the results."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
