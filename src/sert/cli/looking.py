"""The commands that look into the folder of a run, from another terminal, too."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.help import Command
from sert.cli.options import JSON, InputPath, print_json
from sert.terminal.text import counted, cut, printable

if TYPE_CHECKING:
    from sert.records import Path as MinedPath
    from sert.records import Prediction, Verdict
    from sert.runs.showing import Paths, QuestionShown
    from sert.runs.status import RunStatus, StageStatus

SHOWN_CHARACTERS = 160
"""Of a text, unless all of it is asked for."""


@click.command("status", cls=Command)
@click.argument("folder", type=InputPath())
@JSON
def status_command(folder: Path, as_json: bool) -> None:
    """Say how far a run is: stages that are done or in work, what they took, and what was spent so far.

    Reads only, so that it works from another terminal while the run goes on.

    \b
    sert status runs/demo
    """
    from sert.runs.status import status_of

    status = status_of(folder)
    if as_json:
        stages = [{**stage._asdict(), "seconds_left": stage.seconds_left} for stage in status.stages]
        return print_json({"holder": status.holder, "seconds": status.seconds, "spent": status.spent, "stages": stages})
    for line in _status_lines(status, folder):
        click.echo(printable(line))


def _status_lines(status: "RunStatus", folder: Path) -> Iterator[str]:
    for stage in status.stages:
        yield f"{stage.state:8}  {stage.stage}{_progress(stage)}"
    finished = sum(stage.state == "finished" for stage in status.stages)
    who = f"{status.holder} is at work" if status.holder else "nobody is at work"
    yield f"{folder}: {finished} of {counted(len(status.stages), 'stages')} finished, {status.seconds:,.1f} s; {who}"
    if spent := status.spent["requests"]:
        doubt = f", and {status.spent['dollars_in_doubt']} in doubt" if float(status.spent["dollars_in_doubt"]) else ""
        yield f"Asked of endpoints: {counted(spent, 'requests')}, {status.spent['dollars']} dollars{doubt}"


def _progress(stage: "StageStatus") -> str:
    of = "" if stage.total is None else f" of {stage.total}"
    parts = [] if stage.done is None else [f"{stage.done}{of} {stage.unit} done"]
    parts += [] if stage.seconds is None else [f"{stage.seconds:,.1f} s"]
    parts += [] if stage.seconds_left is None else [f"about {stage.seconds_left:,.0f} s left"]
    return f": {', '.join(parts)}" if parts else ""


@click.command("show", cls=Command)
@click.argument("folder", type=InputPath())
@click.argument("question_id")
@click.option("--task", help="Name of the task, where several have a question of this id.")
@click.option("--full", is_flag=True, help="Show texts in full.")
@JSON
def show_command(folder: Path, question_id: str, task: str | None, full: bool, as_json: bool) -> None:
    """Show what a run holds of one question: its paths with their verdicts, what is trained, each method's answer.

    \b
    sert show runs/demo train-0001 --task lab-choice
    sert show runs/demo test-0003 --full
    """
    from sert.runs.showing import show_question

    found = show_question(folder, question_id, task=task)
    if as_json:
        return print_json([_as_json(each) for each in found])
    for each in found:
        for line in _question_lines(each, most=None if full else SHOWN_CHARACTERS):
            click.echo(printable(line))


def _question_lines(shown: "QuestionShown", *, most: int | None) -> Iterator[str]:
    question = shown.question
    yield f"{question.task}: question {question.question_id} ({question.split})"
    yield f"  {one_line(question.question, most)}"
    listed = ", ".join(f"({letter}) {text}" for letter, text in zip(question.letters, question.choices, strict=True))
    yield from [f"  {one_line(listed, most)}"] if listed else []
    yield f"  Gold answer: {one_line(question.answer, most)}"
    for mined in shown.mined:
        yield from _path_lines(mined, most)
    for stage, rationale in shown.rationales.items():
        said = "none" if rationale.extracted is None else rationale.extracted
        yield f"{stage}: the teacher answers {one_line(said, most)}, {'right' if rationale.correct else 'not right'}"
        yield f"    {one_line(rationale.text, most)}"
    for stage, example in shown.trained.items():
        yield f"{stage}: trained on ({example.source})"
        yield f"    {one_line(example.completion, most)}"
    for stage, prediction in shown.answered.items():
        yield f"{stage}: {_graded(prediction)}"
        yield f"    {one_line(prediction.completion, most)}"


def _path_lines(mined: "Paths", most: int | None) -> Iterator[str]:
    yield f"{mined.stage}: {counted(len(mined.paths), 'paths')}"
    for path in mined.paths:
        verdicts = [_graded_verdict(path, verdicts.get(path.key)) for verdicts in mined.verdicts.values()]
        yield from path_lines(path, verdicts, most)


def path_lines(path: "MinedPath", verdicts: Sequence[str], most: int | None) -> Iterator[str]:
    """Tell of a path, of what is said of it, and show its text."""
    numbers = f"{path.num_tokens} tokens, perplexity {path.perplexity:.2f}, rep-2 {path.rep_2:.2f}"
    yield f"  {path.branch}.{path.sample}  {'; '.join([*verdicts, numbers])}"
    yield f"    {one_line(path.text, most)}"


def _graded_verdict(path: "MinedPath", verdict: "Verdict | None") -> str:
    if verdict is None:
        return "not judged"
    graded = "" if verdict.conclusion is None else ", right" if verdict.agrees else ", wrong"
    return f"{verdict_of(path, verdict)}{graded}"


def verdict_of(path: "MinedPath", verdict: "Verdict") -> str:
    """Say what the rules make of a path, and which answer it states."""
    kept = "selected" if verdict.selected else "kept" if verdict.reason is None else f"dropped by {verdict.reason}"
    if verdict.conclusion is None:
        return f"{kept}, states no answer{', cut' if path.finish == 'length' else ''}"
    return f"{kept}, says {cut(verdict.conclusion, most=40)}"


def _graded(prediction: "Prediction") -> str:
    said = prediction.answer_loose
    how = "" if prediction.answer_strict is not None or said is None else " (read loosely)"
    answer = "no answer" if said is None else f"answers {cut(said, most=40)}{how}"
    return f"{answer}, {'right' if prediction.correct_loose else 'wrong'}; {prediction.num_tokens} tokens"


def one_line(text: str, most: int | None) -> str:
    """Write a text on one line, cut off where not all of it is wanted."""
    return " ".join(text.split()) if most is None else cut(" ".join(text.split()), most=most)


def _as_json(shown: "QuestionShown") -> dict[str, Any]:
    return {
        "question": asdict(shown.question),
        "mined": [
            {
                "stage": mined.stage,
                "paths": [finite(asdict(path)) for path in mined.paths],
                "verdicts": {name: [asdict(each) for each in found.values()] for name, found in mined.verdicts.items()},
            }
            for mined in shown.mined
        ],
        "rationales": {name: asdict(each) for name, each in shown.rationales.items()},
        "trained": {name: asdict(each) for name, each in shown.trained.items()},
        "answered": {name: asdict(each) for name, each in shown.answered.items()},
    }


def finite(row: dict[str, Any]) -> dict[str, Any]:
    """Write null for numbers that JSON does not have, such as the perplexity of an empty path."""
    return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()}
