"""A first configuration of a run, from a file of questions, a student and perhaps a teacher."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from sert.config.load import validate
from sert.config.tree import DISTILLED, METHODS, Config
from sert.errors import ConfigError
from sert.store.disk import make_folder
from sert.tasks.guessing import Guess, guess_columns
from sert.terminal.text import printable

TEST_SHARE = 0.3
"""Share of the questions that is tested on, where there is no file of test questions."""
LAB = "lab"
LAB_RULES = {"min_tokens": 12, "min_perplexity": 1.2}
"""Limits for the lab's student: its reasoning is short, and it is far surer of its words than GPT-2 (docs/lab.md)."""
GPT2 = "gpt2"
OF_OTHERS: dict[str, dict[str, Any]] = {
    "rules": {"min_perplexity": "p25", "unfinished": "trim"},
    "training": {"learning_rate": 1e-4, "epochs": 3},
}
"""For students that the paper did not measure: they are surer of their texts than GPT-2, or less sure, and what they
have learnt before is soon lost."""
_ABOUT_OTHERS = (
    '# The limits fit any student: "p25" drops the quarter of its own paths with the lowest perplexity (of GPT-2 the\n'
    "# paper drops those below 5), and paths that are cut within a sentence end with their last whole one.\n"
    "# The paper trains GPT-2 for 20 epochs at 3e-4. Here it is less, our choice, so that the student keeps more of\n"
    "# what it has learnt before. To have the epoch chosen: dev_share = 0.1 of the task, training.snapshots = 3,\n"
    '# evaluation.epoch_choice = "dev".\n'
)


class Starter(NamedTuple):
    """A first configuration.

    Attributes:
        text: Its TOML.
        guess: How the questions are read.
    """

    text: str
    guess: Guess


def make_starter(
    file: Path,
    *,
    questions: Path,
    test_questions: Path | None = None,
    student: str,
    teacher: Mapping[str, Any] | None = None,
    rationales: Path | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Starter:
    """Make the configuration that will be `file`.

    Args:
        file: Names the run; nothing is written.
        questions: All questions, or the train questions where there are `test_questions`.
        test_questions: The test questions.
        student: A hub id, a folder or file, or `lab`.
        teacher: The section of that name; without one, nothing is distilled.
        rationales: Recorded ones, of a teacher of that kind.
        columns: Settings of the columns that are not to be guessed.

    Raises:
        DataError: If the questions cannot be read, or their columns cannot be guessed.
        ConfigError: If something that was given is not allowed.
    """
    named_task = _named(questions.stem.lower(), r"[^a-z0-9_-]+", "own")
    guess = guess_columns(questions, columns, task=named_task)
    task: dict[str, Any] = {"kind": "table", "data": str(questions)}
    task |= {"test_share": TEST_SHARE} if test_questions is None else {"test_data": str(test_questions)}
    task |= {} if rationales is None else {"rationales": str(rationales)}
    task |= {"bad_rows": "leave_out"} if guess.bad else {}
    task |= {"columns": guess.columns.model_dump(mode="json", exclude_defaults=True)}
    tree: dict[str, Any] = {
        "name": _named(file.stem, r"[^A-Za-z0-9._-]+", "own"),
        "methods": [method for method in METHODS if teacher or method not in DISTILLED],
        "student": {"path": student} if student == LAB else {"path": student, "dtype": "auto"},
        "tasks": {named_task: task},
        **(fitting := _fitting(student)),
        **({"teacher": teacher} if teacher else {}),
    }
    validate(Config, tree, source="The configuration")
    about = _ABOUT_OTHERS if fitting is OF_OTHERS else ""
    named = printable(shlex.quote(str(file))).replace("\n", " ")
    head = (
        "# Written by `sert init`. What is not set here has the paper's value where it gives one, else our default;\n"
        "# docs/paper_index.md lists them.\n"
        f"# What would be done:          sert run {named} --dry-run\n"
        f"# Is there anything to mine?   sert prospect {named}\n"
        f"# All of it:                   sert run {named}\n"
        f"# A small part of it:          sert run {named} --limit 40 --set training.epochs=1\n"
    )
    return Starter(f"{head}{about}\n{tomli_w.dumps(tree)}", guess)


def _fitting(student: str) -> dict[str, dict[str, Any]]:
    """Find settings that fit a student, by section: the paper's for GPT-2, of which it gives them."""
    if student == LAB:
        return {"rules": LAB_RULES}
    return {} if GPT2 in student.lower() else OF_OTHERS


def _named(text: str, foreign: str, otherwise: str) -> str:
    """Make a name of a file's: what no name has becomes a dash."""
    return re.sub(foreign, "-", text)[:64].strip("-._") or otherwise


def write_new(file: Path, text: str) -> None:
    """Write a configuration where no file is; its folder is made.

    Raises:
        ConfigError: If there is one already.
    """
    make_folder(file.parent)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{file} is there already and stays as it is; give another name, or remove it.") from None
