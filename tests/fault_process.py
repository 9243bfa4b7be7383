"""The fault server as a process of its own, for tests that kill their client and read the server's log afterwards."""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from batch_server import BatchScript
from fault_answers import VARIANTS
from fault_kinds import KINDS, SETS, FaultScript, Settings
from fault_server import FaultServer


@contextlib.contextmanager
def server_process(*arguments: str) -> Iterator[str]:
    """Start `python -m fault_server` with these arguments; yields the base URL for a client."""
    command = [sys.executable, "-m", "fault_server", *arguments]
    with subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()
        if process.wait(10):
            raise RuntimeError("an error in the server process; its traceback is in the captured output")


def log_of(base_url: str) -> dict[str, Any]:
    """The log of a running server, from any process."""
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/_log", timeout=10) as reply:
        return json.load(reply)


def main() -> None:
    """Serve until SIGTERM or SIGINT, or until the lifetime is over, so that no server outlives its tests for long."""
    chosen = _parser().parse_args()
    names = [kind for name in chosen.kinds.split(",") for kind in SETS.get(name, (name,))]
    script = FaultScript(chosen.fault_seed, chosen.rate, names, until=chosen.until, billed=chosen.billed)
    server = FaultServer(
        seed=chosen.seed,
        faults=script if chosen.rate else None,
        variant=chosen.variant,
        models=tuple(chosen.models.split(",")),
        latency=tuple(chosen.latency),
        limit=(int(chosen.limit[0]), chosen.limit[1]) if chosen.limit else None,
        limit_headers=chosen.limit_headers,
        prices=tuple(chosen.prices),
        settings=Settings(chosen.retry_after, chosen.hang_seconds, chosen.huge_bytes),
        batches=BatchScript(**json.loads(chosen.batches)),
        port=chosen.port,
    )
    # No handler: what it sets or raises may be lost, for it runs wherever the main thread is.
    asked_to_end = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, asked_to_end)
    with server:
        print(server.port, flush=True)
        signal.sigtimedwait(asked_to_end, chosen.lifetime)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fault_server", description="An endpoint that fails as a script tells it to.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault-seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument(
        "--kinds", default="transient", help=f"of {', '.join(sorted(KINDS))}, or sets: {', '.join(SETS)}"
    )
    parser.add_argument("--until", type=int, help="the last attempt that may fail")
    parser.add_argument("--billed", action="store_true", help="bill failed attempts")
    parser.add_argument("--variant", choices=sorted(VARIANTS))
    parser.add_argument("--models", default="teacher", help="names, commas between them")
    parser.add_argument("--latency", type=float, nargs=2, default=(0.0, 0.0), metavar=("LEAST", "MOST"))
    parser.add_argument("--limit", type=float, nargs=2, metavar=("REQUESTS", "SECONDS"))
    parser.add_argument("--limit-headers", action="store_true")
    parser.add_argument("--prices", type=Decimal, nargs=2, default=FaultServer.prices, metavar=("PROMPT", "COMPLETION"))
    parser.add_argument("--retry-after", type=float, default=Settings().retry_after)
    parser.add_argument("--hang-seconds", type=float, default=Settings().hang_seconds)
    parser.add_argument("--huge-bytes", type=int, default=Settings().huge_bytes)
    parser.add_argument("--batches", default="{}", help="the fields of a BatchScript as JSON")
    parser.add_argument("--lifetime", type=float, default=600.0, help="seconds after which the server ends by itself")
    return parser
