"""Tasks for lm-evaluation-harness: the same student scores there what it scores here."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from exported_results import LAB, evaluate_lab, lab_questions, source_of
from sert.config.tree import EvaluationConfig
from sert.evaluation.prediction import evaluate
from sert.export.lm_eval import KINDS, READER, process_results, write_lm_eval
from sert.records import Question
from sert.store.artifacts import open_artifact
from sert.student.folder import LAB_STUDENT

QUESTIONS = 100


def test_three_tasks_of_questions_with_choices(evaluated: Path, tmp_path: Path) -> None:
    written = write_lm_eval(source_of(evaluated, KINDS), tmp_path, place=Path("/elsewhere"))
    assert written.files == {
        "cloze": "evaluated.yaml",
        "letter": "evaluated_letter.yaml",
        "generated": "evaluated_generated.yaml",
    }
    lines = (tmp_path / "evaluated_letter.yaml").read_text(encoding="utf-8").splitlines()
    assert 'dataset_kwargs: {"data_files": {"test": "/elsewhere/evaluated_letter.jsonl"}}' in lines
    assert 'target_delimiter: " "' in lines and 'task: "evaluated_letter"' in lines
    rows = [json.loads(line) for line in (tmp_path / "evaluated_letter.jsonl").read_text().splitlines()]
    question = lab_questions(5)[0]
    assert len(rows) == 5 and rows[0]["prompt"] == question.prompt
    assert rows[0]["answers"][rows[0]["gold"]] == question.answer
    words = json.loads((tmp_path / "evaluated.jsonl").read_text().splitlines()[0])
    assert words["answers"] == list(question.choices)
    generated = (tmp_path / "evaluated_generated.yaml").read_text(encoding="utf-8")
    assert '"max_gen_toks": 12' in generated
    assert f"process_results: !function {READER.removesuffix('.py')}.process_results\n" in generated


@pytest.mark.parametrize(
    ("said", "right", "right_strictly"),
    [
        (" So the answer is B.", 1.0, 1.0),
        (" It must be (B) or so, B or A", 1.0, 0.0),
        (" So the answer is A.", 0.0, 0.0),
    ],
)
def test_written_answers_are_read_as_here(said: str, right: float, right_strictly: float) -> None:
    asked = "Question: What cuts? Answer choices: (A) rope, (B) saw.\nAnswer:"
    question = Question("q", "t", "test", "What cuts?", ("rope", "saw"), "B", asked)
    doc = {name: getattr(question, name) for name in Question.__slots__} | {"choices": ["rope", "saw"], "context": []}
    assert process_results(doc, [said]) == {"accuracy": right, "accuracy_strict": right_strictly}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lm-evaluation-harness, which keeps what it reads beside the test."""
    with warnings.catch_warnings():  # of the harness, which are not ours
        warnings.simplefilter("ignore")
        pytest.importorskip("lm_eval.tasks", exc_type=ImportError)
        datasets = pytest.importorskip("datasets", exc_type=ImportError)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return pytest.importorskip("lm_eval", exc_type=ImportError)


def tasks_of(evaluated: Path, folder: Path, harness: Any) -> Any:
    """What finds the tasks that are written of an evaluation."""
    folder.mkdir()
    write_lm_eval(source_of(evaluated, KINDS), folder, place=folder)
    return harness.tasks.TaskManager(include_path=str(folder), include_defaults=False)


@pytest.mark.filterwarnings("ignore")
def test_the_harness_renders_no_text_of_a_question(harness: Any, tmp_path: Path) -> None:
    asked = "What is {{ 7*7 }} and {% raw %}?"
    question = Question("q", "t", "test", asked, ("{{1+1}}", "{# b #}"), "A", f"{asked} {{{{ doc }}}}")
    evaluated = evaluate([question], LAB, out=tmp_path / "e", config=EvaluationConfig(max_new_tokens=2)).folder
    manager = tasks_of(evaluated, tmp_path / "tasks", harness)
    for name, task in harness.tasks.get_task_dict(["e", "e_generated"], manager).items():
        (doc,) = task.test_docs()
        assert task.doc_to_text(doc) == question.prompt
        if name == "e":
            assert task.doc_to_choice(doc) == list(question.choices)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_harness_scores_what_is_scored_here(harness: Any, tmp_path: Path) -> None:
    evaluated = evaluate_lab(tmp_path / "evaluated", limit=QUESTIONS, max_new_tokens=48)
    names = ["evaluated", "evaluated_letter", "evaluated_generated"]
    found = harness.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(LAB_STUDENT), "dtype": "float32", "device": "cpu"},
        tasks=names,
        task_manager=tasks_of(evaluated, tmp_path / "tasks", harness),
        batch_size=25,
        bootstrap_iters=0,
    )["results"]
    counts = open_artifact(evaluated).counts
    assert counts["n"] == QUESTIONS
    generated, words, letters = found["evaluated_generated"], found["evaluated"], found["evaluated_letter"]
    assert generated["accuracy,none"] * QUESTIONS == pytest.approx(counts["correct"])
    assert generated["accuracy_strict,none"] * QUESTIONS == pytest.approx(counts["correct_strict"])
    assert words["acc_norm,none"] * QUESTIONS == pytest.approx(counts["likelihood_cloze"]["correct"])
    assert words["acc,none"] * QUESTIONS == pytest.approx(counts["likelihood_cloze_raw"]["correct"])
    assert letters["acc,none"] * QUESTIONS == pytest.approx(counts["likelihood_letter"]["correct"])
