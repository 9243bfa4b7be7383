"""From the folders that finished stages left to what a report is made of."""

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from sert.analysis.epochs import SnapshotOutputs
from sert.analysis.grid_numbers import GridNumbers
from sert.analysis.path_counts import Verifier
from sert.analysis.task_results import MethodResults, MinedRound, TaskResults
from sert.analysis.warnings import untrained, warnings_of
from sert.config.grid import MAIN, Arm
from sert.config.tree import Method, TaskConfig
from sert.evaluation.gains import GAINS, GainJob
from sert.evaluation.likelihood import LIKELIHOODS
from sert.judge.scores import path_scores
from sert.method import TaskGraph
from sert.records import (
    Gain,
    HeldOutScore,
    Judgement,
    Likelihood,
    Path,
    Prediction,
    Question,
    Rationale,
    Verdict,
)
from sert.report.examples import ReportData, ShownPath, ShownPrediction
from sert.store.stage import Stage
from sert.store.tables import RecordT, StoredTable
from sert.student.training.stage import FORGETTING
from sert.tasks.kinds import KINDS
from sert.terminal.progress import Reporter

SHOWN_PREDICTIONS = 10
"""Right outputs of each method that a report shows, and as many wrong ones."""


class ArmGraphs(NamedTuple):
    """One run of a grid, the only one or one of many: its configuration, and the graph of each of its tasks."""

    arm: Arm
    tasks: Sequence[TaskGraph]


def collect_results(arms: Sequence[ArmGraphs], *, name: str, config_key: str, reporter: Reporter) -> ReportData:
    """Read what the finished stages of all arms left, and make the numbers of the report of it.

    Arms without changes come first; every stage must be finished. The run or grid is called `name`, and `config_key` is
    the hash of what it was asked to do.
    """
    numbers, warnings = GridNumbers(), dict[str, None]()
    paths: list[ShownPath] = []
    predictions: list[ShownPrediction] = []
    several = len(arms) > 1
    with reporter.track(f"{name}, report", len(arms), "runs") as advance:
        for arm, tasks in arms:
            for result in map(read_results, tasks):
                numbers.add(arm, result)
                found = warnings_of(result) if arm.variant == MAIN else untrained(result)
                warnings |= dict.fromkeys(f"{arm.prefix if several else ''}{warning}" for warning in found)
                if arm is arms[0].arm:
                    student = arm.student if several else ""
                    looks = result.trained_on.shown if result.trained_on else []
                    paths += [ShownPath(result.task, *look, student) for look in looks]
                    predictions += shown_predictions(result, student)
            advance(1)
    first = arms[0].arm
    metrics = {
        "name": name,
        "seeds": list(dict.fromkeys(arm.seed for arm, _ in arms)),
        **({} if several else {"student": first.student, "seed": first.seed}),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sert_version": version("sert"),
        "config_key": config_key,
        **numbers.tables(),
        "warnings": list(warnings),
    }
    return ReportData(metrics, paths, predictions)


def shown_predictions(result: TaskResults, student: str) -> list[ShownPrediction]:
    """Show a few right and as many wrong outputs of each method: the first ones, so that nobody picks them."""
    return [
        ShownPrediction(result.task, method, result.test[prediction.question_id], prediction, student)
        for method, measured in result.methods.items()
        for correct in (True, False)
        for prediction in [output for output in measured.primary if output.correct_loose is correct][:SHOWN_PREDICTIONS]
    ]


def read_results(graph: TaskGraph) -> TaskResults:
    """Read what the stages of a task left. Every stage must be finished."""
    training = {method: _counts_of(stage) for method, stage in graph.trained.items()}
    judged, judged_paths = graph.judged.get("judge"), graph.judged.get("judge-paths")
    scored = {stage.job.source.step: stage for stage in graph.stages if isinstance(stage.job, GainJob)}
    return TaskResults(
        task=graph.task,
        config=graph.config,
        data=graph.data,
        methods={method: method_results(graph, method) for method in graph.evaluated},
        rounds=[
            MinedRound(
                _table_of(mined, "paths", Path),
                _table_of(filtered, "verdicts", Verdict),
                _counts_of(filtered).get("limits", {}),
            )
            for mined, filtered in graph.rounds[:1] + graph.rounds[1:][-1:]
        ],
        training=training,
        held_out={
            method: list(_table_of(stage, FORGETTING, HeldOutScore))
            for method, stage in graph.trained.items()
            if _has_table(stage, FORGETTING)
        },
        rationales=int(_counts_of(graph.taught)["rationales"]) if graph.taught else None,
        taught=_table_of(graph.taught, "rationales", Rationale) if graph.taught and "teach" in scored else (),
        gains={step: _table_of(stage, GAINS, Gain) for step, stage in scored.items()},
        probes={decoding: _table_of(stage, "paths", Path) for decoding, stage in graph.probes.items()},
        scored={decoding: _table_of(stage, "paths", Path) for decoding, stage in graph.scored.items()},
        judged=_counts_of(judged) if judged else None,
        judged_paths=path_scores(_table_of(judged_paths, "judgements", Judgement)) if judged_paths else None,
        verifier=verifier_of(graph.config.tasks[graph.task]),
    )


def method_results(graph: TaskGraph, method: Method) -> MethodResults:
    """Read what was measured of one method."""
    training = _counts_of(graph.trained[method]) if method in graph.trained else {}
    if snapshots := graph.snapshots.get(method):
        steps = training.get("snapshot_steps", [0] * len(snapshots))
        outputs = [
            SnapshotOutputs(step, _predictions_of(dev) if dev else None, *_tested(test))
            for step, (dev, test) in zip(steps, snapshots, strict=True)
        ]
    else:
        outputs = [SnapshotOutputs(training.get("steps", 0), None, *_tested(graph.evaluated[method]))]
    return MethodResults(outputs, training, graph.config.evaluation.epoch_choice)


def _counts_of(stage: Stage) -> Mapping[str, Any]:
    return stage.result.open().counts


def _table_of(stage: Stage, name: str, record_type: type[RecordT]) -> StoredTable[RecordT]:
    return StoredTable(stage.result.open().file(f"{name}.parquet"), record_type)


def _predictions_of(stage: Stage) -> list[Prediction]:
    return list(_table_of(stage, "predictions", Prediction))


def _tested(stage: Stage) -> tuple[list[Prediction], list[Likelihood]]:
    """Read the predictions of a stage, and the scores of possible answers where it has them."""
    scored = _has_table(stage, LIKELIHOODS)
    return _predictions_of(stage), list(_table_of(stage, LIKELIHOODS, Likelihood)) if scored else []


def _has_table(stage: Stage, name: str) -> bool:
    return f"{name}.parquet" in stage.result.open().manifest["outputs"]


def verifier_of(task: TaskConfig) -> Verifier | None:
    """Find who says whether the paths of a task are true; only the lab has one."""
    if not KINDS[task.kind].is_lab:
        return None
    from sert.lab.verifier import verify
    from sert.lab.world import lab_world

    world = lab_world()

    def verify_in_lab(question: Question, text: str) -> tuple[bool, float]:
        found = verify(world, question, text)
        return found.true, found.score

    return verify_in_lab
