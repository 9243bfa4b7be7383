"""The command that examines an endpoint and the machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.options import JSON, SET, config_of, print_json, terminal, with_options
from sert.cli.teachers import check_endpoint_options, endpoint_options
from sert.terminal.text import printable

if TYPE_CHECKING:
    from sert.doctor.finding import Finding


@click.command("doctor")
@with_options(
    endpoint_options("teacher", help="Send nothing if the probes could cost more than this."),
    SET,
    JSON,
)
def doctor_command(as_json: bool, **settings: Any) -> None:
    """Examine the machine, and probe an endpoint with a dozen small requests: does it do as it is asked?

    Exit code 7 says that the endpoint would spoil a run.

    \b
    sert doctor
    sert doctor --endpoint http://127.0.0.1:8000/v1 --model NAME --free
    sert doctor --endpoint https://api.openai.com/v1 --model NAME --price 0.5,1.5 --max-cost 0.10 --json
    sert doctor --endpoint http://127.0.0.1:8000/v1 --model NAME --free --set teacher.calls.timeout=30
    """
    from sert.doctor.machine import examine_machine

    check_endpoint_options(settings, "teacher")
    config = config_of(reads=("teacher",), **settings).teacher
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
