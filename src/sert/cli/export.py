"""The commands that hand results on to other software."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.help import Group
from sert.cli.options import JSON, InputPath, OutFolder, print_json, setting, with_options
from sert.terminal.text import counted, printable

if TYPE_CHECKING:
    from sert.export.writing import Exported

_ON_EXPORT = with_options(
    click.argument("folder", type=InputPath()),
    click.option("--stage", "stages", multiple=True, metavar="NAME", help="Only this stage of a run; repeatable."),
    click.option("--out", type=OutFolder(), required=True, help="Folder of the export; it must be new or empty."),
    JSON,
)


@click.group("export", cls=Group)
def export_group() -> None:
    """Hand results on to TRL, lm-evaluation-harness, inspect_ai, or as plain tables.

    FOLDER is that of a stage, or of a finished run, of which all stages that fit are taken. Needs none of these tools.

    \b
    sert export trl runs/demo --out exported/trl
    sert export lm-eval runs/demo --out exported/lm-eval
    sert export inspect runs/demo --out exported/inspect
    sert export jsonl runs/demo --stage "lab-choice mine" --out exported/mined
    """


@export_group.command("trl")
@_ON_EXPORT
@setting("student.path", "--student", help="Whose tokens the examples become.  [default: the student that was trained]")
def trl_command(folder: Path, student__path: str | None, **options: Any) -> None:
    """Write training examples for `trl.SFTTrainer`: prompts and completions, as texts and as messages.

    With the tokens and masks that are trained on here, so that TRL computes the same loss. Of `filter` and `teach`, say
    by --student whose tokens they become.

    \b
    sert export trl runs/demo --stage "lab-choice train-sert" --out exported/trl
    """
    from sert.config.tree import StudentConfig
    from sert.export.trl import KINDS, OF_RUNS, USE, write_trl

    student = None if student__path is None else StudentConfig(path=student__path)
    write = partial(write_trl, student=student)
    named: dict[str, Any] = {"kinds": KINDS, "of_runs": OF_RUNS, "title": "Training examples", "use": USE}
    _export(folder, write, viewer=True, **named, **options)


@export_group.command("lm-eval")
@_ON_EXPORT
def lm_eval_command(folder: Path, out: Path, **options: Any) -> None:
    """Write the questions of evaluations as tasks of lm-evaluation-harness, where the same student scores the same.

    \b
    sert export lm-eval runs/demo --stage "lab-choice evaluate-sert" --out exported/lm-eval
    """
    from sert.export.lm_eval import KINDS, USE, write_lm_eval

    _export(folder, partial(write_lm_eval, place=out), kinds=KINDS, title="Tasks", use=USE, out=out, **options)


@export_group.command("inspect")
@_ON_EXPORT
def inspect_command(folder: Path, **options: Any) -> None:
    """Write predictions as logs of inspect_ai, which `inspect view` shows.

    \b
    sert export inspect runs/demo --out exported/inspect
    """
    from sert.export.inspect_log import KINDS, USE, write_inspect

    _export(folder, write_inspect, kinds=KINDS, title="Evaluation logs", use=USE, **options)


@export_group.command("parquet")
@_ON_EXPORT
def parquet_command(**options: Any) -> None:
    """Copy the tables of results as Parquet, with a data card.

    \b
    sert export parquet runs/demo --stage "lab-choice filter" --out exported/filtered
    """
    _export_tables("parquet", **options)


@export_group.command("jsonl")
@_ON_EXPORT
def jsonl_command(**options: Any) -> None:
    """Write the tables of results as JSONL, with a data card.

    \b
    sert export jsonl runs/demo --stage "lab-choice mine" --out exported/mined
    """
    _export_tables("jsonl", **options)


def _export_tables(form: Any, *, folder: Path, **options: Any) -> None:
    from sert.export.tables import KINDS, USE, write_tables

    _export(folder, partial(write_tables, form=form), kinds=KINDS, title="Tables", use=USE, viewer=True, **options)


def _export(
    folder: Path,
    write: Callable[..., "Exported"],
    *,
    kinds: Sequence[str],
    of_runs: Sequence[str] | None = None,
    title: str,
    use: str,
    viewer: bool = False,
    stages: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    from sert.export.sources import find_sources
    from sert.export.writing import write_export

    sources = find_sources(folder, kinds=kinds, stages=stages, of_runs=of_runs)
    written = write_export(sources, out, write, title=title, use=use, viewer=viewer)
    if as_json:
        files = {each.source.name: dict(each.files) for each in written}
        return print_json({"folder": str(out), "files": files})
    for each in written:
        for line in each.told:
            click.echo(printable(f"{each.source.name}: {line}"))
    count = sum(len(each.files) for each in written)
    click.echo(printable(f"{counted(count, 'files')} and README.md written to {out}"))
