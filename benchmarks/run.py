"""Speed against what a user could pick instead, in one run: `make bench` writes docs/benchmarks.json and .md.

Every figure comes from paired runs: in each round all contestants of a row run once, one after the other, each in a
process of its own, and a ratio is taken within the round. Reported are medians and the least and largest ratio. A
rival's batch and number type are searched for first, with shorter texts.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks import contestants, pretrained
from benchmarks.harness import ContestantError, Entry, Make, SideBySide, best_of, bfloat16_can_pay, paired, spread
from benchmarks.render import render
from sert.student.decoding.stepping import CacheStepper, PlainStepper

SEARCH_TOKENS = 16
REAL_STEPS = 12
"""Optimizer steps of a pretrained student. The pages of memory that the first ones touch cost seconds, spent once."""
EntryT = TypeVar("EntryT")


def main() -> None:
    """Measure what was asked for and write the results."""
    options = _options()
    out: Path = options.out
    results: dict[str, Any] = {"rows": {}}
    if (out / "benchmarks.json").exists() and options.only:
        results["rows"] = json.loads((out / "benchmarks.json").read_text())["rows"]
    for name in options.only or ROWS:
        print(f"{name}: {options.pairs} rounds", flush=True)
        started = time.monotonic()
        row, limit_s = ROWS[name]
        try:
            results["rows"][name] = row(options.pairs, limit_s) | {
                "date": time.strftime("%Y-%m-%d"),
                "machine": machine(),
            }
        except ContestantError as error:
            print(f"{name}: left out: {error}", flush=True)
            continue
        print(f"{name}: done in {time.monotonic() - started:.0f} s", flush=True)
        out.mkdir(parents=True, exist_ok=True)
        (out / "benchmarks.json").write_text(json.dumps(results, indent=2) + "\n")
        (out / "benchmarks.md").write_text(render(results))
    print(render(results))


def mining(rounds: int, limit_s: float) -> dict[str, Any]:
    """Sample 25 paths of 128 tokens; nothing stops early (random weights all but never end a text)."""
    products = in_a_process(contestants.product_rates)
    searches: dict[str, Any] = {}
    makes: dict[str, Entry] = {
        "sert int8": partial(contestants.sert_mining, "124M", "int8", 8, 128),
        "sert bfloat16": partial(contestants.sert_mining, "124M", "bfloat16", 8, 128),
        "sert float32": partial(contestants.sert_mining, "124M", "float32", 2, 128),
        "generate float32 + perplexity": partial(contestants.generate_mining, "124M", "float32", 1, 128, True),
    }
    tried = {
        f"{dtype}, {n} questions": partial(contestants.generate_mining, "124M", dtype, n)
        for dtype in ("bfloat16", "float32")
        for n in (1, 2, 4)
    }
    _search("generate, best type and batch", tried, makes, searches)
    tried = {
        f"{dtype}, {attention}, 1 question": partial(
            contestants.continuous_mining, "124M", dtype, 1, attention=attention
        )
        for dtype in ("float32", "bfloat16")
        for attention in ("sdpa", "paged|eager")
    }
    _search("continuous batching", tried, makes, searches)
    cores = os.cpu_count() or 1
    settings = [("int8", workers, batch) for workers in sorted({1, cores}) for batch in (1, 2, 4)]
    settings += [(dtype, 1, 1) for dtype in ("int8_bfloat16", "bfloat16", "float32")]
    tried = {
        f"{dtype}, {workers} workers, batch {batch}": partial(
            contestants.ctranslate2_mining, "124M", dtype, workers, batch, max(2, workers * batch)
        )
        for dtype, workers, batch in settings
    }
    _search("CTranslate2, best settings", tried, makes, searches)
    found = paired(_worth_trying(makes), rounds=rounds, limit_s=limit_s, ours="sert int8", unit="tokens")
    after = in_a_process(contestants.product_rates)
    found["products"] = {name: max(rate, after[name]) for name, rate in products.items()}
    found["gflops_per_token"] = contestants.gflops_per_token()
    return found | {"searches": searches}


def _search(
    what: str,
    tried: Mapping[str, Callable[..., Any] | SideBySide],
    makes: dict[str, Entry],
    searches: dict[str, Any],
    *,
    new_tokens: int = 128,
) -> None:
    """Add the contestant with the fastest setting, found with shorter texts, to `makes`."""
    short = {name: _of_length(make, SEARCH_TOKENS) for name, make in _worth_trying(tried).items()}
    try:
        best, rates = best_of(short, what=what)
    except ContestantError as error:
        searches[what] = {"error": str(error)}
        return
    searches[what] = {"best": best, "rates": rates}
    makes[what] = _of_length(tried[best], new_tokens)


def _worth_trying(entries: Mapping[str, EntryT]) -> dict[str, EntryT]:
    """Leave out what computes in bfloat16 where that can gain nothing: where the machine multiplies it too slowly."""
    return {name: entry for name, entry in entries.items() if "bfloat16" not in name or _has_bfloat16()}


@cache
def _has_bfloat16() -> bool:
    """Tell whether this machine multiplies bfloat16 fast enough to be tried; emulated it takes hours."""
    return bfloat16_can_pay(in_a_process(contestants.product_rates))


def _of_length(make: Callable[..., Any] | SideBySide, new_tokens: int) -> Entry:
    if isinstance(make, SideBySide):
        return make._replace(make=partial(make.make, new_tokens=new_tokens))
    return partial(make, new_tokens=new_tokens)


def real_student(rounds: int, limit_s: float) -> dict[str, Any]:
    """Sample 25 paths of at most 128 tokens of a pretrained student, which ends its texts where it will."""
    check_real_student()
    products = in_a_process(pretrained.products)
    searches: dict[str, Any] = {}
    near: str = in_a_process(pretrained.default_numbers)["dtype"]
    ours, cores = partial(pretrained.sert_mining, near, 64, 128), os.cpu_count() or 1
    side_by_side = f"sert {near}, a process a core"
    makes: dict[str, Entry] = {
        side_by_side: SideBySide(ours, cores),
        "sert bfloat16": partial(pretrained.sert_mining, "bfloat16", 16, 128),
        "sert float32": partial(pretrained.sert_mining, "float32", 8, 128),
        f"sert {near}": ours,
        "generate float32 + perplexity": partial(pretrained.generate_mining, "float32", 1, 2, 128, True),
    }
    tried = {
        f"{dtype}, {n} questions": partial(pretrained.generate_mining, dtype, n, 8)
        for dtype in ("bfloat16", "float32")
        for n in (1, 8)
    }
    tried |= {f"{name}, {cores} processes": SideBySide(make, cores) for name, make in tried.items()}
    _search("generate, best type and batch", tried, makes, searches)
    tried = {
        f"{n} questions at once": partial(pretrained.rival_mining, "llama.cpp", 8, questions_at_once=n)
        for n in (1, 2, 8)
    }
    _search("llama.cpp, best parallel setting", tried, makes, searches)
    tried = {
        f"{dtype}, {n} questions at once": partial(pretrained.rival_mining, "vllm", 8, questions_at_once=n, dtype=dtype)
        for dtype, n in (("bfloat16", 8), ("float32", 8))
    }
    _search("vLLM, best type and batch", tried, makes, searches)
    found = paired(_worth_trying(makes), rounds=rounds, limit_s=limit_s, ours=side_by_side, unit="tokens")
    dtypes = [*_worth_trying(dict.fromkeys((near, "int16", "bfloat16", "int8")))]
    distances = in_a_process(partial(pretrained.distances, 8, 128, dtypes))
    return found | products | {"searches": searches, "distances": distances}


def check_real_student() -> None:
    """Fetch the pretrained student, and check that its questions are there."""
    if not pretrained.QUESTIONS.is_file():
        raise ContestantError(f"no {pretrained.QUESTIONS} here; configs/commonsenseqa-gpt2.toml says where it is from")
    pretrained.student_file()


def mining_larger(rounds: int, limit_s: float, *, size: str) -> dict[str, Any]:
    """Sample 25 paths of 32 tokens with a larger student."""
    makes: dict[str, Make] = {
        "sert int8": partial(contestants.sert_mining, size, "int8", 4, 32),
        "generate float32 + perplexity": partial(contestants.generate_mining, size, "float32", 1, 32, True),
        "generate bfloat16": partial(contestants.generate_mining, size, "bfloat16", 1, 32),
    }
    return paired(_worth_trying(makes), rounds=rounds, limit_s=limit_s, ours="sert int8", unit="tokens")


def middle_way(rounds: int, limit_s: float, *, config: str) -> dict[str, Any]:
    """Sample 25 paths of 64 tokens of a student that our cache does not drive."""
    makes: dict[str, Make] = {
        "sert, the student's own cache": partial(contestants.hybrid_mining, config, CacheStepper, 64),
        "sert, plain forward passes": partial(contestants.hybrid_mining, config, PlainStepper, 64),
    }
    return paired(makes, rounds=rounds, limit_s=limit_s, ours="sert, the student's own cache", unit="tokens")


def filter_aware(rounds: int, limit_s: float) -> dict[str, Any]:
    """Mine the lab's yes/no questions with and without early stopping; the selected paths must be the same."""
    with tempfile.TemporaryDirectory() as folder:
        makes: dict[str, Make] = {
            "stopping early": partial(contestants.lab_mining, 240, False, folder),
            "keep_all": partial(contestants.lab_mining, 240, True, folder),
        }
        found = paired(makes, rounds=rounds, limit_s=limit_s, ours="stopping early", unit="questions")
        selected = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    assert len(selected) == 2 and len(set(selected.values())) == 1, "stopping early changed a selected path"
    tokens = {name.split("-")[0]: int(name.split("-")[1]) for name in selected}
    return found | {"tokens": {"stopping early": tokens["False"], "keep_all": tokens["True"]}}


def growth(rounds: int, limit_s: float) -> dict[str, Any]:
    """Mine 200, 1,000 and 2,000 questions with the lab student: time and memory."""
    makes: dict[str, Make] = {
        f"{count:,} questions": partial(contestants.lab_mining, count, False, "") for count in (200, 1000, 2000)
    }
    found = paired(makes, rounds=rounds, limit_s=limit_s, ours="2,000 questions", unit="questions")
    seconds, peaks = found["seconds"], found["peak_mib"]
    found["growth"] = {
        "time(2,000) / time(1,000)": spread(seconds["2,000 questions"], seconds["1,000 questions"]),
        "peak memory at 2,000 / at 200": dict.fromkeys(
            ("median", "min", "max"), peaks["2,000 questions"] / peaks["200 questions"]
        ),
    }
    return found


def training(rounds: int, limit_s: float) -> dict[str, Any]:
    """Four optimizer steps of eight examples: ours against transformers' Trainer, on the same examples."""
    makes: dict[str, Make] = {
        "sert bfloat16": partial(contestants.sert_training, 4, True),
        "sert float32": partial(contestants.sert_training, 4, False),
        "Trainer float32": partial(contestants.trainer_training, 4, False),
        "Trainer bfloat16": partial(contestants.trainer_training, 4, True),
    }
    return paired(_worth_trying(makes), rounds=rounds, limit_s=limit_s, ours=_fast_training(), unit="examples")


def real_training(rounds: int, limit_s: float, *, adapters: bool) -> dict[str, Any]:
    """Optimizer steps of eight examples with a pretrained student, of all of its weights or of adapters."""
    check_real_student()
    makes: dict[str, Make] = {
        f"{by} {'bfloat16' if bf16 else 'float32'}": partial(pretrained.training, REAL_STEPS, by, bf16, adapters)
        for by in ("sert", "Trainer")
        for bf16 in (True, False)
    }
    found = paired(_worth_trying(makes), rounds=rounds, limit_s=limit_s, ours=_fast_training(), unit="examples")
    return found | {"steps": REAL_STEPS}


def _fast_training() -> str:
    return "sert bfloat16" if in_a_process(contestants.bfloat16_pays)["pays"] else "sert float32"


def evaluation(rounds: int, limit_s: float) -> dict[str, Any]:
    """Greedy answers of 64 tokens: ours in waves against generate in batches."""
    count, searches = 192, {}
    makes: dict[str, Entry] = {
        f"sert {dtype}": partial(contestants.sert_evaluation, dtype, count, 64) for dtype in ("int8", "bfloat16")
    }
    tried = {
        f"{dtype}, batch {batch}": partial(contestants.generate_evaluation, dtype, batch, count)
        for dtype, batch in (("bfloat16", 16), ("bfloat16", 48), ("bfloat16", 96), ("float32", 48))
    }
    what = "generate, best type and batch"
    _search(what, tried, makes, searches, new_tokens=64)
    found = paired(_worth_trying(makes), rounds=rounds, limit_s=limit_s, ours="sert int8", unit="questions")
    return found | {"searches": searches}


def start_up(rounds: int, limit_s: float) -> dict[str, Any]:
    """Start `sert --help` in a new process."""
    makes: dict[str, Make] = {
        "sert --help": partial(contestants.new_process, "-m", "sert", "--help"),
        "python, nothing": partial(contestants.new_process, "-c", "pass"),
        "import torch": partial(contestants.new_process, "-c", "import torch"),
    }
    return paired(makes, rounds=rounds, limit_s=limit_s, ours="sert --help", unit="starts")


def in_a_process(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure something in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure).result()


def machine() -> dict[str, Any]:
    """Describe the processor and the versions."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in cpu.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16", "amx_bf16", "amx_int8")
    return {
        "processor": fields.get("model name", platform.processor()),
        "model": " of family ".join(fields[name] for name in ("model", "cpu family") if name in fields),
        "features": [name for name in wanted if name in fields.get("flags", "").split()],
        "threads": torch.get_num_threads(),
        "compiler": compiler(),
        "versions": {name: version(name) for name in ("torch", "transformers", "ctranslate2")},
    }


def compiler() -> str:
    """Name the C compiler that our loops are compiled with."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    try:
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return "no C compiler"
    return said.stdout.splitlines()[0]


def version(name: str) -> str:
    """Name the installed version."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


ROWS: dict[str, tuple[Callable[[int, float], dict[str, Any]], float]] = {
    "start_up": (start_up, 60),
    "filter_aware": (filter_aware, 120),
    "growth": (growth, 240),
    "mining": (mining, 1200),
    "real_student": (real_student, 1500),
    "real_training": (partial(real_training, adapters=False), 600),
    "real_training_LoRA": (partial(real_training, adapters=True), 600),
    "middle_way_LFM2": (partial(middle_way, config="Lfm2Config"), 240),
    "middle_way_Mamba": (partial(middle_way, config="MambaConfig"), 240),
    "training": (training, 480),
    "evaluation": (evaluation, 420),
    "mining_355M": (partial(mining_larger, size="355M"), 240),
    "mining_774M": (partial(mining_larger, size="774M"), 500),
}
"""What measures a row, and the seconds its rounds may take."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), help="measure these rows, keep the others' results")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each row, as far as there is time")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of benchmarks.json and benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
