"""A prospect: mine a sample of train questions, look, train nothing.

Its folder is that of a run: the same stages by the same keys, the same lock, plan, report and manifest.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from sert.analysis.prospect import Prospected, draw_questions, prospect_numbers
from sert.analysis.standing import STANDINGS, standing_of
from sert.config.prospect import Prospect
from sert.config.rules import SelectionConfig
from sert.config.tree import EvaluationConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.prediction import EvaluateJob
from sert.paths.filtering import FilterJob
from sert.paths.limits import with_limits
from sert.paths.mining import MineJob
from sert.records import Path as MinedPath
from sert.records import Prediction, Question, Verdict
from sert.report.examples import ShownPath
from sert.report.prospect.page import PAGE, StandingPaths, prospect_text, write_prospect
from sert.runs.checks import check_templates
from sert.runs.estimate import estimate
from sert.runs.folder import REPORT, RunResult, publish
from sert.runs.making import Choose, choose_for_plan, choose_now, make_stages, report_again, settled
from sert.runs.plan import Plan, plan_stages
from sert.runs.request import Request
from sert.runs.students import foresee_students
from sert.seeds import derive_seed
from sert.stats.counts import Row
from sert.store.artifacts import content_key
from sert.store.stage import Job, Stage
from sert.store.tables import StoredTable, read_table
from sert.student.lengths import foresee_too_long
from sert.student.source import StudentSource, called
from sert.student.training.examples import LabelExamples
from sert.student.training.stage import TrainJob, training_cost
from sert.tasks.load import Questions, TaskData, load_task
from sert.terminal.progress import Reporter, Silent

SHOWN = 5
"""Paths of each standing that the page shows."""


class ProspectResult(RunResult):
    """A finished prospect; `metrics` are its numbers, as in `prospect.json`."""

    @property
    def report(self) -> Path:
        """Its page."""
        return self.folder / REPORT / PAGE

    @property
    def summary(self) -> str:
        """What it found, as plain text for a terminal."""
        return prospect_text(self.metrics)


class ProspectGraph(NamedTuple):
    """The stages of a prospect.

    Attributes:
        questions: Those that are asked.
        mined, filtered: Paths by branching, all decoded to their ends, and the verdicts on them.
        raw: As many paths a question without branches.
        greedy: One greedy output a question, as long as a path may be.
    """

    task: str
    config: Prospect
    data: TaskData
    questions: Questions
    mined: Stage
    filtered: Stage
    raw: Stage
    greedy: Stage

    @property
    def stages(self) -> list[Stage]:
        """All of them, each behind those that it needs."""
        return [self.mined, self.filtered, self.raw, self.greedy]


def build_prospect(config: Prospect, *, out: Path, reporter: Reporter) -> ProspectGraph:
    """Load and check the question set, draw the questions and lay out the stages. Nothing is written.

    The reporter is told what is likely a slip in the question set.

    Raises:
        SertError: If a setting, the question set or the student cannot be used.
    """
    task, settings = _only_task(config)
    data = load_task(task, settings)
    for slip in data.slips:
        reporter.say(f"Warning: {task}: {slip}")
    train, mining, seed, execution = data.split("train"), config.mining, config.seed, config.execution
    if not train:
        raise DataError(f"{task} has no train questions, which a prospect draws from.")
    questions = draw_questions(train, config.questions, seed=seed)
    student = StudentSource(config.student)

    def add(job: Job) -> Stage:
        return Stage.of(job, task=task, out=out)

    prompts, raw = config.tasks[task].prompts, mining.shaped(branches=0, samples=mining.paths_a_question)
    mined = add(MineJob(questions, student, mining.shaped(), None, prompts, execution, seed, "mine"))
    once = EvaluationConfig(max_new_tokens=mining.max_new_tokens, max_lanes=mining.max_lanes)
    graph = ProspectGraph(
        task,
        config,
        data,
        questions,
        mined,
        add(FilterJob(mined.result, config.rules, SelectionConfig(), seed, "filter")),
        add(MineJob(questions, student, raw, execution=execution, seed=seed, step="mine-raw")),
        add(EvaluateJob(questions, student, once, config.rules, mining, execution, seed, "greedy")),
    )
    for line in _too_long(graph):
        reporter.say(f"Warning: {task}: {line}")
    return graph


def _only_task(config: Prospect) -> tuple[str, Any]:
    if len(config.tasks) != 1:
        raise ConfigError(
            f"A prospect looks at one task, not {', '.join(config.tasks)}; give each a prospect of its own."
        )
    if config.mining.branches == 0:
        raise ConfigError(
            "mining.branches = 0 is raw sampling, with which a prospect compares branching; give 1 or more."
        )
    return next(iter(config.tasks.items()))


def _too_long(graph: ProspectGraph) -> Iterator[str]:
    if not graph.mined.finished:
        told = foresee_too_long(
            graph.config.student,
            {question.question_id: question.prompt for question in graph.questions},
            setting="mining.max_new_tokens",
            max_new_tokens=graph.config.mining.max_new_tokens,
            places=graph.data.places,
        )
        if told is not None:
            yield told


def plan_prospect(config: Prospect, *, out: Path, reporter: Reporter, try_students: bool = False) -> Plan:
    """List what a prospect would do, and guess what it takes, as `sert.runs.run.plan` does of a run.

    Raises:
        SertError: If something cannot be used that the prospect would refuse at its beginning.
    """
    request = _settled(Request.of(config), out, choose_for_plan(reporter, try_students=try_students))
    graph = build_prospect(_asked(request), out=out, reporter=reporter)
    check_templates(graph.config, at_hand=True)
    student = graph.config.student
    with_student = [(stage, student) for stage in graph.stages]
    foreseen = foresee_students(((student, stage) for stage in graph.stages), reporter) if try_students else []
    first = [(student, graph.questions[0].prompt)]
    return Plan(plan_stages(graph.stages, out), estimate(with_student), first, foreseen)


def prospect(config: Prospect, *, out: Path, reporter: Reporter | None = None) -> RunResult:
    """Mine a sample of the train questions by branching, raw sampling and greedily, and write what it says.

    The same configuration and folder continue where an earlier call stopped.

    Raises:
        SertError: If something cannot be used; inputs are checked before anything is written.
    """
    request, reporter = Request.of(config), reporter or Silent()
    request.check_folder(out)
    request = _settled(request, out, choose_now(reporter))
    graph = build_prospect(_asked(request), out=out, reporter=reporter)
    if not all(stage.finished for stage in graph.stages):
        check_templates(graph.config, at_hand=False)
    write = partial(_write, graph, out, reporter)
    return make_stages(request, graph.stages, out, reporter=reporter, write_report=write, result=ProspectResult)


def report_prospect(request: Request, folder: Path) -> RunResult:
    """Write the page of a finished prospect again.

    Raises:
        DataError: If a stage is not finished.
    """
    graph = build_prospect(_asked(request), out=folder, reporter=Silent())
    write = partial(_write, graph, folder, Silent())
    return report_again(request, graph.stages, folder, write_report=write, result=ProspectResult)


def _asked(request: Request) -> Prospect:
    assert isinstance(request.asked, Prospect)
    return request.asked


def _settled(request: Request, out: Path, choose: Choose) -> Request:
    def check(in_float32: Request) -> None:
        build_prospect(_asked(in_float32), out=out, reporter=Silent())

    return settled(request, out, choose, check=check)


def _write(graph: ProspectGraph, out: Path, reporter: Reporter) -> dict[str, Any]:
    reporter.say(f"{graph.config.name}: comparing what was sampled")
    found = Prospected(
        graph.data.split("train"),
        graph.questions,
        _judged(graph),
        _paths_of(graph.raw),
        read_table(graph.greedy.result.open().file("predictions.parquet"), Prediction),
    )
    rules = with_limits(graph.config.rules, graph.filtered.result.open().counts.get("limits", {}))
    numbers = prospect_numbers(found, rules=rules, mining=graph.config.mining)
    numbers = {
        "name": graph.config.name,
        "task": graph.task,
        "student": called(graph.config.student),
        "seed": graph.config.seed,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sert_version": version("sert"),
        "config_key": content_key(graph.config.model_dump(mode="json")),
        **numbers,
        "cost": cost_row(graph, numbers["rules"]),
    }
    written: dict[str, Any] = {}

    def write(folder: Path) -> None:
        shown = shown_paths(graph.task, graph.questions, _judged(graph), seed=graph.config.seed)
        written.update(write_prospect(folder, numbers, shown))

    publish(out, write)
    return written


def _paths_of(stage: Stage) -> StoredTable[MinedPath]:
    return StoredTable(stage.result.open().file("paths.parquet"), MinedPath)


def _judged(graph: ProspectGraph) -> Iterator[tuple[MinedPath, Verdict]]:
    verdicts = StoredTable(graph.filtered.result.open().file("verdicts.parquet"), Verdict)
    return zip(_paths_of(graph.mined), verdicts, strict=True)


def shown_paths(
    task: str, questions: Sequence[Question], judged: Iterable[tuple[MinedPath, Verdict]], *, seed: int
) -> list[StandingPaths]:
    """Draw a few paths of each standing, at most one a question, so that nobody picks them."""
    asked = {question.question_id: question for question in questions}
    drawn: dict[str, dict[str, tuple[int, ShownPath]]] = {standing: {} for standing in STANDINGS}
    for path, verdict in judged:
        of_standing, question = drawn[standing_of(verdict.agrees, path.finish)], asked[path.question_id]
        lot = derive_seed(seed, "shown", *path.key)
        if path.question_id not in of_standing or lot < of_standing[path.question_id][0]:
            of_standing[path.question_id] = lot, ShownPath(task, question, path, verdict, None)
    return [
        StandingPaths(standing, [shown for _, shown in sorted(found.values(), key=itemgetter(0))[:SHOWN]])
        for standing, found in drawn.items()
    ]


def cost_row(graph: ProspectGraph, rules: Row) -> Row:
    """Guess the seconds of a full run: at the rate of this mining and this test, and as `estimate` has it for training.

    Mining is an upper bound: a run stops most paths early. None where no path is kept or the size is not known.
    """
    train, test = graph.data.split("train"), graph.data.split("test")
    mining, greedy = (_seconds_a_question(stage, len(graph.questions)) for stage in (graph.mined, graph.greedy))
    examples = round(len(train) * rules["questions_kept"] / rules["questions"])
    return {
        "mining_seconds_a_question": mining,
        "train_questions": len(train),
        "mining_seconds": mining * len(train),
        "examples": examples,
        "training_seconds": _training_seconds(graph, examples, rules["mean_kept_tokens"]) if examples else None,
        "test_questions": len(test),
        "testing_seconds": greedy * len(test) if test else None,
    }


def _seconds_a_question(stage: Stage, questions: int) -> float:
    return float(stage.result.open().manifest["wall_seconds"]) / questions


def _training_seconds(graph: ProspectGraph, examples: int, tokens: float) -> float | None:
    config, trained = graph.config, graph.data.split("train")[:examples]
    prompts = config.tasks[graph.task].prompts
    cost = training_cost(config.training, trained, completion_tokens=round(tokens))
    source, student = LabelExamples(trained, prompts), StudentSource(config.student)
    job = TrainJob(source, student, config.training, config.execution, config.seed, "train-sert", cost)
    stage = Stage.of(job, task=graph.task, out=graph.mined.folder.parent)
    return estimate([(stage, config.student)]).seconds
