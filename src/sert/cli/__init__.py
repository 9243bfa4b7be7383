"""The commands. No logic: each one reads its options, calls one function, and prints what came back."""

import io
import sys
from typing import NoReturn

import click

from sert.cli.asking import ask_command
from sert.cli.endpoints import doctor_command, judge_command, teach_command
from sert.cli.explore import explore_command
from sert.cli.export import export_group
from sert.cli.help import Group
from sert.cli.init import init_command
from sert.cli.listings import lab_group, tasks_command
from sert.cli.looking import show_command, status_command
from sert.cli.prospect import prospect_command
from sert.cli.push import push_group
from sert.cli.runs import demo, report_command, reproduce, run_command
from sert.cli.stages import evaluate_command, filter_command, gain_command, mine_command, train_command
from sert.cli.upkeep import gc_command, verify_command
from sert.errors import SertError
from sert.student.surroundings import forget_precision
from sert.terminal import signals
from sert.terminal.text import printable

EPILOG = """\b
Exit codes: 0 done, 1 the system refuses a file, 2 wrong command line, 3 configuration, 4 data,
5 student, 6 teacher, 7 endpoint, 8 run folder in use, 9 disk full or failing, 10 loss not finite,
11 spending cap, 12 out of memory, 13 a worker died again and again, 130 Ctrl-C, 143 terminated.
"""


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    signals.watch()
    forget_precision()
    _escape_what_cannot_be_shown()
    try:
        code = _run()
        signals.ignore()
    except KeyboardInterrupt:
        signals.exit_interrupted()
    sys.exit(code)


def _escape_what_cannot_be_shown() -> None:
    r"""Write characters that the terminal's encoding lacks as `\u0436`, as Python does on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run() -> int:
    try:
        return _result()
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(printable(shown.getvalue()), nl=False, err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; finished work is kept, the same command goes on with the rest.", err=True)
        signals.exit_interrupted()
    except SertError as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        return error.exit_code
    except OSError as error:  # the file system refuses: no permission, a name too long, a disk that is read-only
        click.echo(f"Error: the system refuses a file: {printable(str(error))}", err=True)
        return SertError.exit_code


def _result() -> int:
    """Run the command; what a signal breaks on its way out, such as an open connection, is not told in its place."""
    try:
        result = cli(standalone_mode=False, prog_name="sert", complete_var="_SERT_COMPLETE")
    except Exception:
        signals.raise_arrived()
        raise
    return result if isinstance(result, int) else 0


@click.group(
    cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="sert")
def cli() -> None:
    """Make a small language model reason: mine its latent reasoning, train on it, distil a teacher, measure honestly.

    \b
    sert demo                          the whole method on the embedded lab, about two minutes
    sert prospect configs/strategyqa-gpt2.toml --dry-run
    sert run configs/strategyqa-gpt2.toml --dry-run
    sert mine --task commonsenseqa --data FILE --student gpt2 --limit 8 --out DIR
    """


cli.add("Begin", demo, init_command, tasks_command, doctor_command)
cli.add("Look before training", prospect_command)
cli.add("Run the whole method", run_command, reproduce, status_command)
cli.add(
    "Run one stage",
    mine_command,
    filter_command,
    teach_command,
    train_command,
    evaluate_command,
    gain_command,
    judge_command,
)
cli.add("Look at results", report_command, explore_command, show_command, ask_command)
cli.add("Hand results on", export_group, push_group)
cli.add("Look after results", verify_command, gc_command)
cli.add("The lab", lab_group)
