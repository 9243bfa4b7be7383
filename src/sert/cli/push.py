"""The commands that publish results on the hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.help import Group
from sert.cli.options import JSON, InputPath, print_json, terminal, with_options
from sert.terminal.text import printable

if TYPE_CHECKING:
    from sert.export.publication import Publication

_ON_PUSH = with_options(
    click.argument("folder", type=InputPath()),
    click.argument("repository", metavar="OWNER/NAME"),
    click.option("--stage", "stages", multiple=True, metavar="NAME", help="Only this stage of a run; repeatable."),
    click.option("--student-licence", metavar="LICENCE", help="Of the student that it started from."),
    click.option("--question-licence", metavar="LICENCE", help="Of the questions and their answers."),
    click.option("--teacher-licence", metavar="LICENCE", help="Or terms, of a teacher's or a judge's texts."),
    click.option(
        "--licence", metavar="LICENCE", help="Of the whole.  [default: the one that all parts have, or other]"
    ),
    click.option("--public", is_flag=True, help="Let everybody see it; a new repository is private otherwise."),
    click.option("--dry-run", is_flag=True, help="Show every file with its size and the card; ask nobody."),
    JSON,
)


@click.group("push", cls=Group)
def push_group() -> None:
    """Publish a trained student or tables on the hub, with a card that says where they come from.

    FOLDER is that of a stage or of a finished run. Nothing goes there whose licence is not named: give the hub's name
    of it (apache-2.0, cc-by-4.0) or the https address of its terms. The token is that of `hf auth login` or HF_TOKEN.

    \b
    sert push model runs/demo OWNER/NAME --stage "lab-choice train-sert" \\
        --student-licence apache-2.0 --question-licence apache-2.0 --dry-run
    """


@push_group.command("model")
@_ON_PUSH
@click.option("--evaluated", type=InputPath(), multiple=True, help="An evaluation of this student; repeatable.")
@click.option("--base-model", metavar="ID", help="The student that it started from.  [default: that of its training]")
def model_command(
    folder: Path,
    repository: str,
    stages: tuple[str, ...],
    evaluated: tuple[Path, ...],
    base_model: str | None,
    **options: Any,
) -> None:
    """Push a trained student with its tokenizer, and a card with what it was tested with.

    Of a run its tests are found; of `train` alone, name them by --evaluated.

    \b
    sert push model trained OWNER/NAME --evaluated evaluated \\
        --student-licence apache-2.0 --question-licence mit --dry-run
    """
    from sert.export.trained_model import find_model, publish_model

    model = find_model(folder, stages=stages, evaluated=evaluated)
    licences, rest = _licences(model.parts, options)
    made = publish_model(model, licences, title=repository.rpartition("/")[2], base=base_model)
    _push(made, repository, **rest)


@push_group.command("dataset")
@_ON_PUSH
def dataset_command(folder: Path, repository: str, stages: tuple[str, ...], **options: Any) -> None:
    """Push the tables of results, each as a configuration that `datasets.load_dataset` reads by its name.

    \b
    sert push dataset filtered OWNER/NAME --student-licence apache-2.0 --question-licence mit --dry-run
    """
    from sert.export.publication import parts_in, publish_tables
    from sert.export.sources import find_sources
    from sert.export.tables import KINDS

    sources = find_sources(folder, kinds=KINDS, stages=stages)
    licences, rest = _licences(parts_in(sources), options)
    _push(publish_tables(sources, licences, title=repository.rpartition("/")[2]), repository, **rest)


def _licences(needed: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Read the licences of the options, and leave the others."""
    from sert.export.licences import WHAT, read_licences

    given = {part: options[f"{part}_licence"] for part in WHAT}
    rest = {name: options[name] for name in ("public", "dry_run", "as_json")}
    return read_licences(given, needed=needed, whole=options["licence"]), rest


def _push(publication: "Publication", repository: str, *, public: bool, dry_run: bool, as_json: bool) -> None:
    from sert.export.push import check_repository, listed, push

    check_repository(repository)
    about: dict[str, Any] = {
        "repository": repository,
        "kind": publication.kind,
        "licence": publication.licences.whole,
        "files": publication.sizes,
    }
    if dry_run:
        if as_json:
            return print_json({**about, "private": not public, "card": publication.card})
        seen_by = "by everybody" if public else "by its owner alone"
        for line in listed(publication):
            click.echo(printable(line))
        click.echo(f"\n{printable(publication.card)}")
        return click.echo(f"Would be pushed to the {publication.kind} {repository}, to be seen {seen_by}")
    reporter = terminal()
    for line in listed(publication):
        reporter.say(line)
    pushed = push(publication, repository, public=public, say=reporter.say)
    for name in pushed.others:
        reporter.say(f"warning: {repository} also holds {name}, which is none of these files and stays")
    if as_json:
        return print_json({**about, **pushed._asdict()})
    what = "Pushed" if pushed.changed else "Nothing has changed"
    click.echo(printable(f"{what}, {'private' if pushed.private else 'public'}: {pushed.address}"))
