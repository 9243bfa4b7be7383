"""A prospect: mine a sample of train questions, look, train nothing.

Its folder is that of a run: the same stages by the same keys, the same lock, plan, report and manifest.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any

from sert.analysis.prospect import Prospected, prospect_numbers
from sert.config.prospect import Prospect, prospect_of
from sert.config.tree import Config
from sert.evaluation.likelihood import LIKELIHOODS
from sert.paths.limits import with_limits
from sert.records import Likelihood, Prediction, Question, Verdict
from sert.records import Path as MinedPath
from sert.report.examples import ShownPath
from sert.report.prospect.page import PAGE, StandingPaths, prospect_text, write_prospect
from sert.runs.checks import check_templates
from sert.runs.estimate import estimate
from sert.runs.folder import REPORT, RunResult, publish
from sert.runs.making import Choose, choose_for_plan, choose_now, make_stages, report_again, settled
from sert.runs.plan import Plan, plan_stages
from sert.runs.prospect_graph import ProspectGraph, build_prospect
from sert.runs.request import Request
from sert.runs.students import foresee_students
from sert.seeds import derive_seed
from sert.stats.counts import Row
from sert.store.artifacts import content_key
from sert.store.executors import check_engine
from sert.store.stage import Stage
from sert.store.tables import StoredTable, read_table
from sert.student.decoding.units import prepared_once
from sert.student.lengths import first_that_fits
from sert.student.source import StudentSource, called
from sert.student.training.examples import LabelExamples
from sert.student.training.stage import TrainJob, training_cost
from sert.tasks.standing import STANDINGS, standing_of
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


def plan_prospect(
    config: Config, *, out: Path | None = None, reporter: Reporter | None = None, try_students: bool = False
) -> Plan:
    """List what a prospect would do, and guess what it takes, as `sert.runs.run.plan` does of a run.

    Raises:
        SertError: If something cannot be used that the prospect would refuse at its beginning.
    """
    request, reporter = Request.of(prospect_of(config)), reporter or Silent()
    out = out or place_of(_asked(request))
    request = _settled(request, out, choose_for_plan(reporter, try_students=try_students))
    graph = build_prospect(_asked(request), out=out, reporter=reporter)
    check_templates(graph.config, at_hand=True)
    student, prompts = graph.config.student, (question.prompt for question in graph.questions)
    with_student = [(stage, student) for stage in graph.stages]
    foreseen = foresee_students(((student, stage) for stage in graph.stages), reporter) if try_students else []
    first = first_that_fits(student, prompts, max_new_tokens=graph.config.mining.max_new_tokens)
    shown = [] if first is None else [(student, first)]
    return Plan(plan_stages(graph.stages, out), estimate(with_student), shown, foreseen)


def prospect(
    config: Config,
    *,
    task: str | None = None,
    questions: int | None = None,
    out: Path | None = None,
    reporter: Reporter | None = None,
) -> RunResult:
    """Look at a student before any training: is there anything to mine on these questions, and do the rules find it?

    Samples train questions of one task by branching, raw sampling and greedily, scores their possible answers, trains
    nothing, and writes what that says (`docs/prospect.md`): `summary` of the result is for people, `metrics` holds the
    numbers of `prospect.json`, `report` is the page. Task, prompts, student, mining and rules are those of the
    configuration, as for `sert.run`. The same call continues where an earlier one stopped.

        config = sert.Config(name="look", student={"path": "lab"}, tasks={"lab": {"kind": "lab_choice"}})
        found = sert.prospect(config, questions=8)
        print(found.summary, found.metrics["verdict"]["level"])

    Args:
        config: The configuration of a run. `evaluation.likelihood` is on unless it says otherwise.
        task: Name of the task; may be left out where there is one.
        questions: Train questions that are looked at, 100 when not given; drawn by the seed where there are more.
        out: Its folder, `prospects/<name>` when not given.
        reporter: Told of the progress.

    Raises:
        SertError: If something cannot be used; inputs are checked before anything is written.
    """
    request, reporter = Request.of(prospect_of(config, task=task, questions=questions)), reporter or Silent()
    out = out or place_of(_asked(request))
    request.check_folder(out)
    check_engine(request.execution)
    request = _settled(request, out, choose_now(reporter))
    graph = build_prospect(_asked(request), out=out, reporter=reporter)
    if not all(stage.finished for stage in graph.stages):
        check_templates(graph.config, at_hand=False)
    write = partial(_write, graph, out, reporter)
    with prepared_once():
        return make_stages(request, graph.stages, out, reporter=reporter, write_report=write, result=ProspectResult)


def place_of(asked: Prospect) -> Path:
    """Name the folder of a prospect for which none is given."""
    return Path("prospects") / asked.name


def report_prospect(request: Request, folder: Path) -> RunResult:
    """Write the page of a finished prospect again.

    Raises:
        DataError: If a stage is not finished.
    """
    graph = build_prospect(_asked(request), out=folder)
    write = partial(_write, graph, folder, Silent())
    return report_again(request, graph.stages, folder, write_report=write, result=ProspectResult)


def _asked(request: Request) -> Prospect:
    assert isinstance(request.asked, Prospect)
    return request.asked


def _settled(request: Request, out: Path, choose: Choose) -> Request:
    def check(in_float32: Request) -> None:
        build_prospect(_asked(in_float32), out=out)

    return settled(request, out, choose, check=check)


def _write(graph: ProspectGraph, out: Path, reporter: Reporter) -> dict[str, Any]:
    reporter.say(f"{graph.config.name}: comparing what was sampled")
    found = Prospected(
        graph.data.split("train"),
        graph.questions,
        _judged(graph),
        _paths_of(graph.raw),
        read_table(graph.greedy.result.open().file("predictions.parquet"), Prediction),
        _likelihoods_of(graph),
    )
    rules = with_limits(graph.config.rules, graph.filtered.result.open().counts.get("limits", {}))
    asked = graph.config.selection.with_rules(rules).rules
    numbers = prospect_numbers(found, rules=rules, asked=asked, mining=graph.config.mining)
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


def _likelihoods_of(graph: ProspectGraph) -> list[Likelihood] | None:
    if graph.scored is None:
        return [] if graph.config.evaluation.likelihood else None
    return read_table(graph.scored.result.open().file(f"{LIKELIHOODS}.parquet"), Likelihood)


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

    Mining is an upper bound: a run stops most paths early. Its rate is the better one of branching and raw sampling,
    one of which loaded the student. None where no path is kept or the size is not known.
    """
    train, test = graph.data.split("train"), graph.data.split("test")
    mined, raw, greedy = (
        float(stage.result.open().manifest["wall_seconds"]) / len(graph.questions)
        for stage in (graph.mined, graph.raw, graph.greedy)
    )
    mining = min(mined, raw)
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


def _training_seconds(graph: ProspectGraph, examples: int, tokens: float) -> float | None:
    config, trained = graph.config, graph.data.split("train")[:examples]
    prompts = config.tasks[graph.task].prompts
    cost = training_cost(config.training, trained, completion_tokens=round(tokens))
    source, student = LabelExamples(trained, prompts), StudentSource(config.student)
    job = TrainJob(source, student, config.training, config.execution, config.seed, "train-sert", cost)
    stage = Stage.of(job, task=graph.task, out=graph.mined.folder.parent)
    return estimate([(stage, config.student)]).seconds
