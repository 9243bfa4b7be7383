"""Predictions as a log of inspect_ai: what it holds, and that the tool reads it."""

import json
import warnings
from pathlib import Path

import pytest

from exported_results import lab_questions, source_of
from sert.export.inspect_log import KINDS, write_inspect
from sert.records import Prediction
from sert.store.artifacts import open_artifact
from sert.store.tables import read_table


def test_every_prediction_is_a_sample_with_two_scores(evaluated: Path, tmp_path: Path) -> None:
    written = write_inspect(source_of(evaluated, KINDS), tmp_path)
    log = json.loads((tmp_path / written.files["log"]).read_text(encoding="utf-8"))
    predictions = read_table(evaluated / "predictions.parquet", Prediction)
    questions = lab_questions(5)
    assert [sample["id"] for sample in log["samples"]] == [each.question_id for each in questions]
    for sample, prediction, question in zip(log["samples"], predictions, questions, strict=True):
        assert sample["input"] == question.prompt and sample["target"] == question.answer
        assert sample["messages"][1]["content"] == prediction.completion
        assert (sample["scores"]["loose"]["value"] == "C") == prediction.correct_loose
        assert (sample["scores"]["strict"]["value"] == "N") == (prediction.answer_strict is None)
    loose = log["results"]["scores"][0]
    assert loose["name"] == "loose"
    assert loose["metrics"]["accuracy"]["value"] == open_artifact(evaluated).counts["accuracy"]


def test_the_same_result_gives_the_same_log(evaluated: Path, tmp_path: Path) -> None:
    source = source_of(evaluated, KINDS)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_inspect(source, tmp_path / name)
    (one,), (two,) = ((tmp_path / name).iterdir() for name in ("one", "two"))
    assert one.name == two.name and one.read_bytes() == two.read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_inspect_reads_the_log(evaluated: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():  # of the library, which are not ours
        warnings.simplefilter("ignore")
        inspect_log = pytest.importorskip("inspect_ai.log", exc_type=ImportError)
    written = write_inspect(source_of(evaluated, KINDS), tmp_path)
    (found,) = inspect_log.list_eval_logs(str(tmp_path))
    assert found.name.endswith(written.files["log"])
    log = inspect_log.read_eval_log(found)
    counts = open_artifact(evaluated).counts
    assert (log.status, log.eval.task, log.eval.dataset.samples) == ("success", "lab", counts["n"])
    assert log.results.scores[0].metrics["accuracy"].value == counts["accuracy"]
    assert sum(sample.scores["loose"].value == "C" for sample in log.samples) == counts["correct"]
    prediction = read_table(evaluated / "predictions.parquet", Prediction)[0]
    assert log.samples[0].output.completion == prediction.completion
