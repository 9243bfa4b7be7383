import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT))
    yield importlib.import_module("benchmarks.run")
    sys.path.remove(str(ROOT))


def test_ratios_are_taken_within_the_rounds(bench) -> None:
    runs = {
        "ours": [bench.Run(1.0, 100), bench.Run(2.0, 100), bench.Run(1.0, 100)],
        "other": [bench.Run(2.0, 100), bench.Run(4.0, 100), bench.Run(5.0, 100)],
    }
    found = bench.summary(runs, ours="ours", unit="tokens")
    assert found["rates"] == {"ours": 100.0, "other": 25.0}
    assert found["ratios"] == {"other": {"median": 2.0, "min": 2.0, "max": 5.0}}
    assert found["rounds"] == 3 and found["unit"] == "tokens/s"


def test_every_row_is_explained_and_rendered(bench) -> None:
    from benchmarks.render import ABOUT, GOALS, render

    assert set(ABOUT) == set(bench.ROWS)
    assert {row for row, _ in GOALS} <= set(bench.ROWS)
    rates = {"sert int8": 200.0, "generate bfloat16": 50.0}
    found = {
        "unit": "tokens/s",
        "ours": "sert int8",
        "rates": rates,
        "ratios": {"generate bfloat16": {"median": 4.0, "min": 3.5, "max": 4.25}},
        "rounds": 5,
        "gflops_per_token": 0.25,
        "products": {"float32": 80.0, "bfloat16": 100.0, "int8": 400.0},
    }
    page = render({"machine": bench.machine(), "rows": {"mining": found}})
    assert "| generate bfloat16 | 50 | 4.00x (3.50 to 4.25) | 4.5x, 7x |" in page
    assert (
        "sert int8 sustains 50 GFLOP/s in its linear layers: 0.50 of the bfloat16 rate, 0.12 of the int8 rate." in page
    )


def test_paired_runs_alternate(bench, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []

    def contestant(name: str):
        def run() -> int:
            calls.append(name)
            return 1

        return run

    bench.paired({name: contestant(name) for name in "ab"}, rounds=3, ours="a", unit="runs")
    assert calls == list("ababab")
