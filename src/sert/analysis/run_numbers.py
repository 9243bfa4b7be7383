"""The numbers of a run: `report/metrics.json` as a pure function of questions, paths, verdicts and predictions."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

from sert.analysis.epochs import Chosen, EpochChoice, SnapshotOutputs, choose_epochs
from sert.config.tree import Method, RulesConfig
from sert.evaluation.grading import summarize
from sert.paths.filtering import funnel
from sert.paths.rules import is_reasoned
from sert.records import Path, PathKey, Prediction, Question, Verdict
from sert.stats.counts import added, share_of
from sert.stats.holm import holm
from sert.stats.shares import majority, paired_difference, smallest_detectable_difference
from sert.store.tables import StoredTable
from sert.tasks.duplicates import NearDuplicate

Verifier = Callable[[Question, str], bool]

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
        slips: What is likely a slip in the question set.
        paths: Mined paths of the train questions, with their verdicts; may be too many to hold at once.
        last_round: Paths and verdicts of the round that SERT was trained on last, where there were several.
        rationales: Train questions that the teacher answered, None when it was not asked.
        predictions: Method -> predictions on the test questions, of the snapshot that the comparisons are about.
        training: Method -> counts of its training.
        dev: Questions that the epoch is chosen on.
        snapshots: Method -> predictions of all its snapshots, where more than one is kept.
        epoch_choice: How that snapshot is chosen.
        harness: How the students were tested.
        votes: Outputs a question that voted on its answer.
        probes: Decoding -> paths of the test questions, `probe_samples` a question.
        scored: Decoding -> all paths of the first test questions.
        judged: What a judge said of the outputs (`scores.json`), None when none was asked.
        judged_paths: Decoding -> path in `scored` -> a judge's scores by its criteria; without those that have none.
        verifier: Says whether a path is true; only the lab has one. Of a path that was stopped early nobody knows.
        scorer: Grades a path from 0 to 10; only the lab has one.
    """

    task: str
    train: Sequence[Question]
    test: Sequence[Question]
    left_out: Mapping[str, int]
    near_duplicates: Sequence[NearDuplicate] = ()
    slips: Sequence[str] = ()
    paths: Sequence[Path] | StoredTable[Path] = ()
    verdicts: Sequence[Verdict] = ()
    last_round: tuple[Sequence[Path] | StoredTable[Path], Sequence[Verdict]] | None = None
    rationales: int | None = None
    predictions: Mapping[Method, Sequence[Prediction]] = field(default_factory=dict)
    training: Mapping[Method, Mapping[str, Any]] = field(default_factory=dict)
    dev: Sequence[Question] = ()
    snapshots: Mapping[Method, Sequence[SnapshotOutputs]] = field(default_factory=dict)
    epoch_choice: EpochChoice = "last"
    harness: Literal["clean", "compat"] = "clean"
    votes: int = 1
    probes: Mapping[str, Sequence[Path] | StoredTable[Path]] = field(default_factory=dict)
    scored: Mapping[str, Sequence[Path] | StoredTable[Path]] = field(default_factory=dict)
    judged: Mapping[str, Any] | None = None
    judged_paths: Mapping[str, Mapping[PathKey, Sequence[float]]] | None = None
    verifier: Verifier | None = None
    scorer: Callable[[Question, str], float] | None = None

    @property
    def trained_on(self) -> tuple[Sequence[Path] | StoredTable[Path], Sequence[Verdict]]:
        """Mined paths and verdicts that SERT was trained on; of several rounds those of the last one."""
        return self.last_round or (self.paths, self.verdicts)

    @cached_property
    def some_stopped(self) -> bool:
        """Whether some of `paths` are not decoded to their end, so that nobody knows what they would say."""
        return any(path.stopped_early for path in self.paths)

    def is_untrained(self, method: Method) -> bool:
        """Whether there were no examples to train a method on, so that it is the student it started from."""
        return self.training.get(method, {}).get("steps") == 0

    def choices(self, method: Method) -> list[Chosen]:
        """List the snapshots of a method that are reported; for one that was tested once, only that one."""
        if snapshots := self.snapshots.get(method):
            return choose_epochs(snapshots)
        return [Chosen("last", self.training.get(method, {}).get("steps", 0), self.predictions[method])]


def summarize_tasks(
    results: Sequence[TaskResults], *, student: str, seed: int, rules: RulesConfig
) -> dict[str, list[dict[str, Any]]]:
    """Build the tables of `metrics.json`; all shares are 0..1, what was not measured is None."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("tasks", "rows", "comparisons", "funnel", "latent", "selection", "judged")
    }
    for result in results:
        about = {"task": result.task, "student": student}
        tables["tasks"].append(task_row(result))
        tables["rows"] += [{**about, "seed": seed, **row} for row in result_rows(result)]
        tables["comparisons"] += [{**about, **row} for row in _comparison_rows(result)]
        tables["latent"] += [{**about, **row} for row in _latent_rows(result, rules)]
        if result.judged is not None:
            tables["judged"].append({**about, **result.judged})
        if result.verdicts:
            truths = _truths(result)
            tables["funnel"] += [{**about, **row} for row in funnel_rows(result, truths)]
            tables["selection"].append({**about, **selection_shares([selection_counts(result)])})
    corrected = holm([row["p_value"] for row in tables["comparisons"]])
    tables["comparisons"] = [
        {**row, "p_holm": p_value} for row, p_value in zip(tables["comparisons"], corrected, strict=True)
    ]
    return tables


def task_row(result: TaskResults) -> dict[str, Any]:
    """Describe the questions of a task, and what needs no student."""
    most_frequent = majority(question.answer for question in result.test)
    options = {len(question.choices) if question.choices else 2 for question in result.test}
    has_chance = all(question.answer_type != "text" for question in result.test) and len(options) == 1
    return {
        "task": result.task,
        "num_train": len(result.train),
        "num_dev": len(result.dev),
        "num_test": len(result.test),
        "majority_answer": most_frequent.answer,
        "majority_accuracy": most_frequent.share,
        "chance_accuracy": 1 / options.pop() if has_chance else None,
        "left_out": dict(result.left_out),
        "near_duplicates": [pair._asdict() for pair in result.near_duplicates],
    }


def result_rows(result: TaskResults) -> list[dict[str, Any]]:
    """Sum up the outputs of each method, of every snapshot that is reported."""
    return [_result_row(result, method, chosen) for method in result.predictions for chosen in result.choices(method)]


def _result_row(result: TaskResults, method: Method, chosen: Chosen) -> dict[str, Any]:
    by_id = {question.question_id: question for question in result.test}
    training = result.training.get(method, {})
    return {
        "method": method,
        "split": "test",
        "epoch_choice": chosen.choice if training else None,
        "primary": chosen.choice == result.epoch_choice or not training,
        "harness": result.harness,
        "votes": result.votes,
        **summarize(chosen.predictions, result.test),
        "step": chosen.step if training else None,
        "train_examples": training.get("examples"),
        "train_steps": training.get("steps"),
        "true_paths": _share(
            [result.verifier(by_id[each.question_id], each.completion) for each in chosen.predictions]
            if result.verifier
            else []
        ),
    }


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
                    "untrained": [method for method in (a, b) if result.is_untrained(method)],
                }
            )
    return rows


def _latent_rows(result: TaskResults, rules: RulesConfig) -> list[dict[str, Any]]:
    """Who reasons how often: one output, raw samples and branches a question, and the SERT student."""
    one = "greedy" if result.votes == 1 else f"{result.votes} votes"
    by_id = {question.question_id: question for question in result.test}
    rows = []
    outputs: dict[str, list[tuple[Question, bool, str]]] = {}
    if "zero_shot" in result.predictions:
        outputs[one] = [(by_id[p.question_id], p.reasoned, p.completion) for p in result.predictions["zero_shot"]]
    for decoding, paths in result.probes.items():
        outputs[decoding] = [
            (by_id[p.question_id], is_reasoned(p.text, p.num_tokens, by_id[p.question_id], rules), p.text)
            for p in paths
        ]
    if "sert" in result.predictions:
        outputs[f"SERT {one}"] = [(by_id[p.question_id], p.reasoned, p.completion) for p in result.predictions["sert"]]
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
        path.key: result.verifier(by_id[path.question_id], path.text) for path in result.paths if not path.stopped_early
    }


def funnel_rows(result: TaskResults, truths: Mapping[PathKey, bool] | None = None) -> list[dict[str, Any]]:
    """Count what is left after each rule; `truths` of the paths are found where they are not given."""
    rows, truths = [], _truths(result) if truths is None else truths
    remaining = list(result.verdicts)
    for row in funnel(result.verdicts):
        if row.rule == "selected":
            remaining = [verdict for verdict in remaining if verdict.selected]
        else:
            remaining = [verdict for verdict in remaining if verdict.reason != row.rule]
        rows.append({**row._asdict(), "true_share": _true_share(remaining, truths)})
    return rows


def selection_counts(result: TaskResults) -> dict[str, Any]:
    """Count the questions with a selected path, of these paths the true ones and those that agree with gold.

    Also all the paths that were mined for it, and the true ones. Of several rounds it is the last one, which the
    student was trained on. Nobody knows how many are true (None) without a verifier, or of paths that were stopped
    early.
    """
    by_id = {question.question_id: question for question in result.train}
    paths, verdicts = result.trained_on
    counts: Counter[str] = Counter()
    for path, verdict in zip(paths, verdicts, strict=True):
        is_true = bool(result.verifier and result.verifier(by_id[path.question_id], path.text))
        counts["mined"] += 1
        counts["mined_true"] += is_true
        counts["stopped"] += path.stopped_early
        if verdict.selected:
            counts["with_selected"] += 1
            counts["selected_agree"] += verdict.agrees is True
            counts["selected_true"] += is_true
    return {
        "questions": len(result.train),
        "with_selected": counts["with_selected"],
        "selected_agree": counts["selected_agree"],
        "selected_true": counts["selected_true"] if result.verifier else None,
        "mined": counts["mined"],
        "mined_true": counts["mined_true"] if result.verifier and not counts["stopped"] else None,
    }


def selection_shares(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up counts of selections, and make shares of the true ones."""
    selected = added(rows, "with_selected")
    return {
        "questions": added(rows, "questions"),
        "with_selected": selected,
        "selected_agree": added(rows, "selected_agree"),
        "selected_true_share": share_of(added(rows, "selected_true"), selected),
        "mined_true_share": share_of(added(rows, "mined_true"), added(rows, "mined")),
    }


def _true_share(verdicts: Sequence[Verdict], truths: Mapping[PathKey, bool]) -> float | None:
    """Share the true paths, if it is known of all."""
    known = [truths.get(verdict.key) for verdict in verdicts]
    return None if None in known else _share([is_true for is_true in known if is_true is not None])


def _share(flags: Sequence[bool]) -> float | None:
    return fmean(flags) if flags else None
