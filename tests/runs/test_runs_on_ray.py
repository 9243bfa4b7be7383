"""Runs and grids on a Ray cluster: the same bytes as on this machine, whoever began them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import sert
from crash_trials import CONFIG, Result, result_of
from sert.config.grid import load_grid
from sert.config.load import load_config
from sert.config.tree import Config, ExecutionConfig
from sert.errors import ConfigError
from sert.runs.run import run
from sert.runs.verify import verify
from sert.store.artifacts import file_hash, open_artifact
from sert.store.cluster.link import clusters_kept
from sert.store.units import Unit, UnitStore
from sert.student.folder import LAB_STUDENT
from sert.terminal.progress import Advance, Silent
from sketches import sketch

pytest.importorskip("ray", reason="the extra ray is not installed")

ON_RAY = ("execution.engine=ray", "execution.workers=2")
GRID = """
name = "small"
seeds = [0, 1]
[students.lab]
path = "lab"
device = "cpu"
num_threads = 1
[base]
methods = ["sert", "rd"]
[base.tasks.lab-choice]
kind = "lab_choice"
limit = 4
[base.mining]
branches = 3
samples = 2
max_new_tokens = 16
keep_all = true
[base.rules]
min_tokens = 8
max_rep_2 = 0.9
min_perplexity = 1.0
[base.training]
max_steps = 4
snapshots = 2
[base.teacher]
kind = "lab"
[base.evaluation]
max_new_tokens = 16
probe_samples = 2
gain = true
"""


class Stopping(Silent):
    """Interrupts a run when so many parts of its work were counted."""

    def __init__(self, parts: float) -> None:
        self._left = parts

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        def advance(units: float, note: str = "") -> None:
            self._left -= units
            if self._left <= 0:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, clusters_kept():
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("sert.report.page.images", sketch)
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose student is in a folder, which is sent to workers."""
    file = tmp_path_factory.mktemp("config") / "small.toml"
    shutil.copytree(LAB_STUDENT, file.parent / "student")
    file.write_text(CONFIG.replace('path = "lab"', f'path = "{file.parent}/student"'))
    return file


@pytest.fixture(scope="module")
def here(file: Path, cluster: None) -> Result:
    """What an undisturbed run on this machine comes to."""
    out = file.parent / "here"
    run(load_config(file), out=out)
    return result_in(out)


def result_in(out: Path) -> Result:
    """What a run came to, whatever its settings say of how it was done."""
    found = result_of(out)
    return found._replace(metrics={name: each for name, each in found.metrics.items() if name != "config_key"})


def on_ray(file: Path) -> Config:
    return load_config(file, overrides=ON_RAY)


@pytest.mark.slow
def test_a_run_comes_to_the_same_bytes(here: Result, file: Path, tmp_path: Path) -> None:
    run(on_ray(file), out=tmp_path / "run")
    assert result_in(tmp_path / "run") == here
    for stage in ("mine", "evaluate-rd", "train-sert"):
        (first,) = (file.parent / "here").glob(f"lab-choice-{stage}-*")
        found = [open_artifact(run / first.name).manifest["surroundings"] for run in (first.parent, tmp_path / "run")]
        assert found[0] == found[1]  # the same threads and variables, too
    parcels = Path(os.environ["XDG_CACHE_HOME"], "sert", "nodes", "parcels")
    sent = [file_hash(weights) for weights in parcels.glob("*/model.safetensors")]
    assert len(set(sent)) == len(sent) == 3  # the first student and the two that were trained, each once
    assert file_hash(LAB_STUDENT / "model.safetensors") in sent


@pytest.mark.slow
def test_a_run_goes_on_on_either_engine(here: Result, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for config, parts in ((load_config(file), 3), (on_ray(file), 20), (load_config(file), 1e9)):
        try:
            run(config, out=out, reporter=Stopping(parts))
        except KeyboardInterrupt:
            assert parts < 1e9
    assert result_in(out) == here
    assert [each for each in verify(out) if each.damage] == []


@pytest.mark.slow
def test_what_mixed_accepts_stands_in_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    asked = sert.load_task("lab-choice", sert.TaskConfig(kind="lab_choice", limit=2)).split("train")
    mine = partial(
        sert.mine,
        asked,
        sert.StudentConfig(path="lab", device="cpu", num_threads=1),
        config=sert.MiningConfig(max_new_tokens=4),
    )
    mixed = ExecutionConfig(engine="ray", mixed=True, keep_units=False)
    with clusters_kept():
        mine(out=tmp_path / "before", execution=mixed)  # starts the cluster, with this variable
        monkeypatch.delenv("MKL_CBWR")
        with pytest.raises(ConfigError, match="variables: MKL_CBWR=COMPATIBLE instead of none"):
            mine(out=tmp_path / "refused", execution=mixed.model_copy(update={"mixed": False}))
        found = mine(out=tmp_path / "mixed", execution=mixed)
    assert not (tmp_path / "refused").exists()
    assert [each["variables"]["MKL_CBWR"] for each in found.manifest["surroundings"]] == ["COMPATIBLE"]


def outputs(run: Path) -> dict[str, dict[str, str]]:
    found = (each for each in run.iterdir() if (each / "manifest.json").is_file() and each.name != "report")
    return {each.name: open_artifact(each).manifest["outputs"] for each in found}


@pytest.mark.slow
@pytest.mark.parametrize(("methods", "seeds", "stages"), [('["sert"]', 1, 6), ("", None, 24)])
def test_the_stages_of_a_grid_come_home(methods: str, seeds: int | None, stages: int, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(GRID)
    here, there, overrides = tmp_path / "here", tmp_path / "there", [f"methods={methods}"] if methods else []
    run(load_grid(str(tmp_path / "small.toml"), seeds=seeds, overrides=overrides), out=here)
    overrides.append("execution.engine=ray")
    run(load_grid(str(tmp_path / "small.toml"), seeds=seeds, overrides=overrides), out=there, workers=2)
    assert len(outputs(here)) >= stages
    assert outputs(there) == outputs(here)
    assert [each for each in verify(there) if each.damage] == []
    mined = next(there.glob("lab-choice-mine-*"))
    assert len(open_artifact(mined).manifest["surroundings"]) == 1
    assert list(there.glob(f".{mined.name}.*/units/*"))  # kept, to mend with
    assert list(Path(os.environ["XDG_CACHE_HOME"], "sert", "nodes", "stages").iterdir()) == []
    assert list(there.glob(".arrival*")) == []


@pytest.mark.slow
def test_unfinished_work_goes_along(tmp_path: Path) -> None:
    """A stage that was begun here is ended there: of two units of mining one is done, and not again."""
    (tmp_path / "small.toml").write_text(GRID.replace("[base.mining]", "[base.mining]\nmax_lanes = 6"))
    out, whole = tmp_path / "run", tmp_path / "whole"
    grid = load_grid(str(tmp_path / "small.toml"), seeds=1, overrides=["methods=['sert']"])
    with pytest.raises(KeyboardInterrupt):
        run(grid, out=out, reporter=Stopping(13))
    (unit,) = out.glob(".lab-choice-mine-*/units/*")
    marked = unit.read_bytes().replace(b'"told": [', b'"told": ["done before", ')
    UnitStore(unit.parent).commit(Unit(int(unit.name.partition(".")[0]), ()), marked)
    unit.unlink()
    on_ray = load_grid(str(tmp_path / "small.toml"), seeds=1, overrides=["methods=['sert']", "execution.engine=ray"])
    run(on_ray, out=out, workers=2)
    run(grid, out=whole)
    assert outputs(out) == outputs(whole)
    assert marked in [each.read_bytes() for each in out.glob(".lab-choice-mine-*/units/*")]
