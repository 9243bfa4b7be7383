"""What the commands share: their options, and how they are read and answered."""

import codecs
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click
from annotated_types import Ge, Le
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from sert.config.endpoints import Price
from sert.config.load import stage_config
from sert.config.section import settings_of
from sert.config.tree import Config, StudentConfig, TaskKind
from sert.errors import DataError
from sert.terminal import signals
from sert.terminal.text import cut, printable, readable

if TYPE_CHECKING:
    from sert.cli.prompts import ShownPrompt
    from sert.records import Question
    from sert.store.artifacts import Artifact
    from sert.tasks.load import TaskData
    from sert.terminal.progress import Reporter


def with_options(*options: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Decorate a command with several options, in their order; that of a setting is given by its path."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = (setting(option) if isinstance(option, str) else option)(function)
        return function

    return decorate


class InputPath(click.ParamType[Path]):
    """A file or folder that is read; `~` is the home folder, also where the shell leaves it."""

    name = "PATH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Read the path."""
        return Path(os.path.expanduser(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Leave completion to the shell, which knows files and folders."""
        return [CompletionItem(incomplete, type="file")]


class OutFolder(InputPath):
    """The folder of a result; it has a name of its own, beside which a stage can work."""

    name = "FOLDER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Read the folder."""
        folder = super().convert(value, param, ctx)
        if folder.name in ("", ".."):
            self.fail(f"{str(value)!r} is not the name of a folder, such as results/mined", param, ctx)
        return folder


class PriceType(click.ParamType[tuple[Decimal, Decimal]]):
    """Two amounts of dollars, `0.5,1.5`."""

    name = "PROMPT,COMPLETION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Decimal, Decimal]:
        """Read the two amounts."""
        try:
            prompt, completion = map(Decimal, str(value).split(","))
        except (ValueError, InvalidOperation):
            self.fail(f"{value!r} is not two amounts such as 0.5,1.5", param, ctx)
        return prompt, completion


_FIELDS = {each.path: each.field for each in settings_of(Config)}


def setting(path: str, flag: str | None = None, *, name: str | None = None, **changes: Any) -> Callable[[Any], Any]:
    """Make the option of a setting: its type, bounds, default and help are those of the field.

    What is given arrives as `mining__branches` for `mining.branches`, None when nothing is, and goes to `config_of`.

    Args:
        path: The setting, as `settings_of` names it.
        flag: The option; by default the last part of the path.
        name: The argument of the command; by default the path.
        changes: What is told to click instead of what the field says.
    """
    field = _FIELDS[path]
    option = _kind_of(field.annotation, field.metadata)
    option["help"] = re.sub(r"\s*(Paper:|Not stated by the paper).*", "", field.description or "", flags=re.DOTALL)
    if field.default and not field.is_required() and "default" not in changes:
        option["help"] += f"  [default: {field.default}]"
    flag = flag or f"--{path.rpartition('.')[2].replace('_', '-')}"
    name = name or path.replace("<name>.", "").replace(".", "__")
    return click.option(flag, name, **{**option, **changes})


def _kind_of(annotation: Any, metadata: Sequence[Any]) -> dict[str, Any]:
    """Tell click what a field takes; `X | None` takes X."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        metadata = [limit for each in metadata if isinstance(each, FieldInfo) for limit in each.metadata]
    if get_origin(annotation) is Literal:
        return {"type": click.Choice(get_args(annotation))}
    if annotation is bool:
        return {"is_flag": True, "default": None}
    if annotation is int:
        bounds: dict[Any, Any] = {type(each): each for each in metadata}
        least, most = bounds[Ge].ge if Ge in bounds else None, bounds[Le].le if Le in bounds else None
        return {"type": click.IntRange(least, most)}
    return {"type": {Path: InputPath(), Price: PriceType()}.get(annotation, str)}


SET = click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a setting; repeatable.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing, load no model.")
TRYING_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and try a student that is here and small; write nothing."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
OUT = click.option("--out", type=OutFolder(), required=True, help="Folder of the result.")
LIMIT = setting("tasks.<name>.limit", name="limit")
SEED = setting("seed", default=0, show_default=True)
STUDENT = with_options(setting("student.path", "--student", default="lab", show_default=True), "student.dtype")
SOURCE = with_options("tasks.<name>.data", "tasks.<name>.hub")


def complete_kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """List the kinds of question sets that begin as what was typed, for shells."""
    return [kind for kind in get_args(TaskKind) if kind.startswith(incomplete)]


_KIND = setting("tasks.<name>.kind", "--task", type=str, required=True, shell_complete=complete_kinds)
TASK = with_options(_KIND, SOURCE, "tasks.<name>.limit")
WORKERS = with_options("execution.workers", "execution.engine", "execution.address")
SPLIT = click.option(
    "--split",
    type=click.Choice(["train", "dev", "test"]),
    help="Which split; `mine` takes train, `evaluate` test by default.",
)


def config_of(*, reads: tuple[str, ...], overrides: tuple[str, ...], **settings: Any) -> Config:
    """Read one command's settings as a configuration.

    Args:
        reads: The sections that the command looks at.
        overrides: What `--set` gave.
        settings: What its options gave, and what no option gives, as `mining__branches` for `mining.branches`.
    """
    tree: dict[str, Any] = {"tasks": {"kind": "lab_yes_no"}}
    put_settings(tree, settings)
    tree["tasks"] = {tree["tasks"]["kind"]: tree["tasks"]}
    return stage_config(tree, overrides=overrides, reads=reads)


def put_settings(tree: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Put what options gave into a tree of settings: under `mining__branches` what is `mining.branches` there."""
    for name in [name for name, value in settings.items() if value is not None]:
        *parents, key = name.split("__")
        section = tree
        for parent in parents:
            section = section.setdefault(parent, {})
        section[key] = settings[name]


def only_task(config: Config) -> Any:
    """Return the settings of the one question set of a command."""
    return next(iter(config.tasks.values()))


def names_student(option: str | None, overrides: Sequence[str]) -> bool:
    """Tell whether the command line names a student, by `--student` or by `--set`."""
    return option is not None or any(each.startswith("student.path=") for each in overrides)


def tell_embedded_student(kind: str) -> None:
    """Say that the lab's student is asked where nobody named one, and the questions are not the lab's."""
    from sert.tasks.kinds import KINDS

    if kind in KINDS and not KINDS[kind].is_lab:
        terminal().say(
            "Warning: no student is named, so that the lab's is asked, which has learnt the lab's questions alone; "
            "name yours by --student."
        )


def data_of(config: Config) -> "TaskData":
    """Load a command's question set, and say what is likely a slip in it or in the choice of the student."""
    from sert.tasks.load import load_task

    name, settings = next(iter(config.tasks.items()))
    given = click.get_current_context()
    by_default = given.get_parameter_source("student__path") is ParameterSource.DEFAULT
    if by_default and not names_student(None, given.params.get("overrides", ())):
        tell_embedded_student(settings.kind)
    data = load_task(name, settings)
    for slip in data.slips:
        terminal().say(f"Warning: {name}: {slip}")
    return data


def questions_of(data: "TaskData", config: Config, split: str) -> list[Any]:
    """Take one split of a command's question set; an empty one is the user's mistake."""
    name = next(iter(config.tasks))
    questions = list(data.split(split))
    if not questions:
        ways = {"dev": "dev_share=0.1", "test": f"test_share=0.3, or --set tasks.{name}.test_data=FILE"}
        others = " or ".join(f"--split {each}" for each in ("train", "dev", "test") if data.split(each))
        way = f", or --set tasks.{name}.{ways[split]}" if split in ways else ""
        raise DataError(f"{name} has no {split} questions; choose {others}{way}.")
    return questions


def gold_answers(questions: Sequence["Question"]) -> str:
    """Count the gold answers as they were read, the six most frequent first: `yes 126, no 74`."""
    counts = Counter(question.answer for question in questions)
    shown = [f"{cut(answer, most=20)} {count}" for answer, count in counts.most_common(6)]
    more = [f"{len(counts) - len(shown)} others"] if len(counts) > len(shown) else []
    return ", ".join([*shown, *more])


def tell_too_long(data: "TaskData", questions: Sequence["Question"], config: Config, section: str) -> None:
    """Say which questions will be too long for the student, as far as that is known before it is loaded."""
    from sert.student.lengths import foresee_too_long

    told = foresee_too_long(
        config.student,
        {question.question_id: question.prompt for question in questions},
        setting=f"{section}.max_new_tokens",
        max_new_tokens=getattr(config, section).max_new_tokens,
        places=data.places,
    )
    if told is not None:
        terminal().say(f"Warning: {told}")


def terminal() -> "Reporter":
    """Report to the terminal, in the first of several processes only."""
    from sert.student.training.processes import process_rank
    from sert.terminal.progress import Silent, Terminal

    return Terminal(check=signals.raise_arrived) if process_rank() == 0 else Silent()


def check_student(student: StudentConfig) -> None:
    """Refuse a student that could not be loaded, as far as that shows without loading it.

    Raises:
        StudentError: If it is none, with what it is and the way to make it one.
    """
    from sert.student.folder import count_weights, find_student
    from sert.student.form import form_of

    place = find_student(student)
    count_weights(place)
    form_of(student, place)


def print_plan(
    out: Path,
    as_json: bool,
    first_prompt: "ShownPrompt | None" = None,
    /,
    *,
    foreseen: Mapping[str, Any] | None = None,
    **work: Any,
) -> None:
    """Print what a dry run would do, if there is a place for it, how the student is driven and asked first."""
    from sert.store.artifacts import check_place

    check_place(out)
    foreseen = foreseen or {}
    if as_json:
        shown = {} if first_prompt is None else {"first_prompt": first_prompt._asdict()}
        return print_json({"out": str(out), **work, **foreseen, **shown})
    click.echo(", ".join(f"{name.replace('_', ' ')}: {printable(str(value))}" for name, value in work.items()))
    for line in (*foreseen.get("told", ()), *(() if first_prompt is None else first_prompt.lines())):
        click.echo(printable(line))
    click.echo(printable(f"Would be written to {out}"))


def print_artifact(artifact: "Artifact", as_json: bool, **extra: Any) -> None:
    """Print the counts of a finished folder, in the first of several processes only."""
    from sert.student.training.processes import process_rank

    if process_rank() > 0:
        return
    if as_json:
        return print_json({"folder": str(artifact.folder), "key": artifact.key, **artifact.counts, **extra})
    for name, value in {**artifact.counts, **extra}.items():
        click.echo(f"{name.replace('_', ' ')}: {printable(readable(value))}")
    click.echo(printable(f"Written to {artifact.folder}"))


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output; what could drive a terminal, or its encoding lacks, is escaped."""
    has_all = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    text = json.dumps(value, indent=2, ensure_ascii=not has_all, default=str)
    click.echo("".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text))
