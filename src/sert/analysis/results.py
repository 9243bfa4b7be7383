"""From what finished stages left to what a report is made of."""

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from sert.analysis.epochs import SnapshotOutputs, choose_epochs
from sert.analysis.grid_numbers import GridSummary
from sert.analysis.run_numbers import TaskResults, summarize_tasks
from sert.analysis.showing import shown_paths, shown_predictions, untrained, warnings_of
from sert.config.grid import MAIN, Arm
from sert.config.tree import Method
from sert.judge.scores import path_scores
from sert.method import TaskGraph
from sert.records import Judgement, Path, Prediction, Question, Verdict
from sert.report.examples import ReportData, ShownPath, ShownPrediction
from sert.store.stage import Stage
from sert.store.tables import StoredTable, read_table
from sert.tasks.kinds import KINDS
from sert.terminal.progress import Reporter

if TYPE_CHECKING:
    from sert.lab.verifier import Verification

SHOWN = 20
"""Paths of each end, and outputs of each method, that the report of a grid shows at most."""


class ArmGraphs(NamedTuple):
    """One run of a grid, the only one or one of many: its configuration, and the graph of each of its tasks."""

    arm: Arm
    tasks: Sequence[TaskGraph]


def collect_results(arms: Sequence[ArmGraphs], *, name: str, config_key: str, reporter: Reporter) -> ReportData:
    """Read what the finished stages of all arms left, and make the numbers of the report of it.

    Args:
        arms: Those without changes come first. Every stage of theirs must be finished.
        name: What the run or the grid is called.
        config_key: Hash of what it was asked to do.
        reporter: Where progress goes.
    """
    about = {
        "name": name,
        "seeds": list(dict.fromkeys(arm.seed for arm, _ in arms)),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sert_version": version("sert"),
        "config_key": config_key,
    }
    if len(arms) == 1:
        ((arm, tasks),) = arms
        results = [read_results(task) for task in tasks]
        return ReportData(
            {
                **about,
                "student": arm.student,
                "seed": arm.seed,
                **summarize_tasks(results, student=arm.student, seed=arm.seed, rules=arm.config.rules),
                "warnings": [warning for result in results for warning in warnings_of(result)],
            },
            [example for result in results for example in shown_paths(result)],
            [shown for result in results for shown in shown_predictions(result)],
        )
    return _of_many(arms, about, reporter)


def _of_many(arms: Sequence[ArmGraphs], about: dict[str, Any], reporter: Reporter) -> ReportData:
    summary, warnings = GridSummary(), dict[str, None]()
    paths: list[ShownPath] = []
    predictions: list[ShownPrediction] = []
    with reporter.track(f"{about['name']}, report", len(arms), "runs") as advance:
        for arm, tasks in arms:
            for result in map(read_results, tasks):
                summary.add(arm, result)
                found = warnings_of(result) if arm.variant == MAIN else untrained(result)
                warnings |= dict.fromkeys(f"{arm.prefix}{warning}" for warning in found)
                if arm is arms[0].arm:
                    paths += shown_paths(result, each=SHOWN)
                    predictions += shown_predictions(result, each=SHOWN // 2)
            advance(1)
    return ReportData({**about, **summary.tables(), "warnings": list(warnings)}, paths, predictions)


def read_results(method: TaskGraph) -> TaskResults:
    """Read what the stages of a task left. Every stage must be finished."""
    training = {name: stage.result.open().counts for name, stage in method.trained.items()}
    snapshots = {name: _snapshots_of(method, name) for name in method.snapshots}
    verification = _lab_verification() if KINDS[method.config.tasks[method.task].kind].is_lab else None
    choice = method.config.evaluation.epoch_choice
    chosen = {
        name: each.predictions for name in snapshots for each in choose_epochs(snapshots[name]) if each.choice == choice
    }
    return TaskResults(
        task=method.task,
        train=method.data.split("train"),
        dev=method.data.split("dev"),
        test=method.data.split("test"),
        left_out=method.data.left_out,
        near_duplicates=method.data.near_duplicates,
        slips=method.data.slips,
        paths=_paths_of(method.rounds[0][0]) if method.rounds else (),
        verdicts=_verdicts_of(method.rounds[0][1]) if method.rounds else [],
        last_round=_last_round_of(method),
        rationales=int(method.taught.result.open().counts["rationales"]) if method.taught else None,
        predictions={
            name: chosen[name] if name in chosen else _predictions_of(stage) for name, stage in method.evaluated.items()
        },
        snapshots=snapshots,
        epoch_choice=choice,
        harness=method.config.evaluation.harness,
        votes=method.config.evaluation.votes,
        training=training,
        probes={decoding: _paths_of(stage) for decoding, stage in method.probes.items()},
        scored={decoding: _paths_of(stage) for decoding, stage in method.scored.items()},
        judged=method.judged["judge"].result.open().counts if "judge" in method.judged else None,
        judged_paths=path_scores(_judgements_of(method.judged["judge-paths"]))
        if "judge-paths" in method.judged
        else None,
        verifier=(lambda question, text: verification(question, text).true) if verification else None,
        scorer=(lambda question, text: verification(question, text).score) if verification else None,
    )


def _snapshots_of(method: TaskGraph, name: Method) -> list[SnapshotOutputs]:
    snapshots = method.snapshots[name]
    steps = method.trained[name].result.open().counts.get("snapshot_steps", [0] * len(snapshots))
    return [
        SnapshotOutputs(step, _predictions_of(dev) if dev else None, _predictions_of(test))
        for step, (dev, test) in zip(steps, snapshots, strict=True)
    ]


def _paths_of(stage: Stage) -> StoredTable[Path]:
    return StoredTable(stage.result.open().file("paths.parquet"), Path)


def _verdicts_of(stage: Stage) -> list[Verdict]:
    return read_table(stage.result.open().file("verdicts.parquet"), Verdict)


def _last_round_of(method: TaskGraph) -> tuple[StoredTable[Path], list[Verdict]] | None:
    if len(method.rounds) < 2:
        return None
    mined, filtered = method.rounds[-1]
    return _paths_of(mined), _verdicts_of(filtered)


def _predictions_of(stage: Stage) -> list[Prediction]:
    return read_table(stage.result.open().file("predictions.parquet"), Prediction)


def _judgements_of(stage: Stage) -> StoredTable[Judgement]:
    return StoredTable(stage.result.open().file("judgements.parquet"), Judgement)


def _lab_verification() -> "Callable[[Question, str], Verification]":
    """Make what verifies a path of the lab; tables and figures ask for the same ones again."""
    from sert.lab.verifier import verify
    from sert.lab.world import lab_world

    return cache(partial(verify, lab_world()))
