"""The commands that ask a teacher or a judge."""

from collections.abc import Callable, Mapping, Sequence
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
    data_of,
    only_task,
    print_artifact,
    print_plan,
    setting,
    terminal,
    with_options,
)


def endpoint_options(section: str, **costs: Any) -> Callable[[Any], Any]:
    """Make the options of a section's endpoint that `sert doctor` has too; `costs` changes that of the cap."""
    return with_options(
        setting(f"{section}.endpoint.url", "--endpoint", metavar="URL"),
        setting(f"{section}.endpoint.model"),
        setting(f"{section}.endpoint.api"),
        setting(f"{section}.calls.api_key_env", metavar="VARIABLE"),
        setting(f"{section}.calls.max_cost", metavar="DOLLARS", **costs),
        setting(f"{section}.calls.price"),
        setting(f"{section}.calls.free"),
    )


def calling_options(section: str) -> Callable[[Any], Any]:
    """Make the options of a section's endpoint that is called many times."""
    return with_options(
        endpoint_options(section),
        setting(f"{section}.endpoint.max_tokens"),
        setting(f"{section}.calls.concurrency"),
        setting(f"{section}.calls.batch"),
        click.option("--retry-quarantined", is_flag=True, help="Ask again what was put aside earlier."),
    )


@click.command("teach")
@with_options(TASK, OUT)
@click.option("--recorded", type=click.Path(path_type=Path), help="Recorded answers: .log, .json or .jsonl.")
@with_options(calling_options("teacher"), SET, DRY_RUN, JSON)
def teach_command(
    out: Path, recorded: Path | None, retry_quarantined: bool, dry_run: bool, as_json: bool, **settings: Any
) -> None:
    """Get a teacher's rationales for the train questions: from an endpoint, a record, or in the lab from its oracle.

    Answers of an endpoint are kept in OUT.calls as they come. The same command goes on after a stop and pays for
    nothing twice.

    \b
    sert teach --task lab_choice --out taught
    sert teach --task strategyqa --data task.json --set tasks.strategyqa.split_file=split.json \\
        --recorded strategyqa_zero_shot_cot.log --out taught
    sert teach --task lab_choice --endpoint http://127.0.0.1:8000/v1 --model NAME --free --out taught
    sert teach --task commonsenseqa --data train_rand_split.jsonl --endpoint https://api.openai.com/v1 \\
        --model NAME --price 0.5,1.5 --max-cost 2.50 --dry-run --out taught
    """
    url = settings["teacher__endpoint__url"]
    if recorded and url:
        raise click.UsageError("--recorded and --endpoint exclude each other.")
    check_endpoint_options(settings, "teacher")
    kind = "recorded" if recorded else "endpoint" if url else "lab"
    config = config_of(reads=("tasks", "teacher"), teacher__kind=kind, **settings)
    from sert.tasks.kinds import KINDS

    task = only_task(config)
    if config.teacher.kind == "lab" and not KINDS[task.kind].is_lab:
        raise click.UsageError(f"{task.kind} questions need a teacher; give --recorded FILE or --endpoint URL.")
    data = data_of(config)  # which has train questions, or says that it has none
    questions = data.split("train")
    calls = out.with_name(f"{out.name}.calls")
    if dry_run:
        return _plan_teach(config, questions, out, calls, as_json)
    from sert.teacher.rationales import teach

    taught = teach(
        questions,
        out=out,
        held_out=data.held_out,
        teacher=config.teacher,
        recorded=recorded or task.rationales,
        calls=calls,
        retry_quarantined=retry_quarantined,
        prompts=task.prompts,
        reporter=terminal(),
    )
    share = taught.counts["correct"] / taught.counts["rationales"]
    print_artifact(taught, as_json, share_correct=round(share, 4))


def _plan_teach(config: Any, questions: Sequence[Any], out: Path, calls: Path, as_json: bool) -> None:
    """Print what would be asked and what it may cost."""
    if config.teacher.kind != "endpoint":
        return print_plan(out, as_json, questions=len(questions), teacher=config.teacher.kind)
    from sert.endpoint.session import plan_calls
    from sert.teacher.live import Asked

    asked = Asked(questions, config.teacher.endpoint, only_task(config).prompts)
    plan = plan_calls(asked.calls(), folder=calls, config=config.teacher.calls)
    print_plan(out, as_json, **plan.describe())


def check_endpoint_options(settings: Mapping[str, Any], section: str) -> None:
    """Refuse options of an endpoint that is not named, and an endpoint without its model."""
    prefixes = (f"{section}__endpoint__", f"{section}__calls__")
    of_endpoint = [name for name, value in settings.items() if value is not None and name.startswith(prefixes)]
    names = sorted(name.rpartition("__")[2].replace("_", "-") for name in of_endpoint)
    if names and "url" not in names:
        raise click.UsageError(f"--{names[0]} is for an endpoint; give --endpoint URL.")
    if names and "model" not in names:
        raise click.UsageError("--endpoint needs --model, the model's name there.")
