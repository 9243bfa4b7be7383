"""What a tracker of experiments is told of a run, and that no run is stopped by one."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from listening import Listening
from sert.config.load import load_config
from sert.errors import ConfigError
from sert.runs import trackers, tracking
from sert.runs.run import run
from sert.runs.trackers import open_sink
from sert.store.artifacts import open_artifact

TINY = """
name = "tracked"
methods = ["zero_shot", "sert"]
[student]
path = "lab"
device = "cpu"
[tasks.lab-choice]
kind = "lab_choice"
limit = 4
[mining]
branches = 2
samples = 2
max_new_tokens = 24
[rules]
min_tokens = 5
min_perplexity = 1.0
[training]
max_steps = 3
[evaluation]
max_new_tokens = 16
probe_samples = 0
[report]
explore = false
"""


class Noted:
    """A tracker that notes what it is told, and fails when it is to."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.told: list[tuple[str, int, dict[str, float]]] = []
        self.closed, self.fails_at = 0, fails_at

    def log(self, name: str, step: int, numbers: Mapping[str, float]) -> None:
        if self.fails_at == len(self.told):
            raise RuntimeError("no room")
        self.told.append((name, step, dict(numbers)))

    def close(self) -> None:
        self.closed += 1


def configured(folder: Path, *overrides: str) -> Any:
    (folder / "tiny.toml").write_text(TINY)
    return load_config(folder / "tiny.toml", overrides=list(overrides))


def tracked_run(folder: Path, sink: Noted, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[Path, list[str]]:
    monkeypatch.setattr(tracking, "open_sink", lambda *_, **__: sink)
    said = Listening()
    run(configured(folder, 'report.tracker="tensorboard"'), out=folder / "run", reporter=said, **more)
    return folder / "run", said.said


def test_curves_come_as_they_are_made_and_results_when_stages_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Noted()
    folder, _ = tracked_run(tmp_path, sink, monkeypatch)
    train, evaluate = "lab-choice train-sert", "lab-choice evaluate-sert"
    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    curve = [json.loads(line) for line in (folder / stages[train] / "loss.jsonl").read_text().splitlines()]
    told = [(step, numbers) for name, step, numbers in sink.told if name == train]
    assert [step for step, _ in told] == [1, 2, 3, 3]
    assert [numbers["loss"] for _, numbers in told[:3]] == [line["loss"] for line in curve]
    assert told[0][1].keys() == {"loss", "grad_norm", "lr"}
    ((_, numbers),) = [(step, numbers) for name, step, numbers in sink.told if name == evaluate]
    counts = open_artifact(folder / stages[evaluate]).counts
    assert (numbers["accuracy"], numbers["n"]) == (counts["accuracy"], 4)
    assert [numbers["ci95_low"], numbers["ci95_high"]] == counts["ci95"]
    assert sink.closed == 1 and all(isinstance(each, int | float) for _, _, told in sink.told for each in told.values())


@pytest.mark.slow
def test_stages_of_other_processes_are_told_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Noted()
    tracked_run(tmp_path, sink, monkeypatch, workers=2)
    told = [(step, numbers) for name, step, numbers in sink.told if name == "lab-choice train-sert"]
    assert [step for step, _ in told] == [1, 2, 3, 3]


def test_a_tracker_that_fails_is_told_once_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Noted(fails_at=2)
    folder, said = tracked_run(tmp_path, sink, monkeypatch)
    assert (folder / "report" / "index.html").is_file()
    failures = [line for line in said if "tracker" in line]
    assert failures == ["warning: the tracker failed, and the run goes on without it: RuntimeError: no room"]
    assert len(sink.told) == 2


def test_no_key_knows_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = tracked_run(tmp_path, Noted(), monkeypatch)
    said = Listening()
    again = run(configured(tmp_path), out=folder, reporter=said)
    assert (again.stages_made, [line for line in said.said if "because" in line]) == (0, [])


def test_one_that_is_not_installed_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> Noted:
        raise ImportError("no module named wandb")

    monkeypatch.setitem(trackers._SINKS, "wandb", missing)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"report.tracker = 'wandb' needs its package: pip install 'sert\[track\]'"):
        run(configured(tmp_path, 'report.tracker="wandb"'), out=tmp_path / "run")
    assert not list((tmp_path / "run").glob("lab-choice-*"))


# ---- the real ones


def test_tensorboard_reads_its_own_file(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sink = open_sink("tensorboard", run="tracked", folder=tmp_path / "tracked")
    for step in (1, 2):
        sink.log("gpt2, seed 0: lab-choice train-sert", step, {"loss": 0.5 / step})
    sink.close()
    events = EventAccumulator(str(tmp_path / "tracked"))
    events.Reload()
    (tag,) = events.Tags()["scalars"]
    assert tag == "gpt2, seed 0_ lab-choice train-sert/loss"
    assert [(each.step, each.value) for each in events.Scalars(tag)] == [(1, 0.5), (2, 0.25)]


TRIED = """
from pathlib import Path
from sert.runs.trackers import open_sink
sink = open_sink("{tracker}", run="tried", folder=Path("tracked"))
for step in (1, 2):
    sink.log("lab train-sert", step, {{"loss": 0.5 / step}})
sink.close()
"""


@pytest.mark.parametrize("tracker", ["trackio", "wandb"])
def test_the_others_keep_numbers_here_and_print_nothing(tracker: str, tmp_path: Path) -> None:
    if find_spec(tracker) is None or (tracker == "trackio" and find_spec("gradio_client") is None):
        pytest.skip(f"{tracker} is not installed")
    here = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HOME": str(tmp_path)}
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")} | here
    command = [sys.executable, "-c", TRIED.format(tracker=tracker)]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    if tracker == "wandb":
        assert list((tmp_path / "tracked/wandb").glob("offline-run-*/*.wandb"))
        return
    with closing(sqlite3.connect(tmp_path / "trackio/sert.db")) as database:
        rows = [(step, json.loads(metrics)) for step, metrics in database.execute("SELECT step, metrics FROM metrics")]
    assert rows == [(1, {"lab train-sert/loss": 0.5}), (2, {"lab train-sert/loss": 0.25})]


def test_nothing_is_imported_unless_it_is_asked_for() -> None:
    source = Path(trackers.__file__).read_text(encoding="utf-8")
    top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in top if any(name in line for name in ("torch", "trackio", "wandb", "tensorboard"))]
