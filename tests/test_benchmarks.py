import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def from_root():
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def counted_threads() -> Callable[[], int]:
    import torch

    return torch.get_num_threads


def counter(units: int = 1):
    return lambda: units


def broken():
    raise ValueError("no such thing here")


def test_ratios_are_taken_within_the_rounds() -> None:
    from benchmarks.harness import Run, summary

    runs = {
        "ours": [Run(1.0, 100), Run(2.0, 100), Run(1.0, 100, 64.0)],
        "other": [Run(2.0, 100), Run(4.0, 100), Run(5.0, 100)],
    }
    found = summary(runs, ours="ours", unit="tokens")
    assert found["rates"] == {"ours": 100.0, "other": 25.0}
    assert found["ratios"] == {"other": {"median": 2.0, "min": 2.0, "max": 5.0}}
    assert found["peak_mib"] == {"ours": 64.0, "other": 0.0}
    assert found["rounds"] == 3 and found["unit"] == "tokens/s"


def test_every_row_is_explained_and_rendered() -> None:
    from benchmarks.render import ABOUT, GOALS, render
    from benchmarks.run import ROWS, machine

    assert set(ABOUT) == set(ROWS)
    assert {row for row, _ in GOALS} <= set(ROWS)
    found = {
        "unit": "tokens/s",
        "ours": "sert int8",
        "rates": {"sert int8": 200.0, "generate, best type and batch": 50.0, "CTranslate2, best settings": 50.0},
        "ratios": {
            "generate, best type and batch": {"median": 4.0, "min": 3.5, "max": 4.25},
            "CTranslate2, best settings": {"median": 4.0, "min": 3.5, "max": 4.25},
        },
        "rounds": 5,
        "date": "2026-11-25",
        "gflops_per_token": 0.25,
        "products": {"float32": 80.0, "bfloat16": 100.0, "int8": 400.0},
        "searches": {"CTranslate2, best settings": {"best": "b", "rates": {"a": 1.0, "b": 2.0}}, "x": {"error": "e"}},
        "failed": {"continuous batching": "ValueError: no"},
    }
    page = render({"rows": {"mining": found | {"machine": machine()}}})
    assert "| generate, best type and batch | 50 | 4.00x (3.50 to 4.25) | 4.5x, 7x | missed |" in page
    assert "| CTranslate2, best settings | 50 | 4.00x (3.50 to 4.25) | 2.2x, 3.5x | reached |" in page
    assert "sert int8 sustains 50 GFLOP/s in its linear layers: 0.62 of the float32 rate, 0.50 of the bf" in page
    assert "CTranslate2, best settings: b, the fastest with shorter texts of: a 1/s, b 2/s." in page
    assert "continuous batching did not run: ValueError: no." in page


@pytest.mark.slow
def test_paired_runs_alternate_and_a_rival_that_cannot_run_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.harness import best_of, paired

    makes = {"a": partial(counter, 2), "b": partial(counter, 4), "c": broken}
    found = paired(makes, rounds=3, limit_s=60, ours="a", unit="runs")
    order = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    assert order == list("ababab")
    assert found["failed"] == {"c": "ValueError: no such thing here"}
    assert found["rounds"] == 3 and found["peak_mib"]["a"] > 1
    assert paired({"a": partial(counter, 2)}, rounds=9, limit_s=0, ours="a", unit="runs")["rounds"] == 2
    assert set(best_of({"a": counter, "c": broken}, what="x")[1]) == {"a"}


@pytest.mark.slow
def test_contestants_side_by_side_share_the_threads_and_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.harness import SideBySide, get_ready

    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    found = []
    for asked in (counted_threads, SideBySide(counted_threads, 2)):
        ready = get_ready(asked)
        found.append(ready.run().units)
        ready.close()
    assert found[1] == 2 * max(1, found[0] // 2)


def test_the_published_tables_are_those_of_the_published_numbers() -> None:
    import json

    from benchmarks.lab_results import FOLDER, differences, published, with_tables

    metrics = json.loads((FOLDER / "lab.json").read_text(encoding="utf-8"))
    page = (FOLDER / "lab.md").read_text(encoding="utf-8")
    assert with_tables(page, metrics) == page
    assert published(metrics) == metrics
    other = json.loads(json.dumps(metrics))
    other["budget"][0]["paths"] += 1
    (told,) = differences(other, metrics)
    assert told.startswith("budget[0].paths: ")
    other["budget"][0] |= {"paths": metrics["budget"][0]["paths"], "measured since": 1}
    assert list(differences(other | {"section": []}, metrics)) == []
    del other["budget"][0]["paths"]
    (told,) = differences(other, metrics)
    assert told.startswith("budget[0].paths: None, published ")


@pytest.mark.parametrize(("pays", "tried"), [(True, ["bfloat16, 8", "float32, 8"]), (False, ["float32, 8"])])
def test_bfloat16_is_tried_where_the_machine_multiplies_it(
    pays: bool, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import run

    monkeypatch.setattr(run, "_has_bfloat16", lambda: pays)
    assert [*run._worth_trying(dict.fromkeys(("bfloat16, 8", "float32, 8")))] == tried
