"""What a run refuses at its beginning, so that no stage has to refuse it late."""

from collections.abc import Iterable, Iterator

from sert.config.prompts import PromptTemplates
from sert.config.tree import DISTILLED, Config, EvaluationConfig
from sert.endpoint.session import check_endpoint
from sert.errors import ConfigError, DataError, StudentError, TeacherError
from sert.evaluation.prediction import EvaluateJob
from sert.method import TaskGraph
from sert.paths.mining import MineJob
from sert.store.stage import Stage
from sert.student.lengths import foresee_too_long
from sert.student.served.server import check_served
from sert.tasks.kinds import KINDS
from sert.tasks.load import TaskData
from sert.teacher.sources import recorded_source


def check_task(task: str, data: TaskData, config: Config) -> None:
    """Check what a task needs.

    Raises:
        SertError: If a split is empty, no method is left, or there are no rationales to be had that a method needs.
    """
    settings = config.tasks[task]
    for split in ("train", "test"):
        if not data.split(split):
            raise DataError(
                f"{task}: the {split} split is empty. A run trains and tests: "
                f"give tasks.{task}.test_data, split_file or test_share (for a hub set test_split)."
            )
    if not config.methods_of(task):
        raise ConfigError(
            f"tasks.{task}.methods = {list(settings.methods)} leaves nothing of methods = {list(config.methods)}."
        )
    _check_epoch_choice(task, data, config)
    check_votes(config.evaluation)
    if settings.rationales is not None and not settings.rationales.is_file():
        raise TeacherError(f"{task}: there is no file of recorded rationales {settings.rationales}.")
    if not {*DISTILLED} & {*config.methods_of(task)}:
        return
    if config.teacher.kind == "lab" and not KINDS[settings.kind].is_lab:
        raise ConfigError(f'{task}: the lab\'s oracle knows only the lab; set teacher.kind = "recorded".')
    if config.teacher.kind == "endpoint" and config.teacher.endpoint is None:
        raise ConfigError(f"{task}: the teacher's endpoint is not named; set teacher.endpoint.url and .model.")
    if config.teacher.kind == "recorded" and settings.rationales is None:
        raise TeacherError(
            f"{task}: the methods rd and sert+rd need recorded rationales, but none are given. "
            f"Set tasks.{task}.rationales, or leave these methods out of `methods`."
        )


def _check_epoch_choice(task: str, data: TaskData, config: Config) -> None:
    choice = config.evaluation.epoch_choice
    if choice != "last" and config.training.snapshots == 1:
        raise ConfigError(
            f"evaluation.epoch_choice = {choice!r} chooses among snapshots, and only the last one is kept; "
            "set training.snapshots to 2 or more."
        )
    if choice == "dev" and not data.split("dev"):
        raise ConfigError(
            f"{task}: evaluation.epoch_choice = 'dev' needs a dev split; set tasks.{task}.dev_share, 0.1 for instance."
        )


def too_long_questions(graph: TaskGraph) -> Iterator[str]:
    """Say which questions will be too long to be mined or asked, as far as that is known before it is done."""
    for kind, section in ((MineJob, "mining"), (EvaluateJob, "evaluation")):
        prompts = dict[str, str]()
        for stage in graph.stages:
            if isinstance(stage.job, kind) and not stage.finished:
                for question in stage.job.questions:
                    known = prompts.get(question.question_id, "")
                    prompts[question.question_id] = max(known, question.prompt, key=len)
        told = foresee_too_long(
            graph.config.student,
            prompts,
            setting=f"{section}.max_new_tokens",
            max_new_tokens=getattr(graph.config, section).max_new_tokens,
            places=graph.data.places,
        )
        if told is not None:
            yield told


def check_votes(evaluation: EvaluationConfig) -> None:
    """Check that the harness can give as many outputs as are to vote.

    Raises:
        ConfigError: If several are asked for of the one that is greedy.
    """
    if evaluation.harness == "compat" and evaluation.votes > 1:
        raise ConfigError(
            f"evaluation.harness = 'compat' gives one greedy output a question, not evaluation.votes = "
            f"{evaluation.votes}; set evaluation.votes = 1 or evaluation.harness = 'clean'."
        )


def check_templates(config: Config, *, at_hand: bool) -> None:
    """Check that no template of prompts and examples is written with control tokens of the student: they would be text.

    Args:
        config: The settings.
        at_hand: Whether a tokenizer that would have to be fetched is left unasked.

    Raises:
        StudentError: If one is.
    """
    changed = {
        task: settings.prompts for task, settings in config.tasks.items() if settings.prompts != PromptTemplates()
    }
    if not changed:
        return
    from sert.student.load import load_texts
    from sert.student.texts import refuse_control_tokens

    try:
        texts = load_texts(config.student, at_hand=at_hand)
    except StudentError:
        return  # whoever loads the student says what is wrong with it
    for task, own in changed.items():
        refuse_control_tokens(texts, ((f"tasks.{task}.prompts.{name}", text) for name, text in own))


def check_calls(config: Config, stages: Iterable[Stage]) -> None:
    """Check the endpoints that unfinished stages will call, as far as that goes without calling them.

    Raises:
        ConfigError: If it is not said who pays, or an address, a key or a server's settings cannot be used.
    """
    stages = list(stages)
    to_do = {stage.job.kind for stage in stages if not stage.finished}
    if "teach" in to_do and config.teacher.endpoint is not None:
        check_endpoint(config.teacher.endpoint, config.teacher.calls)
    if "judge" in to_do and config.judge.endpoint is not None:
        check_endpoint(config.judge.endpoint, config.judge.calls)
    if any(isinstance(stage.job, MineJob) and stage.job.served and not stage.finished for stage in stages):
        check_served(config.mining)


def check_rationales(task: str, data: TaskData, config: Config) -> None:
    """Check that a file of rationales that is still to be read answers some of the train questions.

    Raises:
        TeacherError: If it cannot be read, or answers none.
    """
    file = config.tasks[task].rationales
    if file is not None and config.teacher.kind == "recorded":
        recorded_source(file, data.split("train"), data.held_out)
