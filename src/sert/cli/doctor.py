"""The command that examines an endpoint and the machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.options import JSON, SET, print_json, terminal, with_options
from sert.cli.teachers import PriceType, endpoint_sections
from sert.terminal.text import printable

if TYPE_CHECKING:
    from sert.doctor.finding import Finding


@click.command("doctor")
@with_options(
    click.option("--endpoint", "url", metavar="URL", help="OpenAI-compatible endpoint to probe, up to /v1."),
    click.option("--model", help="The model's name at the endpoint."),
    click.option("--api", type=click.Choice(["chat", "completions"]), help="Which of its interfaces.  [default: chat]"),
    click.option("--api-key-env", metavar="VARIABLE", help="Environment variable with the key."),
    click.option("--max-cost", metavar="DOLLARS", help="Send nothing if the probes could cost more than this."),
    click.option("--price", type=PriceType(), help="Dollars a million tokens of prompts and of completions."),
    click.option("--free", is_flag=True, default=None, help="The endpoint is your own and costs nothing."),
    SET,
    JSON,
)
def doctor_command(url: str | None, overrides: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Examine the machine, and probe an endpoint with a dozen small requests: does it do as it is asked?

    Exit code 7 says that the endpoint would spoil a run.

    \b
    sert doctor
    sert doctor --endpoint http://127.0.0.1:8000/v1 --model NAME --free
    sert doctor --endpoint https://api.openai.com/v1 --model NAME --price 0.5,1.5 --max-cost 0.10 --json
    sert doctor --endpoint http://127.0.0.1:8000/v1 --model NAME --free --set teacher.calls.timeout=30
    """
    from sert.config.load import stage_config
    from sert.doctor.machine import examine_machine

    teacher = endpoint_sections(url, {**options, "max_tokens": None, "concurrency": None, "batch": None})
    tree = {"tasks": {"none": {"kind": "lab_yes_no"}}, "teacher": teacher}
    config = stage_config(tree, overrides=overrides, reads=("teacher",)).teacher
    endpoint: list[Finding] = []
    if config.endpoint is not None:
        from sert.doctor.endpoint import probe_endpoint

        terminal().say(f"Probing {config.endpoint.url} ...")
        endpoint = probe_endpoint(config.endpoint, config.calls)
    _print({"endpoint": endpoint, "machine": examine_machine(Path.cwd())}, as_json)
    _raise_problems(endpoint)


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


def _raise_problems(findings: "list[Finding]") -> None:
    from sert.errors import EndpointError

    names = [finding.name for finding in findings if finding.verdict == "problem"]
    if names:
        raise EndpointError(f"The endpoint would spoil a run: {', '.join(names)}. The findings say how to mend it.")
