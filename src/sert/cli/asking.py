"""The command that asks students a question of one's own."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from sert.cli.help import Command
from sert.cli.looking import SHOWN_CHARACTERS, finite, one_line, path_lines, verdict_of
from sert.cli.options import JSON, SET, config_of, print_json, terminal, with_options
from sert.config.tree import Method
from sert.errors import ConfigError
from sert.report.names import method_name
from sert.terminal.text import counted, cut, printable

if TYPE_CHECKING:
    from sert.runs.asking import Answered, OwnAnswerType

_READS = ("student", "tasks", "mining", "rules", "selection", "evaluation", "seed")


@click.command("ask", cls=Command, rest="--column --dtype --seed --full")
@click.argument("student")
@click.argument("question")
@click.option("--choice", "choices", multiple=True, metavar="TEXT", help="An option of the question; once for each.")
@click.option(
    "--answer-type",
    type=click.Choice(["yes_no", "number", "text"]),
    help="Of a student: how answers to a question without choices are read; by its words (`Does ...`, `How many ...`) "
    "where this is not given.",
)
@click.option("--task", help="Of a run: the task that gives the question its form, where there are several.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(get_args(Method)),
    help="Of a run: whose student; repeatable.",
)
@click.option("--paths", is_flag=True, help="Mine the question, too, and show each path with what the rules say of it.")
@with_options("evaluation.max_new_tokens", "student.dtype", "seed")
@click.option("--column", "columns", multiple=True, metavar="NAME=TEXT", help="What a placeholder of templates holds.")
@click.option("--full", is_flag=True, help="Show paths in full, too.")
@with_options(SET, JSON)
def ask_command(
    student: str,
    question: str,
    choices: tuple[str, ...],
    answer_type: "OwnAnswerType | None",
    task: str | None,
    methods: tuple[Method, ...],
    paths: bool,
    columns: tuple[str, ...],
    full: bool,
    as_json: bool,
    overrides: tuple[str, ...],
    **settings: Any,
) -> None:
    """Ask a student a question of your own, or all students of a run, each as the run tested it. Keeps nothing.

    STUDENT is the folder of a run, or any student: a hub id, a folder, a `.gguf` file, `lab`.

    \b
    sert ask lab "Does the pet of Mara swim well?"
    sert ask lab "Does the pet of Mara swim well?" --paths --set rules.min_tokens=12
    sert ask runs/demo "Does the pet of Mara swim well?" --task lab-yes-no
    sert ask runs/demo "Where does Mara live?" --task lab-choice --choice Riverton --choice Hillford
    """
    from sert.runs.asking import OwnQuestion, ask_run, ask_student
    from sert.store.artifacts import has_settings

    asked = OwnQuestion(question, choices, dict(_column(each) for each in columns), answer_type)
    folder = Path(student).expanduser()
    how: dict[str, Any] = {"paths": paths, "reporter": terminal()}
    if has_settings(folder):
        given = [f"{name.replace('__', '.')}={value}" for name, value in settings.items() if value is not None]
        found = ask_run(asked, folder, task=task, methods=methods, overrides=(*given, *overrides), **how)
    elif task is not None or methods:
        raise ConfigError(f"--task and --method are of a run, and {student} is none: it has no config.toml.")
    else:
        config = config_of(reads=_READS, overrides=overrides, student__path=student, **settings)
        found = [ask_student(asked, config, **how)]
    if as_json:
        return print_json([_as_json(each) for each in found])
    asked_last = None
    for each in found:
        if each.prompt != asked_last:
            click.echo(printable(f"Asked: {one_line(each.prompt, None)}"))
            asked_last = each.prompt
        for line in _lines(each, most=None if full else SHOWN_CHARACTERS):
            click.echo(printable(line))


def _column(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--column {text!r} must be NAME=TEXT.")
    return name, value


def _lines(answered: "Answered", *, most: int | None) -> Iterator[str]:
    said = "no answer that is read" if answered.answer is None else f"answers {cut(answered.answer, most=40)}"
    how = "" if answered.strict or answered.answer is None else " (read loosely)"
    ended = ", cut at the limit" if answered.finish == "length" else ""
    yield f"{method_name(answered.who)}: {said}{how}; {counted(answered.num_tokens, 'tokens')}{ended}"
    yield f"    {one_line(answered.text, None)}"
    for path in answered.paths:
        yield from path_lines(path, [verdict_of(path, answered.verdicts[path.key])], most)


def _as_json(answered: "Answered") -> dict[str, Any]:
    paths: Sequence[dict[str, Any]] = [finite(asdict(each)) for each in answered.paths]
    return {**answered._asdict(), "paths": paths, "verdicts": [asdict(each) for each in answered.verdicts.values()]}
