"""The commands that ask a teacher or a judge."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
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
    given,
    only_task,
    print_artifact,
    print_plan,
    terminal,
    with_options,
)


class PriceType(click.ParamType[tuple[Decimal, Decimal]]):
    """Two amounts of dollars, `0.5,1.5`."""

    name = "PROMPT,COMPLETION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Decimal, Decimal]:
        """Read the two amounts."""
        try:
            prompt, completion = map(Decimal, str(value).split(","))
        except (ValueError, InvalidOperation):
            self.fail(f"{value!r} is not two amounts such as 0.5,1.5", param, ctx)
        return prompt, completion


ENDPOINT = with_options(
    click.option("--endpoint", "url", metavar="URL", help="OpenAI-compatible endpoint, up to /v1."),
    click.option("--model", help="The model's name at the endpoint."),
    click.option("--api", type=click.Choice(["chat", "completions"]), help="Which of its interfaces.  [default: chat]"),
    click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer.  [default: 512]"),
    click.option("--api-key-env", metavar="VARIABLE", help="Environment variable with the key."),
    click.option("--max-cost", metavar="DOLLARS", help="Never spend more than this, over all restarts."),
    click.option("--price", type=PriceType(), help="Dollars a million tokens of prompts and of completions."),
    click.option("--free", is_flag=True, default=None, help="The endpoint is your own and costs nothing."),
    click.option("--concurrency", type=click.IntRange(min=1), help="Calls at a time.  [default: 8]"),
    click.option("--batch", is_flag=True, default=None, help="Send as OpenAI batches: cheaper, done within a day."),
    click.option("--retry-quarantined", is_flag=True, help="Ask again what was put aside earlier."),
)


@click.command("teach")
@with_options(TASK, OUT)
@click.option("--recorded", type=click.Path(path_type=Path), help="Recorded answers: .log, .json or .jsonl.")
@with_options(ENDPOINT, SET, DRY_RUN, JSON)
def teach_command(
    out: Path,
    recorded: Path | None,
    url: str | None,
    retry_quarantined: bool,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
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
    if recorded and url:
        raise click.UsageError("--recorded and --endpoint exclude each other.")
    kind = "recorded" if recorded else "endpoint" if url else "lab"
    teacher = {"kind": kind, **endpoint_sections(url, options)}
    config = config_of(options, overrides, reads=("tasks", "teacher"), teacher=teacher)
    from sert.tasks.kinds import KINDS

    settings = only_task(config)
    if config.teacher.kind == "lab" and not KINDS[settings.kind].is_lab:
        raise click.UsageError(f"{settings.kind} questions need a teacher; give --recorded FILE or --endpoint URL.")
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
        recorded=recorded or settings.rationales,
        calls=calls,
        retry_quarantined=retry_quarantined,
        prompts=settings.prompts,
        reporter=terminal(),
    )
    share = taught.counts["correct"] / taught.counts["rationales"]
    print_artifact(taught, as_json, share_correct=round(share, 4))


def _plan_teach(config: Any, questions: Sequence[Any], out: Path, calls: Path, as_json: bool) -> None:
    """Print what would be asked and what it may cost."""
    if config.teacher.kind != "endpoint":
        return print_plan(out, as_json, questions=len(questions), teacher=config.teacher.kind)
    from sert.endpoint.session import plan_calls
    from sert.teacher.live import rationale_calls

    endpoint, prompts = config.teacher.endpoint, only_task(config).prompts
    plan = plan_calls(
        rationale_calls(questions, endpoint=endpoint, prompts=prompts), folder=calls, config=config.teacher.calls
    )
    print_plan(out, as_json, **plan.describe())


def endpoint_sections(url: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Take the settings of an endpoint out of a command's options."""
    asked = {"model": options.pop("model"), "api": options.pop("api"), "max_tokens": options.pop("max_tokens")}
    names = ("api_key_env", "max_cost", "price", "free", "concurrency", "batch")
    calls = given({name: options.pop(name) for name in names})
    if url is None:
        if needless := sorted([*given(asked), *calls]):
            option = needless[0].replace("_", "-")
            raise click.UsageError(f"--{option} is for an endpoint; give --endpoint URL.")
        return {}
    if asked["model"] is None:
        raise click.UsageError("--endpoint needs --model, the model's name there.")
    return {"endpoint": given({"url": url, **asked}), "calls": calls}
