"""A question of one's own: what a student, or each student of a run, answers, and which paths it has."""

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sert.analysis.results import method_results
from sert.config.load import load_config
from sert.config.prompts import PromptTemplates
from sert.config.rules import SelectionConfig
from sert.config.tree import DISTILLED, Config, Method, StudentConfig
from sert.errors import ConfigError, DataError
from sert.evaluation.prediction import evaluate
from sert.method import TaskGraph
from sert.paths.filtering import filter_paths
from sert.paths.limits import with_limits
from sert.paths.mining import mine
from sert.records import LETTERS, PathKey, Prediction, Question, Verdict
from sert.records import Path as MinedPath
from sert.runs.build import build_arms
from sert.runs.request import CONFIG, GRID, read_request
from sert.store.tables import read_table
from sert.student.source import StudentSource, called
from sert.tasks.prompts import NOTHING, asked_as_teacher, student_prompt
from sert.tasks.templates import context_names
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted

OWN = "asked"
"""Id of the question."""
OwnAnswerType = Literal["yes_no", "number", "text"]
"""How the answers to a question without choices are read: as its `answer_type`, a number as a text that is one."""
_GOLD: dict[OwnAnswerType, str] = {"yes_no": "yes", "number": "0", "text": "?"}
"""Stands for the gold answer of a question that is like none: it says how answers are read, and is not compared."""
_YES_NO = re.compile(
    r"(?:is|are|was|were|am|do|does|did|can|could|will|would|shall|should|has|have|had|may|might|must)(?:n.t)?\b"
    r"(?!.*\bor\b)",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = re.compile(r"how (?:many|much)\b", re.IGNORECASE)


class OwnQuestion(NamedTuple):
    """A question as somebody asks it, without a gold answer.

    Attributes:
        choices: Its options in order; empty where it has none.
        columns: What further placeholders of the templates stand for.
        answer_type: How its answers are read where it has no choices and no run's questions say it; None = as
            `type_of` tells by its words.
    """

    text: str
    choices: tuple[str, ...] = ()
    columns: Mapping[str, str] = NOTHING
    answer_type: OwnAnswerType | None = None


class Answered(NamedTuple):
    """What one student makes of a question.

    Attributes:
        who: The method that trained it, or what it is called.
        prompt: What it was asked.
        text: Its greedy output, of so many tokens; `finish` is as for paths.
        answer: The answer that is read in it, None where there is none.
        strict: Whether the text states that answer as the written rule wants it, or it is only read loosely.
        paths: The mined paths, where they were asked for.
        verdicts: What the rules say of them; nothing was compared with a gold answer.
    """

    who: str
    prompt: str
    text: str
    num_tokens: int
    finish: str
    answer: str | None
    strict: bool
    paths: Sequence[MinedPath] = ()
    verdicts: Mapping[PathKey, Verdict] = {}


def type_of(question: str) -> OwnAnswerType:
    """Tell by the words of an English question whether it asks for yes or no, for a number, or for anything else.

    What counts is how its last sentence begins: `Does`, `Would`, and so on, without an `or` behind it; `How many`.
    """
    last = re.split(r"(?<=[.!?])\s+", question.strip())[-1]
    return "yes_no" if _YES_NO.match(last) else "number" if _NUMBER.match(last) else "text"


def ask_student(
    asked: OwnQuestion, config: Config, *, paths: bool = False, reporter: Reporter | None = None
) -> Answered:
    """Ask the student of a configuration, with the templates of its only task.

    Args:
        asked: The question.
        config: How it is asked: student, templates, mining, rules, evaluation and seed.
        paths: Mine its paths, too, each to its end.
        reporter: Told of the progress.

    Raises:
        SertError: If the question does not go with the templates, or the student cannot be loaded or asked.
    """
    (templates,) = [task.prompts for task in config.tasks.values()]
    question = _question(asked, templates, like=None)
    return _answer(called(config.student), config.student, question, config, paths=paths, reporter=reporter)


def ask_run(
    asked: OwnQuestion,
    run: Path,
    *,
    task: str | None = None,
    methods: Sequence[Method] = (),
    overrides: Iterable[str] = (),
    paths: bool = False,
    reporter: Reporter | None = None,
) -> list[Answered]:
    """Ask the students of a run as the run tests them: by the same template, and the snapshot that is reported.

    Args:
        asked: The question.
        run: Folder of the run.
        task: Which of its tasks gives the question its form; need not be said where there is one.
        methods: Whose students are asked; all that are there when empty.
        overrides: Settings to ask by, as `--set` takes them; what was trained stays as it is.
        paths: Mine the paths of each, too, each to its end, and judge them with the run's limits.
        reporter: Told of the progress, and of methods that are not trained yet.

    Raises:
        DataError: If the folder is none of a run, or nothing that is asked for is trained.
        SertError: If the question does not go with the task, or a student cannot be loaded or asked.
    """
    reporter, graph = reporter or Silent(), _graph_of(run, task)
    config = load_config(run / CONFIG, overrides=overrides)
    templates = config.tasks[graph.task].prompts
    config = config.model_copy(update={"rules": with_limits(config.rules, _known_limits(graph, config))})
    if unknown := [method for method in methods if method not in graph.evaluated]:
        raise ConfigError(f"{run} has no method {unknown[0]!r}; it has: {', '.join(graph.evaluated)}.")
    wanted = methods or tuple(graph.evaluated)
    there = [method for method in wanted if method not in graph.trained or graph.trained[method].finished]
    if missing := [method for method in wanted if method not in there]:
        reporter.say(f"Not trained yet: {', '.join(missing)}. `sert status {run}` says how far the run is.")
    if not there:
        raise DataError(f"{run}: nothing that was asked for is trained yet; `sert run` goes on with it.")
    plain = _question(asked, templates, like=graph.data.questions[0])
    (as_taught,) = asked_as_teacher([plain], templates)
    answered = []
    for method in there:
        question = as_taught if method in DISTILLED else plain
        student = _student_of(method, graph, config.student)
        answered.append(_answer(method, student, question, config, paths=paths, reporter=reporter))
    return answered


def _graph_of(run: Path, task: str | None) -> TaskGraph:
    request = read_request(run)
    if request.file != CONFIG:
        what = "a grid" if request.file == GRID else "a prospect"
        raise DataError(f"{run} is the folder of {what}; give that of a run, or a student.")
    names = list(request.arms[0].config.tasks)
    if task not in names and (task is not None or len(names) > 1):
        said = f"no task {task!r}" if task is not None else "several tasks, and each asks in a form of its own"
        raise ConfigError(f"{run} has {said}; choose one by --task: {', '.join(names)}.")
    (arm,) = build_arms(request.arms, out=run)
    (graph,) = [each for each in arm.tasks if task in (None, each.task)]
    return graph


def _known_limits(graph: TaskGraph, config: Config) -> dict[str, float]:
    """Find the limits that are percentiles of all paths of the run; one question's own paths are too few for them."""
    filtered = graph.rounds[-1][1] if graph.rounds else None
    if filtered is None or not filtered.finished:
        return {}
    limits, same = filtered.result.open().counts.get("limits", {}), graph.config.rules.percentiles
    return {name: limits[name] for name, of in config.rules.percentiles.items() if same.get(name) == of}


def _student_of(method: Method, graph: TaskGraph, student: StudentConfig) -> StudentConfig:
    """Find the student of a method: the snapshot that is reported, or the last while that is not known.

    It decodes as `student` does, which is the first one.
    """
    snapshots = graph.snapshots.get(method, [])
    if method not in graph.trained:
        return student
    stages, number = [stage for pair in snapshots for stage in pair if stage is not None], None
    if stages and all(stage.finished for stage in stages):
        measured = method_results(graph, method)
        number = 1 + [each.step for each in measured.snapshots].index(measured.reported.step)
    return StudentSource(student, graph.trained[method].result, number).resolve()


def _question(asked: OwnQuestion, templates: PromptTemplates, *, like: Question | None) -> Question:
    """Write the question as the templates have it; its answers are read as those of the question that it is like."""
    text, choices = asked.text.strip(), tuple(choice.strip() for choice in asked.choices)
    if not text or not all(choices):
        raise DataError("The question and its choices need a text each.")
    if len(choices) == 1 or len(choices) > len(LETTERS):
        raise DataError(
            f"The question has {counted(len(choices), 'choices')}; 2 to {len(LETTERS)} are allowed, or none."
        )
    if like is not None and bool(like.choices) != bool(choices):
        have = "have choices; give each by --choice" if like.choices else "have no choices; leave --choice out"
        raise ConfigError(f"The questions of {like.task} {have}.")
    told_by = "its choices" if choices else None if like is None else f"the questions of {like.task}"
    if asked.answer_type is not None and told_by is not None:
        raise ConfigError(f"Leave the answer type {asked.answer_type!r} out: {told_by} say how its answers are read.")
    if (needed := {*context_names(templates)}) != asked.columns.keys():
        listed = ", ".join(f"--column {name}=TEXT" for name in sorted(needed)) or "none"
        raise ConfigError(f"The templates name these columns: {listed}; given: {', '.join(asked.columns) or 'none'}.")
    return Question(
        question_id=OWN,
        task=OWN if like is None else like.task,
        split="test",
        question=text,
        choices=choices,
        answer=LETTERS[0] if choices else _GOLD[asked.answer_type or type_of(text)] if like is None else like.answer,
        prompt=student_prompt(text, choices, templates, context=asked.columns),
        context=tuple(asked.columns.items()),
        expression=like is not None and like.expression,
    )


def _answer(
    who: str, student: StudentConfig, question: Question, config: Config, *, paths: bool, reporter: Reporter | None
) -> Answered:
    greedy = config.evaluation.model_copy(update={"votes": 1, "likelihood": False})
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        evaluated = evaluate(
            [question], student, out=folder / "answer", config=greedy, rules=config.rules, label=who, reporter=reporter
        )
        (output,) = read_table(evaluated.file("predictions.parquet"), Prediction)
        text, answer, strict = output.completion, output.answer_loose, output.answer_strict is not None
        answered = Answered(who, question.prompt, text, output.num_tokens, output.finish, answer, strict)
        if not paths:
            return answered
        mining = config.mining.model_copy(update={"keep_all": True, "engine": "student"})
        sampling: dict[str, Any] = {"config": mining, "rules": config.rules, "seed": config.seed}
        mined = mine([question], student, out=folder / "mined", **sampling, label=f"{who}, paths", reporter=reporter)
        selection = _blind(config.selection)
        filtered = filter_paths(mined, rules=config.rules, selection=selection, out=folder / "filtered")
        verdicts = {each.key: each for each in read_table(filtered.file("verdicts.parquet"), Verdict)}
        return answered._replace(paths=read_table(mined.file("paths.parquet"), MinedPath), verdicts=verdicts)


def _blind(selection: SelectionConfig) -> SelectionConfig:
    """Leave out of a selection what looks at the gold answer."""
    order = "rep_2" if selection.order == "gain" else selection.order
    return selection.model_copy(update={"order": order, "only_agreeing": False, "only_sometimes_right": False})
