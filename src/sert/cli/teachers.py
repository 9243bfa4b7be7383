"""The commands that ask a teacher."""

from pathlib import Path
from typing import Any

import click

from sert.cli.options import (
    DRY_RUN,
    JSON,
    OUT,
    SET,
    TASK,
    config_of,
    only_task,
    print_artifact,
    print_plan,
    questions_of,
    terminal,
    with_options,
)


@click.command("teach")
@with_options(TASK, OUT)
@click.option("--recorded", type=click.Path(path_type=Path), help="Recorded answers; without it the lab's oracle.")
@with_options(SET, DRY_RUN, JSON)
def teach_command(
    out: Path, recorded: Path | None, overrides: tuple[str, ...], dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Get a teacher's rationales for the train questions: from recorded answers, or in the lab from its oracle.

    \b
    sert teach --task lab_choice --out taught
    sert teach --task strategyqa --data task.json --set tasks.strategyqa.split_file=split.json \\
        --recorded strategyqa_zero_shot_cot.log --out taught
    """
    kind = "recorded" if recorded else "lab"
    config = config_of(options, overrides, reads=("tasks", "teacher"), teacher={"kind": kind})
    questions = questions_of(config, "train")
    if dry_run:
        return print_plan(out, as_json, questions=len(questions), teacher=kind)
    from sert.teacher.rationales import teach

    taught = teach(
        questions,
        out=out,
        teacher=config.teacher,
        recorded=recorded or only_task(config).rationales,
        prompts=only_task(config).prompts,
        reporter=terminal(),
    )
    print_artifact(taught, as_json)
