"""What the explorer is made of, of the finished stages of a run or a grid, and of a mined folder that is alone."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sert.analysis.explored.sources import ExploredArm, FilteredPaths, MinedPaths, Outputs, questions_by_id
from sert.analysis.results import ArmGraphs, method_results, verifier_of
from sert.config.rules import RulesConfig, SelectionConfig
from sert.config.tree import Config, Method, StudentConfig
from sert.errors import DataError
from sert.evaluation.gains import GainJob
from sert.method import TaskGraph
from sert.paths.filtering import FilterJob
from sert.paths.mining import MineJob
from sert.paths.rules import apply_rules
from sert.paths.selection import select
from sert.records import Path, Question, Verdict
from sert.store.artifacts import Artifact
from sert.store.stage import Stage
from sert.store.tables import StoredTable, read_table


@dataclass
class GraphReader:
    """Reads the stages of the arms of a run, those that several share once; `typed` is its folder as people type it."""

    typed: str
    _outputs: dict[str, Outputs] = field(default_factory=dict)

    def arms(self, arms: Sequence[ArmGraphs]) -> list[ExploredArm]:
        """Read all arms. Every stage must be finished."""
        return [
            ExploredArm(
                arm.student,
                arm.seed,
                arm.variant,
                arm.group,
                graph.task,
                [self._round(graph, mined, filtered) for mined, filtered in graph.rounds],
                {method: self._outputs_of(graph, method) for method in graph.evaluated},
            )
            for arm, tasks in arms
            for graph in tasks
        ]

    def _round(self, graph: TaskGraph, mined: Stage, filtered: Stage) -> FilteredPaths:
        scored = (
            stage for stage in graph.stages if isinstance(stage.job, GainJob) and stage.job.source == mined.result
        )
        gains = next((stage.result.open() for stage in scored), None)
        return filtered_paths(mined, filtered, graph.task, config=graph.config, typed=self.typed, gains=gains)

    def _outputs_of(self, graph: TaskGraph, method: Method) -> Outputs:
        name = graph.evaluated[method].folder.name
        key = f"{name} {graph.config.evaluation.epoch_choice}"
        if key not in self._outputs:
            found = method_results(graph, method).primary
            self._outputs[key] = Outputs(name, graph.task, method, graph.data.split("test"), found)
        return self._outputs[key]


def filtered_paths(
    mined: Stage, filtered: Stage, task: str, *, config: Config, typed: str, gains: Artifact | None = None
) -> FilteredPaths:
    """Read two finished stages of a run whose folder people type so."""
    mining, filtering = mined.job, filtered.job
    assert isinstance(mining, MineJob)
    assert isinstance(filtering, FilterJob)
    found = filtered.result.open()
    return FilteredPaths(
        filtered.folder.name,
        MinedPaths(
            mined.result.open(),
            f"{typed}/{mined.folder.name}",
            task,
            mining.questions,
            mining.student.resolve(),
            gains,
            verifier_of(config.tasks[task]),
        ),
        filtering.rules,
        filtering.selection,
        StoredTable(found.file("verdicts.parquet"), Verdict),
        found.counts.get("limits", {}),
        found,
    )


def lone_paths(mined: Artifact, student: StudentConfig | None, *, typed: str = "") -> FilteredPaths:
    """Read a mined folder that is no part of a run, and ask the rules of its paths: those that mining foresaw.

    Raises:
        DataError: If it was not mined, or a table of it is damaged.
    """
    if mined.manifest["stage"] != "mine":
        raise DataError(
            f"{mined.folder} was made by the step {mined.manifest['stage']!r}. Give the folder of a run, or one that "
            "`sert mine` wrote: the page asks the rules of its paths, and they can be changed there."
        )
    questions = tuple(read_table(mined.file("questions.parquet"), Question))
    task = questions[0].task if questions else "questions"
    # They are noted where mining stops paths early, and then no limit is a percentile.
    rules = RulesConfig.model_validate(mined.manifest["config"].get("rules", {}))
    verdicts = _Asked(mined, rules)
    source = MinedPaths(mined, typed, task, questions, student)
    return FilteredPaths(mined.folder.name, source, rules, SelectionConfig(), verdicts, {}, None)


class _Asked:
    """The verdicts of rules on mined paths, made anew whenever they are read."""

    def __init__(self, mined: Artifact, rules: RulesConfig) -> None:
        self._mined, self._rules = mined, rules

    def __iter__(self) -> Iterator[Verdict]:
        questions = questions_by_id(read_table(self._mined.file("questions.parquet"), Question))
        paths = StoredTable(self._mined.file("paths.parquet"), Path)
        for question_id, of_question in itertools.groupby(paths, key=lambda path: path.question_id):
            if question_id not in questions:
                raise DataError(
                    f"{self._mined.folder} is damaged: it holds a path of question {question_id!r}, which is not among "
                    "its questions. Mine again."
                )
            yield from select(apply_rules(path, questions[question_id], self._rules) for path in of_question)
