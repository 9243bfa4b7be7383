"""The command that looks at a student before any training."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.help import Command
from sert.cli.options import (
    JSON,
    SET,
    SOURCE,
    TRYING_DRY_RUN,
    WORKERS,
    InputPath,
    OutFolder,
    config_of,
    names_student,
    put_settings,
    setting,
    tell_embedded_student,
    terminal,
    with_options,
)
from sert.cli.runs import print_planned, print_result
from sert.config.load import apply_overrides, check_overrides, override_key, read_toml, validate
from sert.config.tree import Config

if TYPE_CHECKING:
    from sert.config.prospect import Prospect

READS = ("tasks", "student", "mining", "rules", "training", "execution", "seed", "evaluation.likelihood")
_OTHER_SOURCE = {
    "data": ("hub", "hub_config", "hub_revision", "train_split", "test_split"),
    "hub": ("data", "test_data", "split_file"),
}
"""What a configuration says of a source of questions that is not asked: option -> settings that go."""


@click.command("prospect", cls=Command, rest="--hub --workers --engine --address")
@click.argument("config", type=InputPath(), required=False)
@setting(
    "tasks.<name>.kind",
    "--task",
    type=str,
    help="Kind of question set; see `sert tasks`. With CONFIG the name of its task, where it has several.",
)
@SOURCE
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Train questions, drawn by the seed."
)
@setting(
    "student.path", "--student", default=None, help="Hub id, folder, GGUF file or `lab`.  [default: CONFIG's, else lab]"
)
@with_options("student.dtype", "seed", "mining.max_new_tokens", WORKERS)
@click.option("--out", type=OutFolder(), help="Folder of the prospect.  [default: prospects/<name of config or task>]")
@with_options(SET, TRYING_DRY_RUN, JSON)
def prospect_command(
    config: Path | None, out: Path | None, limit: int, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Look at a student before any training: is there anything to mine on these questions, and do the rules find it?

    Samples train questions by branching, without branches and greedily, scores their possible answers, and compares
    what is right. With CONFIG, that of a run, task, prompts, student, mining and rules are as there; options change
    them. What is finished is skipped, also after a stop. `docs/prospect.md` says what it tells, and by which rules.

    \b
    sert prospect --task lab_choice
    sert prospect configs/strategyqa-gpt2.toml --student gpt2-medium --limit 30 --dry-run
    sert prospect configs/lab.toml --task lab-choice --out prospects/lab
    sert prospect --task commonsenseqa --data train_rand_split.jsonl --student gpt2 --limit 30 --dry-run
    """
    from sert.runs.prospect import place_of, plan_prospect, prospect

    asked = _asked(config, limit, **options)
    out = out or place_of(asked)
    if dry_run:
        plan = plan_prospect(asked, out=out, reporter=terminal(), try_students=True)
        return print_planned(plan, out, asked.execution.workers, as_json)
    print_result(prospect(asked, out=out, reporter=terminal()), as_json)


def _asked(
    file: Path | None, questions: int, *, tasks__kind: str | None, overrides: tuple[str, ...], **settings: Any
) -> "Prospect":
    from sert.config.prospect import prospect_of

    if file is not None:
        config = _config_in(file, tasks__kind, overrides, settings)
        return prospect_of(config, task=tasks__kind, questions=questions)
    if tasks__kind is None:
        raise click.UsageError("Give the configuration of a run, or --task with a kind of question set.")
    if not names_student(settings["student__path"], overrides):
        tell_embedded_student(tasks__kind)
    settings["student__path"] = settings["student__path"] or "lab"
    config = config_of(reads=READS, overrides=overrides, tasks__kind=tasks__kind, **settings)
    return prospect_of(config.model_copy(update={"name": tasks__kind}), questions=questions)


def _config_in(file: Path, task: str | None, overrides: tuple[str, ...], settings: Mapping[str, Any]) -> Config:
    """Read a configuration, and change what options gave: last of all what `--set` does."""
    check_overrides(overrides, reads=READS)
    toml = read_toml(file)
    tasks = validate(Config, toml.tree, source=str(file), places=toml.places).tasks
    chosen = task if task is not None or len(tasks) > 1 else next(iter(tasks))
    tree = copy.deepcopy(toml.tree)
    put_settings(tree, {name: value for name, value in settings.items() if not name.startswith("tasks__")})
    of_task = {option: value for option in _OTHER_SOURCE if (value := settings[f"tasks__{option}"]) is not None}
    if of_task and chosen in tasks:
        for gone in (gone for option in of_task for gone in _OTHER_SOURCE[option]):
            tree["tasks"][chosen].pop(gone, None)
        tree["tasks"][chosen] |= of_task
    tree = apply_overrides(tree, overrides)
    return validate(Config, tree, source=str(file), places=toml.places.given(map(override_key, overrides)))
