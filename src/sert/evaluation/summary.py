"""The numbers of a run: `report/metrics.json` as a pure function of questions, paths, verdicts and predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from sert.config import Method, RulesConfig
from sert.evaluation.metrics import summarize
from sert.evaluation.multiplicity import holm
from sert.evaluation.statistics import majority, paired_difference, smallest_detectable_difference
from sert.paths.rules import is_reasoned
from sert.paths.selection import funnel
from sert.records import Path, Prediction, Question, Verdict
from sert.store.tables import StoredTable
from sert.tasks.near_duplicates import NearDuplicate

Verifier = Callable[[Question, str], bool]
PathKey = tuple[str, int, int]

COMPARED: tuple[tuple[Method, Method], ...] = (
    ("sert", "zero_shot"),
    ("sert", "finetune"),
    ("rd", "finetune"),
    ("sert+rd", "rd"),
    ("sert+rd", "sert"),
)


@dataclass(frozen=True)
class TaskResults:
    """Everything that was measured on one task.

    Attributes:
        left_out: Reason -> questions that were left out on loading.
        near_duplicates: Those left out because a question of another split is nearly the same.
        paths: Mined paths of the train questions, with their verdicts; may be too many to hold at once.
        rationales: Train questions that the teacher answered, None when it was not asked.
        predictions: Method -> predictions on the test questions.
        training: Method -> counts of its training.
        probes: Decoding -> paths of the test questions, `probe_samples` a question.
        judged: What a judge said of the outputs (`scores.json`), None when none was asked.
        verifier: Says whether a path is true; only the lab has one. Of a path that was stopped early nobody knows.
    """

    task: str
    train: Sequence[Question]
    test: Sequence[Question]
    left_out: Mapping[str, int]
    near_duplicates: Sequence[NearDuplicate] = ()
    paths: Sequence[Path] | StoredTable[Path] = ()
    verdicts: Sequence[Verdict] = ()
    rationales: int | None = None
    predictions: Mapping[Method, Sequence[Prediction]] = field(default_factory=dict)
    training: Mapping[Method, Mapping[str, Any]] = field(default_factory=dict)
    probes: Mapping[str, Sequence[Path] | StoredTable[Path]] = field(default_factory=dict)
    judged: Mapping[str, Any] | None = None
    verifier: Verifier | None = None


def summarize_tasks(
    results: Sequence[TaskResults], *, student: str, seed: int, rules: RulesConfig
) -> dict[str, list[dict[str, Any]]]:
    """Build the tables of `metrics.json`; all shares are 0..1, what was not measured is None."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("tasks", "rows", "comparisons", "funnel", "latent", "selection", "judged")
    }
    for result in results:
        about = {"task": result.task, "student": student}
        tables["tasks"].append(_task_row(result))
        tables["rows"] += [{**about, "seed": seed, **row} for row in _result_rows(result)]
        tables["comparisons"] += [{**about, **row} for row in _comparison_rows(result)]
        tables["latent"] += [{**about, **row} for row in _latent_rows(result, rules)]
        if result.judged is not None:
            tables["judged"].append({**about, **result.judged})
        if result.verdicts:
            truths = _truths(result)
            tables["funnel"] += [{**about, **row} for row in _funnel_rows(result, truths)]
            tables["selection"].append({**about, **_selection_row(result, truths)})
    corrected = holm([row["p_value"] for row in tables["comparisons"]])
    tables["comparisons"] = [
        {**row, "p_holm": p_value} for row, p_value in zip(tables["comparisons"], corrected, strict=True)
    ]
    return tables


def _task_row(result: TaskResults) -> dict[str, Any]:
    most_frequent = majority(question.answer for question in result.test)
    options = {len(question.choices) if question.choices else 2 for question in result.test}
    has_chance = all(question.answer_type != "text" for question in result.test) and len(options) == 1
    return {
        "task": result.task,
        "num_train": len(result.train),
        "num_test": len(result.test),
        "majority_answer": most_frequent.answer,
        "majority_accuracy": most_frequent.share,
        "chance_accuracy": 1 / options.pop() if has_chance else None,
        "left_out": dict(result.left_out),
        "near_duplicates": [pair._asdict() for pair in result.near_duplicates],
    }


def _result_rows(result: TaskResults) -> list[dict[str, Any]]:
    by_id = {question.question_id: question for question in result.test}
    rows = []
    for method, predictions in result.predictions.items():
        training = result.training.get(method, {})
        rows.append(
            {
                "method": method,
                "split": "test",
                "epoch_choice": "last" if training else None,
                **summarize(predictions, result.test),
                "train_examples": training.get("examples"),
                "train_steps": training.get("steps"),
                "true_paths": _share(
                    [result.verifier(by_id[each.question_id], each.completion) for each in predictions]
                    if result.verifier
                    else []
                ),
            }
        )
    return rows


def _comparison_rows(result: TaskResults) -> list[dict[str, Any]]:
    rows = []
    for a, b in COMPARED:
        if a in result.predictions and b in result.predictions:
            of_a, of_b = ([prediction.correct_loose for prediction in result.predictions[method]] for method in (a, b))
            difference = paired_difference(of_a, of_b)
            disagree = sum(left != right for left, right in zip(of_a, of_b, strict=True)) / len(of_a)
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "difference": difference.difference,
                    "ci95": [difference.low, difference.high],
                    "p_value": difference.p_value,
                    "detectable": smallest_detectable_difference(len(of_a), disagree),
                    "test": "exact McNemar, paired by question",
                }
            )
    return rows


def _latent_rows(result: TaskResults, rules: RulesConfig) -> list[dict[str, Any]]:
    """Who reasons how often: one greedy output, raw samples and branches a question, and the SERT student."""
    by_id = {question.question_id: question for question in result.test}
    rows = []
    outputs: dict[str, list[tuple[Question, bool, str]]] = {}
    if "zero_shot" in result.predictions:
        outputs["greedy"] = [(by_id[p.question_id], p.reasoned, p.completion) for p in result.predictions["zero_shot"]]
    for decoding, paths in result.probes.items():
        outputs[decoding] = [
            (by_id[p.question_id], is_reasoned(p.text, p.num_tokens, by_id[p.question_id], rules), p.text)
            for p in paths
        ]
    if "sert" in result.predictions:
        outputs["SERT greedy"] = [(by_id[p.question_id], p.reasoned, p.completion) for p in result.predictions["sert"]]
    for decoding, judged in outputs.items():
        reasoned = [is_so for _, is_so, _ in judged]
        questions = {question.question_id for question, _, _ in judged}
        with_reasoned = {question.question_id for question, is_so, _ in judged if is_so}
        true = [(q.question_id, result.verifier(q, text)) for q, _, text in judged] if result.verifier else []
        with_true = {question_id for question_id, is_true in true if is_true}
        rows.append(
            {
                "decoding": decoding,
                "questions": len(questions),
                "samples": len(judged) // len(questions),
                "reasoned_share": fmean(reasoned),
                "questions_reasoned": len(with_reasoned),
                "questions_reasoned_share": len(with_reasoned) / len(questions),
                "true_share": _share([is_true for _, is_true in true]),
                "questions_true_share": len(with_true) / len(questions) if result.verifier else None,
            }
        )
    return rows


def _truths(result: TaskResults) -> dict[PathKey, bool]:
    """Verify the paths that were decoded to their end; none without a verifier."""
    if result.verifier is None:
        return {}
    by_id = {question.question_id: question for question in result.train}
    return {
        (path.question_id, path.branch, path.sample): result.verifier(by_id[path.question_id], path.text)
        for path in result.paths
        if not path.stopped_early
    }


def _key(verdict: Verdict) -> PathKey:
    return verdict.question_id, verdict.branch, verdict.sample


def _funnel_rows(result: TaskResults, truths: Mapping[PathKey, bool]) -> list[dict[str, Any]]:
    rows = []
    remaining = list(result.verdicts)
    for row in funnel(result.verdicts):
        if row.rule == "selected":
            remaining = [verdict for verdict in remaining if verdict.selected]
        else:
            remaining = [verdict for verdict in remaining if verdict.reason != row.rule]
        rows.append({**row._asdict(), "true_share": _true_share(remaining, truths)})
    return rows


def _selection_row(result: TaskResults, truths: Mapping[PathKey, bool]) -> dict[str, Any]:
    selected = [verdict for verdict in result.verdicts if verdict.selected]
    return {
        "questions": len(result.train),
        "with_selected": len(selected),
        "selected_agree": sum(verdict.agrees is True for verdict in selected),
        "selected_true_share": _true_share(selected, truths),
        "mined_true_share": _true_share(result.verdicts, truths),
    }


def _true_share(verdicts: Sequence[Verdict], truths: Mapping[PathKey, bool]) -> float | None:
    """Share the true paths, if it is known of all."""
    known = [truths.get(_key(verdict)) for verdict in verdicts]
    return None if None in known else _share([is_true for is_true in known if is_true is not None])


def _share(flags: Sequence[bool]) -> float | None:
    return fmean(flags) if flags else None
