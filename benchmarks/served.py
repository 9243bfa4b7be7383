"""Mining through a vLLM server on loopback, against the student here: `python -m benchmarks.served STUDENT FILE`.

Serves the student in float32 by vLLM's build for CPUs, in the environment of the rival of that name, mines the first
questions of CommonsenseQA through it, and reads what it sampled by plain forward passes of the student.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import groupby
from pathlib import Path

from benchmarks.rivals import environment
from sert.config.mining import MiningConfig, MiningEndpoint
from sert.config.tree import StudentConfig, TaskConfig
from sert.paths.mining import mine
from sert.records import Path as MinedPath
from sert.store.tables import read_table
from sert.student.decoding.lanes import Lane
from sert.student.decoding.schedule import DecodingPrompt
from sert.student.folder import find_student
from sert.student.gguf import converted
from sert.student.load import load_outline
from sert.student.served.agreement import agreement
from sert.tasks.load import load_task
from sert.terminal.progress import Terminal

LONGEST = 1024
NAME = "student"
SECONDS_TO_START = 600


@contextmanager
def vllm_server(folder: str, *, dtype: str, log: Path) -> Iterator[str]:
    """Serve a student; gives the address up to `/v1`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What `vllm serve` runs; the command itself looks for a package of another name.
    command = [str(environment("vllm")), "-m", "vllm.entrypoints.openai.api_server", "--model", folder]
    # Compiling takes longer than all of this; and a prompt with a seed that is read in parts ends the build for CPUs.
    command += ["--served-model-name", NAME, "--enforce-eager", "--no-enable-chunked-prefill"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", dtype, "--max-model-len", str(LONGEST)]
    variables = {"VLLM_CPU_KVCACHE_SPACE": "4", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as said:
        server = subprocess.Popen(command, env=os.environ | variables, stdout=said, stderr=said, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(SECONDS_TO_START):
        if server.poll() is not None:
            raise RuntimeError(f"vLLM ended with {server.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1.0)
    raise RuntimeError("vLLM does not answer")


def main() -> None:
    """Mine and compare; prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("student", help="a folder or a .gguf file")
    parser.add_argument("data", type=Path, help="train_rand_split.jsonl of CommonsenseQA")
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--dtype", default="float32", help="of the server")
    parser.add_argument("--url", help=f"of a server that has the student as {NAME!r} already, up to /v1")
    asked = parser.parse_args()
    student = StudentConfig(path=asked.student)
    place = find_student(student)
    folder = str(converted(Path(place.path))) if place.kind == "gguf" else place.path
    task = TaskConfig(kind="commonsenseqa", data=asked.data, limit=asked.questions, test_share=0.5)
    questions = load_task("commonsenseqa", task).split("train")
    with tempfile.TemporaryDirectory(prefix="sert-served-") as scratch:
        out = Path(scratch)
        own = vllm_server(folder, dtype=asked.dtype, log=out / "log")
        with nullcontext(asked.url) if asked.url else own as url:
            endpoint = MiningEndpoint(url=url, model=NAME)
            config = MiningConfig(engine="openai", endpoint=endpoint, max_new_tokens=asked.max_new_tokens)
            started = time.perf_counter()
            mined = mine(questions, student, out=out / "mined", config=config, reporter=Terminal())
            seconds = time.perf_counter() - started
        paths = read_table(mined.file("paths.parquet"), MinedPath)
    outline = load_outline(student)
    prompts = [DecodingPrompt(each.question_id, outline.encode_prompt(each.prompt)) for each in questions]
    lanes = [
        [Lane(path.branch, path.sample, [*path.token_ids], [*path.logprobs], path.finish) for path in of_one]
        for _, of_one in groupby(paths, key=lambda path: path.question_id)
    ]
    found = agreement(student, prompts, lanes, skip_ends=True)
    rate = {"tokens_a_second": round(mined.counts["tokens"] / seconds, 1), "seconds": round(seconds, 1)}
    counts = {name: mined.counts[name] for name in ("paths", "tokens", "finish", "repeatable")}
    about = {"server": mined.manifest["surroundings"][0]["server"]}
    print(json.dumps({**found._asdict(), **counts, **rate, **about}))


if __name__ == "__main__":
    main()
