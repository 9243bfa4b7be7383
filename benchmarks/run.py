"""Speed against what a user could pick instead, in one run: `make bench` writes docs/benchmarks.json and .md.

Every figure comes from paired runs: in each round all contestants of a row run once, one after the other, and a ratio
is taken within the round. Reported are medians and the least and largest ratio.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed
from transformers.utils import logging

from benchmarks.render import render
from sert.config import MiningConfig, RulesConfig, StudentConfig, TaskConfig, TrainingConfig
from sert.paths.mining import mine
from sert.paths.selection import filter_paths
from sert.records import Example
from sert.student.decoding import Decoding, DecodingPrompt, decode
from sert.student.load import Student, make_student
from sert.student.quantized import quantize_student
from sert.student.training import train_student
from sert.tasks.base import load_task

LANES, NEW_TOKENS = 25, 128
SAMPLING = {"top_k": 10, "top_p": 0.95}
SIZES = {"124M": {}, "355M": {"n_layer": 24, "n_embd": 1024, "n_head": 16}}
END = 50256


class Run(NamedTuple):
    """What one run of a contestant took and made."""

    seconds: float
    units: int


Contestant = Callable[[], int]


def main() -> None:
    """Measure what was asked for and write the results."""
    options = _options()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    out: Path = options.out
    results: dict[str, Any] = {"machine": machine(), "rows": {}}
    if (out / "benchmarks.json").exists() and options.only:
        results["rows"] = json.loads((out / "benchmarks.json").read_text())["rows"]
    for name in options.only or ROWS:
        print(f"{name}: {options.pairs} rounds", flush=True)
        started = time.monotonic()
        results["rows"][name] = ROWS[name](options.pairs)
        print(f"{name}: done in {time.monotonic() - started:.0f} s", flush=True)
        out.mkdir(parents=True, exist_ok=True)
        (out / "benchmarks.json").write_text(json.dumps(results, indent=2) + "\n")
        (out / "benchmarks.md").write_text(render(results))
    print(render(results))


def paired(contestants: dict[str, Contestant], *, rounds: int, ours: str, unit: str) -> dict[str, Any]:
    """Run all contestants in turn, `rounds` times, and compare each with `ours` within the rounds."""
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            started = time.perf_counter()
            units = contestant()
            runs[name].append(Run(time.perf_counter() - started, units))
            print(f"  round {number + 1}: {name}: {units / runs[name][-1].seconds:.4g} {unit}/s", flush=True)
    return summary(runs, ours=ours, unit=unit)


def summary(runs: dict[str, list[Run]], *, ours: str, unit: str) -> dict[str, Any]:
    """Turn runs into rates and into ratios of our rate to each contestant's, round by round."""
    rates = {name: [run.units / run.seconds for run in of_name] for name, of_name in runs.items()}
    ratios = {
        name: [mine_ / other for mine_, other in zip(rates[ours], of_name, strict=True)]
        for name, of_name in rates.items()
        if name != ours
    }
    return {
        "unit": f"{unit}/s",
        "ours": ours,
        "rates": {name: statistics.median(of_name) for name, of_name in rates.items()},
        "ratios": {
            name: {"median": statistics.median(of_name), "min": min(of_name), "max": max(of_name)}
            for name, of_name in ratios.items()
        },
        "rounds": len(rates[ours]),
    }


def mining(rounds: int, *, size: str = "124M", new_tokens: int = NEW_TOKENS, rivals: bool = True) -> dict[str, Any]:
    """Sample 25 paths of each question; nothing stops early (random weights all but never end a text)."""
    model = random_gpt2(size)
    students = {name: student_of(model, name) for name in ("float32", "int8")}
    prompts = question_prompts(8)
    contestants: dict[str, Contestant] = {
        f"sert {name}": lambda student=student: mine_tokens(student, prompts, new_tokens)
        for name, student in students.items()
    }
    contestants["generate float32 + perplexity"] = lambda: generate(model, prompts[:1], new_tokens, perplexity=True)
    if rivals:
        half = random_gpt2(size).bfloat16()
        contestants["generate bfloat16"] = lambda: generate(half, prompts[:1], new_tokens)
        contestants.update(ctranslate2_contestants(model, prompts[:2], new_tokens))
    for student in students.values():
        mine_tokens(student, prompts[:1], 4)
    generate(model, prompts[:1], 4)
    found = paired(contestants, rounds=rounds, ours="sert int8", unit="tokens")
    head = model.lm_head.weight.numel()
    flops = 2 * (sum(p.numel() for n, p in model.named_parameters() if "wte" not in n and "wpe" not in n) + head)
    found["gflops_per_token"] = flops / 1e9
    found["products"] = product_rates()
    return found


def mine_tokens(student: Student, prompts: list[list[int]], new_tokens: int) -> int:
    """Mine with the engine; return the sampled tokens."""
    decoding = Decoding(branches=5, samples=5, max_new_tokens=new_tokens, max_lanes=400, **SAMPLING)
    named = [DecodingPrompt(str(number), prompt) for number, prompt in enumerate(prompts)]
    return sum(len(lane.token_ids) for wave in decode(student, named, decoding) for _, lanes in wave for lane in lanes)


def generate(model: Any, prompts: list[list[int]], new_tokens: int, *, perplexity: bool = False) -> int:
    """Sample with transformers, one question of 25 lanes a call; with the forward pass that gives the perplexity."""
    count = 0
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            texts = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                num_return_sequences=LANES,
                min_new_tokens=new_tokens,
                max_new_tokens=new_tokens,
                pad_token_id=END,
                **SAMPLING,
            )
            if perplexity:
                logits = model(texts, logits_to_keep=new_tokens + 1).logits[:, :-1]
                torch.nn.functional.cross_entropy(logits.flatten(0, 1), texts[:, -new_tokens:].flatten())
        count += texts[:, ids.shape[1] :].numel()
    return count


def ctranslate2_contestants(model: Any, prompts: list[list[int]], new_tokens: int) -> dict[str, Contestant]:
    """CTranslate2, one question a worker and one worker a core, the faster of its thread layouts here."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    folder = Path(tempfile.mkdtemp(prefix="sert-bench-"))
    model.save_pretrained(folder / "model")
    words = {f"t{number}": number for number in range(END)} | {"<|endoftext|>": END}
    save_tokenizer(words, folder / "model")
    TransformersConverter(str(folder / "model")).convert(str(folder / "ct2"))
    found: dict[str, Contestant] = {}
    for dtype in ("int8", "float32"):
        generator = ctranslate2.Generator(
            str(folder / "ct2"), compute_type=dtype, inter_threads=torch.get_num_threads(), intra_threads=1
        )

        def run(generator: Any = generator, length: int = new_tokens) -> int:
            results = generator.generate_batch(
                [[f"t{token}" for token in prompt] for prompt in prompts],
                max_batch_size=1,
                num_hypotheses=LANES,
                beam_size=1,
                min_length=length,
                max_length=length,
                sampling_topk=SAMPLING["top_k"],
                sampling_topp=SAMPLING["top_p"],
                include_prompt_in_result=False,
                return_scores=True,
            )
            return sum(len(ids) for result in results for ids in result.sequences_ids)

        run(length=4)
        found[f"CTranslate2 {dtype}"] = run
    return found


def filter_aware(rounds: int) -> dict[str, Any]:
    """Mine the lab's yes/no questions with and without early stopping; the selected paths must be the same."""
    questions = load_task("lab", TaskConfig(kind="lab_yes_no")).split("train")
    student = StudentConfig(path="lab", num_threads=1)
    rules = RulesConfig(min_tokens=12, min_perplexity=1.2)
    selected: dict[bool, bytes] = {}
    tokens: dict[bool, int] = {}

    def run(keep_all: bool) -> int:
        with tempfile.TemporaryDirectory() as folder:
            config = MiningConfig(max_new_tokens=48, keep_all=keep_all)
            mined = mine(questions, student, out=Path(folder) / "m", config=config, rules=rules)
            kept = filter_paths(mined, rules=rules, out=Path(folder) / "f")
            selected[keep_all] = kept.file("examples.parquet").read_bytes()
            tokens[keep_all] = mined.counts["tokens"]
        return len(questions)

    threads = torch.get_num_threads()
    found = paired({"stopping early": lambda: run(False), "keep_all": lambda: run(True)}, rounds=rounds,
                   ours="stopping early", unit="questions")  # fmt: skip
    torch.set_num_threads(threads)
    assert selected[True] == selected[False], "stopping early changed a selected path"
    return found | {"tokens": {"stopping early": tokens[False], "keep_all": tokens[True]}}


def training(rounds: int) -> dict[str, Any]:
    """Three optimizer steps of eight examples: ours against transformers' Trainer, on the same examples."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, END, size=int(rng.integers(90, 180))).tolist() for _ in range(24)]
    examples = [Example(str(i), " ".join(f"t{t}" for t in text[:52]), " ".join(f"t{t}" for t in text[52:]), "path")
                for i, text in enumerate(texts)]  # fmt: skip

    def ours() -> int:
        student = student_of(random_gpt2("124M"), "float32")
        config = TrainingConfig(batch_size=8, max_steps=3, max_grad_norm=1.0)
        started = time.perf_counter()
        train_student(student, examples, config, seed=0)
        spent.append(time.perf_counter() - started)
        return 24

    def trainer(bf16: bool) -> int:
        rows = [{"input_ids": text, "labels": [-100] * 52 + text[52:]} for text in texts]
        arguments = TrainingArguments(
            output_dir=tempfile.mkdtemp(prefix="sert-bench-"), per_device_train_batch_size=8, max_steps=3, bf16=bf16,
            use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        runner = Trainer(random_gpt2("124M").train(), arguments, train_dataset=rows, data_collator=pad)
        started = time.perf_counter()
        runner.train()
        spent.append(time.perf_counter() - started)
        return 24

    contestants = {
        "sert float32": ours,
        "Trainer float32": lambda: trainer(False),
        "Trainer bfloat16": lambda: trainer(True),
    }
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            spent: list[float] = []
            units = contestant()  # making the model is not counted
            runs[name].append(Run(spent[0], units))
            print(f"  {name}: {units / spent[0]:.3g} examples/s", flush=True)
    return summary(runs, ours="sert float32", unit="examples")


def evaluation(rounds: int) -> dict[str, Any]:
    """Greedy answers of 64 tokens: ours in waves against generate in batches of 32, padded on the left."""
    model = random_gpt2("124M")
    student, prompts = student_of(model, "float32"), question_prompts(96)
    named = [DecodingPrompt(str(number), prompt) for number, prompt in enumerate(prompts)]

    def ours() -> int:
        waves = decode(student, named, Decoding(branches=None, samples=1, max_new_tokens=64))
        return sum(len(wave) for wave in waves)

    def batches() -> int:
        for start in range(0, len(prompts), 32):
            part = prompts[start : start + 32]
            longest = max(map(len, part))
            ids = torch.tensor([[END] * (longest - len(p)) + p for p in part])
            mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in part])
            with torch.inference_mode():
                model.generate(ids, attention_mask=mask, do_sample=False, min_new_tokens=64, max_new_tokens=64,
                               pad_token_id=END)  # fmt: skip
        return len(prompts)

    return paired({"sert float32": ours, "generate float32": batches}, rounds=rounds, ours="sert float32",
                  unit="questions")  # fmt: skip


def start_up(rounds: int) -> dict[str, Any]:
    """Start `sert --help` in a new process."""

    def start(*arguments: str) -> int:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        return 1

    commands = {"sert --help": ("-m", "sert.cli", "--help"), "python, nothing": ("-c", "pass"),
                "import torch": ("-c", "import torch")}  # fmt: skip
    return paired({name: lambda command=command: start(*command) for name, command in commands.items()},
                  rounds=rounds, ours="sert --help", unit="starts")  # fmt: skip


def random_gpt2(size: str) -> Any:
    """Make a GPT-2 with random weights."""
    set_seed(0)
    return GPT2LMHeadModel(GPT2Config(**SIZES[size])).eval()


def student_of(model: Any, dtype: str) -> Student:
    """Wrap a copy of the model; its tokenizer knows every token by a name of its own."""
    copy = GPT2LMHeadModel(model.config)
    copy.load_state_dict(model.state_dict())
    if dtype == "int8":
        quantize_student(copy.eval())
    words = {f"t{number}": number for number in range(END)} | {"<|endoftext|>": END}
    with tempfile.TemporaryDirectory() as folder:
        return make_student(copy, save_tokenizer(words, Path(folder)), name=f"random GPT-2 {dtype}")


def save_tokenizer(words: dict[str, int], folder: Path) -> Any:
    """Make a tokenizer of whitespace words and save it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, **ends)
    tokenizer.save_pretrained(folder)
    return tokenizer


def question_prompts(count: int) -> list[list[int]]:
    """Draw prompts of random tokens, as long as CommonsenseQA's: mean 52, 35 to 80."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(52, 8, count), 35, 80).astype(int)
    return [rng.integers(0, END, size=length).tolist() for length in lengths]


def pad(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Pad a batch on the right, as the Trainer's users do."""
    longest = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": END, "labels": -100, "attention_mask": 0}
    rows = [row | {"attention_mask": [1] * len(row["input_ids"])} for row in rows]
    return {
        name: torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])
        for name, value in fill.items()
    }


def product_rates() -> dict[str, float]:
    """Measure the machine's matrix products, 400 x 768 x 3072, in thousand million operations a second."""
    inputs, weights = torch.randn(400, 768), torch.randn(768, 3072)
    made = {
        "float32": (torch.mm, inputs, weights),
        "bfloat16": (torch.mm, inputs.bfloat16(), weights.bfloat16()),
        "int8": (torch._int_mm, (inputs * 30).to(torch.int8), (weights * 30).to(torch.int8)),
    }
    rates = {}
    for name, (product, left, right) in made.items():
        times = []
        for _ in range(30):
            started = time.perf_counter()
            product(left, right)
            times.append(time.perf_counter() - started)
        rates[name] = 2 * 400 * 768 * 3072 / statistics.median(times) / 1e9
    return rates


def machine() -> dict[str, Any]:
    """Describe the processor and the versions."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in cpu.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16", "amx_bf16", "amx_int8")
    return {
        "processor": fields.get("model name", platform.processor()),
        "model": fields.get("model", ""),
        "features": [name for name in wanted if name in fields.get("flags", "").split()],
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in ("torch", "transformers", "ctranslate2")},
    }


def version(name: str) -> str:
    """Name the installed version."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


ROWS: dict[str, Callable[[int], dict[str, Any]]] = {
    "start_up": start_up,
    "filter_aware": filter_aware,
    "mining": mining,
    "training": training,
    "evaluation": evaluation,
    "mining_355M": lambda rounds: mining(min(rounds, 2), size="355M", new_tokens=32, rivals=False),
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), help="measure these rows, keep the others' results")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each row")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of benchmarks.json and benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
