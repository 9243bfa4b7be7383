"""The stages of a prospect: some of those of a run, on a sample of train questions."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sert.analysis.prospect import draw_questions
from sert.config.prospect import Prospect
from sert.config.rules import SelectionConfig
from sert.config.tree import EvaluationConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.likelihood_stage import LikelihoodJob
from sert.evaluation.prediction import EvaluateJob
from sert.paths.filtering import FilterJob
from sert.paths.mining import MineJob
from sert.runs.build import warn
from sert.runs.checks import check_calls
from sert.store.stage import Job, Stage
from sert.student.lengths import foresee_too_long
from sert.student.source import StudentSource
from sert.tasks.load import Questions, TaskData, load_task
from sert.tasks.possible import possible_answers
from sert.terminal.progress import Reporter


class ProspectGraph(NamedTuple):
    """The stages of a prospect.

    Attributes:
        questions: Those that are asked.
        mined, filtered: Paths by branching, all decoded to their ends, and the verdicts on them.
        raw: As many paths a question without branches.
        greedy: One greedy output a question, as long as a path may be.
        scored: The possible answers by likelihood; None where that is off, or no question has a closed set of them.
    """

    task: str
    config: Prospect
    data: TaskData
    questions: Questions
    mined: Stage
    filtered: Stage
    raw: Stage
    greedy: Stage
    scored: Stage | None

    @property
    def stages(self) -> list[Stage]:
        """All of them, each behind those that it needs; first what loads the student in float32."""
        scored = [] if self.scored is None else [self.scored]
        return [*scored, self.mined, self.filtered, self.raw, self.greedy]


def build_prospect(config: Prospect, *, out: Path, reporter: Reporter | None = None) -> ProspectGraph:
    """Load and check the question set, draw the questions and lay out the stages. Nothing is written.

    The reporter, where there is one, is told what is likely a slip in the question set, and which questions are too
    long.

    Raises:
        SertError: If a setting, the question set or the student cannot be used.
    """
    ((task, settings),) = config.tasks.items()
    if config.mining.branches == 0:
        raise ConfigError(
            "mining.branches = 0 is raw sampling, with which a prospect compares branching; give 1 or more."
        )
    data = load_task(task, settings)
    warn(reporter, task, data.slips)
    train, mining, seed, execution = data.split("train"), config.mining, config.seed, config.execution
    if not train:
        raise DataError(f"{task} has no train questions, which a prospect draws from.")
    questions = draw_questions(train, config.questions, seed=seed)
    student, raw = StudentSource(config.student), mining.shaped(branches=0, samples=mining.paths_a_question)

    def add(job: Job) -> Stage:
        return Stage.of(job, task=task, out=out)

    mined = add(MineJob(questions, student, mining.shaped(), None, settings.prompts, execution, seed, "mine"))
    once = EvaluationConfig(max_new_tokens=mining.max_new_tokens, max_lanes=mining.max_lanes)
    has_closed_set = any(any(possible_answers(question)) for question in questions)
    graph = ProspectGraph(
        task,
        config,
        data,
        questions,
        mined,
        add(FilterJob(mined.result, config.rules, SelectionConfig(rules=config.selection.rules), seed, "filter")),
        add(MineJob(questions, student, raw, execution=execution, seed=seed, step="mine-raw")),
        add(EvaluateJob(questions, student, once, config.rules, mining, execution, seed, "greedy")),
        add(LikelihoodJob(questions, student)) if config.evaluation.likelihood and has_closed_set else None,
    )
    check_calls(config, graph.stages)
    warn(reporter, task, _too_long(graph))
    return graph


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
