"""The measurements as a page."""

from typing import Any

GOALS = {
    ("mining", "generate float32 + perplexity"): (7, 12),
    ("mining", "generate bfloat16"): (4.5, 7),
    ("mining", "CTranslate2 int8"): (2.2, 3.5),
    ("filter_aware", "keep_all"): (1.3, 2),
    ("training", "Trainer float32"): (2.5, 4),
    ("training", "Trainer bfloat16"): (1.3, 2),
    ("evaluation", "generate float32"): (3, 6),
    ("mining_355M", "generate float32 + perplexity"): (4, None),
}

ABOUT = {
    "start_up": "New processes; `sert --help` has a goal of 0.3 s, that is 3.3 starts a second.",
    "filter_aware": "The lab student on its 240 yes/no training questions, 25 paths of at most 48 tokens. That both selected the same "
    "paths, byte for byte, is checked in each run.",
    "mining": "GPT-2 124M with random weights, prompts of 35 to 80 tokens, 25 paths a question, 128 tokens each, nothing stops "
    "early. Ours: 8 questions in one wave, log-probabilities kept. `generate`: one question of 25 lanes a call; "
    "the float32 row includes the second forward "
    "pass that its user needs for the perplexity. CTranslate2: one question a worker, one worker a core, the faster of "
    "two layouts that were tried (the other: one worker on all cores); its scores are on.",
    "training": "Three optimizer steps of 8 examples of 90 to 180 tokens, 52 of them prompt, dropout 0.1, gradients clipped at 1.",
    "evaluation": "96 questions, greedy, 64 tokens each (of 1,221 in the real set, for the time it takes); `generate` in batches of 32.",
    "mining_355M": "As mining, with GPT-2 355M, 32 new tokens and fewer rounds.",
}


def render(results: dict[str, Any]) -> str:
    """Write docs/benchmarks.md from docs/benchmarks.json."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`; `benchmarks/run.py` says how. Each ratio is our rate divided by the other's in the same round:",
        "the median over the rounds, and the least and the largest.",
        "",
        f"Machine: {machine['processor']} (model {machine['model']}), {machine['threads']} threads, "
        f"{', '.join(machine['features'])}; {versions}; {machine['date']}.",
    ]
    for row, found in results["rows"].items():
        lines += ["", f"## {row.replace('_', ' ')}", ABOUT[row], ""]
        lines += [f"| what | {found['unit']} | ours is faster by | goal, aim |", "|---|---|---|---|"]
        for name, rate in found["rates"].items():
            ratio = found["ratios"].get(name)
            goals = GOALS.get((row, name))
            goal = "" if goals is None else f"{goals[0]}x" + (f", {goals[1]}x" if goals[1] else "")
            shown = f"{ratio['median']:.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else "(ours)"
            lines.append(f"| {name} | {rate:.4g} | {shown} | {goal} |")
        lines += ["", f"Rounds: {found['rounds']}."]
        lines += _extras(found)
    return "\n".join(lines) + "\n"


def _extras(found: dict[str, Any]) -> list[str]:
    lines = []
    if "tokens" in found:
        shown = ", ".join(f"{name} {count:,}" for name, count in found["tokens"].items())
        lines.append(f"Tokens decoded: {shown}.")
    if "products" in found:
        products = found["products"]
        shown = ", ".join(f"{name} {rate:.0f}" for name, rate in products.items())
        lines.append(f"Matrix products of this machine, GFLOP/s at 400 x 768 x 3072: {shown}.")
        for name, rate in found["rates"].items():
            if name.startswith("sert "):
                own, gflops = name.split()[1], rate * found["gflops_per_token"]
                lines.append(
                    f"{name} sustains {gflops:.0f} GFLOP/s in its linear layers: {gflops / products['bfloat16']:.2f} of the "
                    f"bfloat16 rate, {gflops / products[own]:.2f} of the {own} rate."
                )
    return lines
