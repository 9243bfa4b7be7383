"""The commands about what is built in: the kinds of question sets, and the lab."""

from pathlib import Path

import click

from sert.cli.help import Command, Group
from sert.cli.options import DRY_RUN, JSON, OUT, SEED, print_artifact, print_json, print_plan, terminal, with_options


@click.command("tasks", cls=Command)
@JSON
def tasks_command(as_json: bool) -> None:
    """List the kinds of question sets.

    \b
    sert tasks
    """
    from sert.tasks.kinds import KINDS

    if as_json:
        return print_json({kind: each.description for kind, each in KINDS.items()})
    for kind, each in KINDS.items():
        click.echo(f"{kind:14} {each.description}")


@click.group("lab", cls=Group)
def lab_group() -> None:
    """The embedded lab."""


@lab_group.command("build")
@with_options(OUT, SEED)
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps.  [default: those of the shipped student]")
@with_options(DRY_RUN, JSON)
def lab_build(out: Path, seed: int, steps: int | None, dry_run: bool, as_json: bool) -> None:
    """Rebuild the lab student from a seed, and compare it with the shipped one.

    \b
    sert lab build --out lab-student
    """
    from sert.lab.build import STEPS, build_lab_student, compare_with_shipped

    if dry_run:
        return print_plan(out, as_json, steps=steps or STEPS)
    built = build_lab_student(out=out, seed=seed, steps=steps or STEPS, reporter=terminal())
    print_artifact(built, as_json, **compare_with_shipped(built))
