"""Nothing that is killed of a run on a cluster spoils it: workers, machines, the run itself, or its way to the cluster.

`pytest --soak -s tests/test_cluster_crashes.py` makes the full count of trials and prints what was counted.
"""

import random
import secrets
from collections import Counter
from pathlib import Path

import pytest

from cluster_trials import LONGEST, VICTIMS, Nodes, kill_one, running
from crash_trials import CONFIG, result_of
from sert.config.load import load_config
from sert.errors import WorkerError
from sert.runs.run import run
from sert.runs.verify import verify

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = [pytest.mark.soak, pytest.mark.slow]

LONGER = ("tasks.lab-choice.limit=8", "mining.max_lanes=6", "mining.max_new_tokens=32", "training.max_steps=8")
SECONDS = (0.5, 14.0)
"""When something is killed: while Ray is reached, while workers load, while units are done."""


def test_whatever_is_killed_the_same_command_comes_to_the_same_bytes(
    tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # these nodes listen on all addresses
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    config, counted, random_ = tmp_path / "small.toml", Counter[str](), random.Random("cluster")
    config.write_text(CONFIG)
    run(load_config(config, overrides=LONGER), out=tmp_path / "whole")
    whole = result_of(tmp_path / "whole")
    with Nodes(2, folder=Path("/tmp") / tmp_path.name) as nodes:
        for number in range(60 if full else 2):
            nodes.mend()
            out, log = tmp_path / f"run-{number}", tmp_path / f"log-{number}"
            settings = [part for override in LONGER for part in ("--set", override)]
            command = ["run", str(config), "--out", str(out), *settings]
            there = ["--engine", "ray", "--address", nodes.address, "--workers", "2"]
            victim, after = VICTIMS[number % len(VICTIMS)], random_.uniform(*SECONDS)
            killed = kill_one(nodes, *command, *there, victim=victim, after=after, log=log)
            documented = {"worker": {0}, "node": {0}, "driver": {-9}, "link": {0, WorkerError.exit_code}, "none": {0}}
            assert killed.code in documented[killed.victim], killed
            counted[f"{killed.victim}: {killed.code}"] += 1
            nodes.mend()
            with running(*command, *(there if number % 2 else []), log=log) as again:
                assert again.wait(LONGEST) == 0, log.read_text()
            assert result_of(out).outputs == whole.outputs, killed
            assert [each for each in verify(out) if each.damage] == []
    print(f"\nkilled, and the code that the run ended in: {dict(sorted(counted.items()))}")
