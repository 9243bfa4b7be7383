"""A run whose first student is sampled by a server: who samples what, what is said of it, and how it goes on."""

from pathlib import Path

import pytest

from listening import Listening
from sert.config.load import load_config
from sert.config.tree import Config, StudentConfig
from sert.errors import ConfigError
from sert.runs.prospect import prospect
from sert.runs.run import plan, run
from sert.runs.verify import verify
from sert.store.artifacts import open_artifact
from sert.student.load import load_student
from served_student import Manners, Served, served

LAB = {"id": "lab", "owned_by": "vllm", "max_model_len": 256}


def config_of(server: Served, **more: object) -> Config:
    return Config.model_validate(
        {
            "name": "served",
            "methods": ["zero_shot", "sert"],
            "student": {"path": "lab", "device": "cpu", "num_threads": 1},
            "tasks": {"lab-choice": {"kind": "lab_choice", "limit": 4}},
            "mining": {
                **{"branches": 2, "samples": 2, "max_new_tokens": 20, "engine": "openai"},
                "endpoint": {"url": server.url, "model": "lab"},
            },
            "rules": {"min_tokens": 3, "min_perplexity": 0.0},
            "training": {"max_steps": 1},
            "teacher": {"kind": "lab"},
            "evaluation": {"max_new_tokens": 16, "probe_samples": 2},
            "report": {"explore": False},
            **more,
        }
    )


@pytest.mark.usefixtures("sketched_figures", "quick_estimates", "one_thread")
def test_a_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with served(load_student(StudentConfig(path="lab", device="cpu")), Manners(card=LAB)) as server:
        config = config_of(server)
        (mining,) = (each for each in plan(config, out=out, reporter=Listening()).stages if " mine" in each.stage)
        assert mining.work == "16 paths of at most 20 tokens, sampled by 'lab' at its server"
        assert server.bodies == []  # a plan asks nobody
        found = run(config, out=out)
    driven = {each.name.rpartition("-")[0]: open_artifact(each).counts.get("driven_by") for each in out.glob("lab-*")}
    assert {driven[f"lab-choice-{step}"] for step in ("mine", "probe-raw", "probe-branching")} == {"openai"}
    assert driven["lab-choice-evaluate-zero_shot"] in ("fast", "cache", "plain")
    (warning,) = (each for each in found.metrics["warnings"] if "sampled by a server" in each)
    assert warning.startswith("lab-choice: the first student's paths were sampled by a server (mining.engine)")
    assert "cannot be repeated" in (out / "report" / "index.html").read_text(encoding="utf-8")
    unrepeatable = {each.folder.name.rpartition("-")[0] for each in verify(out) if not each.repeatable}
    assert unrepeatable == {f"lab-choice-{each}" for each in ("mine", "probe-raw", "probe-branching")}

    # What the run keeps is the whole of it, and it goes on without a server where nothing is left to sample.
    assert load_config(out / "config.toml") == config
    again = run(config, out=out)
    assert (again.stages_made, again.stages_skipped) == (0, found.stages_made)
    elsewhere = config_of(Served("http://127.0.0.1:9/v1"))
    assert run(elsewhere, out=out).stages_made == 0


@pytest.mark.usefixtures("sketched_figures", "quick_estimates", "one_thread")
def test_a_prospect(tmp_path: Path) -> None:
    with served(load_student(StudentConfig(path="lab", device="cpu")), Manners(card=LAB)) as server:
        found = prospect(config_of(server, evaluation={"likelihood": False}), questions=2, out=tmp_path / "look")
    assert any("sampled by a server" in each for each in found.metrics["warnings"])


def test_a_server_that_is_not_named_is_told_before_anything_is_written(tmp_path: Path) -> None:
    config = config_of(Served("http://127.0.0.1:9/v1"))
    config = config.model_copy(update={"mining": config.mining.model_copy(update={"endpoint": None})})
    for start in (run, prospect):
        with pytest.raises(ConfigError, match=r"mining\.engine = 'openai' needs the server that samples"):
            start(config, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
