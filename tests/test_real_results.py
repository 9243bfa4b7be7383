"""What is published of a pretrained student is what its kept outputs say."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

FOLDER = Path(__file__).parents[1] / "docs" / "results" / "smollm2"
RUNS = sorted(file.parent for file in FOLDER.glob("*/metrics.json"))

Output = dict[str, Any]


def outputs_of(run: Path) -> dict[tuple[str, str], dict[str, Output]]:
    """The kept outputs by task and method, each by its question."""
    found: dict[tuple[str, str], dict[str, Output]] = {}
    for row in pq.read_table(run / "outputs.parquet").to_pylist():
        found.setdefault((row["task"], row["method"]), {})[row["question_id"]] = row
    return found


def metrics_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_there_are_runs():
    assert RUNS


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_table_of_results_is_counted_from_the_outputs(run):
    kept = outputs_of(run)
    rows = [row for row in metrics_of(run)["rows"] if row["primary"]]
    assert {(row["task"], row["method"]) for row in rows} == set(kept)
    for row in rows:
        outputs = [*kept[row["task"], row["method"]].values()]
        stated = [each for each in outputs if each["answer_strict"] is not None]
        cut = [each for each in outputs if each["answer_strict"] is None and each["finish"] == "length"]
        right = sum(each["correct_strict"] for each in stated)
        n = len(outputs)
        assert row["n"] == n
        assert row["correct"] == sum(each["correct_loose"] for each in outputs)
        assert row["correct_strict"] == right
        assert row["right"] == pytest.approx(right / n)
        assert row["wrong"] == pytest.approx((len(stated) - right) / n)
        assert row["cut"] == pytest.approx(len(cut) / n)
        assert row["unread"] == pytest.approx((n - len(stated) - len(cut)) / n)
        assert row["format"] == pytest.approx(sum(each["format_ok"] for each in outputs) / n)
        assert row["reasoned"] == pytest.approx(sum(each["reasoned"] for each in outputs) / n)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_comparisons_are_mcnemars_of_the_outputs(run):
    kept = outputs_of(run)
    rows = [row for row in metrics_of(run)["comparisons"] if row["group"] is None]
    assert rows or len(kept) == 1
    for row in rows:
        ours, theirs = kept[row["task"], row["a"]], kept[row["task"], row["b"]]
        pairs = [(ours[name]["correct_loose"], theirs[name]["correct_loose"]) for name in ours]
        won, lost = pairs.count((True, False)), pairs.count((False, True))
        assert row["difference"] == pytest.approx((won - lost) / len(pairs))
        expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
        assert row["p_value"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("run", [run for run in RUNS if "rd2" not in run.name], ids=lambda run: run.name)
def test_the_selected_paths_are_those_that_were_trained_on(run):
    selected = pq.read_table(run / "selected.parquet").to_pylist()
    (row,) = [row for row in metrics_of(run)["rows"] if row["primary"] and row["method"] == "sert"]
    assert row["train_examples"] == len(selected) == len({each["question_id"] for each in selected})


def test_differences_over_seeds_are_means_over_seeds_and_questions():
    seeds = [outputs_of(run) for run in RUNS if run.name.split("-seed")[0] == "multiarith-smollm2"]
    page = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
    for a, b, said in (("sert", "finetune", "SERT against Finetune"), ("sert+rd", "sert", "SERT+RD against SERT")):
        right = [
            [sum(each["correct_loose"] for each in kept["multiarith", method].values()) for method in (a, b)]
            for kept in seeds
        ]
        n = len(seeds[0]["multiarith", a])
        mean = sum(ours - theirs for ours, theirs in right) / len(seeds) / n
        (row,) = [line for line in page.splitlines() if line.startswith(f"| multiarith-smollm2 | {said} |")]
        cells = [cell.strip().replace("\u2212", "-") for cell in row.split("|")]
        assert [f"{100 * (x - y) / n:+.1f}" for x, y in right] == cells[3].split(", ")
        assert cells[4] == f"{100 * mean:+.1f}"


def test_what_is_said_of_six_hundred_questions_is_counted_from_their_paths():
    rows = pq.read_table(FOLDER / "strategyqa-600" / "paths.parquet").to_pylist()
    page = " ".join(FOLDER.with_suffix(".md").read_text(encoding="utf-8").split())
    kept = [row for row in rows if row["reason"] is None]
    whole = [row for row in rows if row["reason"] is not None and row["finish"] not in ("outrun", "rejected")]
    answered, dropped = ([row["agrees"] for row in part if row["agrees"] is not None] for part in (kept, whole))
    assert f"of the {len(kept):,} kept paths {len(answered)} state an answer and {sum(answered)} of these" in page
    assert f"dropped it is {sum(dropped):,} of {len(dropped):,}" in page
    selected = [row["agrees"] for row in rows if row["selected"]]
    told = f"Of the {len(selected)} selected paths {selected.count(True)} agree with the gold answer, "
    assert f"{told}{selected.count(False)} do not and {selected.count(None)} state none." in page
    assert f"{sum(row['finish'] == 'outrun' for row in rows):,} paths were stopped early" in page
    golds = [*{row["question_id"]: row["gold"] for row in rows}.values()]
    assert len(golds) == 600 and f'always saying "no" gets {100 * golds.count("no") / 600:.1f} %' in page
    differences = []
    for question in {row["question_id"] for row in kept}:
        sides = [
            [row["agrees"] for row in part if row["question_id"] == question and row["agrees"] is not None]
            for part in (kept, whole)
        ]
        if all(sides):
            differences.append(sum(sides[0]) / len(sides[0]) - sum(sides[1]) / len(sides[1]))
    assert f"{100 * sum(differences) / len(differences):.1f} points more often" in page


def test_the_page_holds_the_tables_of_what_was_kept():
    sys.path.insert(0, str(FOLDER.parents[2]))
    try:
        from benchmarks.gradings import OUTPUTS, PATHS, agreement
        from benchmarks.real_results import PAGE, with_tables
    finally:
        sys.path.pop(0)
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page
    for file, texts in ((PATHS, "paths"), (OUTPUTS, "outputs")):
        difference, correlation = agreement(file)
        assert f"{difference:.2f} on average of {texts}, Spearman's correlation {correlation:.2f}" in page
