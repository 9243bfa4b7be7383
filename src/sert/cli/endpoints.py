"""The commands that call an endpoint: for a teacher's rationales, for a judge's scores, or to examine it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.help import Command
from sert.cli.options import (
    DRY_RUN,
    JSON,
    OUT,
    SET,
    TASK,
    InputPath,
    config_of,
    data_of,
    only_task,
    print_artifact,
    print_json,
    print_plan,
    setting,
    terminal,
    with_options,
)
from sert.errors import EndpointError
from sert.terminal.text import printable

if TYPE_CHECKING:
    from sert.config.tree import Config
    from sert.doctor.finding import Finding


def endpoint_options(section: str, **costs: Any) -> Callable[[Any], Any]:
    """Make the options of a section's endpoint that `sert doctor` has too; `costs` changes that of the cap."""
    return with_options(
        setting(f"{section}.endpoint.url", "--endpoint", metavar="URL"),
        f"{section}.endpoint.model",
        f"{section}.endpoint.api",
        setting(f"{section}.calls.api_key_env", metavar="VARIABLE"),
        setting(f"{section}.calls.max_cost", metavar="DOLLARS", **costs),
        f"{section}.calls.price",
        f"{section}.calls.free",
    )


def calling_options(section: str) -> Callable[[Any], Any]:
    """Make the options of a section's endpoint that is called many times."""
    return with_options(
        endpoint_options(section),
        f"{section}.endpoint.max_tokens",
        f"{section}.calls.concurrency",
        f"{section}.calls.batch",
        click.option("--retry-quarantined", is_flag=True, help="Ask again what was put aside earlier."),
    )


def check_endpoint_options(settings: Mapping[str, Any], section: str) -> None:
    """Refuse options of an endpoint that is not named, and an endpoint without its model."""
    prefixes = (f"{section}__endpoint__", f"{section}__calls__")
    of_endpoint = [name for name, value in settings.items() if value is not None and name.startswith(prefixes)]
    names = sorted(name.rpartition("__")[2].replace("_", "-") for name in of_endpoint)
    if names and "url" not in names:
        raise click.UsageError(f"--{names[0]} is for an endpoint; give --endpoint URL.")
    if names and "model" not in names:
        raise click.UsageError("--endpoint needs --model, the model's name there.")


@click.command(
    "teach",
    cls=Command,
    rest="--hub --limit --api --api-key-env --max-tokens --concurrency --batch --retry-quarantined --json",
)
@with_options(TASK, OUT)
@click.option("--recorded", type=InputPath(), help="Recorded answers: .log, .json or .jsonl.")
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
    from sert.teacher.rationales import check_teacher, teach

    check_teacher(config.teacher, recorded or task.rationales, label="teach")
    if dry_run:
        work: dict[str, Any] = {"questions": len(questions), "teacher": config.teacher.kind}
        if config.teacher.kind == "endpoint":
            assert config.teacher.endpoint is not None
            from sert.endpoint.session import check_endpoint, plan_calls
            from sert.teacher.live import Asked

            check_endpoint(config.teacher.endpoint, config.teacher.calls)
            asked = Asked(questions, config.teacher.endpoint, task.prompts).calls()
            calls = out.with_name(f"{out.name}.calls")
            work = plan_calls(asked, folder=calls, config=config.teacher.calls).describe()
        return print_plan(out, as_json, **work)
    taught = teach(
        questions,
        out=out,
        held_out=data.held_out,
        teacher=config.teacher,
        recorded=recorded or task.rationales,
        retry_quarantined=retry_quarantined,
        prompts=task.prompts,
        reporter=terminal(),
    )
    share = taught.counts["correct"] / taught.counts["rationales"]
    print_artifact(taught, as_json, share_correct=round(share, 4))


@click.command("judge", cls=Command, rest="--api --api-key-env --max-tokens --concurrency --retry-quarantined --json")
@click.argument("folders", type=InputPath(), nargs=-1, required=True)
@with_options(OUT, "judge.limit", "judge.repeats", calling_options("judge"), SET, DRY_RUN, JSON)
def judge_command(
    folders: tuple[Path, ...], out: Path, retry_quarantined: bool, dry_run: bool, as_json: bool, **settings: Any
) -> None:
    """Let a judge score the outputs in evaluated folders, or the paths in mined ones: four criteria, 0 to 10.

    Twelve texts that are obviously good or bad are judged too, so that the judge itself is judged. A reply without four
    readable scores is counted as failed.

    \b
    sert judge evaluated --endpoint http://127.0.0.1:8000/v1 --model NAME --free --limit 100 --out judged
    sert judge mined --endpoint http://127.0.0.1:8000/v1 --model NAME --free --limit 20 --out judged-paths
    sert judge evaluated evaluated-distilled --endpoint https://api.openai.com/v1 --model NAME \\
        --price 0.5,1.5 --max-cost 1 --repeats 3 --set judge.endpoint.temperature=0.7 --dry-run --out judged
    """
    check_endpoint_options(settings, "judge")
    config = config_of(reads=("judge",), **settings)
    from sert.judge.stage import judge, plan_judging

    named = {folder.name: folder for folder in folders}
    if len(named) < len(folders):
        raise click.UsageError("two of the folders have the same name, by which they are told apart; rename one.")
    if dry_run:
        plan = plan_judging(named, config=config.judge, calls=out.with_name(f"{out.name}.calls"))
        return print_plan(out, as_json, **plan.describe())
    judged = judge(named, out=out, config=config.judge, retry_quarantined=retry_quarantined, reporter=terminal())
    if as_json:
        return print_json({"folder": str(judged.folder), "key": judged.key, **judged.counts})
    from sert.report.judging import judging_text

    click.echo(printable(judging_text(judged.counts)))
    click.echo(printable(f"Written to {judged.folder}"))


@click.command("doctor", cls=Command)
@with_options(
    setting("student.path", "--student"),
    endpoint_options("teacher", help="Send nothing if the probes could cost more than this."),
    click.option("--mining", is_flag=True, help="Examine the endpoint as one that samples this student's paths."),
    SET,
    JSON,
)
def doctor_command(as_json: bool, mining: bool, **settings: Any) -> None:
    """Examine the machine, try a student, and probe an endpoint with a dozen small requests: does it do as it is asked?

    With --mining: does it take and give token ids, keep to the settings of mining, and have the same student?

    Exit code 7 says that the endpoint would spoil a run.

    \b
    sert doctor
    sert doctor --student lab
    sert doctor --student gpt2
    sert doctor --endpoint http://127.0.0.1:8000/v1 --model NAME --free
    sert doctor --endpoint https://api.openai.com/v1 --model NAME --price 0.5,1.5 --max-cost 0.10 --json
    sert doctor --endpoint http://127.0.0.1:8000/v1 --model NAME --free --set teacher.calls.timeout=30
    sert doctor --mining --student gpt2 --endpoint http://127.0.0.1:8000/v1 --model gpt2
    """
    from sert.doctor.machine import examine_machine

    check_endpoint_options(settings, "teacher")
    config = config_of(reads=("teacher", "student", *(["mining"] if mining else [])), **settings)
    teacher = config.teacher
    endpoint: list[Finding] = []
    student: list[Finding] = []
    if mining:
        endpoint = _examined_for_mining(config, named=settings["student__path"] is not None)
    elif teacher.endpoint is not None:
        from sert.doctor.endpoint import probe_endpoint

        terminal().say(f"Probing {teacher.endpoint.url} ...")
        endpoint = probe_endpoint(teacher.endpoint, teacher.calls)
    if settings["student__path"] is not None and not mining:
        from sert.doctor.student import examine_student

        terminal().say(f"Trying {config.student.path} ...")
        student = examine_student(config.student)
    _print({"endpoint": endpoint, "student": student, "machine": examine_machine(Path.cwd())}, as_json)
    if problems := [finding.name for finding in endpoint if finding.verdict == "problem"]:
        raise EndpointError(f"The endpoint would spoil a run: {', '.join(problems)}. The findings say how to mend it.")


def _examined_for_mining(config: "Config", *, named: bool) -> "list[Finding]":
    """Examine the endpoint as one that samples, with the student that it should have."""
    from sert.config.mining import MiningEndpoint
    from sert.doctor.server import examine_server

    endpoint = config.teacher.endpoint
    if endpoint is None or not named:
        raise click.UsageError("--mining needs --endpoint URL and --model NAME of the server, and --student PATH.")
    asked = MiningEndpoint(url=endpoint.url, model=endpoint.model)
    calls = config.mining.calls.model_copy(update={"api_key_env": config.teacher.calls.api_key_env})
    served = config.mining.model_copy(update={"engine": "openai", "endpoint": asked, "calls": calls})
    terminal().say(f"Sampling from {endpoint.url} and reading it with {config.student.path} ...")
    return examine_server(config.student, served)


def _print(examined: "dict[str, list[Finding]]", as_json: bool) -> None:
    if as_json:
        rows = {
            what: [{**finding._asdict(), "message": printable(finding.message)} for finding in findings]
            for what, findings in examined.items()
        }
        return print_json(rows)
    for what, findings in examined.items():
        if findings:
            click.echo(what.capitalize())
        for finding in findings:
            click.echo(f"  {finding.verdict:8} {finding.name:15} {printable(finding.message)}")
