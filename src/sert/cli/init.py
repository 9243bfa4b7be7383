"""The command that writes a first configuration, from options or from answers at a terminal."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from sert.cli.help import Command
from sert.cli.options import JSON, InputPath, OutFolder, print_json, setting, with_options
from sert.config.columns import Columns
from sert.errors import ConfigError, DataError
from sert.terminal.text import counted, cut, printable

if TYPE_CHECKING:
    from sert.runs.starter import Starter
    from sert.tasks.guessing import Guess

_ANSWER_IS = get_args(Columns.model_fields["answer_is"].annotation)
_NONE = "none"
_EXAMPLE = "sert init own.toml --questions train.jsonl --student gpt2"


@click.command("init", cls=Command, rest="--max-cost --price --free --id-column --json")
@click.argument("file", type=OutFolder(), default=Path("own.toml"), metavar="[FILE]")
@click.option("--questions", type=InputPath(), help="File of questions: JSONL, JSON, CSV, TSV or Parquet.")
@click.option("--test-questions", type=InputPath(), help="File of test questions.  [default: a share of the questions]")
@setting("student.path", "--student", name="student", help="Hub id, folder, GGUF file or `lab`.  [default: gpt2]")
@click.option("--rationales", type=InputPath(), help="Recorded rationales of a teacher, to distil.")
@with_options(
    setting("teacher.endpoint.url", "--endpoint", metavar="URL"),
    "teacher.endpoint.model",
    setting("teacher.calls.max_cost", metavar="DOLLARS"),
    "teacher.calls.price",
    "teacher.calls.free",
)
@click.option("--question-column", "question", multiple=True, help="Column of the question; several are joined.")
@click.option(
    "--choices-column",
    "choices",
    multiple=True,
    help="Column of the choices; commas between, or again, for one a choice.",
)
@click.option("--answer-column", "answer", help="Column of the gold answer.")
@click.option("--id-column", "question_id", help="Column of the ids.")
@click.option("--answer-is", type=click.Choice(_ANSWER_IS), help="How the gold answer is written.")
@click.option("--ask/--no-ask", default=None, help="Ask for what is not given.  [default: at a terminal]")
@JSON
def init_command(file: Path, ask: bool | None, as_json: bool, **given: Any) -> None:
    """Write a first configuration: student, questions with their columns guessed and shown, teacher if there is one.

    A file that is there already is left alone. What is not given is asked for at a terminal.

    \b
    sert init own.toml --questions train.jsonl --student gpt2
    sert init own.toml --questions quiz.csv --answer-column gold --answer-is label --student lab
    sert init own.toml --questions train.jsonl --test-questions test.jsonl --rationales rationales.jsonl
    """
    from sert.runs.starter import make_starter, write_new

    if file.exists():
        raise ConfigError(f"{file} is there already and stays as it is; give another name, or remove it.")
    asks = sys.stdin.isatty() if ask is None else ask
    questions = given["questions"] or _asked_for("File of questions", "--questions", asks, InputPath())
    student = given["student"] or (_ask("--student", "Student", default="gpt2") if asks else "gpt2")
    rationales, url = given["rationales"], given["teacher__endpoint__url"]
    if asks and rationales is None and url is None:
        rationales, url = _asked_teacher()
    if rationales and url:
        raise click.UsageError("--rationales and --endpoint exclude each other.")
    teacher = _endpoint(url, asks, given) if url else {"kind": "recorded"} if rationales else None
    about = {"questions": questions, "test_questions": given["test_questions"], "student": student}
    about |= {"teacher": teacher, "rationales": rationales}
    make = partial(make_starter, file, **about)
    starter = _agreed(make, questions, _columns(given), asks=asks, as_json=as_json)
    write_new(file, starter.text)
    if as_json:
        columns = starter.guess.columns.model_dump(mode="json", exclude_defaults=True)
        return print_json({"file": str(file), "columns": columns, "bad": starter.guess.bad})
    click.echo(printable(f"Written to {file}. What would be done: sert run {file} --dry-run"))


def _agreed(
    make: "Callable[..., Starter]", questions: Path, columns: dict[str, Any], *, asks: bool, as_json: bool
) -> "Starter":
    """Show how the questions are read, and ask for their columns until that is right."""
    from sert.tasks.guessing import column_names

    names = column_names(questions)
    while True:
        known = columns
        try:
            starter = make(columns=columns)
        except DataError as error:
            if not asks:
                raise
            click.echo(printable(str(error)), err=True)
        else:
            for line in _shown(starter.guess):
                click.echo(printable(line), err=as_json)
            if not asks or _ask("--no-ask", "Is it read rightly?", click.confirm, default=True):
                return starter
            known = starter.guess.columns.model_dump()
        columns = {name: value for name, value in columns.items() if name == "question_id" and value in names}
        columns |= _asked_columns(known, names)


def _ask(option: str, text: str, how: Callable[..., Any] = click.prompt, **rest: Any) -> Any:
    """Ask at the terminal; where the answers end, say which option gives what was asked for."""
    try:
        return how(text, **rest)
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        raise click.UsageError(
            f"The answers ended at {text!r}, and nothing was written. Give {option}, or answer it at a terminal."
        ) from None


def _asked_for(what: str, option: str, asks: bool, kind: Any = str) -> Any:
    if not asks:
        raise click.UsageError(f"Give {option}, or answer at a terminal. All of it in one line: {_EXAMPLE}")
    return _ask(option, what, type=kind)


def _asked_teacher() -> tuple[Path | None, str | None]:
    """Ask for a teacher: a file of rationales, an endpoint, or none."""
    text = "Teacher (a file of rationales, the URL of an endpoint, or none)"
    said = _ask("--rationales, --endpoint or --no-ask", text, default=_NONE)
    if said == _NONE:
        return None, None
    return (None, said) if said.startswith(("http://", "https://")) else (InputPath().convert(said, None, None), None)


def _endpoint(url: str, asks: bool, given: dict[str, Any]) -> dict[str, Any]:
    model = given["teacher__endpoint__model"] or _asked_for("The model's name there", "--model", asks)
    cost, price, free = (given[f"teacher__calls__{name}"] for name in ("max_cost", "price", "free"))
    if cost is None and not free:
        if not asks:
            raise click.UsageError(
                "Calls cost money: give --max-cost DOLLARS with --price PROMPT,COMPLETION, or --free."
            )
        free = _ask("--free, or --max-cost with --price", "Is it free of charge?", click.confirm, default=False)
        cost = None if free else _ask("--max-cost", "Most dollars to spend")
        dollars = "Dollars a million tokens of prompts and completions, such as 0.5,1.5"
        price = None if free else _ask("--price", dollars)
    calls: dict[str, Any] = {"free": True} if free else {"max_cost": str(cost)}
    if price is not None:
        calls["price"] = [each.strip() for each in price.split(",")] if isinstance(price, str) else [*map(str, price)]
    return {"kind": "endpoint", "endpoint": {"url": url, "model": model}, "calls": calls}


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    """Take the settings of columns that options gave; a single name stands by itself."""
    found = {name: given[name] for name in ("question", "choices", "answer", "question_id", "answer_is") if given[name]}
    for name in ("question", "choices"):
        if name in found and len(found[name]) == 1:
            found[name] = found[name][0]
    return found


def _asked_columns(known: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Ask for the columns one by one; what is offered are columns that the file has."""
    offered = {part: _offered(known.get(part), part, names) for part in ("question", "choices", "answer")}
    text = "Column of the question (several with commas)"
    question = _ask("--question-column", text, default=offered["question"])
    text = "Column of the choices (one a choice with commas)"
    choices = _ask("--choices-column", text, default=offered["choices"] or _NONE)
    answer = _ask("--answer-column", "Column of the gold answer", default=offered["answer"])
    how = known.get("answer_is", "auto")
    answer_is = _ask("--answer-is", "How it is written", type=click.Choice(_ANSWER_IS), default=how)
    return {
        "question": question,
        "choices": None if choices == _NONE else choices,
        "answer": answer,
        "answer_is": answer_is,
    }


def _offered(known: str | tuple[str, ...] | None, otherwise: str, names: tuple[str, ...]) -> str | None:
    """Offer what is known, or the usual name; nothing where the file has no such column."""
    for each in (known, otherwise):
        if each and all(name in names for name in ([each] if isinstance(each, str) else each)):
            return _listed(each)
    return None


def _listed(names: str | tuple[str, ...] | None) -> str:
    return names if isinstance(names, str) else ",".join(names or ())


def _shown(guess: "Guess") -> Iterator[str]:
    """Say how the questions are read, and what of them is not."""
    columns, first = guess.columns, guess.first
    yield f"The columns, by the first {counted(guess.rows, 'rows')}:"
    yield f"  question  {_listed(columns.question)}"
    yield f"  choices   {_listed(columns.choices) or 'none'}"
    how = "" if columns.answer_is == "auto" else f", written as {columns.answer_is}"
    behind = f", behind {columns.answer_after}" if columns.answer_after else ""
    yield f"  answer    {columns.answer}{how}{behind}"
    yield f"  id        {columns.question_id or 'none, the number of the row'}"
    if guess.unused:
        told = "what belongs to the question: --question-column NAME, once for each"
        yield f"  not read  {', '.join(guess.unused)} ({told})"
    listed = ", ".join(f"({letter}) {text}" for letter, text in zip(first.letters, first.choices, strict=True))
    asked = cut(" ".join(f"{first.question} {listed}".split()), most=200)
    yield f"The first question: {asked}"
    yield f"Its gold answer: {first.answer}"
    yield from [f"{guess.bad} rows cannot be used and are left out."] if guess.bad else []
    yield from (f"Warning: {slip}" for slip in guess.slips)
