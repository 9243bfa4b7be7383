"""From the folders that finished stages left to what a report is made of."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from sert.analysis.epochs import SnapshotOutputs
from sert.analysis.grid_numbers import GridNumbers
from sert.analysis.path_counts import Verifier
from sert.analysis.task_results import MethodResults, MinedRound, TaskResults
from sert.analysis.warnings import untrained, warnings_of
from sert.config.grid import MAIN, Arm
from sert.config.tree import Method
from sert.judge.scores import path_scores
from sert.method import TaskMethod
from sert.records import Judgement, Path, Prediction, Question, Verdict
from sert.report.examples import ReportData, ShownPath, ShownPrediction
from sert.store.stage import Stage
from sert.store.tables import StoredTable, read_table
from sert.tasks.kinds import KINDS
from sert.terminal.progress import Reporter

SHOWN_PREDICTIONS = 10
"""Right outputs of each method that a report shows, and as many wrong ones."""


class ArmGraphs(NamedTuple):
    """One run of a grid, the only one or one of many: its configuration, and the graph of each of its tasks."""

    arm: Arm
    tasks: Sequence[TaskMethod]


def collect_results(arms: Sequence[ArmGraphs], *, name: str, config_key: str, reporter: Reporter) -> ReportData:
    """Read what the finished stages of all arms left, and make the numbers of the report of it.

    Args:
        arms: Those without changes come first. Every stage of theirs must be finished.
        name: What the run or the grid is called.
        config_key: Hash of what it was asked to do.
        reporter: Where progress goes.
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
                    paths += _shown_paths(result, student)
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


def _shown_paths(result: TaskResults, student: str) -> list[ShownPath]:
    """Show a few paths of each end. Of several rounds they are the last one's."""
    looks = result.trained_on.shown if result.trained_on else []
    return [ShownPath(result.task, each.question, each.path, each.verdict, each.true, student) for each in looks]


def shown_predictions(result: TaskResults, student: str, *, each: int = SHOWN_PREDICTIONS) -> list[ShownPrediction]:
    """Show a few right and as many wrong outputs of each method: the first ones, so that nobody picks them."""
    return [
        ShownPrediction(result.task, method, result.test[prediction.question_id], prediction, student)
        for method, measured in result.methods.items()
        for correct in (True, False)
        for prediction in [output for output in measured.primary if output.correct_loose is correct][:each]
    ]


def read_results(graph: TaskMethod) -> TaskResults:
    """Read what the stages of a task left. Every stage must be finished."""
    first = _round_of(graph.mined, graph.filtered) if graph.mined and graph.filtered else None
    return TaskResults(
        task=graph.task,
        config=graph.config,
        data=graph.data,
        methods={method: _method_results(graph, method) for method in graph.evaluated},
        first_round=first,
        last_round=_round_of(*graph.last_round) if graph.last_round else first,
        rationales=int(graph.taught.result().counts["rationales"]) if graph.taught else None,
        probes={decoding: _paths_of(stage) for decoding, stage in graph.probes.items()},
        scored={decoding: _paths_of(stage) for decoding, stage in graph.scored.items()},
        judged=graph.judged.result().counts if graph.judged else None,
        judged_paths=path_scores(_judgements_of(graph.judged_paths)) if graph.judged_paths else None,
        verifier=_lab_verifier() if KINDS[graph.settings.kind].is_lab else None,
    )


def _method_results(graph: TaskMethod, method: Method) -> MethodResults:
    training: dict[str, Any] = graph.trained[method].result().counts if method in graph.trained else {}
    choice = graph.config.evaluation.epoch_choice
    if snapshots := graph.snapshots.get(method):
        steps = training.get("snapshot_steps", [0] * len(snapshots))
        outputs = [
            SnapshotOutputs(step, _predictions_of(each.dev) if each.dev else None, _predictions_of(each.test))
            for step, each in zip(steps, snapshots, strict=True)
        ]
    else:
        outputs = [SnapshotOutputs(training.get("steps", 0), None, _predictions_of(graph.evaluated[method]))]
    return MethodResults(outputs, training, choice)


def _round_of(mined: Stage, filtered: Stage) -> MinedRound:
    return MinedRound(_paths_of(mined), StoredTable(filtered.result().file("verdicts.parquet"), Verdict))


def _paths_of(stage: Stage) -> StoredTable[Path]:
    return StoredTable(stage.result().file("paths.parquet"), Path)


def _predictions_of(stage: Stage) -> list[Prediction]:
    return read_table(stage.result().file("predictions.parquet"), Prediction)


def _judgements_of(stage: Stage) -> StoredTable[Judgement]:
    return StoredTable(stage.result().file("judgements.parquet"), Judgement)


def _lab_verifier() -> Verifier:
    from sert.lab.verifier import verify
    from sert.lab.world import lab_world

    world = lab_world()

    def verify_in_lab(question: Question, text: str) -> tuple[bool, float]:
        found = verify(world, question, text)
        return found.true, found.score

    return verify_in_lab
