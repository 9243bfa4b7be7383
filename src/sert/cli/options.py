"""What the commands share: their options, and how they are read and answered."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.terminal import signals
from sert.terminal.text import printable, readable

if TYPE_CHECKING:
    from sert.config.tree import Config
    from sert.store.artifacts import Artifact
    from sert.tasks.load import TaskData
    from sert.terminal.progress import Reporter


def with_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Decorate a command with several options, in their order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class OutFolder(click.ParamType[Path]):
    """The folder of a result; it has a name of its own, beside which a stage can work."""

    name = "FOLDER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Read the folder."""
        folder = Path(value)
        if folder.name in ("", ".."):
            self.fail(f"{str(value)!r} is not the name of a folder, such as results/mined", param, ctx)
        return folder


SET = click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a setting; repeatable.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing, load no model.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
OUT = click.option("--out", type=OutFolder(), required=True, help="Folder of the result.")
LIMIT = click.option("--limit", type=click.IntRange(min=1), help="Use only the first questions of each split.")
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
WORKERS = click.option(
    "--workers", type=click.IntRange(1, 256), help="Processes that decode side by side.  [default: 1]"
)
STUDENT = with_options(
    click.option("--student", default="lab", show_default=True, help="Hub id, local folder, or `lab`."),
    click.option(
        "--dtype", type=click.Choice(["float32", "bfloat16", "float16", "int8"]), default="float32", show_default=True
    ),
)
TASK = with_options(
    click.option("--task", required=True, help="Kind of question set; see `sert tasks`."),
    click.option("--data", type=click.Path(path_type=Path), help="File with the questions."),
    LIMIT,
)
SPLIT = click.option(
    "--split",
    type=click.Choice(["train", "dev", "test"]),
    help="Which split; `mine` takes train, `evaluate` test by default.",
)


def config_of(
    options: Mapping[str, Any], overrides: tuple[str, ...], *, reads: tuple[str, ...], **sections: Any
) -> "Config":
    """Read one command's options and overrides as a configuration; `reads` names the sections it looks at."""
    from sert.config.load import stage_config

    task = given({"kind": options["task"], "data": options.get("data"), "limit": options.get("limit")})
    student = given({"path": options.get("student"), "dtype": options.get("dtype")})
    tree = {"tasks": {options["task"]: task}, "student": student, **sections}
    return stage_config(tree, overrides=overrides, reads=reads)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the options that were given."""
    return {key: value for key, value in options.items() if value is not None}


def only_task(config: "Config") -> Any:
    """Return the settings of the one question set of a command."""
    return next(iter(config.tasks.values()))


def data_of(config: "Config") -> "TaskData":
    """Load a command's question set, and say what is likely a slip in it."""
    from sert.tasks.load import load_task

    name, settings = next(iter(config.tasks.items()))
    data = load_task(name, settings)
    for slip in data.slips:
        terminal().say(f"Warning: {name}: {slip}")
    return data


def questions_of(config: "Config", split: str) -> list[Any]:
    """Load one split of a command's question set; an empty one is the user's mistake."""
    from sert.errors import DataError

    name = next(iter(config.tasks))
    questions = list(data_of(config).split(split))
    if not questions:
        source = f"set tasks.{name}.dev_share" if split == "dev" else "give the task's test data by --set"
        raise DataError(f"{name} has no {split} questions; choose another --split, or {source}.")
    return questions


def terminal() -> "Reporter":
    """Report to the terminal, in the first of several processes only."""
    from sert.student.training.stage import process_rank
    from sert.terminal.progress import Silent, Terminal

    return Terminal(check=signals.raise_arrived) if process_rank() == 0 else Silent()


def print_plan(out: Path, as_json: bool, **work: Any) -> None:
    """Print what a dry run would do, if there is a place for it."""
    from sert.store.artifacts import check_place

    check_place(out)
    if as_json:
        return print_json({"out": str(out), **work})
    click.echo(", ".join(f"{name.replace('_', ' ')}: {printable(str(value))}" for name, value in work.items()))
    click.echo(printable(f"Would be written to {out}"))


def print_artifact(artifact: "Artifact", as_json: bool, **extra: Any) -> None:
    """Print the counts of a finished folder, in the first of several processes only."""
    from sert.student.training.stage import process_rank

    if process_rank() > 0:
        return
    if as_json:
        return print_json({"folder": str(artifact.folder), "key": artifact.key, **artifact.counts, **extra})
    for name, value in {**artifact.counts, **extra}.items():
        click.echo(f"{name.replace('_', ' ')}: {printable(readable(value))}")
    click.echo(printable(f"Written to {artifact.folder}"))


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output; what could drive a terminal is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    click.echo("".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text))
